// Says so when sound and picture of a call do not get through for long, and where one can find out why.

import { announce, byId } from "./dom.js";

/** Long enough for a slow network, and for most restarts of ICE. */
const PATIENCE_MS = 10_000;

export class Stuck {
  #crosspoint;
  #notice = byId("stuck-notice", HTMLElement);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #stop = new AbortController();

  /** @param {import("../crosspoint.js").Crosspoint} crosspoint */
  constructor(crosspoint) {
    this.#crosspoint = crosspoint;
    const { signal } = this.#stop;
    for (const type of ["call", "media"]) crosspoint.addEventListener(type, () => this.#look(), { signal });
  }

  close() {
    this.#stop.abort();
    this.#rest();
  }

  #look() {
    const { call, pc } = this.#crosspoint;
    if (call === null || call.state === "calling" || pc?.connectionState === "connected") this.#rest();
    else this.#timer ??= setTimeout(() => this.#tell(), PATIENCE_MS);
  }

  #tell() {
    this.#notice.hidden = false;
    announce("Sound and picture do not get through.");
  }

  #rest() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#notice.hidden = true;
  }
}
