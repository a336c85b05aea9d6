// End-to-end encryption of the media of a session: puts a transform on each sender and receiver, and hears from the worker what
// the received frames turned out to be. The client owns one, if it was given a key; calls use it. The key goes to the worker and
// nowhere else.

/** @typedef {import("./witness.js").Verdict} Verdict */

const START_MS = 10_000;

/** What can be encrypted: the server has to read the beginning of a frame of any other codec, or takes it apart (RED). */
const CODECS = { audio: ["audio/opus"], video: ["video/vp8", "video/rtx"] };

export class Encryption {
  #worker;
  /** @type {WeakSet<RTCRtpSender>} */
  #sealed = new WeakSet();
  /** @type {WeakMap<RTCRtpReceiver, number>} */
  #ids = new WeakMap();
  #lastId = 0;
  /** By receiver: who hears of its present track. @type {Map<number, {round: number, heard: (verdict: Verdict) => void}>} */
  #listeners = new Map();

  /** Whether this browser can do it, on this page. */
  static get supported() {
    return typeof RTCRtpScriptTransform === "function" && globalThis.crypto?.subtle !== undefined
      && typeof RTCRtpTransceiver.prototype.setCodecPreferences === "function";
  }

  /**
   * @param {Uint8Array} key
   * @returns {Promise<Encryption>} rejected with an Error whose message is the reason
   */
  static async start(key) {
    if (!Encryption.supported) throw new Error("encryption-unsupported");
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "end-to-end encryption" });
    try {
      // A transform of a worker that is not there yet would be lost, and its media with it.
      await new Promise((resolve, reject) => {
        worker.addEventListener("message", resolve, { once: true });
        worker.addEventListener("error", reject, { once: true });
        setTimeout(reject, START_MS);
      });
    } catch {
      worker.terminate();
      throw new Error("encryption-failed");
    }
    worker.postMessage({ key });
    return new Encryption(worker);
  }

  /** @param {Worker} worker that is ready, and has the key */
  constructor(worker) {
    this.#worker = worker;
    worker.addEventListener("message", ({ data: { id, round, verdict } }) => {
      const listener = this.#listeners.get(id);
      if (listener !== undefined && listener.round === round) listener.heard(verdict);
    });
  }

  /**
   * Before it sends anything: nothing will leave it unencrypted.
   * @param {RTCRtpTransceiver} transceiver
   */
  seal(transceiver) {
    const { sender } = transceiver;
    if (this.#sealed.has(sender)) return;
    this.#sealed.add(sender);
    const kind = kindOf(transceiver);
    sender.transform = new RTCRtpScriptTransform(this.#worker, { role: "send", kind });
    const offered = RTCRtpReceiver.getCapabilities(kind)?.codecs ?? [];
    transceiver.setCodecPreferences(offered.filter(({ mimeType }) => CODECS[kind].includes(mimeType.toLowerCase())));
  }

  /**
   * Before it receives anything: nothing will be played that is not encrypted with our key.
   * @param {RTCRtpTransceiver} transceiver
   */
  open(transceiver) {
    const { receiver } = transceiver;
    if (this.#ids.has(receiver)) return;
    const id = this.#lastId += 1;
    this.#ids.set(receiver, id);
    receiver.transform = new RTCRtpScriptTransform(this.#worker, { role: "receive", kind: kindOf(transceiver), id });
  }

  /**
   * A track begins on this receiver.
   * @param {RTCRtpReceiver} receiver
   * @param {(verdict: Verdict) => void} heard what its frames are, and again when that changes
   */
  watch(receiver, heard) {
    const id = this.#ids.get(receiver);
    if (id === undefined) return;
    const round = (this.#listeners.get(id)?.round ?? 0) + 1;
    this.#listeners.set(id, { round, heard });
    this.#worker.postMessage({ id, round });
  }

  /**
   * These receivers are of a call that is over.
   * @param {RTCRtpReceiver[]} receivers
   */
  forget(receivers) {
    for (const receiver of receivers) {
      const id = this.#ids.get(receiver);
      if (id === undefined || !this.#listeners.delete(id)) continue;
      this.#worker.postMessage({ id, forget: true });
    }
  }

  /** From now on nothing is sent nor received. */
  close() {
    this.#worker.terminate();
  }
}

/** @param {RTCRtpTransceiver} transceiver */
function kindOf({ receiver }) {
  return receiver.track.kind === "audio" ? "audio" : "video";
}
