// One tile: somebody's camera or screen, or their initial while there is no picture. The stage makes, places and removes
// tiles; a tile knows neither the client nor the others.

import { icon, label, make, paintAvatar } from "./dom.js";
import { moderateButton } from "./moderator.js";
import { describeScore } from "./words.js";

/**
 * What a tile shows. `track` is the server's id of it, `media` the browser's track, null while there is none to see.
 * @typedef {object} TileContent
 * @property {string} key
 * @property {number} participant
 * @property {"camera" | "screen"} source
 * @property {string} name
 * @property {boolean} own
 * @property {string | null} track
 * @property {MediaStreamTrack | null} media
 * @property {boolean} microphoneOff
 * @property {boolean} withheld it is not for us to see, for the sake of end-to-end encryption
 * @property {string} note why there is no picture, or a poor one, if that needs saying
 */

/** The large one of a stage, one of the strip beside it, or one of a grid. @typedef {"large" | "strip" | "tile"} TileSize */

const SCORE_BEST = 5;
/** Of a camera whose picture has not come yet. */
const ASPECT_EXPECTED = 16 / 9;

export class Tile {
  #video = make("video");
  #avatar = make("div", "avatar");
  #name = make("span", "tile-name");
  #mark = make("span", "tile-mark", icon("mic-off"));
  #quality = make("span", "tile-quality");
  #noteText = make("span");
  #note = make("p", "tile-note", icon("warning"), this.#noteText);
  pin = make("button", "plain", icon("pin"));
  why = make("button", "plain", icon("help"));
  moderate = moderateButton();
  element = make("div", "tile");
  /** @type {TileContent} */
  content;
  /** Where it is on the stage; null while it is on another page. @type {import("./layout.js").Box | null} */
  box = null;
  /** @type {TileSize} */
  size = "tile";
  pinned = false;

  /** @param {TileContent} content */
  constructor(content) {
    this.content = content;
    this.#video.autoplay = true;
    this.#video.muted = true; // sound has its own elements, so that a tile may hide without silencing anyone
    this.#video.playsInline = true;
    this.#video.hidden = true;
    this.#quality.setAttribute("role", "img");
    this.#quality.dataset.testid = "tile-quality";
    for (let bar = 0; bar < SCORE_BEST; bar += 1) this.#quality.append(make("i"));
    this.#note.dataset.testid = "tile-note";
    for (const [element, name] of /** @type {const} */ ([[this.why, "tile-why"], [this.pin, "tile-pin"]])) {
      element.type = "button";
      element.dataset.testid = name;
    }
    this.element.setAttribute("role", "group");
    this.element.tabIndex = -1; // so that a finger can bring the buttons out
    this.element.dataset.testid = "tile";
    this.element.append(this.#avatar, this.#video, this.#note, make("div", "tile-foot", this.#mark, this.#name, this.#quality),
      make("div", "tile-actions", this.moderate, this.why, this.pin));
    this.moderate.hidden = true;
    this.setQuality(null);
    this.update(content);
  }

