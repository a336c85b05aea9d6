// When the media path of a call breaks: decides when to restart ICE, and when that is hopeless. The call owns one. It
// never negotiates itself; restartIce() makes negotiationneeded fire.

/** Short losses heal by themselves; a longer one asks for a restart. */
const DISCONNECTED_PATIENCE_MS = 3000;
/** The least time between two restarts; it doubles while they fail. */
const RESTART_SPACING_MS = 4000;
const HOPELESS_AFTER = 3;

export class Recovery {
  #pc;
  #hopeless;
  #restarts = 0;
  #lastRestart = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #stop = new AbortController();

  /**
   * @param {RTCPeerConnection} pc
   * @param {() => void} hopeless called when several restarts brought nothing: only a new connection can help
   */
  constructor(pc, hopeless) {
    this.#pc = pc;
    this.#hopeless = hopeless;
    const { signal } = this.#stop;
    pc.addEventListener("connectionstatechange", () => this.#stateChanged(), { signal });
    // The network came back or is another one: the old path may look alive for long, so do not wait for it to fail.
    globalThis.addEventListener?.("online", () => this.#schedule(0), { signal });
  }

  /** Restarts if the path looks broken now; the client calls it after a resume. */
  check() {
    const { connectionState } = this.#pc;
    if (connectionState === "connected") this.#restarts = 0;
    if (connectionState === "disconnected" || connectionState === "failed") this.#schedule(0);
  }

  close() {
    this.#stop.abort();
    clearTimeout(this.#timer);
  }

  #stateChanged() {
    const { connectionState } = this.#pc;
    if (connectionState === "connected") {
      clearTimeout(this.#timer);
      this.#restarts = 0;
    } else if (connectionState === "disconnected") {
      this.#schedule(DISCONNECTED_PATIENCE_MS);
    } else if (connectionState === "failed") {
      this.#schedule(0);
    }
  }

  /** @param {number} wait */
  #schedule(wait) {
    if (this.#pc.connectionState === "new" || this.#pc.connectionState === "closed") return;
    clearTimeout(this.#timer);
    const spacing = RESTART_SPACING_MS * 2 ** this.#restarts;
    const due = Math.max(performance.now() + wait, this.#lastRestart + spacing);
    this.#timer = setTimeout(() => this.#restart(), due - performance.now());
  }

  #restart() {
    if (this.#restarts >= HOPELESS_AFTER) {
      this.#hopeless();
      return;
    }
    this.#restarts += 1;
    this.#lastRestart = performance.now();
    this.#pc.restartIce();
    // "failed" fires once; look again by ourselves.
    this.#timer = setTimeout(() => this.check(), RESTART_SPACING_MS * 2 ** this.#restarts);
  }
}
