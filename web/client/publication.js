// What this participant sends in one call: which transceiver carries which source. The call owns one; the tracks
// themselves belong to the client, which outlives the call. It never negotiates: changes make negotiationneeded fire.

import { encodingsOf, limitsOf } from "./encodings.js";
import { LayerSwitch } from "./layerswitch.js";
import { kindOf } from "./protocol.js";

/**
 * @typedef {import("./protocol.js").Source} Source
 * @typedef {{track: MediaStreamTrack | null, muted: boolean}} LocalSource
 */

export class Publication {
  #pc;
  #simulcast;
  #encryption;
  #stream = new MediaStream();
  /** @type {Map<Source, RTCRtpTransceiver>} */
  #transceivers = new Map();
  /** Transceivers of our own that carry no source now: the next source of that kind takes them. */
  /** @type {RTCRtpTransceiver[]} */
  #spare = [];
  /** Those that encode in layers. @type {WeakSet<RTCRtpTransceiver>} */
  #layered = new WeakSet();
  #layers;
  /** What the server was last told of each source. @type {Map<Source, boolean>} */
  #mutedSaid = new Map();

  /**
   * @param {RTCPeerConnection} pc
   * @param {{simulcast: boolean, encryption: import("./e2ee/encryption.js").Encryption | null,
   *   failed: (error: unknown, doing: string) => void}} options
   */
  constructor(pc, { simulcast, encryption, failed }) {
    this.#pc = pc;
    this.#simulcast = simulcast;
    this.#encryption = encryption;
    this.#layers = new LayerSwitch(failed);
  }

