// What the viewer needs of each track (`receive`): remembers it, says only changes, a few at a time, and all again after a
// resume. The client owns one. A track nobody spoke of is wanted in full.

/** @typedef {{paused?: boolean, width?: number, height?: number, priority?: number}} Want */

/** The server takes 100 messages a second from a socket; a room of 200 tiles scrolled at once stays under that. */
const BATCH = 20;
const BATCH_EVERY_MS = 400;

export class Wants {
  #send;
  /** @type {Map<string, Want>} */
  #wants = new Map();
  /** @type {Set<string>} */
  #unsaid = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {(message: import("./protocol.js").Message) => void} send */
  constructor(send) {
    this.#send = send;
  }

  /**
   * @param {string} track
   * @param {Want} want
   */
  set(track, want) {
    const next = { ...this.#wants.get(track), ...want };
    if (JSON.stringify(next) === JSON.stringify(this.#wants.get(track) ?? { paused: false })) return;
    this.#wants.set(track, next);
    this.#unsaid.add(track);
    this.#timer ??= setTimeout(() => this.#flush());
  }

  /** @param {string} track */
  delete(track) {
    this.#wants.delete(track);
    this.#unsaid.delete(track);
  }

  repeat() {
    this.#unsaid = new Set(this.#wants.keys());
    this.#timer ??= setTimeout(() => this.#flush());
  }

  clear() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#wants.clear();
    this.#unsaid.clear();
  }

  #flush() {
    this.#timer = undefined;
    for (const track of [...this.#unsaid].slice(0, BATCH)) {
      this.#unsaid.delete(track);
      this.#send({ type: "receive", track, ...this.#wants.get(track) });
    }
    if (this.#unsaid.size > 0) this.#timer = setTimeout(() => this.#flush(), BATCH_EVERY_MS);
  }
}
