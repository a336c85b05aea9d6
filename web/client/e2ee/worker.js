// The worker in which frames are encrypted and decrypted. encryption.js starts it and gives it the key once; each transform of a
// sender or receiver comes as an `rtctransform` event. A frame that fails is dropped: nothing passes unencrypted, either way.

import { Opener } from "./opener.js";
import { Sealer } from "./sealer.js";
import { importBaseKey } from "./sframe.js";
import { Witness } from "./witness.js";

/**
 * What encryption.js says of a transform. `id` is the receiver's.
 * @typedef {{role: "send" | "receive", kind: import("./facade.js").Kind, id: number}} Options
 * @typedef {{readable: ReadableStream, writable: WritableStream, options: Options}} Transformer
 * @typedef {RTCEncodedVideoFrame | RTCEncodedAudioFrame} Frame
 */

/** @type {(key: Promise<CryptoKey>) => void} */
let resolveKey = () => {};
/** @type {Promise<CryptoKey>} */
const base = new Promise((resolve) => { resolveKey = resolve; });
/** By receiver: of its present track, which is the so-and-so-many-th. @type {Map<number, {round: number, witness: Witness}>} */
const witnesses = new Map();

addEventListener("message", ({ data }) => {
  if (data.key instanceof Uint8Array) resolveKey(importBaseKey(data.key));
  else if (data.forget) witnesses.delete(data.id);
  else witnesses.set(data.id, { round: data.round, witness: new Witness() });
});

addEventListener("rtctransform", (event) => {
  const { transformer } = /** @type {Event & {transformer: Transformer}} */ (event);
  const { role, kind, id } = transformer.options;
  const transform = role === "send" ? sealing(kind) : opening(kind, id);
  // It ends with the connection, in some browsers with an error, which is no news.
  transformer.readable.pipeThrough(new TransformStream({ transform })).pipeTo(transformer.writable).catch(() => {});
});

/**
 * @param {import("./facade.js").Kind} kind
 * @returns {(frame: Frame, controller: TransformStreamDefaultController<Frame>) => Promise<void>}
 */
function sealing(kind) {
  const sealer = base.then((key) => new Sealer(kind, key));
  return async (frame, controller) => {
    const sealed = await (await sealer).seal(new Uint8Array(frame.data)).catch(() => null);
    if (sealed === null) return;
    frame.data = sealed.buffer;
    controller.enqueue(frame);
  };
}

/**
 * @param {import("./facade.js").Kind} kind
 * @param {number} id
 * @returns {(frame: Frame, controller: TransformStreamDefaultController<Frame>) => Promise<void>}
 */
function opening(kind, id) {
  const opener = base.then((key) => new Opener(kind, key));
  return async (frame, controller) => {
    const result = await (await opener).open(new Uint8Array(frame.data)).catch(() => ({ refused: /** @type {const} */ ("other-key") }));
    const { round = 0, witness } = witnesses.get(id) ?? {};
    const verdict = witness?.judge(result) ?? null;
    if (verdict !== null) postMessage({ id, round, verdict });
    if (!("frame" in result)) return;
    frame.data = result.frame.buffer;
    controller.enqueue(frame);
  };
}

postMessage("ready");
