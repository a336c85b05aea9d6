// The token of an invitation link, in the fragment of the address (`#token=…`), which browsers send to no server; `?token=` is taken too.
// It is kept for this tab, so that a reload needs no new link, and taken out of the address, which people copy and show around.
// main.js asks here; whether a token is any good, the server says.

const NAME = "token";
const PREFIX = "crosspoint.token.";
/** The place of a token that is for every room: no room is called so. */
const EVERY_ROOM = "*";

/** The tokens of this page, by room, where there is no storage. @type {Map<string, string>} */
const kept = new Map();

/**
 * Takes the token out of the address, if there is one.
 * @returns {string | null} the room that it is for, if it is for one
 */
export function takeInvitation() {
  const url = new URL(location.href);
  const fragment = new URLSearchParams(url.hash.slice(1));
  const token = fragment.get(NAME) ?? url.searchParams.get(NAME);
  if (token === null) return null;
  fragment.delete(NAME);
  url.searchParams.delete(NAME);
  url.hash = fragment.toString();
  history.replaceState(history.state, "", url.pathname + url.search + url.hash);
  const room = readInvitation(token).room ?? null;
  keep(room ?? EVERY_ROOM, token);
  return room;
}

/**
 * The token to come into a room with. One for another room would only be refused.
 * @param {string} room
 */
export function invitationTo(room) {
  return look(room) ?? look(EVERY_ROOM) ?? undefined;
}

/**
 * What a token says of itself, for the lobby.
 * @param {string} token
 * @returns {{room?: string, name?: string}}
 */
export function readInvitation(token) {
  try {
    const body = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(body), (character) => character.charCodeAt(0));
    const { room, name } = JSON.parse(new TextDecoder().decode(bytes));
    return { ...(typeof room === "string" ? { room } : {}), ...(typeof name === "string" ? { name } : {}) };
  } catch {
    return {}; // the server will say what is wrong with it
  }
}

/**
 * @param {string} room
 * @param {string} token
 */
function keep(room, token) {
  kept.set(room, token);
  try {
    sessionStorage.setItem(PREFIX + room, token);
  } catch {
    // A private window may have no storage; a reload then needs the link again.
  }
}

/** @param {string} room */
function look(room) {
  try {
    return kept.get(room) ?? sessionStorage.getItem(PREFIX + room);
  } catch {
    return null;
  }
}
