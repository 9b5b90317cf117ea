/** Telling people from their background, off the page's own thread: pixels in, a mask out; and a clock that a hidden page keeps. */

/* global createTwilioTFLiteSIMDModule */
importScripts("tflite-simd-1-0-0.js");

const MODEL = "selfie_segmentation_landscape.tflite";
const KEPT_OF_LAST = 0.35; // so that edges do not flicker
const [SURELY_NOT, SURELY] = [0.25, 0.7]; // confidences between which the edge fades

let model = null;
let before = null;

async function load() {
  const made = await createTwilioTFLiteSIMDModule({ locateFile: (name) => name, printErr: complain });
  const weights = new Uint8Array(await (await fetch(MODEL)).arrayBuffer());
  made.HEAPU8.set(weights, made._getModelBufferMemoryOffset());
  if (made._loadModel(weights.byteLength) !== 0) throw new Error("the model was not taken");
  model = made;
  return { width: made._getInputWidth(), height: made._getInputHeight() };
}

function complain(text) {
  if (!text.startsWith("INFO:")) console.warn(text);
}

/** RGBA pixels become the same with how surely each is somebody as alpha. */
function mask(pixels) {
  const count = pixels.length / 4;
  const input = model._getInputMemoryOffset() / 4;
  for (let index = 0; index < count; index += 1) {
    model.HEAPF32[input + 3 * index] = pixels[4 * index] / 255;
    model.HEAPF32[input + 3 * index + 1] = pixels[4 * index + 1] / 255;
    model.HEAPF32[input + 3 * index + 2] = pixels[4 * index + 2] / 255;
  }
  model._runInference();
  const output = model._getOutputMemoryOffset() / 4;
  before ??= model.HEAPF32.slice(output, output + count);
  for (let index = 0; index < count; index += 1) {
    const sure = KEPT_OF_LAST * before[index] + (1 - KEPT_OF_LAST) * model.HEAPF32[output + index];
    before[index] = sure;
    const ramp = Math.min(1, Math.max(0, (sure - SURELY_NOT) / (SURELY - SURELY_NOT)));
    pixels[4 * index + 3] = 255 * ramp * ramp * (3 - 2 * ramp);
  }
  return pixels;
}

onmessage = async ({ data }) => {
  try {
    if (data.type === "load") postMessage({ type: "loaded", ...(await load()) });
    else if (data.type === "wait") setTimeout(() => postMessage({ type: "tick" }), data.ms);
    else {
      const made = mask(data.pixels);
      postMessage({ type: "mask", pixels: made }, [made.buffer]);
    }
  } catch (error) {
    postMessage({ type: "failed", reason: String(error) });
  }
};
