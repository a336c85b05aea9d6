// Which layers our senders encode: all that are of use, until the server says (`wanted`) that nobody receives some. One
// publication owns one. What is said of an m-line is remembered until that m-line is there, and after each negotiation it is
// made so again; one sender's parameters change one after another.

import { layersFor, limitsOf } from "./encodings.js";

export class LayerSwitch {
  #failed;
  /** By mid. @type {Map<string, string[]>} */
  #wanted = new Map();
  /** @type {WeakMap<RTCRtpSender, Promise<void>>} */
  #chains = new WeakMap();

  /** @param {(error: unknown, doing: string) => void} failed */
  constructor(failed) {
    this.#failed = failed;
  }

  /**
   * @param {string} mid
   * @param {string[]} rids
   */
  want(mid, rids) {
    this.#wanted.set(mid, rids);
  }

  /**
   * What was wanted of the source that this m-line carried says nothing of its next one.
   * @param {string | null} mid
   */
  forget(mid) {
    if (mid !== null) this.#wanted.delete(mid);
  }

  /**
   * Makes the sender encode what is wanted now.
   * @param {RTCRtpTransceiver} transceiver
   * @returns {Promise<void>}
   */
  apply(transceiver) {
    const { sender } = transceiver;
    const next = (this.#chains.get(sender) ?? Promise.resolve()).then(async () => {
      const parameters = sender.getParameters();
      const { encodings } = parameters;
      if (encodings === undefined || encodings.length === 0) return; // some browsers know none before the first answer
      const active = this.#activeOf(transceiver, encodings);
      const shrunk = encodings.length === 1 && (encodings[0].scaleResolutionDownBy ?? 1) > 1;
      if (!shrunk && encodings.every((encoding, index) => (encoding.active ?? true) === active[index])) return;
      encodings.forEach((encoding, index) => { encoding.active = active[index]; });
      // The other end took no layers, and the browser kept the first, which is the smallest.
      if (shrunk) Object.assign(encodings[0], { scaleResolutionDownBy: 1, ...limitsOf("camera") });
      await sender.setParameters(parameters);
    }).catch((error) => {
      if (transceiver.currentDirection !== "stopped") this.#failed(error, "switch layers");
    });
    this.#chains.set(sender, next);
    return next;
  }

  /**
   * @param {RTCRtpTransceiver} transceiver
   * @param {RTCRtpEncodingParameters[]} encodings
   */
  #activeOf({ mid, sender }, encodings) {
    const wanted = this.#wanted.get(mid ?? "");
    if (encodings.length === 1) return [wanted === undefined || wanted.length > 0];
    const rids = wanted ?? layersFor(sender.track).map(({ rid }) => rid);
    return encodings.map(({ rid }) => rids.includes(rid ?? ""));
  }
}
