// The WebSocket and its second lives: dials, resumes a broken session as long as the server has it, starts a new session
// after that, and gives up at last. The client owns one; it hands over parsed messages and knows of none but `id`.

import { KNOWN_TYPES, SUBPROTOCOL, parseMessage } from "./protocol.js";

/** Close codes of the server's (protocol, "What bad input gets", and its limits). */
const CLOSE_POLICY = 1008;
const CLOSE_TRY_LATER = 1013;
const CLOSE_UNAUTHORIZED = 4401;
const CLOSE_FORBIDDEN = 4403;
const CLOSE_RESUME_FAILED = 4404;
/** Dialling again would bring the same answer. */
const FINAL = new Set([CLOSE_POLICY, CLOSE_UNAUTHORIZED, CLOSE_FORBIDDEN]);

const BACK_OFF_FIRST_MS = 250;
/** So long that a server that is away hears little, and so short that whoever waits is back soon. */
const BACK_OFF_LAST_MS = 2000;
/** A dial that brings no `id` by then has failed. */
const DIAL_PATIENCE_MS = 8000;
/** A server that does not answer a request by then is not there. */
const KNOCK_PATIENCE_MS = 4000;
/** After so long without a dial one is made, whatever requests come to. */
const BLIND_DIAL_MS = 60_000;
/** How long a first connection, and one that was there before, are tried. */
const FIRST_PATIENCE_MS = 15_000;
const LATER_PATIENCE_MS = 300_000;
/** Messages kept while the socket is down; older ones are dropped. */
const KEPT_MAX = 64;
/** What a resume says again by itself, or what is worthless late. */
const NEVER_KEPT = new Set(["video-offer", "video-answer", "mute", "receive", "stats", "timeline", "moderate"]);

/**
 * - `connecting`: never was open
 * - `reconnecting`: was open, will be again
 * - `closed`: by us, or for good
 * @typedef {"idle" | "connecting" | "open" | "reconnecting" | "closed"} SocketState
 */

export class Socket {
  #address;
  #hooks;
  /** @type {WebSocket | null} */
  #ws = null;
  /** @type {string | null} */
  #resumeToken = null;
  #failingSince = 0;
  #dialled = 0;
  /** @type {AbortController | null} */
  #knocking = null;
  #tries = 0;
  #everOpen = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {import("./protocol.js").Message[]} */
  #kept = [];
  /** @type {SocketState} */
  state = "idle";
  lastHeard = 0;

  /**
   * @param {(resume: string | null) => URL} address
   * @param {object} hooks
   * @param {(message: import("./protocol.js").Message) => void} hooks.received
   * @param {(state: SocketState, reason: string) => void} hooks.stateChanged
   */
  constructor(address, hooks) {
    this.#address = address;
    this.#hooks = hooks;
    this.online = () => this.#tryNow();
  }

  open() {
    this.#failingSince = performance.now();
    this.#setState("connecting", "");
    globalThis.addEventListener?.("online", this.online);
    this.#dial();
  }

  close(reason = "left") {
    globalThis.removeEventListener?.("online", this.online);
    clearTimeout(this.#timer);
    this.#stopKnocking();
    const ws = this.#ws;
    this.#ws = null;
    this.#kept = [];
    ws?.close(1000);
    if (this.state !== "closed") this.#setState("closed", reason);
  }

  /** Drops the socket without a word, as a broken network would; the session is then resumed. */
  drop() {
    const ws = this.#ws;
    this.#ws = null;
    ws?.close();
    if (ws !== null) this.#broken(1006, "dropped");
  }

  /** @param {import("./protocol.js").Message} message */
  send(message) {
    if (this.state === "open" && this.#ws?.readyState === WebSocket.OPEN) {
      this.#ws.send(JSON.stringify(message));
    } else if (this.state !== "closed" && !NEVER_KEPT.has(message.type)) {
      this.#kept.push(message);
      if (this.#kept.length > KEPT_MAX) this.#kept.shift();
    }
  }

  /** What was to be said belongs to a session that is gone; chat and such still goes out. */
  #forgetCallMessages() {
    this.#kept = this.#kept.filter(({ type }) => type === "message" || !KNOWN_TYPES.has(type));
  }

  /**
   * Dials again, after the first time only once the server answers requests: Firefox lets a page wait, in the end for a
   * minute, before it dials a server at which WebSockets failed.
   */
  async #redial() {
    clearTimeout(this.#timer);
    this.#stopKnocking();
    const door = this.#door();
    if (door === null || this.#tries <= 1 || performance.now() - this.#dialled > BLIND_DIAL_MS) {
      this.#dial();
      return;
    }
    const knocking = new AbortController();
    this.#knocking = knocking;
    this.#timer = setTimeout(() => knocking.abort(), KNOCK_PATIENCE_MS);
    const answers = await fetch(door, { cache: "no-store", signal: knocking.signal }).then(({ status }) => status < 500, () => false);
    if (this.#knocking !== knocking) return;
    this.#knocking = null;
    if (answers) this.#dial();
    else this.#broken(1006, "unreachable");
  }

  #stopKnocking() {
    const knocking = this.#knocking;
    this.#knocking = null;
    knocking?.abort();
  }

  /** What tells that the server is there. Only a page that came from it may ask. */
  #door() {
    const { host, protocol } = this.#address(null);
    const origin = globalThis.location;
    if (origin === undefined || origin.host !== host || origin.protocol !== protocol.replace(/^ws/, "http")) return null;
    return `${origin.origin}/health`;
  }

