// The stage: keeps one tile per camera and screen of the call, lays them out in the room there is, and tells the client which
// of them nobody sees. It reads the client's state afresh at each change, so it cannot drift from it.

import { byId } from "./dom.js";
import { grid, spotlight } from "./layout.js";
import { Tile } from "./tile.js";

/** A page in the background shows nothing; after a while it stops asking for pictures. */
const HIDDEN_PATIENCE_MS = 60_000;
/** The server scores connections from 1 to 5. */
const WEAK_SCORE = 2;

/** @typedef {import("../crosspoint.js").Crosspoint} Crosspoint */

export class Stage {
  #crosspoint;
  #element = byId("stage", HTMLElement);
  #more = byId("stage-more", HTMLElement);
  /** In the order shown. @type {Map<string, Tile>} */
  #tiles = new Map();
  /** @type {string | null} */
  #pinned = null;
  /** Who was heard last, the latest first: a strip that cannot show all shows these. @type {number[]} */
  #heard = [];
  /** @type {Set<number>} */
  #speaking = new Set();
  /** Whose connection is poor, as the server judges. @type {Set<number>} */
  #weak = new Set();
  #scheduled = false;
  #pageUnseen = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #hiddenTimer;
  /** @type {Set<Element>} */
  #outOfSight = new Set();
  #resize = new ResizeObserver(() => this.#layOut());
  #sight = new IntersectionObserver((entries) => this.#sightChanged(entries), { rootMargin: "20%" });
  #stop = new AbortController();

  /** @param {Crosspoint} crosspoint */
  constructor(crosspoint) {
    this.#crosspoint = crosspoint;
    this.#resize.observe(this.#element);
    this.#stop.signal.addEventListener("abort", crosspoint.on("quality", ({ id, score }) => this.setQuality(Number(id), score)));
    const { signal } = this.#stop;
    for (const type of ["participant", "track", "trackremoved", "trackchanged", "call", "local", "name"]) {
      crosspoint.addEventListener(type, () => this.#schedule(), { signal });
    }
    document.addEventListener("visibilitychange", () => this.#visibilityChanged(), { signal });
    this.#element.addEventListener("dblclick", (event) => {
      const tile = this.#tileOf(event.target);
      if (tile !== undefined) this.#togglePin(tile);
    }, { signal });
  }

