/** Where the tiles go and how large they are. Pure arithmetic, in CSS pixels. */

const RATIOS_LANDSCAPE = [16 / 9, 4 / 3];
const RATIOS_PORTRAIT = [16 / 9, 4 / 3, 1, 4 / 5];

const SCREEN_RATIO = 16 / 10;
const FILM_WIDTH_MAX = 220;
const FILM_RATIO = 16 / 9;

/**
 * A shared screen and `count` faces in a box: "wide" with the faces in a column beside it, or "tall" with them
 * below. `width` and `height` are a face's, `mainHeight` is the screen's where it is not all that is left.
 */
export function screenAndFaces(count, box, gap) {
  if (box.width >= box.height) {
    const heightMax = (box.height - gap * (count - 1)) / Math.max(1, count);
    const width = Math.floor(Math.min(FILM_WIDTH_MAX, heightMax * FILM_RATIO));
    return { layout: "wide", mainHeight: box.height, width, height: Math.floor(width / FILM_RATIO) };
  }
  const mainHeight = Math.floor(Math.min(box.width / SCREEN_RATIO, box.height / 2));
  const rest = { width: box.width, height: box.height - mainHeight - gap };
  return { layout: "tall", mainHeight, ...largestTiles(count, rest, gap) };
}

/** Return { width, height } of the largest tiles for `count` in a box. */
export function largestTiles(count, box, gap) {
  const ratios = box.width >= box.height ? RATIOS_LANDSCAPE : RATIOS_PORTRAIT;
  let best = { width: 0, height: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const widthMax = (box.width - gap * (columns - 1)) / columns;
    const heightMax = (box.height - gap * (rows - 1)) / rows;
    for (const ratio of ratios) {
      const width = Math.min(widthMax, heightMax * ratio);
      if (width * (width / ratio) > best.width * best.height) best = { width, height: width / ratio };
    }
  }
  return { width: Math.floor(best.width), height: Math.floor(best.height) };
}
