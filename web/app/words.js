// What the page says about states and failures, in one place, in words that tell what to do. No logic but choosing.

/**
 * @typedef {"microphone" | "camera" | "screen" | "both"} Wanted
 * @typedef {{title: string, text: string}} Problem
 */

/** @type {Record<Wanted, string>} */
const THINGS = { microphone: "microphone", camera: "camera", screen: "screen", both: "camera and microphone" };

/**
 * Why getUserMedia or getDisplayMedia failed, and what helps.
 * @param {unknown} error
 * @param {Wanted} wanted
 * @returns {Problem}
 */
export function explainMediaError(error, wanted) {
  const thing = THINGS[wanted];
  const name = error instanceof DOMException || error instanceof Error ? error.name : "";
  switch (name) {
    case "NotAllowedError":
    case "PermissionDeniedError":
      return wanted === "screen"
        ? { title: "The screen is not shared", text: "Sharing was cancelled, or the system does not let the browser record the screen. Look in the system’s privacy settings if you did not cancel." }
        : { title: `The browser may not use your ${thing}`, text: `Allow it in the site’s permissions, at the icon left of the address, then try again. If it is allowed there, the system’s privacy settings may forbid it.` };
    case "NotFoundError":
    case "DevicesNotFoundError":
      return { title: `No ${thing} was found`, text: "Plug one in or switch it on, then try again. You can join without it." };
    case "NotReadableError":
    case "TrackStartError":
    case "AbortError":
      return { title: `The ${thing} did not start`, text: "Another program may be using it, or the system holds it back. Close that program, or choose another device, then try again." };
    case "OverconstrainedError":
      return { title: `The chosen ${thing} is gone or cannot do that`, text: "Choose another device from the list." };
    case "InsecureOriginError":
      return { title: `No ${thing} on an insecure address`, text: "Browsers allow it only on https:// addresses and on localhost. Ask whoever runs this server for its https:// address." };
    case "NotSupportedError":
    case "TypeError":
      return { title: `This browser cannot open the ${thing}`, text: "Try a current Chrome, Edge, Firefox or Safari." };
    default:
      return { title: `The ${thing} did not start`, text: `The browser says: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/**
 * Why a call ended. Null where nothing needs to be said.
 * @param {string} reason
 * @param {string | null} who the other one of a one-to-one call; null for the room's call
 * @returns {string | null}
 */
export function explainEnd(reason, who) {
  if (who === null && ["left", "gone", "timeout"].includes(reason)) {
    return "The server lost your sound and picture. Join again to restore them.";
  }
  switch (reason) {
    case "hung-up": return null;
    case "left": return `${who} ended the call.`;
    case "declined": return `${who} declined the call.`;
    case "busy": return `${who} is in another call.`;
    case "timeout": return `${who} did not answer.`;
    case "gone": return `The connection with ${who} was lost.`;
    case "kicked": return "You were removed from the call.";
    default: return explainError(reason, "");
  }
}

/**
 * What an error of the server's means.
 * @param {string} code
 * @param {string} message
 */
export function explainError(code, message) {
  switch (code) {
    case "room-full": return "The room is full.";
    case "room-closed": return "The room was closed.";
    case "too-many-rooms": return "The server has no place for another room now.";
    case "too-many-sockets": return "There are too many connections from your address.";
    case "too-many-joins": return "Too many came from your address at once. Try again in a moment.";
    case "overloaded": return "The server carries as many calls as it can. Try again later.";
    case "draining": return "The server is about to restart. Try again in a few minutes.";
    case "server-busy": return "The server is busy. Try again in a moment.";
    case "too-many-tracks": return "You are sending too many streams.";
    case "no-such-user": return "They are not in the room any more.";
    case "in-call": return "You are in a call already.";
    case "self-call": return "You cannot call yourself.";
    case "too-fast": return "That was too much at once. Slow down a little.";
    case "too-large": return "That message is too long.";
    case "bad-sdp": return "The server and this browser could not agree on the call.";
    case "bad-room": return "The server does not accept this room name.";
    case "bad-name": return "The server does not accept this name.";
    case "token-required": return "Only people with an invitation can join here. Open the whole link that you were sent, or ask for one.";
    case "bad-token": return "This invitation is not valid here. Open the whole link that you were sent, or ask for a new one.";
    case "token-expired": return "This invitation has expired. Ask whoever invited you for a new one.";
    case "wrong-room": return "This invitation is for another room.";
    case "room-locked": return "The room is locked. Ask somebody in it to open it, then try again.";
    case "banned": return message.startsWith("you") ? "You are banned from this room." : `${message}.`;
    case "removed": return `${message}.`;
    case "not-admitted": return `${message}.`;
    case "waiting-room-full": return "Too many people wait for this room. Try again later.";
    case "no-such-track": return "They do not send that now.";
    case "unreachable": return "The server cannot be reached. Check your connection, or try again later.";
    case "encryption-unsupported": return UNABLE_TO_ENCRYPT;
    case "encryption-failed": return "End-to-end encryption did not start, so you did not join. Load the page again.";
    case "": return "The connection was closed.";
    default: return message !== "" ? message : `The server said: ${code}`;
  }
}

/**
 * What a moderator did to us, and what we can do.
 * @param {string} action
 * @param {string | null} source
 * @param {string | null} by
 */
export function explainModeration(action, source, by) {
  const who = by ?? "The server’s operator";
  if (action === "stop-screen") return `${who} ended your screen sharing.`;
  switch (source) {
    case "microphone": return `${who} muted you. You can turn your microphone on again.`;
    case "camera": return `${who} turned your camera off. You can turn it on again.`;
    case "screen": return `${who} paused your screen.`;
    default: return `${who} muted the sound that you share.`;
  }
}

/** @param {boolean} moderator whether one is there */
export function describeWaiting(moderator) {
  return moderator ? "Somebody who moderates the room was told that you are here, and has to let you in."
    : "Nobody who could let you in is there yet. They will be told that you wait as soon as they come.";
}

/**
 * The state of the session and of the media, in a few words; and how it is meant.
 * @param {string} session
 * @param {RTCPeerConnectionState | null} media
 * @param {string | null} call state of our call
 * @returns {{text: string, tone: "good" | "wait" | "bad"}}
 */
export function describeConnection(session, media, call) {
  if (session === "connecting") return { text: "Connecting…", tone: "wait" };
  if (session === "reconnecting") {
    return media === "connected" ? { text: "Reconnecting; the call goes on", tone: "wait" } : { text: "Reconnecting…", tone: "wait" };
  }
  if (session === "closed") return { text: "Disconnected", tone: "bad" };
  if (call === null) return { text: "In the room", tone: "good" };
  if (call === "calling") return { text: "Ringing…", tone: "wait" };
  switch (media) {
    case "connected": return { text: "Connected", tone: "good" };
    case "disconnected": return { text: "Weak connection…", tone: "wait" };
    case "failed": return { text: "Restoring sound and picture…", tone: "bad" };
    default: return { text: "Joining…", tone: "wait" };
  }
}

/**
 * The server's score of a connection, in a word.
 * @param {number} score 1 to 5
 */
export function describeScore(score) {
  return ["very weak", "weak", "fair", "good", "excellent"][Math.min(5, Math.max(1, score)) - 1];
}

/**
 * What keeps somebody's picture from us, or from being better. Empty where nothing needs to be said.
 * @param {import("../client/health.js").Layers} layers
 * @param {string} source
 */
export function explainLayers({ rid, spatial, temporal, reason }, source) {
  const nothing = rid === null && spatial === null && temporal === null;
  const thing = source === "screen" ? "screen" : "video";
  switch (reason) {
    case "bandwidth": return nothing ? "Your network is too slow for this picture" : "Your network is too slow for a sharper picture";
    case "codec": return `This browser cannot play their ${thing}`;
    case "paused": return "Paused while nobody here looks at it";
    case "muted": return source === "screen" ? "They paused their screen" : "They turned their camera off";
    case "publisher": return nothing ? "Their network or browser sends no picture now" : "Their network or browser limits this picture";
    default: return "";
  }
}

/** Of a browser, or of a page that did not come by HTTPS. */
export const UNABLE_TO_ENCRYPT = "This browser cannot do end-to-end encryption here. It takes a current Chrome, Edge, Firefox or Safari, and an https:// address.";

/**
 * Why something is neither shown nor played, where that is for the sake of end-to-end encryption. Empty where it is not.
 * @param {ReturnType<import("../crosspoint.js").Crosspoint["secrecyOf"]>} secrecy
 * @param {"audio" | "video"} kind
 */
export function explainSecrecy(secrecy, kind) {
  const not = kind === "audio" ? "not heard" : "not shown";
  switch (secrecy) {
    case "clear": return `Not encrypted: ${not}`;
    case "other-key": return `Encrypted with another key: ${not}`;
    case "no-key": return "End-to-end encrypted: open the link with the key";
    default: return "";
  }
}

/**
 * One event of a track's timeline.
 * @param {import("../client/health.js").TrackEvent} event
 */
export function describeEvent(event) {
  const { event: what, bitrate, loss } = event;
  switch (what) {
    case "subscribed": return "The server began to send it to you";
    case "keyframe-asked": return "A whole picture was asked for";
    case "keyframe-received": return "A whole picture reached the server";
    case "keyframe-forwarded": return "A whole picture was sent to you";
    case "layer": return `You are sent ${describeLayer(event)}${because(event)}`;
    case "paused": return `The server paused it${because(event)}`;
    case "resumed": return "The server sends it again";
    case "estimate": return `Your network was judged to carry ${Number.isFinite(bitrate) ? megabits(bitrate) : "another amount"}`;
    case "loss": return `${Number.isFinite(loss) ? `${(loss * 100).toFixed(loss < 0.1 ? 1 : 0)} % of` : "Some"} packets were lost`;
    case "sender-limited": return "Their network or browser sends less than it could";
    case "muted": return "They switched it off";
    case "unmuted": return "They switched it on";
    case "silent": return "Nothing came from them";
    case "codec": return "This browser cannot play what they send";
    default: return what;
  }
}

/** @type {Record<string, string>} */
const LAYER_WORDS = { f: "the full size", h: "half the size", q: "a quarter of the size" };
/** By temporal layer, of three. */
const RATE_WORDS = ["every fourth picture", "every second picture"];
const REASON_WORDS = /** @type {Record<string, string>} */ ({
  bandwidth: "your network is too slow for more", codec: "this browser cannot play it", paused: "nobody here looked at it",
  muted: "they switched it off", publisher: "their network or browser limits it",
});

/**
 * A layer, as one finishes "You are sent".
 * @param {{[field: string]: any}} layer
 */
export function describeLayer({ rid, spatial, temporal }) {
  const size = typeof rid === "string" ? LAYER_WORDS[rid] ?? `layer ${rid}` : Number.isFinite(spatial) ? `spatial layer ${spatial}` : "";
  const rate = RATE_WORDS[temporal] ?? "";
  return [size, rate].filter(Boolean).join(", ") || "no picture";
}

/** @param {{[field: string]: any}} event */
function because({ reason }) {
  return typeof reason === "string" ? `: ${REASON_WORDS[reason] ?? reason}` : "";
}

/** @param {number} bitrate */
function megabits(bitrate) {
  return bitrate >= 1e6 ? `${(bitrate / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bitrate / 1e3)} kbit/s`;
}

/**
 * How long ago, in words as short as they can be.
 * @param {number} ms
 */
export function describeAge(ms) {
  const seconds = Math.round(ms / 1000);
  if (seconds < 1) return "just now";
  return seconds < 90 ? `${seconds} s ago` : `${Math.round(seconds / 60)} min ago`;
}

/**
 * Who is in the call that one is not in.
 * @param {string[]} names
 */
export function describePresent(names) {
  if (names.length === 0) return "Nobody is in it now. People in the room can still write to you, or call you.";
  const shown = names.length > 4 ? [...names.slice(0, 3), `${names.length - 3} others`] : names;
  return `${new Intl.ListFormat("en").format(shown)} ${names.length === 1 ? "is" : "are"} in it.`;
}
