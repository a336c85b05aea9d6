// The room: puts the parts together for one session, and holds what is between them — the side panel, the state line, joining
// and leaving the call. main.js makes one per session and closes it after.

import { Calls } from "./calls.js";
import { Chat } from "./chat.js";
import { chime } from "./chimes.js";
import { Controls } from "./controls.js";
import { Devices } from "./devices.js";
import { announce, button, byId, label, setIcon } from "./dom.js";
import { Lock } from "./lock.js";
import { Moderator } from "./moderator.js";
import { People } from "./people.js";
import { linkTo } from "./secret.js";
import { installShortcuts } from "./shortcuts.js";
import { Sound } from "./sound.js";
import { Speaking } from "./speaking.js";
import { Stage } from "./stage.js";
import { StatsPanel } from "./statspanel.js";
import { Stuck } from "./stuck.js";
import { confirm, toast } from "./toast.js";
import { Why } from "./why.js";
import { describeConnection, describePresent, explainEnd, explainError } from "./words.js";

/** In a larger room, comings and goings are noise. */
const TELL_COMINGS_UP_TO = 12;
/** Errors that something else on the page already shows. */
const QUIET_ERRORS = new Set(["no-such-track", "not-in-call", "bad-candidate", "unexpected-answer"]);

/**
 * @typedef {import("../crosspoint.js").Crosspoint} Crosspoint
 * @typedef {import("../client/protocol.js").Participant} Participant
 * @typedef {import("../client/client.js").CallView} CallView
 */

export class Room {
  #crosspoint;
  #leave;
  #element = byId("room", HTMLElement);
  #panel = byId("panel", HTMLElement);
  #unread = 0;
  #quiet = true;
  #stop = new AbortController();
  #stage;
  #controls;
  #chat;
  #stats;
  #devices;
  /** @type {{close: () => void}[]} */
  #parts;

