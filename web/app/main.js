// Where the page begins: reads the address, shows the lobby, and opens a room when somebody enters one.

import { Crosspoint, isRoomName } from "../crosspoint.js";
import { wireCheckLinks } from "./checklink.js";
import { byId } from "./dom.js";
import { invitationTo, takeInvitation } from "./invitation.js";
import { Lobby } from "./lobby.js";
import { LocalMedia } from "./media.js";
import { Room } from "./room.js";
import { waitToBeLetIn } from "./waitingview.js";
import { explainError } from "./words.js";

const media = new LocalMedia();
const lobby = new Lobby(media, enter);
/** @type {Crosspoint | null} */
let crosspoint = null;
/** @type {Room | null} */
let room = null;

/** The room that the address names, or one with a name that is easy to say. */
function roomOfAddress() {
  const named = /^\/r\/([^/]+)\/?$/.exec(location.pathname)?.[1] ?? new URLSearchParams(location.search).get("room");
  try {
    const name = decodeURIComponent(named ?? "");
    if (isRoomName(name)) return name;
  } catch {
    // Not percent-encoded text: no room's name.
  }
  const pick = (/** @type {string[]} */ words) => words[Math.floor(Math.random() * words.length)];
  return [
    pick(["amber", "calm", "clear", "early", "gentle", "green", "quiet", "silver", "sunny", "warm", "wide", "young"]),
    pick(["bay", "bridge", "cedar", "field", "garden", "harbour", "island", "lake", "meadow", "river", "summit", "valley"]),
    String(100 + Math.floor(Math.random() * 900)),
  ].join("-");
}

/**
 * @param {import("./lobby.js").Entry} entry
 * @returns {Promise<string | null>}
 */
async function enter({ name, room: roomName, key, how }) {
  const query = new URLSearchParams(location.search);
  const client = new Crosspoint({
    room: roomName, name, token: invitationTo(roomName), key: key ?? undefined, simulcast: query.get("simulcast") !== "off",
  });
  // For debugging and for the browser tests: the live client, with `pc`, `participants` and `tracks`.
  Object.assign(window, { crosspoint: client });
  // Whoever enters only, before the devices came, wants them in a call all the same.
  const awaited = how === "enter-only" && media.opening;
  const intent = {
    microphone: how !== "no-media" && (awaited || media.tracks.microphone !== null),
    camera: how !== "no-media" && (awaited || media.tracks.camera !== null),
  };
  let ended = "";
  client.on("state", ({ state, reason, words }) => {
    if (state === "closed" && reason !== "left") ended = explainError(reason, words);
  });
  // The parts listen before the first message comes.
  const view = new Room(client, media, intent, () => void leave(""));
  try {
    await client.connect();
  } catch (error) {
    view.close();
    return error instanceof Error ? explainError(error.message, String(error.cause ?? "")) : explainError("", "");
  }
  if (client.waiting !== null) {
    media.closeAll(); // nobody is to be seen or heard yet
    lobby.close();
    crosspoint = client; // so that a page that goes says so
    const admitted = await waitToBeLetIn(client);
    crosspoint = null;
    if (!admitted) {
      view.close();
      client.close();
      lobby.open(roomName);
      return ended;
    }
  }
  crosspoint = client;
  room = view;
  client.on("state", ({ state, reason, words }) => {
    if (state === "closed" && room === view) void leave(explainError(reason, words));
  });
  lobby.close();
  if (how === "media") media.stopWaiting(); // a light that comes on later would be news to whoever is behind it
  else media.closeAll();
  showAddress(roomName);
  view.open();
  if (how !== "enter-only") await view.join();
  return null;
}

/** @param {string} problem */
async function leave(problem) {
  const client = crosspoint;
  const view = room;
  const name = client?.room ?? roomOfAddress();
  crosspoint = room = null;
  view?.close();
  client?.close();
  await view?.release(); // before the lobby opens the devices again
  lobby.open(name, problem);
}

/** @param {string} roomName */
function showAddress(roomName) {
  document.title = `${roomName} · Crosspoint`;
  const path = `/r/${roomName}`;
  if (location.pathname !== path) history.pushState(null, "", path + location.search + location.hash);
}

window.addEventListener("popstate", () => {
  takeInvitation();
  if (crosspoint !== null) void leave("");
  else lobby.open(roomOfAddress());
});
// A page that goes says so; otherwise the others would look at a still picture until the server gave up on us.
window.addEventListener("pagehide", () => crosspoint?.close());
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

takeInvitation();
lobby.open(roomOfAddress());
wireCheckLinks(() => crosspoint?.room ?? byId("room-input", HTMLInputElement).value);