  close() {
    this.#stop.abort();
    this.#resize.disconnect();
    this.#sight.disconnect();
    clearTimeout(this.#hiddenTimer);
    for (const tile of this.#tiles.values()) tile.remove();
    this.#tiles.clear();
    this.#more.hidden = true;
  }

  /** @param {number[]} ids */
  setSpeaking(ids) {
    this.#speaking = new Set(ids);
    this.#heard = [...ids, ...this.#heard.filter((id) => !this.#speaking.has(id))].slice(0, 50);
    let hiddenSpeaker = false;
    for (const tile of this.#tiles.values()) {
      const speaks = tile.content.source === "camera" && this.#speaking.has(tile.content.participant);
      tile.setSpeaking(speaks);
      hiddenSpeaker ||= speaks && !tile.placed;
    }
    if (hiddenSpeaker) this.#layOut();
  }

  /**
   * @param {number} id
   * @param {number} score 1 to 5
   */
  setQuality(id, score) {
    if (score <= WEAK_SCORE) this.#weak.add(id);
    else this.#weak.delete(id);
    for (const tile of this.#tiles.values()) {
      if (tile.content.participant === id && tile.content.source === "camera") tile.setWeak(this.#weak.has(id));
    }
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
    const contents = this.#contents();
    const keys = new Set(contents.map(({ key }) => key));
    for (const [key, tile] of this.#tiles) {
      if (keys.has(key)) continue;
      this.#sight.unobserve(tile.element);
      this.#outOfSight.delete(tile.element);
      tile.remove();
      this.#tiles.delete(key);
    }
    /** @type {Map<string, Tile>} */
    const ordered = new Map();
    for (const content of contents) {
      const tile = this.#tiles.get(content.key) ?? this.#add(content);
      tile.update(content);
      tile.setSpeaking(content.source === "camera" && this.#speaking.has(content.participant));
      tile.setWeak(content.source === "camera" && this.#weak.has(content.participant));
      ordered.set(content.key, tile);
    }
    this.#tiles = ordered;
    this.#layOut();
  }

  /** @param {import("./tile.js").TileContent} content */
  #add(content) {
    const tile = new Tile(content);
    tile.pin.addEventListener("click", () => this.#togglePin(tile));
    this.#element.append(tile.element);
    this.#sight.observe(tile.element);
    return tile;
  }

  /**
   * What there is to show: screens first, then the others as they came, then ourselves.
   * @returns {import("./tile.js").TileContent[]}
   */
  #contents() {
    const { call, participants, tracks, sources, id, name } = this.#crosspoint;
    if (call === null || call.state === "calling") return [];
    const remote = [...tracks.values()];
    const others = new Set([...participants.values()].filter((one) => (call.kind === "room" ? one.call === "room"
      : one.id === call.peer)).map((one) => one.id));
    for (const { participant } of remote) others.add(participant);
    /** @type {import("./tile.js").TileContent[]} */
    const screens = [];
    /** @type {import("./tile.js").TileContent[]} */
    const cameras = [];
    for (const other of others) {
      const known = participants.get(other);
      const shown = known?.name ?? "Somebody";
      const microphone = known?.tracks.find(({ source }) => source === "microphone");
      const camera = remote.find((one) => one.participant === other && one.source === "camera");
      cameras.push({
        key: `camera ${other}`, participant: other, source: "camera", name: shown, own: false, track: camera?.id ?? null,
        media: camera === undefined || camera.muted || camera.undecodable ? null : camera.mediaTrack,
        microphoneOff: microphone === undefined || microphone.muted,
        note: camera?.undecodable ? "This browser cannot play their video" : "",
      });
      for (const screen of remote.filter((one) => one.participant === other && one.source === "screen")) {
        screens.push({
          key: `screen ${screen.id}`, participant: other, source: "screen", name: shown, own: false, track: screen.id,
          media: screen.undecodable ? null : screen.mediaTrack, microphoneOff: false,
          note: screen.undecodable ? "This browser cannot play their screen" : "",
        });
      }
    }
    const own = id ?? 0;
    const screen = sources.get("screen");
    if (screen?.track) {
      screens.push({
        key: "screen own", participant: own, source: "screen", name, own: true, track: null, media: screen.track,
        microphoneOff: false, note: "",
      });
    }
    const camera = sources.get("camera");
    cameras.push({
      key: "camera own", participant: own, source: "camera", name, own: true, track: null,
      media: camera === undefined || camera.muted ? null : camera.track,
      microphoneOff: sources.get("microphone")?.muted ?? true, note: "",
    });
    return [...screens, ...cameras];
  }

  #layOut() {
    const tiles = [...this.#tiles.values()];
    const area = { x: 0, y: 0, width: this.#element.clientWidth, height: this.#element.clientHeight };
    if (tiles.length === 0 || area.width === 0) {
      this.#more.hidden = true;
      return;
    }
    const large = this.#large(tiles);
    let hidden = 0;
    if (large === undefined) {
      const boxes = grid(tiles.length, area);
      tiles.forEach((tile, index) => tile.place(boxes[index]));
    } else {
      const others = this.#byVoice(tiles.filter((tile) => tile !== large));
      const { main, strip } = spotlight(others.length, area);
      hidden = others.length - strip.length;
      const shown = new Set(others.slice(0, strip.length));
      large.place(main);
      // Places keep the usual order, so that a new voice moves as few tiles as can be.
      const boxes = [...strip];
      for (const tile of tiles) {
        if (tile !== large) tile.place(shown.has(tile) ? boxes.shift() ?? null : null);
      }
    }
    for (const tile of tiles) {
      tile.element.classList.toggle("large", tile === large);
      tile.setPinned(tile.content.key === this.#pinned);
      tile.pin.hidden = tiles.length === 1;
    }
    const alone = tiles.every(({ content }) => content.own);
    this.#more.hidden = hidden === 0 && !alone;
    this.#more.textContent = alone ? "Nobody else is here yet. Send them the link." : `and ${hidden} more`;
    this.#tellWants();
  }

  /** @param {Tile[]} tiles */
  #large(tiles) {
    if (tiles.length < 2) return undefined;
    return tiles.find(({ content }) => content.key === this.#pinned)
      ?? tiles.find(({ content }) => content.source === "screen" && !content.own);
  }

  /** @param {Tile[]} tiles */
  #byVoice(tiles) {
    const rank = (/** @type {Tile} */ { content }) => {
      const heard = this.#heard.indexOf(content.participant);
      return content.source === "screen" ? -1 : heard < 0 ? this.#heard.length : heard;
    };
    return [...tiles].sort((one, other) => rank(one) - rank(other));
  }

  /** @param {Tile} tile */
  #togglePin(tile) {
    this.#pinned = this.#pinned === tile.content.key ? null : tile.content.key;
    this.#layOut();
  }

  /** @param {EventTarget | null} target */
  #tileOf(target) {
    return target instanceof Element
      ? [...this.#tiles.values()].find(({ element }) => element.contains(target)) : undefined;
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #sightChanged(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.#outOfSight.delete(target);
      else this.#outOfSight.add(target);
    }
    this.#tellWants();
  }

  #visibilityChanged() {
    clearTimeout(this.#hiddenTimer);
    const set = (/** @type {boolean} */ unseen) => {
      this.#pageUnseen = unseen;
      this.#tellWants();
    };
    if (!document.hidden) set(false);
    else this.#hiddenTimer = setTimeout(set, HIDDEN_PATIENCE_MS, true);
  }

  /** Pictures that nobody sees are not asked for. */
  #tellWants() {
    for (const { content, placed, element } of this.#tiles.values()) {
      if (content.track === null) continue;
      const unseen = this.#pageUnseen || !placed || this.#outOfSight.has(element);
      this.#crosspoint.receive(content.track, { paused: unseen });
    }
  }
}
