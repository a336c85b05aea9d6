// Decrypts what one receiver receives. The worker makes one for each transform. What is not encrypted, not authentic or not new
// is refused, with the reason. A key is kept only once a frame was authentic with it, so that key ids that somebody made up
// neither fill the memory nor displace a key in use.

import { facadeLength } from "./facade.js";
import { ReplayWindow } from "./replay.js";
import { decodeHeader, decrypt, deriveKeys } from "./sframe.js";

/** Keys of one receiver. Each new sender on its m-line has another; frames of the one before may still come. */
const KEPT_MAX = 16;

/**
 * - `clear`: not encrypted
 * - `other-key`: encrypted, but not with our key, or changed on its way
 * - `replayed`: was there before
 * @typedef {"clear" | "other-key" | "replayed"} Refusal
 */

export class Opener {
  #kind;
  #base;
  /** By key id, the one that was used last at the end. @type {Map<bigint, {keys: import("./sframe.js").Keys, window: ReplayWindow}>} */
  #kept = new Map();

  /**
   * @param {import("./facade.js").Kind} kind
   * @param {CryptoKey} base
   */
  constructor(kind, base) {
    this.#kind = kind;
    this.#base = base;
  }

  /**
   * @param {Uint8Array<ArrayBuffer>} bytes
   * @returns {Promise<{frame: Uint8Array<ArrayBuffer>} | {refused: Refusal}>}
   */
  async open(bytes) {
    const clear = facadeLength(this.#kind, bytes);
    if (clear === 0) return { refused: "clear" };
    const payload = bytes.subarray(clear);
    const header = decodeHeader(payload);
    if (header === null || header.ctr > Number.MAX_SAFE_INTEGER) return { refused: "other-key" };
    const ctr = Number(header.ctr);
    const known = this.#kept.get(header.kid);
    if (known !== undefined && !known.window.isNew(ctr)) return { refused: "replayed" };
    const { keys, window } = known ?? { keys: await deriveKeys(this.#base, header.kid), window: new ReplayWindow() };
    const frame = await decrypt(keys, header, bytes.subarray(0, clear), payload);
    if (frame === null) return { refused: "other-key" };
    window.add(ctr);
    this.#keep(header.kid, { keys, window });
    return { frame };
  }

  /**
   * @param {bigint} kid
   * @param {{keys: import("./sframe.js").Keys, window: ReplayWindow}} entry
   */
  #keep(kid, entry) {
    this.#kept.delete(kid);
    this.#kept.set(kid, entry);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT_MAX) break;
      this.#kept.delete(oldest);
    }
  }
}
