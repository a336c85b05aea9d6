// "Why does this picture look like this?": a dialog with one sentence, what the server did with the track, and what this browser
// counts of it. It looks again every second while it is open.

import { inspectTrack } from "../crosspoint.js";
import { byId, make } from "./dom.js";
import { judge } from "./verdict.js";
import { describeAge, describeEvent } from "./words.js";

const EVERY_MS = 1000;
const TIMELINE_EVERY_MS = 2000;
const EVENTS_SHOWN = 40;

/**
 * @typedef {import("./tile.js").TileContent} TileContent
 * @typedef {import("../client/inspect.js").Inspection} Inspection
 * @typedef {import("../client/health.js").TrackEvent} TrackEvent
 */

export class Why {
  #crosspoint;
  #dialog = byId("why-dialog", HTMLDialogElement);
  #verdict = byId("why-verdict", HTMLElement);
  /** @type {TileContent | null} */
  #content = null;
  /** @type {TrackEvent[] | null} */
  #events = null;
  #asked = 0;
  #askedAt = -Infinity;
  #openedAt = 0;
  /** @type {Inspection | null} */
  #before = null;
  /** @type {number | null} */
  #frameAt = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  #stop = new AbortController();

  /** @param {import("../crosspoint.js").Crosspoint} crosspoint */
  constructor(crosspoint) {
    this.#crosspoint = crosspoint;
    this.#dialog.addEventListener("close", () => clearInterval(this.#timer), { signal: this.#stop.signal });
    this.#stop.signal.addEventListener("abort", crosspoint.on("call", ({ state }) => {
      if (state === "ended") this.#dialog.close();
    }));
  }

  close() {
    this.#stop.abort();
    clearInterval(this.#timer);
    this.#dialog.close();
  }

  /** @param {import("./tile.js").Tile} tile */
  open({ content }) {
    this.#content = content;
    this.#events = this.#before = this.#frameAt = null;
    this.#asked += 1;
    this.#askedAt = -Infinity;
    this.#openedAt = performance.now();
    byId("why-title", HTMLElement).textContent = content.source === "screen" ? `${content.name}’s screen` : `${content.name}’s video`;
    this.#verdict.textContent = "Looking…";
    byId("why-events", HTMLElement).replaceChildren(make("li", "", "Asking the server…"));
    byId("why-browser", HTMLElement).replaceChildren();
    if (!this.#dialog.open) this.#dialog.showModal();
    clearInterval(this.#timer);
    this.#timer = setInterval(() => void this.#look(), EVERY_MS);
    void this.#look();
  }

  async #look() {
    const content = this.#content;
    if (content === null) return;
    const track = [...this.#crosspoint.tracks.values()].find(({ participant, source, id }) => participant === content.participant
      && source === content.source && (source === "camera" || id === content.track)) ?? null;
    const round = this.#asked;
    if (track === null) this.#showEvents(null);
    else if (performance.now() - this.#askedAt >= TIMELINE_EVERY_MS) void this.#ask(track.id, round);
    const inspection = track === null ? null : await inspectTrack(track).catch(() => null);
    if (round !== this.#asked || !this.#dialog.open) return;
    const before = this.#before;
    this.#before = inspection;
    const now = performance.now();
    if (before !== null && (inspection?.framesDecoded ?? 0) > (before.framesDecoded ?? 0)) this.#frameAt = now;
    const sinceFrame = this.#frameAt === null ? null : now - this.#frameAt;
    const { text, tone } = judge({
      name: content.name, source: content.source, connection: this.#crosspoint.pc?.connectionState ?? null,
      track, secrecy: track === null ? null : this.#crosspoint.secrecyOf(track),
      layers: track === null ? null : this.#crosspoint.layers.get(track.id) ?? null, events: this.#events, inspection, sinceFrame,
      packetsCome: (inspection?.packets ?? 0) > (before?.packets ?? Infinity), watched: now - this.#openedAt,
    });
    if (this.#verdict.textContent !== text) this.#verdict.textContent = text;
    this.#verdict.dataset.tone = tone;
    this.#showCounts(inspection, sinceFrame);
  }

  /**
   * @param {string} track
   * @param {number} round
   */
  async #ask(track, round) {
    this.#askedAt = performance.now();
    const events = await this.#crosspoint.requestTimeline(track);
    if (round !== this.#asked) return;
    this.#events = events;
    this.#showEvents(events);
  }

  /** @param {TrackEvent[] | null} events the oldest first */
  #showEvents(events) {
    const list = byId("why-events", HTMLElement);
    const lines = (events ?? []).slice(-EVENTS_SHOWN).reverse()
      .map((event) => make("li", "", make("time", "", describeAge(event.at)), make("span", "", describeEvent(event))));
    if (lines.length === 0) lines.push(make("li", "", events === null ? "The server does not tell." : "Nothing yet."));
    const { scrollTop } = list;
    list.replaceChildren(...lines);
    list.scrollTop = scrollTop;
  }

  /**
   * @param {Inspection | null} inspection
   * @param {number | null} sinceFrame
   */
  #showCounts(inspection, sinceFrame) {
    /** @type {[string, string][]} */
    const counts = inspection === null ? [["Packets", "none yet"]] : [
      ["Pictures decoded", count(inspection.framesDecoded)],
      ["Last picture", sinceFrame === null ? "none since you look" : describeAge(sinceFrame)],
      ["Size", inspection.width === null ? "–" : `${inspection.width} × ${inspection.height}`],
      ["Freezes", inspection.freezes === null ? "–" : `${inspection.freezes} (${(inspection.frozen ?? 0).toFixed(1)} s)`],
      ["Packets lost", `${count(inspection.lost)} of ${count(inspection.packets)}`],
      ["Asked again (nack)", count(inspection.nacks)],
      ["Whole pictures asked (pli)", count(inspection.plis)],
      ["Last packet", inspection.sincePacket === null ? "–" : describeAge(inspection.sincePacket)],
    ];
    byId("why-browser", HTMLElement).replaceChildren(...counts.map(([term, value]) =>
      make("div", "", make("dt", "", term), make("dd", "", value))));
  }
}

/** @param {number | null} value */
function count(value) {
  return value === null ? "–" : String(value);
}