  /**
   * @param {Crosspoint} crosspoint
   * @param {import("./media.js").LocalMedia} media
   * @param {{microphone: boolean, camera: boolean}} intent
   * @param {() => void} leave
   */
  constructor(crosspoint, media, intent, leave) {
    this.#crosspoint = crosspoint;
    this.#leave = leave;
    const why = new Why(crosspoint);
    const moderator = new Moderator(crosspoint, (source) => this.#controls.muted(source));
    const stage = new Stage(crosspoint, (tile) => why.open(tile), (id) => moderator.openFor(id));
    this.#stage = stage;
    const sound = new Sound(crosspoint);
    this.#controls = new Controls(crosspoint, media, intent);
    this.#chat = new Chat(crosspoint, (message) => this.#chatReceived(message));
    this.#stats = new StatsPanel(crosspoint);
    this.#devices = new Devices(crosspoint, media, sound);
    this.#parts = [
      stage, why, sound, moderator, this.#controls, this.#chat, this.#stats, this.#devices,
      new Speaking(crosspoint, (ids) => stage.setSpeaking(ids)),
      new Calls(crosspoint, this.#controls),
      new Lock(crosspoint),
      new Stuck(crosspoint),
      new People(crosspoint, {
        call: (participant) => void this.#callSomebody(participant),
        write: (participant) => {
          this.#chat.writeTo(participant);
          this.#openPanel("chat");
        },
        moderate: ({ id }) => moderator.openFor(id),
      }),
    ];
    this.#listen();
    this.#wire();
  }

  open() {
    byId("room-name", HTMLElement).textContent = this.#crosspoint.room;
    this.#element.hidden = false;
    byId("room-name", HTMLElement).focus();
    this.#openPanel(null);
    this.#show();
    // Those who are there already come in a burst; that is no news.
    setTimeout(() => { this.#quiet = false; }, 1500);
  }

  async join() {
    button("rejoin").disabled = true;
    await this.#controls.prepare();
    button("rejoin").disabled = false;
    if (!this.#stop.signal.aborted && this.#crosspoint.call === null) this.#crosspoint.joinRoom();
  }

  /** Stops all that we send, so that no light stays on. */
  release() {
    return this.#controls.release();
  }

  close() {
    this.#stop.abort();
    for (const part of this.#parts) part.close();
    this.#element.hidden = true;
    if (document.fullscreenElement !== null) void document.exitFullscreen();
  }

  #listen() {
    const crosspoint = this.#crosspoint;
    const stops = [
      crosspoint.on("state", () => this.#show()),
      crosspoint.on("media", () => this.#show()),
      crosspoint.on("call", (call) => this.#callChanged(call)),
      crosspoint.on("participant", ({ participant, change }) => this.#participantChanged(participant, change)),
      crosspoint.on("name", ({ name, rejected }) => {
        if (rejected !== null) toast(`Somebody here is called ${rejected} already, so you are ${name}.`);
      }),
      crosspoint.on("error", ({ code, message, request }) => {
        // A call that failed says so itself, when it ends.
        if (!QUIET_ERRORS.has(code) && request !== "video-offer") toast(explainError(code, message), { tone: "problem" });
      }),
      crosspoint.on("waiting", ({ waiting }) => {
        // Of a session that could not be resumed; a first one waits outside.
        if (waiting && !this.#element.hidden) toast("The room has a waiting room now. Wait until you are let in again.", { tone: "problem" });
      }),
      crosspoint.on("failure", ({ error, doing }) => console.warn(`crosspoint could not ${doing}:`, error)),
    ];
    this.#stop.signal.addEventListener("abort", () => stops.forEach((stop) => stop()));
  }

  #wire() {
    const { signal } = this.#stop;
    /** @type {[string, () => void][]} */
    const clicks = [
      ["hangup", () => this.#crosspoint.hangUp()],
      ["rejoin", () => void this.join()],
      ["leave-room", () => this.#leave()],
      ["copy-link", () => void this.#copyLink()],
      ["full-screen", () => void this.#toggleFullScreen()],
      ["stats-toggle", () => this.#toggleStats()],
      ["settings", () => this.#devices.open()],
      ["help", () => byId("help-dialog", HTMLDialogElement).showModal()],
      ["chat-toggle", () => this.#togglePanel("chat")],
      ["people-toggle", () => this.#togglePanel("people")],
      ["tab-chat", () => this.#openPanel("chat")],
      ["tab-people", () => this.#openPanel("people")],
      ["panel-close", () => this.#closePanel()],
    ];
    for (const [id, run] of clicks) button(id).addEventListener("click", run, { signal });
    byId("panel", HTMLElement).addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#closePanel();
      if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && event.target instanceof Element
        && event.target.role === "tab") {
        this.#openPanel(this.#shownPanel() === "chat" ? "people" : "chat", "tab");
      }
    }, { signal });
    document.addEventListener("fullscreenchange", () => this.#showFullScreen(), { signal });
    button("full-screen").hidden = !document.fullscreenEnabled;
    installShortcuts([
      { key: "m", name: "Microphone on or off", run: () => void this.#controls.toggle("microphone") },
      { key: "v", name: "Camera on or off", run: () => void this.#controls.toggle("camera") },
      { key: "s", name: "Share the screen, or stop", run: () => void this.#controls.toggleScreen() },
      { key: "c", name: "Chat", run: () => this.#togglePanel("chat") },
      { key: "p", name: "People", run: () => this.#togglePanel("people") },
      { key: "i", name: "Statistics", run: () => this.#toggleStats() },
      { key: "f", name: "Full screen", run: () => void this.#toggleFullScreen() },
      { key: "d", name: "Devices and settings", run: () => this.#devices.open() },
      { key: "pagedown", name: "Next page of people", run: () => this.#stage.turn(1) },
      { key: "pageup", name: "Previous page of people", run: () => this.#stage.turn(-1) },
      { key: "w", name: "Why does this picture look like this?", run: () => this.#stage.explain() },
      { key: "l", name: "Copy the link", run: () => void this.#copyLink() },
      { key: "?", name: "These shortcuts", run: () => byId("help-dialog", HTMLDialogElement).showModal() },
    ], signal);
    label(button("settings"), "Devices and settings", "d");
    label(button("help"), "Keyboard shortcuts", "?");
    label(button("hangup"), "Leave the call");
    label(button("copy-link"), "Copy link to this room", "l");
    this.#showFullScreen();
    this.#showStatsToggle();
  }

  /** What depends on the session and the call. */
  #show() {
    const { state, pc, call } = this.#crosspoint;
    const { text, tone } = describeConnection(state, pc?.connectionState ?? null, call?.state ?? null);
    const status = byId("status", HTMLElement);
    if (status.textContent !== text) status.textContent = text;
    status.dataset.tone = tone;
    const idle = call === null || call.state === "calling";
    byId("idle", HTMLElement).hidden = !idle;
    byId("stage", HTMLElement).hidden = idle;
    button("hangup").disabled = call === null;
    const present = [...this.#crosspoint.participants.values()].filter((one) => one.call === "room").map((one) => one.name);
    byId("idle-text", HTMLElement).textContent = describePresent(present);
  }

  /** @param {CallView} call */
  #callChanged(call) {
    if (call.state === "ended") {
      const text = explainEnd(call.reason ?? "", call.kind === "direct" ? call.name ?? "The other one" : null);
      if (text !== null) toast(text);
      chime("ended");
      byId("idle-title", HTMLElement).textContent = call.kind === "room" && call.reason === "hung-up" ? "You left the call"
        : "You are not in the call";
      void this.#controls.release();
      this.#show();
      if (document.querySelector("dialog[open]") === null) button("rejoin").focus();
      return;
    }
    this.#show();
  }

  /**
   * @param {Participant} participant
   * @param {"joined" | "updated" | "left"} change
   */
  #participantChanged(participant, change) {
    this.#show();
    if (change === "updated" || this.#quiet || this.#crosspoint.participants.size > TELL_COMINGS_UP_TO) return;
    announce(`${participant.name} ${change === "joined" ? "came in" : "left"}`);
    toast(`${participant.name} ${change === "joined" ? "came in" : "left"}.`);
    chime(change);
  }

  /** @param {import("../client/protocol.js").ChatMessage} message */
  #chatReceived(message) {
    if (message.id === this.#crosspoint.id || this.#shownPanel() === "chat") return;
    this.#unread += 1;
    this.#showUnread();
    chime("message");
    const text = message.text.length > 140 ? `${message.text.slice(0, 140)}…` : message.text;
    toast(text, { title: message.target === undefined ? message.name : `${message.name}, only to you` });
  }

  #showUnread() {
    const badge = byId("chat-unread", HTMLElement);
    badge.hidden = this.#unread === 0;
    badge.textContent = this.#unread > 99 ? "99+" : String(this.#unread);
    label(button("chat-toggle"), this.#unread === 0 ? "Chat" : `Chat, ${this.#unread} unread`, "c");
  }

  /** @param {Participant} participant */
  async #callSomebody(participant) {
    const { call } = this.#crosspoint;
    if (call !== null) {
      const sure = await confirm(`Call ${participant.name}?`, "You leave the call that you are in.", "Leave and call");
      if (!sure) return;
      this.#crosspoint.hangUp();
    }
    await this.#controls.prepare();
    if (this.#crosspoint.call === null && !this.#stop.signal.aborted) this.#crosspoint.ringUp(participant.id);
  }

  async #copyLink() {
    const { room, encrypted } = this.#crosspoint;
    const link = linkTo(room, encrypted);
    try {
      await navigator.clipboard.writeText(link);
      if (this.#crosspoint.admittedByToken) toast("The link is copied. Whoever opens it needs an invitation, too.");
      else toast(encrypted ? "The link is copied, and the key with it. Whoever opens it can join, see and hear." : "The link is copied. Whoever opens it can join.");
    } catch {
      toast(link, { title: "Copy this link" });
    }
  }

  #toggleStats() {
    this.#stats.toggle();
    this.#showStatsToggle();
  }

  #showStatsToggle() {
    button("stats-toggle").setAttribute("aria-pressed", String(this.#stats.shown));
    label(button("stats-toggle"), "Statistics", "i");
  }

  async #toggleFullScreen() {
    try {
      if (document.fullscreenElement === null) await document.documentElement.requestFullscreen();
      else await document.exitFullscreen();
    } catch {
      toast("The browser does not allow full screen here.");
    }
  }

  #showFullScreen() {
    const full = document.fullscreenElement !== null;
    const element = button("full-screen");
    element.setAttribute("aria-pressed", String(full));
    setIcon(element, full ? "full-exit" : "full");
    label(element, full ? "Leave full screen" : "Full screen", "f");
  }

  // The side panel.

  /** @returns {"chat" | "people" | null} */
  #shownPanel() {
    if (this.#panel.hidden) return null;
    return byId("chat", HTMLElement).hidden ? "people" : "chat";
  }

  /** @param {"chat" | "people"} which */
  #togglePanel(which) {
    if (this.#shownPanel() === which) this.#closePanel();
    else this.#openPanel(which);
  }

  #closePanel() {
    const was = this.#shownPanel();
    this.#openPanel(null);
    if (was !== null) button(`${was}-toggle`).focus();
  }

  /**
   * @param {"chat" | "people" | null} which
   * @param {"content" | "tab"} [focus]
   */
  #openPanel(which, focus = "content") {
    this.#panel.hidden = which === null;
    this.#element.classList.toggle("with-panel", which !== null);
    for (const [name, section] of /** @type {const} */ ([["chat", "chat"], ["people", "people-panel"]])) {
      const shown = which === name;
      byId(section, HTMLElement).hidden = !shown;
      const tab = button(`tab-${name}`);
      tab.setAttribute("aria-selected", String(shown));
      tab.tabIndex = shown ? 0 : -1;
      button(`${name}-toggle`).setAttribute("aria-expanded", String(shown));
      button(`${name}-toggle`).classList.toggle("active", shown);
      if (shown && focus === "tab") tab.focus();
    }
    if (which === "chat") {
      this.#unread = 0;
      if (focus === "content") this.#chat.focus();
    } else if (which === "people" && focus === "content") {
      button("tab-people").focus();
    }
    this.#showUnread();
  }
}
