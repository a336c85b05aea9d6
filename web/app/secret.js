// The switch of end-to-end encryption in the lobby, and the key, which is in the fragment of the address: browsers send that to no
// server. The lobby owns it. A link that has a key switches it on.

import { Encryption, newKey, readKey } from "../crosspoint.js";
import { byId } from "./dom.js";
import { UNABLE_TO_ENCRYPT } from "./words.js";

const NAME = "key";

export class Secret {
  #box = byId("encrypt", HTMLInputElement);
  #problem = byId("encrypt-problem", HTMLElement);
  /** What the address had last: switched off and on again, it is the same key. */
  #text = "";

  constructor() {
    this.#box.addEventListener("change", () => {
      if (this.#box.checked) this.#text ||= newKey();
      write(this.#box.checked ? this.#text : "");
      this.#show();
    });
  }

  /** Makes the switch what the address says. */
  read() {
    const text = textOfAddress();
    this.#box.checked = text !== null;
    this.#text = text ?? "";
    this.#show();
  }

  /**
   * @returns {{key: Uint8Array<ArrayBuffer> | null, problem: string}} no key where none is wanted; a problem where one is wanted
   * and there is none to be had
   */
  get state() {
    if (!this.#box.checked) return { key: null, problem: "" };
    if (!Encryption.supported) return { key: null, problem: UNABLE_TO_ENCRYPT };
    const key = readKey(this.#text);
    return { key, problem: key === null ? "The key in this link is incomplete. Ask for the whole link again." : "" };
  }

  /** Brings the problem before the eyes of whoever tried to join all the same. */
  focus() {
    if (this.#box.disabled) this.#problem.focus();
    else this.#box.focus();
  }

  #show() {
    const { problem } = this.state;
    this.#problem.textContent = Encryption.supported ? problem : UNABLE_TO_ENCRYPT;
    this.#box.setAttribute("aria-invalid", String(problem !== ""));
    // A link's key may be given up, to go in without; a new one would be of no use here.
    this.#box.disabled = !Encryption.supported && !this.#box.checked;
  }
}

/**
 * The address of a room to give away, with the key that its media is encrypted with.
 * @param {string} room
 * @param {boolean} encrypted
 */
export function linkTo(room, encrypted) {
  return new URL(`/r/${room}${encrypted ? location.hash : ""}`, location.href).href;
}

/** @returns {string | null} null where the address speaks of no key */
function textOfAddress() {
  return new URLSearchParams(location.hash.slice(1)).get(NAME);
}

/** @param {string} text empty for no key */
function write(text) {
  const { pathname, search } = location;
  history.replaceState(history.state, "", pathname + search + (text === "" ? "" : `#${NAME}=${text}`));
}
