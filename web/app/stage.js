// The stage: keeps one tile per camera and screen of the call, and lays them out, on pages where there are many. It reads the
// client's state afresh at each change, so it cannot drift from it.

import { contentsOf } from "./contents.js";
import { byId } from "./dom.js";
import { grid, pageSize, spotlight } from "./layout.js";
import { Order } from "./order.js";
import { Pager } from "./pager.js";
import { Sight } from "./sight.js";
import { Tile } from "./tile.js";

/** @typedef {import("../crosspoint.js").Crosspoint} Crosspoint */

export class Stage {
  #crosspoint;
  #explain;
  #moderate;
  #element = byId("stage", HTMLElement);
  #alone = byId("stage-alone", HTMLElement);
  /** By key. @type {Map<string, Tile>} */
  #tiles = new Map();
  #order = new Order();
  #page = 0;
  /** @type {string | null} */
  #pinned = null;
  /** @type {Set<number>} */
  #speaking = new Set();
  #scheduled = false;
  #resize = new ResizeObserver(() => this.#layOut());
  #pager;
  #sight;
  #stop = new AbortController();

  /**
   * @param {Crosspoint} crosspoint
   * @param {(tile: Tile) => void} explain why a tile looks as it does
   * @param {(participant: number) => void} moderate shows what can be done with somebody
   */
  constructor(crosspoint, explain, moderate) {
    this.#crosspoint = crosspoint;
    this.#explain = explain;
    this.#moderate = moderate;
    this.#pager = new Pager(this.#element, (by) => this.turn(by));
    this.#sight = new Sight(crosspoint, () => this.#tiles.values());
    this.#resize.observe(this.#element);
    const { signal } = this.#stop;
    for (const type of ["participant", "track", "trackremoved", "trackchanged", "layers", "call", "local", "name"]) {
      crosspoint.addEventListener(type, () => this.#schedule(), { signal });
    }
    crosspoint.addEventListener("quality", () => this.#showQuality(), { signal });
    // Of the tiles' videos: a picture of another shape came.
    this.#element.addEventListener("resize", () => this.#sight.tell(), { signal, capture: true });
    this.#element.addEventListener("dblclick", (event) => {
      const tile = this.#tileOf(event.target);
      if (tile !== undefined && !(event.target instanceof Element && event.target.closest("button"))) this.#togglePin(tile);
    }, { signal });
  }

