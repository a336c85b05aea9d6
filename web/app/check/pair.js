// The two sessions that a check calls with, one that sends and one that receives, both of this page. They are in a room of their own,
// with a name that nobody guesses; where the visitor's token is for one room only, in that, and then only while nobody else is there.

import { Crosspoint } from "../../crosspoint.js";

const NAME = "Connection check";

/** Why there is nothing to call with, in words for people. */
export class NoCalls extends Error {
  /**
   * @param {string} text
   * @param {string} [fix]
   */
  constructor(text, fix) {
    super(text);
    this.fix = fix;
  }
}

export class Pair {
  #options;
  /** Whether others could come in. */
  #shared;
  /** @type {Crosspoint} */
  sender;
  /** @type {Crosspoint | null} */
  receiver = null;
  /** @type {Promise<void> | null} */
  #connecting = null;

  /**
   * @param {string | null} room the one that the token is for; null for one of its own
   * @param {string | undefined} token
   */
  constructor(room, token) {
    this.#shared = room !== null;
    this.#options = { room: room ?? `check-${randomName()}`, name: NAME, token, simulcast: false };
    this.sender = new Crosspoint(this.#options);
  }

  /** Connects the one that receives; throws `NoCalls` where there is something against calls. */
  async complete() {
    const { waiting, grants } = this.sender;
    if (waiting !== null) {
      throw new NoCalls("The room of your invitation has a waiting room, and calls begin only behind it.", "Check again once you have been let in, or ask for an invitation to another room.");
    }
    if (!grants.subscribe || !(grants.publish.includes("camera") || grants.publish.includes("microphone"))) {
      throw new NoCalls("Your invitation does not let you both send and receive, and a call that is checked takes both.", "Ask whoever invited you for an invitation that does, or trust the steps above.");
    }
    this.expectNobody();
    if (this.receiver === null) {
      this.receiver = new Crosspoint(this.#options);
      this.#connecting = this.receiver.connect();
    }
    await this.#connecting; // refused once is refused for each call
    this.expectNobody();
  }

  /** Nobody else is to see or hear the check: throws `NoCalls` where they could. */
  expectNobody() {
    const own = [this.sender.id, this.receiver?.id];
    const others = [...this.sender.participants.keys()].filter((id) => !own.includes(id));
    if (!this.#shared || others.length === 0) return;
    throw new NoCalls("Your invitation is for a room with people in it, and the test picture would be shown to them.", "Check again when nobody is in the room, or with an invitation that is for every room.");
  }

  close() {
    this.sender.close();
    this.receiver?.close();
  }
}

/** 64 bits, in letters and digits. */
function randomName() {
  return [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
