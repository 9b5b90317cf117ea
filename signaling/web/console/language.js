/** Texts, dates, durations and sizes in the language of whoever reads. Each language is one file in texts/. */

import de from "./texts/de.js";
import en from "./texts/en.js";

const LANGUAGES = { de, en };
const KEPT = "bystander-console-language";

function chosen() {
  const kept = localStorage.getItem(KEPT);
  if (kept in LANGUAGES) return kept;
  const wanted = navigator.languages.map((one) => one.slice(0, 2)).find((one) => one in LANGUAGES);
  return wanted ?? "en";
}

export const language = chosen();
const texts = LANGUAGES[language];
/** Dates as the browser's own region writes them, where that speaks the chosen language. */
const locale = navigator.languages.find((one) => one.startsWith(language)) ?? language;

export function choose(name) {
  localStorage.setItem(KEPT, name);
  location.reload();
}

/** The text of this name, with `{placeholders}` filled; a missing one shows as its name. */
export function t(name, values = {}) {
  const text = texts[name] ?? en[name] ?? name;
  return text.replace(/{(\w+)}/g, (whole, key) => (key in values ? String(values[key]) : whole));
}

export function has(name) {
  return name in texts;
}

/** "1 recording", "2 recordings": `name.one` or `name.other`. */
export function count(name, number) {
  const form = new Intl.PluralRules(language).select(number) === "one" ? "one" : "other";
  return t(`${name}.${form}`, { count: decimal(number) });
}

export function decimal(number, digits = 0) {
  return number.toLocaleString(locale, { minimumFractionDigits: 0, maximumFractionDigits: digits });
}

export function dateTime(text) {
  return text ? new Date(text).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" }) : "–";
}

export function exactTime(text) {
  return text ? new Date(text).toLocaleString(locale, { dateStyle: "medium", timeStyle: "medium" }) : "–";
}

export function day(text) {
  return new Date(text).toLocaleDateString(locale, { dateStyle: "medium", timeZone: "UTC" });
}

export function time(text) {
  return new Date(text).toLocaleTimeString(locale, { timeStyle: "medium" });
}

/** 1:02:03, or 2:03. */
export function clock(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const tail = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

export function bytes(number) {
  if (number === null || number === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [value, unit] = [number, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${decimal(value, value < 10 && unit > 0 ? 1 : 0)} ${units[unit]}`;
}
