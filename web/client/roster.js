// Who else is in the room, from the server's `participant` messages. The client owns one; calls are not its business.

import { readTrackInfos } from "./protocol.js";

/** How long after a resume the server's list of those present may take. Whoever it does not name is gone. */
const ROLL_CALL_MS = 2000;

/** @typedef {import("./protocol.js").Participant} Participant */

export class Roster {
  #changed;
  /** Those not heard of since the resume. @type {Set<number>} */
  #unconfirmed = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {Map<number, Participant>} */
  participants = new Map();

  /** @param {(participant: Participant, change: "joined" | "updated" | "left") => void} changed */
  constructor(changed) {
    this.#changed = changed;
  }

  /** @param {import("./protocol.js").Message} message */
  receive(message) {
    const id = Number(message.id);
    if (!Number.isFinite(id)) return;
    this.#unconfirmed.delete(id);
    if (message.state === "left") {
      this.#remove(id);
      return;
    }
    const known = this.participants.get(id);
    const call = message.call === "room" || message.call === "direct" ? message.call : null;
    /** @type {Participant} */
    const participant = {
      id, name: String(message.name ?? ""), call, tracks: readTrackInfos(message.tracks), moderator: message.moderator === true,
    };
    if (known === undefined) this.participants.set(id, participant);
    else Object.assign(known, participant);
    this.#changed(known ?? participant, known === undefined ? "joined" : "updated");
  }

  /** The server will now name everybody present, as for a newcomer. */
  startRollCall() {
    this.#unconfirmed = new Set(this.participants.keys());
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      for (const id of this.#unconfirmed) this.#remove(id);
      this.#unconfirmed.clear();
    }, ROLL_CALL_MS);
  }

  clear() {
    clearTimeout(this.#timer);
    this.#unconfirmed.clear();
    for (const id of [...this.participants.keys()]) this.#remove(id);
  }

  /** @param {string} name */
  byName(name) {
    return [...this.participants.values()].find((participant) => participant.name === name);
  }

  /** @param {number} id */
  #remove(id) {
    const participant = this.participants.get(id);
    if (participant === undefined) return;
    this.participants.delete(id);
    participant.call = null;
    participant.tracks = [];
    this.#changed(participant, "left");
  }
}
