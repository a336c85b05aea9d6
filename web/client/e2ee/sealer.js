// Encrypts what one sender sends, all its layers alike. The worker makes one for each transform. Its key id is random and never
// used again, so that no other sender, and none of a page that was loaded anew, has its key; its one counter only grows.

import { facadeOf } from "./facade.js";
import { deriveKeys, encrypt, join } from "./sframe.js";

/** The highest bit is set, so that the header is as long as in any other stream. */
const KID_TOP = 1n << 63n;

export class Sealer {
  #kind;
  #kid;
  #keys;
  #next = 0n;

  /**
   * @param {import("./facade.js").Kind} kind
   * @param {CryptoKey} base
   */
  constructor(kind, base) {
    this.#kind = kind;
    this.#kid = crypto.getRandomValues(new BigUint64Array(1))[0] | KID_TOP;
    this.#keys = deriveKeys(base, this.#kid);
  }

  /**
   * @param {Uint8Array<ArrayBuffer>} frame
   * @returns {Promise<Uint8Array<ArrayBuffer> | null>} null for what must not be sent
   */
  async seal(frame) {
    const facade = facadeOf(this.#kind, frame);
    if (facade === null) return null;
    const ctr = this.#next; // taken before anything is waited for: whoever comes next has the next one
    this.#next += 1n;
    return join(facade, await encrypt(await this.#keys, this.#kid, ctr, facade, frame));
  }
}
