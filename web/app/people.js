// Who is in the room, what they do, and the buttons to call or write to one of them.

import { button, byId, icon, label, make, paintAvatar } from "./dom.js";
import { moderateButton } from "./moderator.js";

/**
 * What can be done with somebody.
 * @typedef {{call: (participant: Participant) => void, write: (participant: Participant) => void,
 *   moderate: (participant: Participant) => void}} Actions
 */

/**
 * @typedef {import("../crosspoint.js").Crosspoint} Crosspoint
 * @typedef {import("../client/protocol.js").Participant} Participant
 */

export class People {
  #crosspoint;
  #actions;
  #list = byId("people", HTMLUListElement);
  #count = byId("people-count", HTMLElement);
  /** @type {Map<number, Row>} */
  #rows = new Map();
  #scheduled = false;
  #stop = new AbortController();

  /**
   * @param {Crosspoint} crosspoint
   * @param {Actions} actions
   */
  constructor(crosspoint, actions) {
    this.#crosspoint = crosspoint;
    this.#actions = actions;
    this.#list.replaceChildren();
    const { signal } = this.#stop;
    for (const type of ["participant", "call", "local", "name", "state"]) {
      crosspoint.addEventListener(type, () => this.#schedule(), { signal });
    }
  }

  close() {
    this.#stop.abort();
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#stop.signal.aborted) this.#update();
    });
  }

  #update() {
    const { id, name, call, sources, participants, grants } = this.#crosspoint;
    const own = id ?? 0;
    /** @type {Participant} */
    const self = {
      id: own, name, moderator: grants.moderate, call: call === null || call.state === "calling" ? null : call.kind,
      tracks: [...sources].map(([source, { muted }]) => ({
        track: source, source, muted, kind: source === "camera" || source === "screen" ? "video" : "audio",
      })),
    };
    const all = [self, ...participants.values()];
    const present = new Set(all.map((one) => one.id));
    for (const [known, row] of this.#rows) {
      if (present.has(known)) continue;
      row.element.remove();
      this.#rows.delete(known);
    }
    for (const participant of all) {
      const row = this.#rows.get(participant.id) ?? this.#add(participant, participant === self);
      row.update(participant, grants.moderate);
    }
    this.#count.textContent = String(all.length);
    label(button("people-toggle"), `People, ${all.length} in the room`, "p");
  }

  /**
   * @param {Participant} participant
   * @param {boolean} own
   */
  #add(participant, own) {
    const row = new Row(own, this.#actions);
    this.#rows.set(participant.id, row);
    this.#list.append(row.element);
    return row;
  }
}

class Row {
  #own;
  #avatar = make("span", "avatar");
  #name = make("span", "person-name");
  #state = make("span", "person-state");
  #microphone = make("span", "person-mark", icon("mic-off"));
  #call = make("button", "plain", icon("phone"));
  #write = make("button", "plain", icon("mail"));
  #moderate = moderateButton();
  element = make("li", "person");
  /** @type {Participant | null} */
  #participant = null;

  /**
   * @param {boolean} own
   * @param {Actions} actions
   */
  constructor(own, actions) {
    this.#own = own;
    this.#avatar.setAttribute("aria-hidden", "true");
    this.element.append(this.#avatar, make("div", "person-words", this.#name, this.#state), this.#microphone);
    if (own) return;
    for (const [element, action] of /** @type {const} */ ([[this.#moderate, actions.moderate], [this.#write, actions.write], [this.#call, actions.call]])) {
      element.type = "button";
      element.addEventListener("click", () => {
        if (this.#participant !== null) action(this.#participant);
      });
      this.element.append(element);
    }
    this.#call.dataset.testid = "call-button";
    this.#call.classList.add("call");
    this.#write.dataset.testid = "write-button";
  }

  /**
   * @param {Participant} participant
   * @param {boolean} moderates whether we do
   */
  update(participant, moderates) {
    this.#participant = participant;
    const { id, name, call, tracks } = participant;
    this.element.dataset.participant = this.#call.dataset.participant = this.#write.dataset.participant = this.#moderate.dataset.participant = String(id);
    this.#moderate.hidden = !moderates;
    label(this.#moderate, `Moderate ${name}`);
    if (this.#name.textContent !== name) paintAvatar(this.#avatar, name);
    this.#name.textContent = name;
    const screen = tracks.some(({ source }) => source === "screen");
    const doing = call === "room" ? "In the call" : call === "direct" ? "In a call of two" : "In the room";
    this.#state.textContent = [this.#own ? "You" : "", participant.moderator ? "Moderator" : "", doing, screen ? "shares the screen" : ""].filter(Boolean).join(" · ");
    const microphone = tracks.find(({ source }) => source === "microphone");
    this.#microphone.hidden = call === null || (microphone !== undefined && !microphone.muted);
    this.#microphone.title = "Microphone off";
    label(this.#call, `Call ${name}`);
    label(this.#write, `Write to ${name} only`);
  }
}
