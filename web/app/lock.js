// The lock in the room's bar: that what is said and shown here is encrypted from end to end, and, if pressed, what the server
// sees all the same.

import { button, byId, label } from "./dom.js";

export class Lock {
  #stop = new AbortController();

  /** @param {import("../crosspoint.js").Crosspoint} crosspoint */
  constructor({ encrypted }) {
    const element = button("lock");
    element.hidden = !encrypted;
    label(element, "End-to-end encrypted: what the server sees");
    element.addEventListener("click", () => byId("lock-dialog", HTMLDialogElement).showModal(), { signal: this.#stop.signal });
  }

  close() {
    this.#stop.abort();
    button("lock").hidden = true;
    byId("lock-dialog", HTMLDialogElement).close();
  }
}