  close() {
    this.#stop.abort();
    this.#resize.disconnect();
    this.#sight.close();
    this.#pager.close();
    for (const tile of this.#tiles.values()) tile.remove();
    this.#tiles.clear();
    this.#alone.hidden = true;
  }

  /** @param {number[]} ids */
  setSpeaking(ids) {
    this.#speaking = new Set(ids);
    this.#order.heard(ids.map((id) => `camera ${id}`).filter((key) => this.#tiles.has(key)));
    for (const tile of this.#tiles.values()) this.#showSpeaking(tile);
    if ([...this.#tiles.values()].some((tile) => this.#isSpeaking(tile) && tile.box === null)) this.#layOut();
  }

  /**
   * Turns to the next or the previous page, if there is one.
   * @param {1 | -1} by
   */
  turn(by) {
    this.#page += by;
    this.#layOut();
  }

  /** Explains the tile that is meant: the one with the keyboard, under the pointer, the large one, or the first. */
  explain() {
    const shown = [...this.#tiles.values()].filter(({ content, box }) => box !== null && !content.own);
    const meant = ["focus-within", "hover"].map((state) => shown.find(({ element }) => element.matches(`:${state}`)))
      .find((tile) => tile !== undefined) ?? shown.find(({ size }) => size === "large") ?? shown[0];
    if (meant !== undefined) this.#explain(meant);
  }

  /** Several events of one message make one change. */
  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#stop.signal.aborted) this.#update();
    });
  }

  #update() {
    const contents = contentsOf(this.#crosspoint);
    const keys = contents.map(({ key }) => key);
    for (const [key, tile] of this.#tiles) {
      if (keys.includes(key)) continue;
      this.#sight.unwatch(tile);
      tile.remove();
      this.#tiles.delete(key);
    }
    this.#order.reconcile(keys);
    for (const content of contents) {
      const tile = this.#tiles.get(content.key) ?? this.#add(content);
      tile.update(content);
      tile.moderate.hidden = content.own || !this.#crosspoint.grants.moderate;
      this.#showSpeaking(tile);
    }
    this.#showQuality();
    this.#layOut();
  }

  /** @param {import("./tile.js").TileContent} content */
  #add(content) {
    const tile = new Tile(content);
    tile.pin.addEventListener("click", () => this.#togglePin(tile));
    tile.why.addEventListener("click", () => this.#explain(tile));
    tile.moderate.addEventListener("click", () => this.#moderate(tile.content.participant));
    this.#tiles.set(content.key, tile);
    this.#element.append(tile.element);
    this.#sight.watch(tile);
    return tile;
  }

  #showQuality() {
    for (const tile of this.#tiles.values()) {
      const { source, participant } = tile.content;
      tile.setQuality(source === "camera" ? this.#crosspoint.qualities.get(participant) ?? null : null);
    }
  }

  #layOut() {
    const area = { x: 0, y: 0, width: this.#element.clientWidth, height: this.#element.clientHeight };
    const large = this.#large();
    if (this.#tiles.size > 0 && area.width > 0) this.#turnOut(area, large);
    else this.#pager.show(0, 0);
    for (const tile of this.#tiles.values()) {
      tile.setPinned(tile.content.key === this.#pinned);
      tile.pin.hidden = this.#tiles.size === 1;
    }
    this.#alone.hidden = this.#tiles.size === 0 || [...this.#tiles.values()].some(({ content }) => !content.own);
    this.#sight.tell();
  }

  /**
   * Places the tiles of the page that is turned up; the others have no place.
   * @param {import("./layout.js").Box} area
   * @param {Tile | undefined} large on every page, with the pages beside it
   */
  #turnOut(area, large) {
    const others = this.#tiles.size - (large === undefined ? 0 : 1);
    const room = large === undefined ? pageSize(area) : Math.max(1, spotlight(others, area).strip.length);
    const pages = Math.max(1, Math.ceil(others / room));
    this.#page = Math.min(Math.max(this.#page, 0), pages - 1);
    const keys = this.#arrange(room, large);
    const page = keys.slice(this.#page * room, (this.#page + 1) * room);
    const { main, strip } = large === undefined ? { main: area, strip: grid(page.length, area) } : spotlight(page.length, area);
    large?.place(main, "large");
    for (const key of keys) {
      this.#tiles.get(key)?.place(strip[page.indexOf(key)] ?? null, large === undefined ? "tile" : "strip");
    }
    this.#pager.show(this.#page, pages);
  }

  /**
   * @param {number} room
   * @param {Tile | undefined} large
   */
  #arrange(room, large) {
    const how = { first: (/** @type {string} */ key) => key.startsWith("screen"), except: large?.content.key };
    const own = "camera own";
    const arrange = () => {
      const keys = this.#order.keys(how);
      if (keys.includes(own)) {
        // One's own tile is the last; where that would be another page, the last of the first, to keep an eye on oneself.
        keys.splice(keys.indexOf(own), 1);
        keys.splice(large === undefined ? room - 1 : keys.length, 0, own);
      }
      return keys;
    };
    const keys = arrange();
    const seen = new Set(keys.slice(this.#page * room, (this.#page + 1) * room));
    const front = keys.slice(0, room);
    const absent = keys.filter((key) => !front.includes(key) && !seen.has(key) && this.#isSpeaking(this.#tiles.get(key)));
    if (absent.length === 0) return keys;
    this.#order.bring(absent, front.filter((key) => key !== own && !how.first(key) && !this.#isSpeaking(this.#tiles.get(key))));
    return arrange();
  }

  #large() {
    const tiles = [...this.#tiles.values()];
    if (tiles.length < 2) return undefined;
    return tiles.find(({ content }) => content.key === this.#pinned)
      ?? tiles.find(({ content }) => content.source === "screen" && !content.own);
  }

  /** @param {Tile | undefined} tile */
  #isSpeaking(tile) {
    return tile?.content.source === "camera" && this.#speaking.has(tile.content.participant);
  }

  /** @param {Tile} tile */
  #showSpeaking(tile) {
    tile.setSpeaking(this.#isSpeaking(tile));
  }

  /** @param {Tile} tile */
  #togglePin(tile) {
    this.#pinned = this.#pinned === tile.content.key ? null : tile.content.key;
    this.#page = 0;
    this.#layOut();
  }

  /** @param {EventTarget | null} target */
  #tileOf(target) {
    return target instanceof Element
      ? [...this.#tiles.values()].find(({ element }) => element.contains(target)) : undefined;
  }
}
