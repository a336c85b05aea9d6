// Which counters of one key id have been seen: a frame counts once, and one that is older than the window not at all. The Opener
// keeps one with each key.

/** Ten seconds of a camera in three sizes, twenty of sound: what comes later than that is of no use. */
const WINDOW = 1024;

export class ReplayWindow {
  #newest = -1;
  /** The newest counter that was seen of those with the same remainder. */
  #seen = new Float64Array(WINDOW).fill(-1);

  /** @param {number} ctr */
  isNew(ctr) {
    return ctr > this.#newest - WINDOW && this.#seen[ctr % WINDOW] < ctr;
  }

  /** @param {number} ctr of a frame that is authentic */
  add(ctr) {
    this.#seen[ctr % WINDOW] = ctr;
    this.#newest = Math.max(this.#newest, ctr);
  }
}
