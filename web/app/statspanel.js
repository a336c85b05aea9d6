// The statistics overlay: how each track does, in numbers, from the browser and from the server.

import { StatsSampler } from "../crosspoint.js";
import { byId, make } from "./dom.js";
import { describeScore } from "./words.js";

const EVERY_MS = 1500;

/**
 * @typedef {import("../crosspoint.js").Crosspoint} Crosspoint
 * @typedef {import("../client/stats.js").StatsRow} StatsRow
 * @typedef {import("../client/stats.js").StatsSummary} StatsSummary
 */

/** @type {Record<string, string>} */
const SOURCE_WORDS = { microphone: "microphone", camera: "camera", screen: "screen", "screen-audio": "screen’s sound" };

export class StatsPanel {
  #crosspoint;
  #element = byId("stats", HTMLElement);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #sampler;
  #shown = false;

  /** @param {Crosspoint} crosspoint */
  constructor(crosspoint) {
    this.#crosspoint = crosspoint;
    this.#sampler = new StatsSampler(crosspoint);
  }

  get shown() {
    return this.#shown;
  }

  toggle() {
    this.#shown = !this.#shown;
    this.#element.hidden = !this.#shown;
    clearTimeout(this.#timer);
    if (this.#shown) {
      this.#element.replaceChildren(make("p", "stats-empty", "Measuring…"));
      void this.#refresh();
    }
  }

  close() {
    clearTimeout(this.#timer);
    this.#shown = false;
    this.#element.hidden = true;
  }

  async #refresh() {
    const summary = await this.#sampler.sample().catch(() => null);
    if (!this.#shown) return;
    if (summary === null) this.#element.replaceChildren(make("p", "stats-empty", "There are numbers once you are in a call."));
    else this.#show(summary);
    this.#timer = setTimeout(() => void this.#refresh(), EVERY_MS);
  }

  /** @param {StatsSummary} summary */
  #show(summary) {
    const head = make("dl", "stats-head");
    for (const [term, value] of [
      ["Round trip", milliseconds(summary.roundTrip)], ["Sent", bits(summary.sent)], ["Received", bits(summary.received)],
      ["Could send", bits(summary.available)], ["Path", summary.path ?? "–"],
    ]) {
      head.append(make("div", "", make("dt", "", term), make("dd", "", value)));
    }
    const sorted = [...summary.rows].sort((one, other) => one.direction === other.direction ? 0 : one.direction === "sent" ? -1 : 1);
    const tracks = tableOf(["Track", "Codec", "Picture", "Bitrate", "Loss", "Jitter", "You are sent", "Server"], sorted.map((row) => this.#row(row)));
    const connections = [...this.#crosspoint.qualities.values()].map((quality) => this.#connection(quality));
    const tables = connections.length === 0 ? [tracks]
      : [tracks, tableOf(["Connection", "Quality", "Loss", "Round trip", "Bandwidth"], connections)];
    const { scrollTop } = this.#element;
    this.#element.replaceChildren(head, ...tables);
    this.#element.scrollTop = scrollTop;
  }

  /** @param {StatsRow} row */
  #row(row) {
    const line = make("tr");
    line.dataset.direction = row.direction;
    line.dataset.track = row.track ?? "";
    const who = this.#nameOf(row.participant);
    const what = `${SOURCE_WORDS[row.source ?? ""] ?? row.kind}${row.rid === null ? "" : ` ${row.rid}`}`;
    const name = make("th", "", make("span", "stats-arrow", row.direction === "sent" ? "↑" : "↓"), ` ${who}, ${what}`);
    name.scope = "row";
    const picture = row.kind === "video" && row.width !== null
      ? `${row.width}×${row.height}, ${Math.round(row.framesPerSecond ?? 0)}/s` : "–";
    line.append(name);
    for (const value of [
      row.codec ?? "–", row.limitedBy === null ? picture : `${picture} (${row.limitedBy})`, bits(row.bitrate), percent(row.loss),
      milliseconds(row.jitter), this.#layersOf(row), serverWords(row),
    ]) {
      line.append(make("td", "", value));
    }
    return line;
  }

  /** @param {import("../client/health.js").Quality} quality */
  #connection({ id, score, loss, rtt, bandwidth }) {
    const line = make("tr");
    const name = make("th", "", this.#nameOf(id === this.#crosspoint.id ? null : id));
    name.scope = "row";
    line.append(name);
    for (const value of [describeScore(score), percent(loss), milliseconds(rtt === null ? null : rtt / 1000), bits(bandwidth)]) {
      line.append(make("td", "", value));
    }
    return line;
  }

  /** @param {StatsRow} row */
  #layersOf({ track }) {
    const layers = track === null ? undefined : this.#crosspoint.layers.get(track);
    if (layers === undefined) return "–";
    const { rid, spatial, temporal, reason } = layers;
    const words = [rid ?? (spatial === null ? "" : `S${spatial}`), temporal === null ? "" : `T${temporal}`].filter(Boolean).join(" ") || "nothing";
    return reason === undefined ? words : `${words}, ${reason}`;
  }

  /** @param {number | null} participant null for ourselves */
  #nameOf(participant) {
    return participant === null ? "You" : this.#crosspoint.participants.get(participant)?.name ?? "Somebody";
  }
}

/**
 * @param {string[]} titles
 * @param {HTMLElement[]} lines
 */
function tableOf(titles, lines) {
  const head = make("tr");
  for (const title of titles) {
    const cell = make("th", "", title);
    cell.scope = "col";
    head.append(cell);
  }
  return make("table", "", make("thead", "", head), make("tbody", "", ...lines));
}

/** @param {StatsRow} row */
function serverWords({ direction, server }) {
  if (server.packets === null) return "–";
  const words = [`${server.packets} packets`];
  if (direction === "sent") words.push(`${server.lost ?? 0} lost`);
  if (server.nacks) words.push(`${server.nacks} nack`);
  if (server.plis) words.push(`${server.plis} pli`);
  return words.join(", ");
}

/** @param {number | null} value */
function bits(value) {
  if (value === null) return "–";
  return value >= 1e6 ? `${(value / 1e6).toFixed(2)} Mbit/s` : `${Math.round(value / 1e3)} kbit/s`;
}

/** @param {number | null} value */
function milliseconds(value) {
  if (value === null) return "–";
  return value < 0.01 ? `${(value * 1000).toFixed(1)} ms` : `${Math.round(value * 1000)} ms`;
}

/** @param {number | null} value */
function percent(value) {
  return value === null ? "–" : `${(value * 100).toFixed(value > 0 && value < 0.1 ? 1 : 0)} %`;
}
