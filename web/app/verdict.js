// What is wrong with a picture, in one sentence: the first of the known causes that holds, from our own connection to the other
// end. Pure reasoning on what why.js has gathered.

import { explainLayers, explainSecrecy } from "./words.js";

/** A picture that rested for so long stands still. */
const STILL_MS = 2500;
/** Events after which packets come, or do not. */
const TELLING = new Set(["silent", "sender-limited", "paused", "muted", "codec", "resumed", "unmuted"]);

/**
 * @typedef {object} Evidence
 * @property {string} name whose track it is
 * @property {"camera" | "screen"} source
 * @property {RTCPeerConnectionState | null} connection
 * @property {ReturnType<import("../crosspoint.js").Crosspoint["secrecyOf"]>} secrecy
 * @property {import("../crosspoint.js").RemoteTrack | null} track
 * @property {import("../client/health.js").Layers | null} layers
 * @property {import("../client/health.js").TrackEvent[] | null} events the oldest first; null where the server does not tell
 * @property {import("../client/inspect.js").Inspection | null} inspection
 * @property {number | null} sinceFrame ms since a picture was decoded; null while none was seen
 * @property {boolean} packetsCome since the inspection before
 * @property {number} watched ms since one began to look
 */

/**
 * @param {Evidence} evidence
 * @returns {{text: string, tone: "good" | "bad"}}
 */
export function judge(evidence) {
  const { name, source, connection, secrecy, track, layers, inspection, sinceFrame, packetsCome, watched } = evidence;
  const bad = (/** @type {string} */ text) => ({ text, tone: /** @type {const} */ ("bad") });
  if (connection !== "connected") return bad("Your connection to the server is broken; it is being restored.");
  if (track === null) return bad(`${name} sends no ${source === "screen" ? "screen" : "video"}.`);
  if (track.muted) return bad(source === "screen" ? `${name} paused the screen.` : `${name} turned the camera off.`);
  const withheld = explainSecrecy(secrecy, "video");
  if (withheld !== "") return bad(`${withheld}.`);
  const reason = layers === null ? "" : explainLayers(layers, source);
  if (track.undecodable) return bad(`This browser cannot play what ${name} sends.`);
  if (sinceFrame !== null && sinceFrame < STILL_MS) {
    if (reason !== "") return bad(`${reason}.`);
    const size = inspection?.width == null ? "" : `, ${inspection.width} × ${inspection.height}`;
    return { text: `All is well: ${Math.round(inspection?.framesPerSecond ?? 0)} pictures a second come${size}.`, tone: "good" };
  }
  if (watched < STILL_MS) return { text: "Looking…", tone: "good" };
  if (reason !== "") return bad(`${reason}.`);
  if (packetsCome) {
    return bad((inspection?.framesDecoded ?? 0) > 0 ? "The picture stands still: data come, but none that this browser can finish. It has asked for a whole picture."
      : "Data come, but no whole picture to begin with yet. It has been asked for.");
  }
  return bad(silenceOf(name, evidence.events));
}

/**
 * Why no packets come: the last event that says so.
 * @param {string} name
 * @param {import("../client/health.js").TrackEvent[] | null} events
 */
function silenceOf(name, events) {
  const last = events?.filter(({ event }) => TELLING.has(event)).pop();
  switch (last?.event) {
    case "silent": return `Nothing comes from ${name}: their connection or browser has stalled.`;
    case "sender-limited": return `The network or browser of ${name} limits what they send.`;
    case "paused": return "The server has paused it.";
    case "muted": return `${name} switched it off.`;
    case "codec": return `This browser cannot play what ${name} sends.`;
    default: return events === null ? "No data come, and the server does not tell why." : "No data come, and the server knows of nothing that would keep them.";
  }
}
