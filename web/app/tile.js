// One tile: somebody's camera or screen, or their initial while there is no picture. The stage makes, places and removes
// tiles; a tile knows neither the client nor the others.

import { icon, label, make, paintAvatar, setIcon } from "./dom.js";

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
 * @property {string} note why there is no picture, if that needs saying
 */

export class Tile {
  #video = make("video");
  #avatar = make("div", "avatar");
  #name = make("span", "tile-name");
  #mark = make("span", "tile-mark", icon("mic-off"));
  #weak = make("span", "tile-weak", icon("weak"));
  #note = make("p", "tile-note");
  pin = make("button", "plain", icon("pin"));
  element = make("div", "tile");
  /** @type {TileContent} */
  content;
  /** Placed within the stage; false for one that a strip has no room for. */
  placed = true;

  /** @param {TileContent} content */
  constructor(content) {
    this.content = content;
    this.#video.autoplay = true;
    this.#video.muted = true; // sound has its own elements, so that a tile may hide without silencing anyone
    this.#video.playsInline = true;
    this.#video.hidden = true;
    this.pin.type = "button";
    this.element.setAttribute("role", "group");
    this.element.dataset.testid = "tile";
    this.element.append(this.#avatar, this.#video, this.#note, make("div", "tile-foot", this.#mark, this.#name, this.#weak),
      make("div", "tile-actions", this.pin));
    this.#weak.title = "Weak connection";
    this.setWeak(false);
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
    this.#note.textContent = note;
    this.#note.hidden = note === "";
    paintAvatar(this.#avatar, name);
    this.element.style.setProperty("--hue", this.#avatar.style.getPropertyValue("--hue"));
    this.element.setAttribute("aria-label", [shown, microphoneOff && source === "camera" ? "microphone off" : "",
      media === null && source === "camera" ? "camera off" : ""].filter(Boolean).join(", "));
    this.#play(media);
  }

  /** @param {boolean} speaking */
  setSpeaking(speaking) {
    this.element.classList.toggle("speaking", speaking);
  }

  /** @param {boolean} weak */
  setWeak(weak) {
    this.#weak.hidden = !weak;
  }

  /** @param {boolean} pinned */
  setPinned(pinned) {
    this.pin.setAttribute("aria-pressed", String(pinned));
    label(this.pin, pinned ? `Unpin ${this.#name.textContent}` : `Show ${this.#name.textContent} large`);
    setIcon(this.pin, "pin");
  }

  /** @param {import("./layout.js").Box | null} box */
  place(box) {
    this.placed = box !== null;
    this.element.classList.toggle("unplaced", box === null);
    if (box === null) return;
    const { style } = this.element;
    style.transform = `translate(${Math.round(box.x)}px, ${Math.round(box.y)}px)`;
    style.width = `${Math.floor(box.width)}px`;
    style.height = `${Math.floor(box.height)}px`;
    this.element.classList.toggle("small", box.width < 190);
    // The first place is taken at once; only later moves are shown as moves.
    if (!this.element.classList.contains("settled")) setTimeout(() => this.element.classList.add("settled"), 50);
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
