// The chat: what was said, and the line to say something, to all or to one. Everything from others goes in as text nodes.

import { LIMITS } from "../crosspoint.js";
import { byId, button, make, paintAvatar } from "./dom.js";

/** Older lines go, so that a long call does not fill the page. */
const LINES_MAX = 500;
/** Lines of one person within this time stand under one name. */
const GROUP_MS = 120_000;

/**
 * @typedef {import("../crosspoint.js").Crosspoint} Crosspoint
 * @typedef {import("../client/protocol.js").ChatMessage} ChatMessage
 */

export class Chat {
  #crosspoint;
  #log = byId("chat-log", HTMLElement);
  #input = byId("chat-input", HTMLTextAreaElement);
  #private = byId("chat-private", HTMLElement);
  /** @type {ChatMessage | null} */
  #last = null;
  /** @type {number | null} */
  #target = null;
  #stop = new AbortController();

  /**
   * @param {Crosspoint} crosspoint
   * @param {(message: ChatMessage) => void} received
   */
  constructor(crosspoint, received) {
    this.#crosspoint = crosspoint;
    this.#log.replaceChildren();
    this.#input.value = "";
    this.writeTo(null);
    const { signal } = this.#stop;
    crosspoint.addEventListener("message", (event) => {
      const message = /** @type {CustomEvent<ChatMessage>} */ (event).detail;
      this.#show(message);
      received(message);
    }, { signal });
    crosspoint.addEventListener("participant", (event) => {
      const { participant, change } = /** @type {CustomEvent} */ (event).detail;
      if (change === "left" && participant.id === this.#target) this.writeTo(null);
    }, { signal });
    byId("chat-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#say();
    }, { signal });
    this.#input.addEventListener("keydown", (event) => {
      // While an input method composes, Enter chooses a word.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#say();
    }, { signal });
    this.#input.addEventListener("input", () => this.#grow(), { signal });
    crosspoint.addEventListener("state", () => this.#showWhetherToWrite(), { signal });
    button("chat-public").addEventListener("click", () => {
      this.writeTo(null);
      this.focus();
    }, { signal });
  }

  close() {
    this.#stop.abort();
  }

  focus() {
    this.#input.focus();
  }

  /** Some are invited to read only. */
  #showWhetherToWrite() {
    const may = this.#crosspoint.grants.chat;
    this.#input.disabled = button("chat-send").disabled = !may;
    if (may) this.writeTo(this.#target === null ? null : this.#crosspoint.participants.get(this.#target) ?? null);
    else this.#input.placeholder = "Your invitation is to read only";
  }

  /**
   * Whom the next lines go to; null for all.
   * @param {{id: number, name: string} | null} participant
   */
  writeTo(participant) {
    this.#target = participant?.id ?? null;
    this.#private.hidden = participant === null;
    byId("chat-private-text", HTMLElement).textContent = participant === null ? "" : `Only ${participant.name} will read this.`;
    this.#input.placeholder = participant === null ? "Message everybody" : `Message ${participant.name}`;
    this.#input.setAttribute("aria-label", this.#input.placeholder);
  }

  #say() {
    const text = this.#input.value.trim();
    if (text === "") return;
    this.#crosspoint.say([...text].slice(0, LIMITS.chatCharacters).join(""), this.#target ?? undefined);
    this.#input.value = "";
    this.#grow();
  }

  #grow() {
    this.#input.style.height = "auto";
    this.#input.style.height = `${Math.min(this.#input.scrollHeight + 2, 140)}px`;
  }

  /** @param {ChatMessage} message */
  #show(message) {
    byId("chat-empty", HTMLElement).hidden = true;
    const own = message.id === this.#crosspoint.id;
    const atEnd = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 60;
    const follows = this.#last !== null && this.#last.id === message.id && this.#last.target === message.target
      && message.date - this.#last.date < GROUP_MS;
    this.#last = message;
    const line = make("div", `chat-line${own ? " own" : ""}${follows ? " follows" : ""}`);
    line.dataset.participant = String(message.id);
    if (!follows) {
      const time = make("time", "", new Date(message.date).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
      time.dateTime = new Date(message.date).toISOString();
      const name = make("span", "chat-name", own ? "You" : message.name);
      paintHue(name, message.name);
      const head = make("p", "chat-head", name, time);
      if (message.target !== undefined) head.append(make("span", "chat-mark", own ? this.#toWhom(message) : "only to you"));
      line.append(head);
    }
    line.append(make("p", "chat-text", message.text));
    this.#log.append(line);
    while (this.#log.childElementCount > LINES_MAX) this.#log.firstElementChild?.remove();
    if (atEnd || own) this.#log.scrollTop = this.#log.scrollHeight;
  }

  /** @param {ChatMessage} message */
  #toWhom({ target }) {
    const name = typeof target === "number" ? this.#crosspoint.participants.get(target)?.name : target;
    return `only to ${name ?? "them"}`;
  }
}

/**
 * @param {HTMLElement} element
 * @param {string} name
 */
function paintHue(element, name) {
  const sample = make("i");
  paintAvatar(sample, name);
  element.style.setProperty("--hue", sample.style.getPropertyValue("--hue"));
}
