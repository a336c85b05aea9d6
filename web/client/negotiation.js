// Perfect negotiation, polite side: one peer connection, either end may offer at any time, and when both do, this end
// rolls back. A call owns one; it never adds or removes media itself, that is what its `hooks` do.
//
// Everything that touches a description goes through one promise chain. That is what makes the known races impossible
// rather than unlikely: an incoming offer can not fall between createOffer and setLocalDescription, nor an answer between
// two steps of an offer, in any browser. `makingOffer` and `isSettingRemoteAnswerPending` of W3C's example exist
// because it has no chain; here they only tell whether an offer met one of ours, to count it.

import { readSections } from "./sdp.js";

/** How often an offer that the server refused is made again, and the first wait between. */
const REFUSED_TRIES = 3;
const REFUSED_WAIT_MS = 1000;

/**
 * @typedef {object} NegotiationHooks
 * @property {(description: RTCSessionDescription) => void} sendDescription
 * @property {(candidate: RTCIceCandidateInit | null) => void} sendCandidate
 * @property {(sections: import("./sdp.js").MediaSection[], tracks: import("./protocol.js").TrackLine[] | null) =>
 *   Promise<void>}
 *   remoteApplied called after each description of the server's; in an offer's case before the answer is made, so that
 *   tracks may be put on its m-lines
 * @property {() => void} settled called when both ends agree
 * @property {(error: unknown, doing: string) => void} failed
 */

export class Negotiation {
  #pc;
  #hooks;
  /** @type {Promise<void>} */
  #chain = Promise.resolve();
  #closed = false;
  #refusals = 0;
  #waiting = false;
  makingOffer = false;
  isSettingRemoteAnswerPending = false;
  /** How often an offer of ours gave way, and how many descriptions went each way: for tests and the curious. */
  counts = { offersSent: 0, offersReceived: 0, answersReceived: 0, staleAnswers: 0, rollbacks: 0 };

  /**
   * @param {RTCPeerConnection} pc
   * @param {NegotiationHooks} hooks
   */
  constructor(pc, hooks) {
    this.#pc = pc;
    this.#hooks = hooks;
    pc.addEventListener("negotiationneeded", () => this.#enqueue("make an offer", () => this.#offer()));
    pc.addEventListener("icecandidate", ({ candidate }) => {
      // An empty candidate ends one generation inside a description; null ends gathering. The protocol knows only null.
      if (candidate?.candidate !== "") this.#hooks.sendCandidate(candidate?.toJSON() ?? null);
    });
  }

  /**
   * @param {RTCSessionDescriptionInit} description
   * @param {import("./protocol.js").TrackLine[] | null} tracks
   */
  receiveOffer(description, tracks) {
    this.counts.offersReceived += 1;
    const collides = this.makingOffer
      || (this.#pc.signalingState !== "stable" && !this.isSettingRemoteAnswerPending);
    if (collides) this.counts.rollbacks += 1;
    return this.#enqueue("answer", async () => {
      await this.#pc.setRemoteDescription(description); // rolls an offer of ours back by itself
      await this.#hooks.remoteApplied(readSections(description.sdp ?? ""), tracks);
      await this.#pc.setLocalDescription();
      this.#send();
      this.#hooks.settled();
    });
  }

  /**
   * @param {RTCSessionDescriptionInit} description
   * @param {import("./protocol.js").TrackLine[] | null} tracks
   */
  receiveAnswer(description, tracks) {
    this.counts.answersReceived += 1;
    return this.#enqueue("take the answer", async () => {
      if (this.#pc.signalingState !== "have-local-offer") {
        this.counts.staleAnswers += 1; // of an offer that was rolled back, or said twice around a resume
        return;
      }
      this.isSettingRemoteAnswerPending = true;
      try {
        await this.#pc.setRemoteDescription(description);
      } catch (error) {
        await this.#giveWay();
        throw error;
      } finally {
        this.isSettingRemoteAnswerPending = false;
      }
      this.#refusals = 0;
      await this.#hooks.remoteApplied(readSections(description.sdp ?? ""), tracks);
      this.#hooks.settled();
    });
  }

  /** @param {RTCIceCandidateInit | null} candidate */
  receiveCandidate(candidate) {
    return this.#enqueue("add a candidate", async () => {
      if (this.#pc.remoteDescription === null) return;
      // A candidate of a description that gave way names an ufrag that is gone; that is no error worth telling.
      await this.#pc.addIceCandidate(candidate ?? undefined).catch(() => {});
    });
  }

  /** The server refused our offer: take it back, and try again a few times, ever later. */
  receiveRefusal() {
    return this.#enqueue("take the offer back", async () => {
      if (this.#pc.signalingState === "have-local-offer") await this.#giveWay();
    });
  }

  /** After a resume: an offer that may have been lost is said again. */
  repeatOffer() {
    return this.#enqueue("repeat the offer", async () => {
      if (this.#pc.signalingState === "have-local-offer") this.#send();
    });
  }

  close() {
    this.#closed = true;
  }

  async #offer() {
    // Not stable: negotiationneeded fires again by itself once it is (W3C webrtc-pc, 4.7.3).
    if (this.#waiting || this.#pc.signalingState !== "stable") return;
    this.makingOffer = true;
    try {
      await this.#pc.setLocalDescription();
      this.#send();
    } finally {
      this.makingOffer = false;
    }
  }

  async #giveWay() {
    this.#refusals += 1;
    // The roll back makes negotiationneeded fire at once; the wait keeps that from becoming a loop.
    this.#waiting = true;
    await this.#pc.setLocalDescription({ type: "rollback" });
    const givenUp = this.#refusals > REFUSED_TRIES;
    setTimeout(() => {
      this.#waiting = false;
      if (givenUp) this.#refusals = 0; // what changes from now on may be served again
      else void this.#enqueue("make an offer", () => this.#offer());
    }, REFUSED_WAIT_MS * 2 ** (this.#refusals - 1));
  }

  #send() {
    const description = this.#pc.localDescription;
    if (description === null || this.#closed) return;
    if (description.type === "offer") this.counts.offersSent += 1;
    this.#hooks.sendDescription(description);
  }

  /**
   * @param {string} doing
   * @param {() => Promise<void>} step
   * @returns {Promise<void>}
   */
  #enqueue(doing, step) {
    this.#chain = this.#chain.then(async () => {
      if (this.#closed) return;
      try {
        await step();
      } catch (error) {
        if (!this.#closed) this.#hooks.failed(error, doing);
      }
    });
    return this.#chain;
  }
}
