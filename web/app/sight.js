// What of the others' pictures is needed: how large each tile is, whether anybody can see it, how much it matters. Tells the
// client, which says it to the server. The stage owns one.

/** A page in the background shows nothing; after a while it stops asking for pictures. Sound goes on. */
const HIDDEN_PATIENCE_MS = 10_000;
/** Sizes are rounded up, so that dragging a window's edge says little. */
const STEP = 60;
const WIDTH_MAX = 3840;
const HEIGHT_MAX = 2160;

const PRIORITY = { pinned: 255, screen: 200, large: 150, tile: 100, strip: 50 };

/**
 * @typedef {import("./tile.js").Tile} Tile
 */

export class Sight {
  #crosspoint;
  #tiles;
  #pageUnseen = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #hiddenTimer;
  /** @type {Set<Element>} */
  #outOfSight = new Set();
  #observer = new IntersectionObserver((entries) => this.#sightChanged(entries), { rootMargin: "20%" });
  #stop = new AbortController();

  /**
   * @param {import("../crosspoint.js").Crosspoint} crosspoint
   * @param {() => Iterable<Tile>} tiles
   */
  constructor(crosspoint, tiles) {
    this.#crosspoint = crosspoint;
    this.#tiles = tiles;
    const { signal } = this.#stop;
    document.addEventListener("visibilitychange", () => this.#visibilityChanged(), { signal });
    window.addEventListener("resize", () => this.tell(), { signal }); // zooming changes what a pixel is
  }

  /** @param {Tile} tile */
  watch({ element }) {
    this.#observer.observe(element);
  }

  /** @param {Tile} tile */
  unwatch({ element }) {
    this.#observer.unobserve(element);
    this.#outOfSight.delete(element);
  }

  close() {
    this.#stop.abort();
    this.#observer.disconnect();
    clearTimeout(this.#hiddenTimer);
  }

  tell() {
    for (const tile of this.#tiles()) {
      const { content, drawn } = tile;
      if (content.track === null) continue;
      if (drawn === null || content.withheld || !this.#isSeen(tile)) this.#crosspoint.receive(content.track, { paused: true });
      else this.#crosspoint.receive(content.track, { paused: false, ...pixels(drawn), priority: priorityOf(tile) });
    }
  }

  /** @param {Tile} tile */
  #isSeen({ element }) {
    return !this.#pageUnseen && !this.#outOfSight.has(element);
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #sightChanged(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.#outOfSight.delete(target);
      else this.#outOfSight.add(target);
    }
    this.tell();
  }

  #visibilityChanged() {
    clearTimeout(this.#hiddenTimer);
    const set = (/** @type {boolean} */ unseen) => {
      this.#pageUnseen = unseen;
      this.tell();
    };
    if (!document.hidden) set(false);
    else this.#hiddenTimer = setTimeout(set, HIDDEN_PATIENCE_MS, true);
  }
}

/** @param {{width: number, height: number}} drawn in CSS pixels */
function pixels({ width, height }) {
  const round = (/** @type {number} */ length) => Math.ceil((length * devicePixelRatio) / STEP) * STEP;
  return { width: Math.min(WIDTH_MAX, round(width)), height: Math.min(HEIGHT_MAX, round(height)) };
}

/** @param {Tile} tile */
function priorityOf({ content, size, pinned }) {
  if (pinned) return PRIORITY.pinned;
  return content.source === "screen" ? PRIORITY.screen : PRIORITY[size];
}
