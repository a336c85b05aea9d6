// The clear bytes before each encrypted frame: what a server must know of it, and nothing else. They are authenticated with it.
// The frame itself, its own header included, is behind them.
//
// They cannot begin a frame that is not encrypted, and a decoder without the key refuses them: it plays nothing, rather than
// noise. Of VP8 (RFC 6386, section 9.1) they say whether it is a keyframe, and how large the picture is then; their first
// partition claims the greatest length that can be said, longer than any frame that is sent. Of Opus they say nothing at all:
// they are a packet of no frames, which is none (RFC 6716, section 3.2.5).

/** @typedef {"audio" | "video"} Kind */

/** All bits of the length, shown, version 0; the lowest bit, clear in a keyframe, is the frame's own. */
const VP8_TAG = [0xf0, 0xff, 0xff];
const VP8_INTER_FRAME = 1;
/** A keyframe's tag, start code, width and height. */
const VP8_KEYFRAME_BYTES = 10;
/** Code 3, so many frames as the second byte says: none. */
const OPUS = [0xff, 0x00];

/**
 * What to put before this frame.
 * @param {Kind} kind
 * @param {Uint8Array} frame as the encoder made it
 * @returns {Uint8Array | null} null for what is no frame of these codecs
 */
export function facadeOf(kind, frame) {
  if (kind === "audio") return Uint8Array.from(OPUS);
  const length = vp8Length(frame);
  if (frame.length < length) return null;
  const facade = frame.slice(0, length);
  facade.set(VP8_TAG);
  facade[0] |= frame[0] & VP8_INTER_FRAME;
  return facade;
}

/**
 * How long the clear bytes are that this begins with.
 * @param {Kind} kind
 * @param {Uint8Array} frame as it came
 * @returns {number} 0 for a frame that is not encrypted
 */
export function facadeLength(kind, frame) {
  const [first, ...rest] = kind === "audio" ? OPUS : VP8_TAG;
  const own = kind === "audio" ? 0 : VP8_INTER_FRAME;
  if ((frame[0] & ~own) !== first || rest.some((byte, index) => frame[1 + index] !== byte)) return 0;
  return kind === "audio" ? OPUS.length : vp8Length(frame);
}

/** @param {Uint8Array} frame */
function vp8Length(frame) {
  return (frame[0] & VP8_INTER_FRAME) === 0 ? VP8_KEYFRAME_BYTES : VP8_TAG.length;
}