  #dial() {
    clearTimeout(this.#timer);
    this.#dialled = performance.now();
    // However long ago that was: the server may have noticed much later, and who came anew would meet their own ghost.
    const ws = new WebSocket(this.#address(this.#resumeToken), [SUBPROTOCOL]);
    this.#ws = ws;
    ws.addEventListener("message", ({ data }) => {
      if (this.#ws !== ws) return;
      this.lastHeard = performance.now();
      const message = parseMessage(data);
      if (message === null) return;
      if (message.type === "id") this.#opened(message);
      else this.#hooks.received(message);
    });
    ws.addEventListener("close", ({ code, reason }) => {
      if (this.#ws !== ws) return;
      this.#ws = null;
      this.#broken(code, reason);
    });
    this.#timer = setTimeout(() => {
      if (this.#ws === ws) this.drop();
    }, DIAL_PATIENCE_MS);
  }

  /** @param {import("./protocol.js").Message} message */
  #opened(message) {
    clearTimeout(this.#timer);
    this.#resumeToken = typeof message.resume === "string" ? message.resume : null;
    this.#tries = 0;
    this.#everOpen = true;
    if (message.resumed !== true) this.#forgetCallMessages();
    this.state = "open";
    // The client first: it says its name, and on a new session nothing may go before that.
    this.#hooks.received(message);
    const kept = this.#kept;
    this.#kept = [];
    for (const one of kept) this.send(one);
    this.#setState("open", "");
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #broken(code, reason) {
    clearTimeout(this.#timer);
    if (this.state === "open") {
      this.#failingSince = performance.now();
    }
    // A limit met at the door is an answer; one met on the way back may be our own ghost, so that is tried again.
    if (FINAL.has(code) || (code === CLOSE_TRY_LATER && !this.#everOpen)) {
      this.close(reason || "refused");
      return;
    }
    if (code === CLOSE_RESUME_FAILED) {
      this.#resumeToken = null;
      this.#tries = 0;
    }
    const patience = this.#everOpen ? LATER_PATIENCE_MS : FIRST_PATIENCE_MS;
    if (performance.now() - this.#failingSince > patience) {
      this.close(reason || "unreachable");
      return;
    }
    const next = this.#everOpen ? "reconnecting" : "connecting";
    if (this.state !== next) this.#setState(next, reason);
    const wait = Math.min(BACK_OFF_FIRST_MS * 2 ** this.#tries, BACK_OFF_LAST_MS);
    this.#tries += 1;
    // Some chance in it, so that a room whose server came back does not dial as one.
    this.#timer = setTimeout(() => void this.#redial(), wait * (0.5 + Math.random() / 2));
  }

  #tryNow() {
    if (this.#ws !== null || this.state === "closed" || this.state === "idle") return;
    this.#tries = 0;
    void this.#redial();
  }

  /**
   * @param {SocketState} state
   * @param {string} reason
   */
  #setState(state, reason) {
    this.state = state;
    this.#hooks.stateChanged(state, reason);
  }
}
