// One-to-one calls as dialogs: somebody rings, or we ring somebody. It answers for nothing else of a call.

import { button, byId, paintAvatar } from "./dom.js";
import { ringing } from "./chimes.js";
import { toast } from "./toast.js";

/**
 * @typedef {import("../crosspoint.js").Crosspoint} Crosspoint
 * @typedef {import("../client/client.js").Ring} Ring
 * @typedef {import("../client/client.js").CallView} CallView
 */

export class Calls {
  #crosspoint;
  #devices;
  #ring = byId("ring-dialog", HTMLDialogElement);
  #calling = byId("calling-dialog", HTMLDialogElement);
  #stopRinging = () => {};
  #stop = new AbortController();

  /**
   * @param {Crosspoint} crosspoint
   * @param {{describe: () => string, prepare: () => Promise<void>}} devices what will be on, and to switch it on
   */
  constructor(crosspoint, devices) {
    this.#crosspoint = crosspoint;
    this.#devices = devices;
    const { signal } = this.#stop;
    crosspoint.addEventListener("ring", (event) => this.#rung(/** @type {CustomEvent<Ring>} */ (event).detail), { signal });
    crosspoint.addEventListener("call", (event) => this.#called(/** @type {CustomEvent<CallView>} */ (event).detail), { signal });
    button("accept").addEventListener("click", async () => {
      button("accept").disabled = true;
      await devices.prepare();
      crosspoint.accept();
    }, { signal });
    button("decline").addEventListener("click", () => crosspoint.decline(), { signal });
    button("cancel-call").addEventListener("click", () => crosspoint.hangUp(), { signal });
    // Escape in either dialog is a no.
    this.#ring.addEventListener("cancel", (event) => {
      event.preventDefault();
      crosspoint.decline();
    }, { signal });
    this.#calling.addEventListener("cancel", (event) => {
      event.preventDefault();
      crosspoint.hangUp();
    }, { signal });
  }

  close() {
    this.#stop.abort();
    this.#hideRing();
    this.#calling.close();
  }

  /** @param {Ring} ring */
  #rung(ring) {
    if (ring.ended !== undefined) {
      this.#hideRing();
      if (ring.ended === "timeout" || ring.ended === "left") toast(`You missed a call from ${ring.name}.`);
      return;
    }
    paintAvatar(byId("ring-avatar", HTMLElement), ring.name);
    byId("ring-title", HTMLElement).textContent = `${ring.name} is calling`;
    byId("ring-text", HTMLElement).textContent = `Only the two of you will be in this call. ${this.#devices.describe()}`;
    button("accept").disabled = false;
    if (!this.#ring.open) this.#ring.showModal();
    button("accept").focus();
    this.#stopRinging = ringing();
    document.title = `${ring.name} is calling · Crosspoint`;
  }

  #hideRing() {
    this.#stopRinging();
    this.#stopRinging = () => {};
    this.#ring.close();
    document.title = `${this.#crosspoint.room} · Crosspoint`;
  }

  /** @param {CallView} call */
  #called(call) {
    if (call.state === "accepting") this.#hideRing();
    if (call.state === "calling") {
      const name = call.name ?? "them";
      paintAvatar(byId("calling-avatar", HTMLElement), name);
      byId("calling-title", HTMLElement).textContent = `Calling ${name}`;
      if (!this.#calling.open) this.#calling.showModal();
    } else {
      this.#calling.close();
    }
  }
}