  /** @param {TileContent} content */
  update(content) {
    this.content = content;
    const { participant, source, name, own, track, media, microphoneOff, note } = content;
    const { dataset, classList } = this.element;
    dataset.participant = String(participant);
    dataset.source = source;
    dataset.track = track ?? "";
    classList.toggle("own", own);
    classList.toggle("screen", source === "screen");
    const shown = source === "screen" ? (own ? "Your screen" : `${name}’s screen`) : own ? `${name} (you)` : name;
    this.#name.textContent = shown;
    this.#mark.hidden = !microphoneOff || source === "screen";
    if (this.#noteText.textContent !== note) this.#noteText.textContent = this.#note.title = note;
    this.#note.hidden = note === "";
    this.why.hidden = own;
    label(this.moderate, `Moderate ${name}`);
    label(this.why, `Why does ${shown} look like this?`, "w");
    paintAvatar(this.#avatar, name);
    this.element.style.setProperty("--hue", this.#avatar.style.getPropertyValue("--hue"));
    this.element.setAttribute("aria-label", [shown, microphoneOff && source === "camera" ? "microphone off" : "",
      media === null && source === "camera" && !content.withheld ? "camera off" : "", note].filter(Boolean).join(", "));
    this.#play(media);
  }

  /** @param {boolean} speaking */
  setSpeaking(speaking) {
    this.element.classList.toggle("speaking", speaking);
  }

  /** @param {import("../client/health.js").Quality | null} quality null while nothing is known */
  setQuality(quality) {
    this.#quality.hidden = quality === null;
    if (quality === null) return;
    const { score, loss, rtt } = quality;
    this.#quality.dataset.score = String(score);
    [...this.#quality.children].forEach((bar, index) => bar.classList.toggle("on", index < score));
    const words = `Connection: ${describeScore(score)}`;
    if (this.#quality.ariaLabel !== words) this.#quality.ariaLabel = words;
    const details = [`${(loss * 100).toFixed(loss > 0 && loss < 0.1 ? 1 : 0)} % lost`, rtt === null ? "" : `${Math.round(rtt)} ms round trip`];
    this.#quality.title = `${words} (${details.filter(Boolean).join(", ")})`;
  }

  /** @param {boolean} pinned */
  setPinned(pinned) {
    this.pinned = pinned;
    this.element.classList.toggle("pinned", pinned);
    this.pin.setAttribute("aria-pressed", String(pinned));
    label(this.pin, pinned ? `Unpin ${this.#name.textContent}` : `Show ${this.#name.textContent} large`);
  }

  /**
   * @param {import("./layout.js").Box | null} box
   * @param {TileSize} size
   */
  place(box, size) {
    this.box = box;
    this.size = size;
    this.element.classList.toggle("unplaced", box === null);
    this.element.classList.toggle("large", size === "large");
    this.element.classList.toggle("strip", size === "strip");
    if (box === null) {
      this.element.classList.remove("settled");
      return;
    }
    const { style } = this.element;
    style.transform = `translate(${Math.round(box.x)}px, ${Math.round(box.y)}px)`;
    style.width = `${Math.floor(box.width)}px`;
    style.height = `${Math.floor(box.height)}px`;
    this.element.classList.toggle("small", box.width < 190);
    // The first place on a page is taken at once; only later moves are shown as moves.
    if (!this.element.classList.contains("settled")) setTimeout(() => this.element.classList.toggle("settled", this.box !== null), 50);
  }

  /**
   * How large the picture is drawn: of one that fills a tile of another shape, some is cut off.
   * @returns {{width: number, height: number} | null} null while it has no place
   */
  get drawn() {
    if (this.box === null) return null;
    const { width, height } = this.box;
    const { videoWidth, videoHeight } = this.#video;
    const aspect = videoWidth > 0 && videoHeight > 0 ? videoWidth / videoHeight : ASPECT_EXPECTED;
    const whole = this.content.source === "screen" || this.size === "large";
    const drawn = whole ? Math.min(width, height * aspect) : Math.max(width, height * aspect);
    return { width: drawn, height: drawn / aspect };
  }

  remove() {
    this.#video.srcObject = null;
    this.element.remove();
  }

  /** @param {MediaStreamTrack | null} media */
  #play(media) {
    const stream = this.#video.srcObject instanceof MediaStream ? this.#video.srcObject : null;
    if ((stream?.getVideoTracks()[0] ?? null) !== media) {
      this.#video.srcObject = media === null ? null : new MediaStream([media]);
      // A muted video may always play; where a browser still waits, the tile shows its first frame.
      if (media !== null) void this.#video.play().catch(() => {});
    }
    this.#video.hidden = media === null;
    this.#avatar.hidden = media !== null || this.content.source === "screen";
  }
}
