// How each source is encoded: the simulcast layers of cameras and screens, and the limits of what is sent once. All names and
// numbers of layers are here. publication.js makes senders of it; nothing here touches a connection.

/** @typedef {import("./protocol.js").Source} Source */
/** @typedef {RTCRtpEncodingParameters & {scalabilityMode?: string}} Encoding */

/**
 * The camera in quarter, half and full size. The smallest first: that is the order in which browsers encode well (another makes
 * libwebrtc pad what is sent up to the sum of all limits). The server wants the best first; `bestLayersFirst` in sdp.js sees to
 * that in what it is told. `lines`: of a camera with fewer, the layer would be a stamp.
 * @type {readonly {rid: string, scaleResolutionDownBy: number, maxBitrate: number, lines: number}[]}
 */
const CAMERA_LAYERS = [
  { rid: "q", scaleResolutionDownBy: 4, maxBitrate: 150_000, lines: 480 },
  { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 500_000, lines: 240 },
  { rid: "f", scaleResolutionDownBy: 1, maxBitrate: 1_700_000, lines: 0 },
];

/** The names of the layers, the best first. */
export const LAYERS_BEST_FIRST = CAMERA_LAYERS.map(({ rid }) => rid).reverse();

/** Text has to be sharp; a screen at rest costs little all the same. The half size is for those who would see nothing else. */
const SCREEN_LAYERS = [
  { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 700_000 },
  { rid: "f", scaleResolutionDownBy: 1, maxBitrate: 3_000_000 },
];

const CAMERA_MAX_BITRATE = 1_700_000;
const SCREEN_MAX_BITRATE = 3_000_000;
/** One spatial and three temporal layers: the server can thin out pictures without asking for another layer. */
const SCALABILITY_MODE = "L1T3";

/**
 * How to encode a source, the best way first; a browser that refuses one (scalabilityMode: Chromium with some codecs) takes the
 * next, and the last, no word about it, is taken by all.
 * @param {Source} source
 * @param {MediaStreamTrack | null} track
 * @param {boolean} simulcast
 * @returns {(Encoding[] | undefined)[]}
 */
export function encodingsOf(source, track, simulcast) {
  if (source !== "camera" && source !== "screen") return [undefined];
  const layers = !simulcast ? [] : source === "camera" ? layersFor(track) : screenLayers();
  const encodings = layers.length > 1
    ? layers.map(({ rid, scaleResolutionDownBy, maxBitrate }) => ({ rid, scaleResolutionDownBy, maxBitrate }))
    : [limitsOf(source)];
  return [encodings.map((one) => ({ ...one, scalabilityMode: SCALABILITY_MODE })), encodings, undefined];
}

/** Firefox sends the first layer of a screen only, and Safari is not known to do better. */
function screenLayers() {
  const { userAgentData } = /** @type {any} */ (globalThis.navigator ?? {});
  const chromium = userAgentData?.brands?.some((/** @type {{brand: string}} */ { brand }) => brand === "Chromium") ?? false;
  return chromium ? SCREEN_LAYERS : [];
}

/**
 * What a sender of one encoding is held to.
 * @param {Source} source
 */
export function limitsOf(source) {
  return { maxBitrate: source === "screen" ? SCREEN_MAX_BITRATE : CAMERA_MAX_BITRATE };
}

/**
 * The layers worth sending of a camera; all as long as its size is not known.
 * @param {MediaStreamTrack | null} track
 */
export function layersFor(track) {
  const { width, height } = track?.getSettings() ?? {};
  const lines = Math.min(width ?? Infinity, height ?? Infinity);
  return CAMERA_LAYERS.filter((layer) => lines >= layer.lines);
}
