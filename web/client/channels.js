// Data channels of one call. What goes out on a label reaches every other participant that has a channel of that label;
// what comes in arrives on one channel per sender, whose protocol names them. The call owns one.

import { LIMITS } from "./protocol.js";

const LABELS_MAX = 32;
/** Past this much unsent data a message is refused rather than kept. */
const BUFFER_MAX_BYTES = 1 << 20;

export class Channels {
  #pc;
  #received;
  /** Those we opened, by label. @type {Map<string, RTCDataChannel>} */
  #own = new Map();

  /**
   * @param {RTCPeerConnection} pc
   * @param {(message: {from: number, label: string, data: string | ArrayBuffer}) => void} received
   * @param {(channel: RTCDataChannel, from: number) => void} opened
   */
  constructor(pc, received, opened) {
    this.#pc = pc;
    this.#received = received;
    pc.addEventListener("datachannel", ({ channel }) => {
      const from = senderOf(channel);
      if (from === null) return;
      channel.binaryType = "arraybuffer";
      channel.addEventListener("message", ({ data }) => this.#received({ from, label: channel.label, data }));
      opened(channel, from);
    });
  }

  /**
   * @param {string} label
   * @param {RTCDataChannelInit} [init]
   */
  open(label, init) {
    const open = this.#own.get(label);
    if (open !== undefined && open.readyState !== "closed" && open.readyState !== "closing") return open;
    if (this.#own.size >= LABELS_MAX && open === undefined) throw new RangeError("too many data channels");
    const channel = this.#pc.createDataChannel(label, init);
    channel.binaryType = "arraybuffer";
    this.#own.set(label, channel);
    return channel;
  }

  /**
   * @param {string} label
   * @param {string | ArrayBuffer | ArrayBufferView<ArrayBuffer>} data
   * @returns {boolean} whether it was sent
   */
  send(label, data) {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data).length : data.byteLength;
    if (bytes > LIMITS.channelMessageBytes) throw new RangeError("a data channel message is too long");
    const channel = this.#own.get(label);
    if (channel?.readyState !== "open" || channel.bufferedAmount > BUFFER_MAX_BYTES) return false;
    channel.send(/** @type {any} */ (data));
    return true;
  }
}

/** @param {RTCDataChannel} channel */
function senderOf(channel) {
  const id = /^from:(\d+)$/.exec(channel.protocol)?.[1];
  return id === undefined ? null : Number(id);
}
