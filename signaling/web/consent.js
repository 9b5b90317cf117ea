/** The question whether we may be recorded, where the conversation asks it; the last answer counts. */

const byId = (id) => document.getElementById(id);
const TEXTS = {
  null: "May you be recorded in this call? Nothing of you is recorded before you agree.",
  AGREED: "You have agreed to being recorded.",
  REFUSED: "You are not being recorded.",
};
const CHANGE = { AGREED: "Stop recording me", REFUSED: "Allow recording me" };

/** Events: `answer` (detail: AGREED or REFUSED). */
export class Consent extends EventTarget {
  #answer = null;

  constructor() {
    super();
    byId("consent-agree").onclick = () => this.#say("AGREED");
    byId("consent-refuse").onclick = () => this.#say("REFUSED");
    byId("consent-change").onclick = () => this.#say(this.#answer === "AGREED" ? "REFUSED" : "AGREED");
  }

  /** As the welcome has it. */
  reset(consent, answer) {
    byId("consent").hidden = consent !== "ask";
    this.changed(answer);
  }

  /** Our answer, as it is kept. */
  changed(answer) {
    this.#answer = answer;
    document.body.dataset.consent = answer ?? "unanswered";
    byId("consent-text").textContent = TEXTS[answer];
    byId("consent-agree").hidden = byId("consent-refuse").hidden = answer !== null;
    byId("consent-change").hidden = answer === null;
    byId("consent-change").textContent = CHANGE[answer] ?? "";
  }

  #say(answer) {
    this.dispatchEvent(new CustomEvent("answer", { detail: answer }));
  }
}
