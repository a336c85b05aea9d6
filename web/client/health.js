// What the server last said of each connection (`quality`), of each track that we receive (`layers`), and, when asked, of a
// track's last minutes (`timeline`). The client owns one; it only remembers, and checks what it remembers.

const TIMELINE_PATIENCE_MS = 3000;

/**
 * How well somebody's connection does: `score` from 1 (bad) to 5, `loss` a fraction, `rtt` in ms, `bandwidth` in bit/s.
 * @typedef {{id: number, score: number, loss: number, rtt: number | null, bandwidth: number | null}} Quality
 */

/**
 * What the server forwards of a track to us, and what keeps it from more: `bandwidth`, `codec`, `paused`, `muted`,
 * `publisher`. No rid and no spatial layer: nothing, or a track that has no layers.
 * @typedef {{track: string, rid: string | null, spatial: number | null, temporal: number | null, reason?: string}} Layers
 */

/** Something that happened to a track, `at` so many ms ago. @typedef {{at: number, event: string, [field: string]: any}} TrackEvent */

export class Health {
  #send;
  /** By participant. @type {Map<number, Quality>} */
  qualities = new Map();
  /** By track. @type {Map<string, Layers>} */
  layers = new Map();
  /** @type {Map<string, {promise: Promise<TrackEvent[] | null>, resolve: (events: TrackEvent[] | null) => void}>} */
  #asked = new Map();

  /** @param {(message: import("./protocol.js").Message) => void} send */
  constructor(send) {
    this.#send = send;
  }

  /**
   * @param {import("./protocol.js").Message} message
   * @returns {Quality | null} null when it makes no sense
   */
  receiveQuality({ id, score, loss, rtt, bandwidth }) {
    if (!Number.isFinite(id) || !(score >= 1 && score <= 5)) return null;
    const quality = { id, score: Math.round(score), loss: number(loss) ?? 0, rtt: number(rtt), bandwidth: number(bandwidth) };
    this.qualities.set(id, quality);
    return quality;
  }

  /**
   * @param {import("./protocol.js").Message} message
   * @returns {Layers | null}
   */
  receiveLayers({ track, rid, spatial, temporal, reason }) {
    if (typeof track !== "string") return null;
    /** @type {Layers} */
    const layers = { track, rid: typeof rid === "string" ? rid : null, spatial: number(spatial), temporal: number(temporal) };
    if (typeof reason === "string") layers.reason = reason;
    this.layers.set(track, layers);
    return layers;
  }

  /**
   * @param {string} track
   * @returns {Promise<TrackEvent[] | null>} the oldest first; null when the server does not tell
   */
  askTimeline(track) {
    const asked = this.#asked.get(track);
    if (asked !== undefined) return asked.promise;
    /** @type {(events: TrackEvent[] | null) => void} */
    let resolve = () => {};
    /** @type {Promise<TrackEvent[] | null>} */
    const promise = new Promise((done) => { resolve = done; });
    const request = { promise, resolve };
    this.#asked.set(track, request);
    setTimeout(() => {
      if (this.#asked.get(track) === request) this.#answer(track, null);
    }, TIMELINE_PATIENCE_MS);
    this.#send({ type: "timeline", track });
    return promise;
  }

  /** @param {import("./protocol.js").Message} message */
  receiveTimeline({ track, events }) {
    if (!Array.isArray(events)) return; // an old server hands on what others ask it
    const known = events.filter((one) => Number.isFinite(one?.at) && typeof one.event === "string");
    this.#answer(String(track), known.sort((one, other) => other.at - one.at));
  }

  /** The server refused `timeline`, without saying for which track. */
  refuseTimelines() {
    for (const track of [...this.#asked.keys()]) this.#answer(track, null);
  }

  /** @param {number} id */
  forgetParticipant(id) {
    this.qualities.delete(id);
  }

  /** @param {string} track */
  forgetTrack(track) {
    this.layers.delete(track);
    this.#answer(track, null);
  }

  clear() {
    this.qualities.clear();
    this.layers.clear();
    this.refuseTimelines();
  }

  /**
   * @param {string} track
   * @param {TrackEvent[] | null} events
   */
  #answer(track, events) {
    this.#asked.get(track)?.resolve(events);
    this.#asked.delete(track);
  }
}

/** @param {unknown} value */
function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
