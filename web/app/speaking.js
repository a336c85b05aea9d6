// Who speaks: the server says it (`speakers`); until it has said anything, this end listens to the levels of what it receives.

const EVERY_MS = 300;
const LOUD = 0.02;

/**
 * @typedef {import("../crosspoint.js").Crosspoint} Crosspoint
 */

export class Speaking {
  #crosspoint;
  #changed;
  #serverMeasures = false;
  #shown = "";
  #stopListening;
  #timer;

  /**
   * @param {Crosspoint} crosspoint
   * @param {(ids: number[]) => void} changed loudest first
   */
  constructor(crosspoint, changed) {
    this.#crosspoint = crosspoint;
    this.#changed = changed;
    this.#stopListening = crosspoint.on("speakers", ({ speakers }) => {
      this.#serverMeasures = true;
      this.#show(speakers.map(({ id }) => id));
    });
    this.#timer = setInterval(() => this.#listen(), EVERY_MS);
  }

  close() {
    this.#stopListening();
    clearInterval(this.#timer);
  }

  #listen() {
    if (this.#serverMeasures) return;
    /** @type {{id: number, level: number}[]} */
    const loud = [];
    for (const { kind, source, muted, participant, receiver } of this.#crosspoint.tracks.values()) {
      if (kind !== "audio" || source !== "microphone" || muted) continue;
      const level = receiver.getSynchronizationSources?.()[0]?.audioLevel ?? 0;
      if (level > LOUD) loud.push({ id: participant, level });
    }
    loud.sort((one, other) => other.level - one.level);
    this.#show(loud.map(({ id }) => id));
  }

  /** @param {number[]} ids */
  #show(ids) {
    const key = ids.join();
    if (key === this.#shown) return;
    this.#shown = key;
    this.#changed(ids);
  }
}
