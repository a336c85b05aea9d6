// What the viewer needs of each track (`receive`): remembers it, says only what changed, a few at a time, and all again after a
// resume and in the next call. The client owns one. A track nobody spoke of is wanted in full.

/**
 * `width` and `height` are those it is shown at, in physical pixels; of `priority`, 0 to 255, the higher is served first.
 * @typedef {{paused?: boolean, width?: number, height?: number, priority?: number}} Want
 */

/** A size is said once it has rested for so long; that a picture is needed again, or no more, at once. */
const REST_MS = 200;
/** The server takes 100 messages a second from a socket; a room of 200 tiles turned over at once stays under that. */
const BATCH = 12;
const BATCH_EVERY_MS = 500;
/** Wants of tracks that are not there now, kept for the next call. */
const KEPT_MAX = 500;

export class Wants {
  #send;
  /** @type {Map<string, Want>} */
  #wants = new Map();
  /** What the server knows. @type {Map<string, string>} */
  #said = new Map();
  /** @type {Set<string>} */
  #unsaid = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** Whether the timer waits for something that cannot. */
  #urgent = false;
  #notBefore = 0;

  /** @param {(message: import("./protocol.js").Message) => void} send */
  constructor(send) {
    this.#send = send;
  }

  /**
   * @param {string} track
   * @param {Want} want
   */
  set(track, want) {
    const before = this.#wants.get(track);
    const next = { ...before, ...want };
    if (words(next) === words(before ?? {})) return;
    this.#wants.delete(track);
    this.#wants.set(track, next); // the latest last
    for (const old of this.#wants.keys()) {
      if (this.#wants.size <= KEPT_MAX) break;
      this.#wants.delete(old);
    }
    this.#unsaid.add(track);
    this.#schedule((next.paused ?? false) === (before?.paused ?? false) ? REST_MS : 0);
  }

  /**
   * The track is there: what was said of it in an earlier call holds.
   * @param {string} track
   */
  present(track) {
    if (!this.#wants.has(track)) return;
    this.#unsaid.add(track);
    this.#schedule(0);
  }

  /** @param {string} track */
  delete(track) {
    this.#wants.delete(track);
    this.#said.delete(track);
    this.#unsaid.delete(track);
  }

  /** Of what was said the server may have lost something. */
  repeat() {
    this.#unsaid = new Set([...this.#said.keys(), ...this.#unsaid]);
    this.#said.clear();
    this.#schedule(0);
  }

  /** The call is over, and the server has forgotten. */
  rest() {
    clearTimeout(this.#timer);
    this.#urgent = false;
    this.#said.clear();
    this.#unsaid.clear();
  }

  /** @param {number} wait */
  #schedule(wait) {
    if (this.#urgent) return;
    this.#urgent = wait === 0;
    clearTimeout(this.#timer); // a size that changes again waits anew
    const due = Math.max(performance.now() + wait, this.#notBefore);
    this.#timer = setTimeout(() => this.#flush(), due - performance.now());
  }

  #flush() {
    this.#urgent = false;
    // Pictures that are waited for come first, the most important of them before all.
    const rank = (/** @type {string} */ track) => {
      const want = this.#wants.get(track);
      return want?.paused === true ? -1 : want?.priority ?? 0;
    };
    let room = BATCH;
    for (const track of [...this.#unsaid].sort((one, other) => rank(other) - rank(one))) {
      if (room === 0) break;
      this.#unsaid.delete(track);
      const want = this.#wants.get(track) ?? {};
      if (words(want) === (this.#said.get(track) ?? words({}))) continue;
      this.#said.set(track, words(want));
      this.#send({ type: "receive", track, ...want });
      room -= 1;
    }
    this.#notBefore = performance.now() + BATCH_EVERY_MS * (1 - room / BATCH);
    if (this.#unsaid.size > 0) this.#schedule(0);
  }
}

/** @param {Want} want */
function words({ paused = false, width, height, priority }) {
  return JSON.stringify([paused, width, height, priority]);
}
