// What the frames of one track turned out to be. One that was refused says little: it may have been sent before the m-line was
// taken over by this track. So a few in a row make the verdict, and a good one revokes it. The worker has one for each receiver.

/** @typedef {"good" | "clear" | "other-key"} Verdict */

/** Refused frames in a row. */
const ENOUGH = 5;

export class Witness {
  #refused = 0;
  /** @type {Verdict | null} */
  #said = null;

  /**
   * @param {{frame: Uint8Array} | {refused: import("./opener.js").Refusal}} result
   * @returns {Verdict | null} where it changes
   */
  judge(result) {
    if ("frame" in result) {
      this.#refused = 0;
      return this.#change("good");
    }
    if (result.refused === "replayed") return null;
    this.#refused += 1;
    return this.#refused < ENOUGH ? null : this.#change(result.refused);
  }

  /** @param {Verdict} verdict */
  #change(verdict) {
    if (verdict === this.#said) return null;
    this.#said = verdict;
    return verdict;
  }
}