  /**
   * Before a first offer: a transceiver for each source, and at least one to receive each kind, since an offer without
   * m-lines has no transport, and the server sends on the m-lines it is offered before it adds others.
   * @param {Map<Source, LocalSource>} sources
   */
  prepareOffer(sources) {
    for (const [source, { track }] of sources) this.#transceivers.set(source, this.#create(source, track, "sendrecv"));
    for (const source of /** @type {const} */ (["microphone", "camera"])) {
      if (this.#transceivers.has(source)) continue;
      const spare = this.#pc.addTransceiver(kindOf(source), { direction: "recvonly", streams: [this.#stream] });
      this.#secure(spare);
      this.#spare.push(spare);
    }
  }

  /**
   * Before a first answer: the offered m-lines that we may send on take our sources, so that one answer is enough. A
   * source that finds none gets a transceiver of its own, and with it an offer of ours. An m-line of the server's has no layers:
   * between two, one answer is worth more.
   * @param {Map<Source, LocalSource>} sources
   * @param {import("./sdp.js").MediaSection[]} sections
   */
  async prepareAnswer(sources, sections) {
    /** @type {Promise<void>[]} */
    const replaced = [];
    const open = new Set(sections.filter(({ receives }) => receives).map(({ mid }) => mid));
    for (const [source, { track }] of sources) {
      if (this.#transceivers.has(source)) continue;
      const transceiver = this.#pc.getTransceivers().find((candidate) => candidate.mid !== null
        && open.has(candidate.mid) && candidate.receiver.track.kind === kindOf(source) && !this.#owns(candidate));
      if (transceiver === undefined) {
        replaced.push(this.add(source, track));
      } else {
        this.#use(source, transceiver);
        replaced.push(transceiver.sender.replaceTrack(track).then(() => limit(transceiver.sender, source)));
      }
    }
    await Promise.all(replaced);
  }

  /**
   * @param {Source} source
   * @param {MediaStreamTrack | null} track
   */
  add(source, track) {
    const layered = this.#isLayered(source, track);
    // Browsers forget the layers of an m-line that was agreed on without: layers want an m-line of their own.
    const transceiver = this.#transceivers.get(source) ?? (layered ? undefined : this.#takeSpare(kindOf(source)));
    if (transceiver !== undefined) {
      this.#use(source, transceiver);
      return transceiver.sender.replaceTrack(track).then(() => limit(transceiver.sender, source))
        .then(() => this.#layers.apply(transceiver));
    }
    // For the same reason it can not be used again, and nothing is received on it, so that it may go as a whole.
    this.#transceivers.set(source, this.#create(source, track, layered ? "sendonly" : "sendrecv"));
    return Promise.resolve();
  }

  /**
   * Stops sending a source; its m-line stays, to receive and to be used again, so the SDP does not grow.
   * @param {Source} source
   */
  async remove(source) {
    const transceiver = this.#transceivers.get(source);
    if (transceiver === undefined) return;
    this.#transceivers.delete(source);
    this.#mutedSaid.delete(source);
    this.#layers.forget(transceiver.mid);
    if (isStopped(transceiver)) return;
    if (transceiver.direction === "sendonly" && this.#layered.has(transceiver)) {
      transceiver.stop(); // another will take its m-line
      return;
    }
    // One of the first offer, which receives as well, does only that from now on.
    if (!this.#layered.has(transceiver)) this.#spare.push(transceiver);
    transceiver.direction = transceiver.direction === "sendonly" ? "inactive" : "recvonly";
    await transceiver.sender.replaceTrack(null);
  }

  /**
   * @param {Source} source
   * @param {MediaStreamTrack | null} track
   */
  async replace(source, track) {
    const transceiver = this.#transceivers.get(source);
    await transceiver?.sender.replaceTrack(track);
    if (transceiver !== undefined) await this.#layers.apply(transceiver);
  }

  /** What to write beside an offer or answer, so that the others know a screen from a camera. */
  lines() {
    /** @type {{mid: string, source: Source}[]} */
    const lines = [];
    for (const [source, { mid }] of this.#transceivers) {
      if (mid !== null) lines.push({ mid, source });
    }
    return lines;
  }

  /**
   * The sources whose mute the server does not know yet. One that is not negotiated has to wait: it knows no such
   * source before.
   * @param {Map<Source, LocalSource>} sources
   */
  takeMuteChanges(sources) {
    /** @type {{source: Source, muted: boolean}[]} */
    const changes = [];
    for (const [source, { muted }] of sources) {
      const direction = this.#transceivers.get(source)?.currentDirection ?? "inactive";
      if (!direction.startsWith("send") || (this.#mutedSaid.get(source) ?? false) === muted) continue;
      this.#mutedSaid.set(source, muted);
      changes.push({ source, muted });
    }
    return changes;
  }

  /** The socket broke, so a mute may have been lost: say those again that matter. */
  forgetMutes() {
    for (const [source, muted] of this.#mutedSaid) this.#mutedSaid.set(source, !muted);
  }

  /**
   * The server says which layers anyone receives; none when the list is empty.
   * @param {string} mid
   * @param {string[]} rids
   */
  encodeOnly(mid, rids) {
    this.#layers.want(mid, rids);
    const transceiver = [...this.#transceivers.values()].find((one) => one.mid === mid);
    return transceiver === undefined ? Promise.resolve() : this.#layers.apply(transceiver);
  }

  /** After a negotiation: what was wanted before an m-line was there, or while it was agreed anew. */
  applyWanted() {
    for (const transceiver of this.#transceivers.values()) void this.#layers.apply(transceiver);
  }

  /** @param {Source} source */
  sender(source) {
    return this.#transceivers.get(source)?.sender;
  }

  /** @param {string} mid */
  sourceOf(mid) {
    return [...this.#transceivers].find(([, transceiver]) => transceiver.mid === mid)?.[0];
  }

  /**
   * @param {Source} source
   * @param {RTCRtpTransceiver} transceiver
   */
  #use(source, transceiver) {
    this.#secure(transceiver);
    this.#transceivers.set(source, transceiver);
    transceiver.sender.setStreams?.(this.#stream);
    transceiver.direction = transceiver.direction === "sendonly" || transceiver.direction === "inactive"
      ? "sendonly" : "sendrecv";
  }

  /**
   * @param {Source} source
   * @param {MediaStreamTrack | null} track
   * @param {RTCRtpTransceiverDirection} direction
   */
  #create(source, track, direction) {
    const ways = encodingsOf(source, track, this.#simulcast);
    for (const [index, sendEncodings] of ways.entries()) {
      try {
        const init = { direction, streams: [this.#stream], ...(sendEncodings === undefined ? {} : { sendEncodings }) };
        const transceiver = this.#pc.addTransceiver(track ?? kindOf(source), init);
        this.#secure(transceiver);
        if ((sendEncodings?.length ?? 1) > 1) this.#layered.add(transceiver);
        return transceiver;
      } catch (error) {
        if (index === ways.length - 1) throw error;
      }
    }
    throw new Error("no way to send"); // there is always one
  }

  /** @param {RTCRtpTransceiver} transceiver one that is about to send or receive */
  #secure(transceiver) {
    this.#encryption?.seal(transceiver);
    this.#encryption?.open(transceiver);
  }

  /**
   * @param {Source} source
   * @param {MediaStreamTrack | null} track
   */
  #isLayered(source, track) {
    return (encodingsOf(source, track, this.#simulcast)[0]?.length ?? 1) > 1;
  }

  /** @param {"audio" | "video"} kind */
  #takeSpare(kind) {
    const index = this.#spare.findIndex((one) => one.receiver.track.kind === kind && !isStopped(one));
    return index < 0 ? undefined : this.#spare.splice(index, 1)[0];
  }

  /** @param {RTCRtpTransceiver} transceiver */
  #owns(transceiver) {
    return this.#spare.includes(transceiver) || [...this.#transceivers.values()].includes(transceiver);
  }
}

/** @param {RTCRtpTransceiver} transceiver */
function isStopped(transceiver) {
  return transceiver.direction === "stopped" || transceiver.currentDirection === "stopped";
}

/**
 * Holds a sender that was made for nothing in particular to what its source may cost.
 * @param {RTCRtpSender} sender
 * @param {Source} source
 */
async function limit(sender, source) {
  const parameters = sender.getParameters();
  if (sender.track?.kind !== "video" || parameters.encodings === undefined || parameters.encodings.length !== 1) return;
  Object.assign(parameters.encodings[0], limitsOf(source));
  await sender.setParameters(parameters).catch(() => {}); // without a limit it sends all the same
}
