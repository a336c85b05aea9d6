// One call: the peer connection to the server and what belongs to it, from the first offer to hang-up. The client makes
// a new one for each call and throws it away after. It knows nothing of the socket but `send`.

import { Channels } from "./channels.js";
import { Negotiation } from "./negotiation.js";
import { readDescription, readTrackLines } from "./protocol.js";
import { Publication } from "./publication.js";
import { Recovery } from "./recovery.js";
import { bestLayersFirst } from "./sdp.js";
import { Subscriptions } from "./subscriptions.js";
import { isOn, keepTo } from "./way.js";

const CLOSE_AFTER_MS = 500;

/**
 * - `joining`: our first offer is out, the server has not answered; in a one-to-one call that we make this is `calling`
 * - `accepting`: we took somebody's call
 * - `active`: negotiated at least once
 * - `ended`
 * @typedef {"joining" | "calling" | "accepting" | "active" | "ended"} CallState
 */

/**
 * What a call needs of the client.
 * @typedef {object} CallHost
 * @property {(message: import("./protocol.js").Message) => void} send
 * @property {Map<import("./protocol.js").Source, import("./publication.js").LocalSource>} sources
 * @property {Map<string, RTCDataChannelInit | undefined>} channels
 * @property {RTCConfiguration} configuration
 * @property {import("./way.js").Way | null} way
 * @property {boolean} simulcast
 * @property {import("./e2ee/encryption.js").Encryption | null} encryption
 * @property {(state: CallState) => void} stateChanged
 * @property {() => void} mediaChanged
 * @property {() => void} hopeless
 * @property {(error: unknown, doing: string) => void} failed
 * @property {(track: import("./subscriptions.js").RemoteTrack) => void} trackAdded
 * @property {(track: import("./subscriptions.js").RemoteTrack) => void} trackRemoved
 * @property {(track: import("./subscriptions.js").RemoteTrack) => void} trackChanged
 * @property {(message: {from: number, label: string, data: string | ArrayBuffer}) => void} dataReceived
 * @property {(channel: RTCDataChannel, from: number) => void} channelOpened
 */

export class Call {
  #host;
  #adopted = false;
  /** The server answered our first offer, or made the first itself. */
  #begun;
  /** @type {CallState} */
  state;

  /**
   * @param {CallHost} host
   * @param {"room" | "direct"} kind
   * @param {number | string | null} peer the other one of a one-to-one call: id, or name where no id is known
   * @param {"joining" | "calling" | "accepting"} state
   */
  constructor(host, kind, peer, state) {
    this.#host = host;
    /** @readonly */
    this.kind = kind;
    /** @readonly */
    this.peer = peer;
    this.state = state;
    this.#begun = state === "accepting";
    /** @readonly */
    this.way = host.way;
    this.pc = new RTCPeerConnection(host.configuration);
    this.publication = new Publication(this.pc, host);
    this.subscriptions = new Subscriptions(this.pc, {
      added: (track) => this.#trackAdded(track), removed: host.trackRemoved, changed: host.trackChanged,
    });
    this.channels = new Channels(this.pc, host.dataReceived, host.channelOpened);
    this.recovery = new Recovery(this.pc, host.hopeless);
    this.negotiation = new Negotiation(this.pc, {
      sendDescription: (description) => this.#sendDescription(description),
      sendCandidate: (candidate) => this.#send({ type: "new-ice-candidate", candidate }),
      remoteApplied: (sections, tracks) => this.#remoteApplied(sections, tracks),
      settled: () => this.#settled(),
      failed: host.failed,
    });
    this.pc.addEventListener("connectionstatechange", () => host.mediaChanged());
    if (state !== "accepting") {
      this.publication.prepareOffer(host.sources);
      this.#openChannels();
    }
  }

  /** @param {import("./protocol.js").Message} message */
  receiveOffer(message) {
    // The server answers our first offer before it makes one, so an offer before that is left from an earlier call. Its
    // own may follow the answer at once, while the browser still takes that in: hence no look at `state`.
    if (!this.#begun) return;
    void this.negotiation.receiveOffer(this.#read(message, "offer"), readTrackLines(message.tracks));
  }

  /** @param {import("./protocol.js").Message} message */
  receiveAnswer(message) {
    this.#begun = true;
    void this.negotiation.receiveAnswer(this.#read(message, "answer"), readTrackLines(message.tracks));
  }

  /** @param {RTCIceCandidateInit | null} candidate */
  receiveCandidate(candidate) {
    if (this.way !== null && candidate?.candidate && !isOn(this.way, candidate.candidate)) return;
    void this.negotiation.receiveCandidate(candidate);
  }

  /** Whether the server has said anything about this call. */
  get begun() {
    return this.#begun;
  }

  /** Tells the server of each mute that it does not know. */
  syncMutes() {
    for (const change of this.publication.takeMuteChanges(this.#host.sources)) this.#host.send({ type: "mute", ...change });
  }

  /** The socket is back, and the session with it. */
  resumed() {
    void this.negotiation.repeatOffer();
    this.recovery.check();
    this.publication.forgetMutes();
    this.syncMutes();
  }

  close() {
    if (this.state === "ended") return;
    this.negotiation.close();
    this.recovery.close();
    for (const sender of this.pc.getSenders()) void sender.replaceTrack(null).catch(() => {});
    this.#host.encryption?.forget(this.pc.getReceivers());
    // Closing says so to the server over DTLS, which may overtake what we say on the socket.
    setTimeout(() => this.pc.close(), CLOSE_AFTER_MS);
    this.subscriptions.clear();
    this.#setState("ended");
  }

  /**
   * @param {import("./protocol.js").Message} message
   * @param {"offer" | "answer"} type
   */
  #read({ sdp }, type) {
    const description = readDescription(sdp, type);
    return this.way === null ? description : keepTo(this.way, description);
  }

  /** @param {import("./protocol.js").Message} message */
  #send(message) {
    this.#host.send(this.peer === null ? message : { ...message, target: this.peer });
  }

  /** @param {RTCSessionDescription} description */
  #sendDescription({ type, sdp }) {
    this.#send({
      type: type === "offer" ? "video-offer" : "video-answer", sdp: { type, sdp: bestLayersFirst(sdp) }, tracks: this.publication.lines(),
    });
  }

  /**
   * @param {import("./sdp.js").MediaSection[]} sections
   * @param {import("./protocol.js").TrackLine[] | null} tracks
   */
  async #remoteApplied(sections, tracks) {
    // The server sends on new m-lines only once they are agreed on.
    for (const transceiver of this.pc.getTransceivers()) this.#host.encryption?.open(transceiver);
    this.subscriptions.reconcile(sections, tracks);
    if (this.state === "accepting" && !this.#adopted) {
      this.#adopted = true;
      await this.publication.prepareAnswer(this.#host.sources, sections);
      this.#openChannels();
    }
  }

  /** @param {import("./subscriptions.js").RemoteTrack} track */
  #trackAdded(track) {
    this.#host.trackAdded(track);
    this.#host.encryption?.watch(track.receiver, (verdict) => this.subscriptions.setVerdict(track, verdict));
  }

  #settled() {
    if (this.state !== "active" && this.state !== "ended") this.#setState("active");
    this.syncMutes();
    this.publication.applyWanted();
  }

  #openChannels() {
    for (const [label, init] of this.#host.channels) this.channels.open(label, init);
  }

  /** @param {CallState} state */
  #setState(state) {
    this.state = state;
    this.#host.stateChanged(state);
  }
}
