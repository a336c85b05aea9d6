// What a moderator has: a menu for the room (lock, waiting room, who waits, who is banned), and one for each person, from the list
// of people and from the tiles. What was done to oneself is said here too, whoever one is. The server decides; this only asks.

import { chime } from "./chimes.js";
import { button, byId, icon, label, make } from "./dom.js";
import { confirm, toast } from "./toast.js";
import { explainModeration } from "./words.js";

/**
 * @typedef {import("../crosspoint.js").Crosspoint} Crosspoint
 * @typedef {import("../client/protocol.js").Participant} Participant
 * @typedef {import("../client/protocol.js").Source} Source
 */

export class Moderator {
  #crosspoint;
  #switchOff;
  #menu = button("room-menu");
  #roomDialog = byId("room-dialog", HTMLDialogElement);
  #personDialog = byId("person-dialog", HTMLDialogElement);
  #locked = byId("lock-room", HTMLInputElement);
  #waitingRoom = byId("use-waiting-room", HTMLInputElement);
  #waiting = new Lines("waiting-list", [
    { text: "Let in", style: "primary", testid: "admit", name: (who) => `Let ${who} in`, act: (target) => this.#crosspoint.moderate("admit", { target }) },
    { text: "Send away", style: "secondary", testid: "refuse", name: (who) => `Send ${who} away`, act: (target) => this.#crosspoint.moderate("refuse", { target }) },
  ]);
  #bans = new Lines("ban-list", [
    { text: "Lift the ban", style: "secondary", testid: "unban", name: (who) => `Lift the ban of ${who}`, act: (ban) => this.#crosspoint.moderate("unban", { ban }) },
  ]);
  /** Whom the menu is about. @type {number | null} */
  #person = null;
  /** Those who waited when it was looked at last. @type {Set<number>} */
  #known = new Set();
  #stop = new AbortController();

  /**
   * @param {Crosspoint} crosspoint
   * @param {(source: Source) => void} switchOff a source of our own that was muted
   */
  constructor(crosspoint, switchOff) {
    this.#crosspoint = crosspoint;
    this.#switchOff = switchOff;
    const { signal } = this.#stop;
    const stops = [
      crosspoint.on("room", () => this.#show()),
      crosspoint.on("state", () => this.#show()),
      crosspoint.on("participant", () => this.#showPerson()),
      crosspoint.on("moderated", (what) => this.#tell(what)),
    ];
    signal.addEventListener("abort", () => stops.forEach((stop) => stop()));
    this.#menu.addEventListener("click", () => this.#roomDialog.showModal(), { signal });
    this.#locked.addEventListener("change", () => crosspoint.moderate("lock", { on: this.#locked.checked }), { signal });
    this.#waitingRoom.addEventListener("change", () => crosspoint.moderate("waiting-room", { on: this.#waitingRoom.checked }), { signal });
    button("mute-all").addEventListener("click", () => {
      crosspoint.moderate("mute", {});
      toast("Everybody but moderators is muted now. They can unmute themselves.");
    }, { signal });
    button("admit-all").addEventListener("click", () => crosspoint.moderate("admit", {}), { signal });
    for (const [id, act] of /** @type {[string, (id: number, name: string) => void][]} */ ([
      ["mute-person", (target) => crosspoint.moderate("mute", { target, source: "microphone" })],
      ["camera-off-person", (target) => crosspoint.moderate("mute", { target, source: "camera" })],
      ["stop-screen-person", (target) => crosspoint.moderate("stop-screen", { target })],
      ["remove-person", (target, name) => void this.#sure("remove", target, `Remove ${name}?`, "They leave the room, and can come back.", "Remove")],
      ["ban-person", (target, name) => void this.#sure("ban", target, `Ban ${name}?`, "They leave the room, and cannot come back as long as it lasts.", "Ban")],
    ])) {
      button(id).addEventListener("click", () => {
        const person = this.#person === null ? undefined : crosspoint.participants.get(this.#person);
        this.#personDialog.close();
        if (person !== undefined) act(person.id, person.name);
      }, { signal });
    }
    this.#show();
  }

  close() {
    this.#stop.abort();
    this.#roomDialog.close();
    this.#personDialog.close();
    this.#menu.hidden = true;
    byId("room-locked", HTMLElement).hidden = true;
  }

  /**
   * Shows what can be done with somebody.
   * @param {number} id
   */
  openFor(id) {
    this.#person = id;
    this.#showPerson();
    if (this.#crosspoint.participants.has(id)) this.#personDialog.showModal();
  }

  #showPerson() {
    const person = this.#person === null ? undefined : this.#crosspoint.participants.get(this.#person);
    if (person === undefined) {
      this.#personDialog.close();
      return;
    }
    byId("person-title", HTMLElement).textContent = person.name;
    const sends = (/** @type {Source} */ source) => person.tracks.some((track) => track.source === source && !track.muted);
    button("mute-person").disabled = !sends("microphone");
    button("camera-off-person").disabled = !sends("camera");
    button("stop-screen-person").disabled = !person.tracks.some(({ source }) => source === "screen");
  }

  #show() {
    const { grants, roomState } = this.#crosspoint;
    const { locked, waitingRoom, waiting, bans } = roomState;
    byId("room-locked", HTMLElement).hidden = !locked;
    this.#menu.hidden = !grants.moderate;
    if (!grants.moderate) return;
    this.#locked.checked = locked;
    this.#waitingRoom.checked = waitingRoom;
    const badge = byId("waiting-count", HTMLElement);
    badge.hidden = waiting.length === 0;
    badge.textContent = String(waiting.length);
    label(this.#menu, waiting.length === 0 ? "Moderate the room" : `Moderate the room, ${waiting.length} waiting`);
    this.#waiting.show(waiting);
    byId("waiting-section", HTMLElement).hidden = waiting.length === 0;
    this.#bans.show(bans);
    byId("ban-section", HTMLElement).hidden = bans.length === 0;
    // One who waits is told of once there is a name to tell.
    const named = waiting.filter(({ name }) => name !== null);
    for (const { id, name } of named) {
      if (this.#known.has(id)) continue;
      toast(`${name} waits to be let in. Open the room’s menu, at the top.`);
      chime("joined");
    }
    this.#known = new Set(named.map(({ id }) => id));
  }

  /** @param {{action: string, source: Source | null, by: string | null}} what */
  #tell({ action: what, source, by }) {
    if (what === "mute" && source !== null) this.#switchOff(source);
    toast(explainModeration(what, source, by), { tone: "problem" });
  }

  /**
   * @param {"remove" | "ban"} what
   * @param {number} target
   * @param {string} title
   * @param {string} text
   * @param {string} yes
   */
  async #sure(what, target, title, text, yes) {
    if (await confirm(title, text, yes)) this.#crosspoint.moderate(what, { target });
  }
}

/** @typedef {{text: string, style: string, testid: string, name: (who: string) => string, act: (id: number) => void}} Action */

/** A list of people with buttons. Whoever stays in it keeps their line, so that what is about to be pressed does not go away. */
class Lines {
  #list;
  #actions;
  /** @type {Map<number, {element: HTMLElement, name: HTMLElement, buttons: HTMLElement[]}>} */
  #lines = new Map();

  /**
   * @param {string} id
   * @param {Action[]} actions
   */
  constructor(id, actions) {
    this.#list = byId(id, HTMLUListElement);
    this.#list.replaceChildren();
    this.#actions = actions;
  }

  /** @param {{id: number, name: string | null}[]} people */
  show(people) {
    const ids = new Set(people.map(({ id }) => id));
    for (const [id, { element }] of this.#lines) {
      if (ids.has(id)) continue;
      element.remove();
      this.#lines.delete(id);
    }
    for (const { id, name } of people) {
      const line = this.#lines.get(id) ?? this.#add(id);
      const who = name ?? "Somebody";
      if (line.name.textContent !== who) line.name.textContent = who;
      this.#actions.forEach((action, index) => label(line.buttons[index], action.name(who)));
    }
  }

  /** @param {number} id */
  #add(id) {
    const name = make("span", "person-words person-name");
    const buttons = this.#actions.map(({ text, style, testid, act }) => {
      const element = make("button", style, text);
      element.type = "button";
      element.dataset.testid = testid;
      element.addEventListener("click", () => act(id));
      return element;
    });
    const element = make("li", "person", name, ...buttons);
    const line = { element, name, buttons };
    this.#lines.set(id, line);
    this.#list.append(element);
    return line;
  }
}

/** A button that opens somebody's menu, for whoever moderates. */
export function moderateButton() {
  const element = make("button", "plain", icon("shield"));
  element.type = "button";
  element.dataset.testid = "moderate-button";
  return element;
}
