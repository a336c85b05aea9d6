// The words of the signalling protocol as the page speaks it: message shapes, limits, and the checks that both ends make.
// Everything else in client/ uses it; it never touches a socket or the DOM.

/**
 * What a track shows or carries.
 * @typedef {"microphone" | "camera" | "screen" | "screen-audio"} Source
 */

/**
 * A published track, as the room knows it.
 * @typedef {{track: string, kind: "audio" | "video", source: Source, muted: boolean}} TrackInfo
 */

/**
 * One m-line of the server's SDP that carries somebody's track.
 * @typedef {{mid: string, track: string, participant: number, name?: string, kind: "audio" | "video", source: Source,
 *   muted: boolean}} TrackLine
 */

/**
 * Somebody else in the room. `call` says which kind of call they are in, if any; `encrypted` that they said their media is
 * encrypted from end to end; `moderator` that they may moderate the room.
 * @typedef {{id: number, name: string, call: "room" | "direct" | null, tracks: TrackInfo[], encrypted?: boolean,
 *   moderator: boolean}} Participant
 */

/**
 * A line of chat. `date` is in milliseconds since 1970; `target` is there when it is private.
 * @typedef {{text: string, name: string, id: number, date: number, target?: number | string}} ChatMessage
 */

/** @typedef {{type: string, [field: string]: any}} Message */

/** @typedef {{code: string, message: string, request: string, fatal: boolean}} ServerError */

export const SUBPROTOCOL = "crosspoint.v1";

/** Sizes that a server holds clients to by default, so that the client can refuse in words before sending. */
export const LIMITS = {
  nameCharacters: 64,
  roomCharacters: 64,
  chatCharacters: 4096,
  channelMessageBytes: 65536,
};

/**
 * What one may do in a room: of which sources one may send tracks, whether one receives those of others, whether one may say
 * something to others, and whether one may mute, remove and admit them.
 * @typedef {{publish: Source[], subscribe: boolean, chat: boolean, moderate: boolean}} Grants
 */

/**
 * How the room is ordered. `waiting` and `bans` are empty for who may not moderate; a name is null where none was said.
 * @typedef {{locked: boolean, waitingRoom: boolean, waiting: {id: number, name: string | null}[],
 *   bans: {id: number, name: string | null}[]}} RoomState
 */

/** @type {readonly Source[]} */
export const SOURCES = ["microphone", "camera", "screen", "screen-audio"];

/**
 * What a client whose media is encrypted says to the others, so that those without the key can say why they see nothing. It is
 * passed through; nothing depends on its being true.
 */
export const ENCRYPTED = "media-encrypted";

/** The types that have a meaning of their own; any other is passed through to the application. */
export const KNOWN_TYPES = new Set([
  "id", "ice-servers", "username", "rejectusername", "userlist", "participant", "message", "error", "video-offer", "video-answer",
  "new-ice-candidate", "hang-up", "mute", "receive", "layers", "wanted", "speakers", "quality", "stats", "timeline",
  "moderate", "moderated", "room-state", "waiting",
  ENCRYPTED,
]);

/**
 * @param {Source} source
 * @returns {"audio" | "video"}
 */
export function kindOf(source) {
  return source === "microphone" || source === "screen-audio" ? "audio" : "video";
}

/**
 * `grants` of the server's `id`; without them everything but moderating is allowed.
 * @param {unknown} value
 * @returns {Grants}
 */
export function readGrants(value) {
  const { publish, subscribe, chat, moderate } = /** @type {Record<string, unknown>} */ (Object(value));
  return {
    publish: Array.isArray(publish) ? SOURCES.filter((source) => publish.includes(source)) : [...SOURCES],
    subscribe: subscribe !== false, chat: chat !== false, moderate: moderate === true,
  };
}

/**
 * @param {Partial<Message>} message `room-state`
 * @returns {RoomState}
 */
export function readRoomState({ locked, waitingRoom, waiting, bans }) {
  const people = (/** @type {unknown} */ list) => (Array.isArray(list) ? list : [])
    .map((one) => ({ id: Number(one?.id), name: typeof one?.name === "string" ? one.name : null }));
  return { locked: locked === true, waitingRoom: waitingRoom === true, waiting: people(waiting), bans: people(bans) };
}

/**
 * The name as the server will take it, or null if it will not.
 * @param {string} name
 */
export function cleanName(name) {
  const trimmed = name.replace(/\p{Cc}+/gu, " ").trim();
  return trimmed !== "" && [...trimmed].length <= LIMITS.nameCharacters ? trimmed : null;
}

/**
 * Whether the server takes this as a room's name.
 * @param {string} room
 */
export function isRoomName(room) {
  return /^[A-Za-z0-9._-]{1,64}$/.test(room);
}

/**
 * Reads one frame of the socket; null when it is no message.
 * @param {unknown} data
 * @returns {Message | null}
 */
export function parseMessage(data) {
  if (typeof data !== "string") return null;
  try {
    const value = JSON.parse(data);
    return value !== null && typeof value === "object" && typeof value.type === "string" ? value : null;
  } catch {
    return null;
  }
}

/**
 * The server may send a description as an object or as the bare SDP.
 * @param {unknown} sdp
 * @param {RTCSdpType} type
 * @returns {RTCSessionDescriptionInit}
 */
export function readDescription(sdp, type) {
  if (typeof sdp === "string") return { type, sdp };
  const text = /** @type {any} */ (sdp)?.sdp;
  return { type, sdp: typeof text === "string" ? text : "" };
}

/**
 * @param {unknown} value
 * @returns {TrackInfo | null}
 */
function readTrackInfo(value) {
  const { track, kind, source, muted } = /** @type {any} */ (value ?? {});
  if (typeof track !== "string" || (kind !== "audio" && kind !== "video")) return null;
  const fallback = kind === "audio" ? "microphone" : "camera";
  return { track, kind, source: SOURCES.includes(source) ? source : fallback, muted: muted === true };
}

/**
 * @param {unknown} list
 * @returns {TrackInfo[]}
 */
export function readTrackInfos(list) {
  if (!Array.isArray(list)) return [];
  return list.map(readTrackInfo).filter((info) => info !== null);
}

/**
 * The `tracks` of an offer or answer; null when the message has none, as from a classic server.
 * @param {unknown} list
 * @returns {TrackLine[] | null}
 */
export function readTrackLines(list) {
  if (!Array.isArray(list)) return null;
  /** @type {TrackLine[]} */
  const lines = [];
  for (const value of list) {
    const info = readTrackInfo(value);
    const { mid, participant, name } = value ?? {};
    if (info === null || typeof mid !== "string" || !Number.isFinite(Number(participant))) continue;
    lines.push({ ...info, mid, participant: Number(participant), name: typeof name === "string" ? name : undefined });
  }
  return lines;
}
