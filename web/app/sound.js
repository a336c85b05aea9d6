// Everybody's sound: one audio element per remote audio track, apart from the tiles. Knows when the browser holds sound
// back until a click, and asks for one. What end-to-end encryption keeps from us it does not ask the server for.

import { button, byId } from "./dom.js";
import { recall, remember } from "./settings.js";
import { explainSecrecy } from "./words.js";

/** @typedef {import("../crosspoint.js").Crosspoint} Crosspoint */

export class Sound {
  #crosspoint;
  #area = byId("sounds", HTMLElement);
  #notice = byId("sound-notice", HTMLElement);
  /** @type {Map<string, HTMLAudioElement>} */
  #elements = new Map();
  #stop = new AbortController();

  /** @param {Crosspoint} crosspoint */
  constructor(crosspoint) {
    this.#crosspoint = crosspoint;
    const { signal } = this.#stop;
    for (const type of ["track", "trackremoved", "trackchanged", "participant"]) {
      crosspoint.addEventListener(type, () => this.#update(), { signal });
    }
    button("sound-on").addEventListener("click", () => {
      this.#notice.hidden = true;
      for (const element of this.#elements.values()) void this.#play(element);
    }, { signal });
  }

  static canChooseSpeaker() {
    return "setSinkId" in HTMLMediaElement.prototype;
  }

  static get speaker() {
    return recall("speaker");
  }

  /** @param {string} id */
  async setSpeaker(id) {
    remember("speaker", id);
    await Promise.all([...this.#elements.values()].map((element) => element.setSinkId(id)));
  }

  close() {
    this.#stop.abort();
    for (const element of this.#elements.values()) remove(element);
    this.#elements.clear();
    this.#notice.hidden = true;
  }

  #update() {
    const tracks = this.#crosspoint.tracks;
    for (const [id, element] of this.#elements) {
      if (tracks.has(id)) continue;
      remove(element);
      this.#elements.delete(id);
    }
    for (const track of tracks.values()) {
      if (track.kind !== "audio") continue;
      if (!this.#elements.has(track.id)) this.#add(track);
      if (explainSecrecy(this.#crosspoint.secrecyOf(track), "audio") !== "") this.#crosspoint.receive(track.id, { paused: true });
    }
  }

  /** @param {import("../crosspoint.js").RemoteTrack} track */
  #add(track) {
    const element = document.createElement("audio");
    element.autoplay = true;
    element.dataset.participant = String(track.participant);
    element.dataset.source = track.source;
    element.dataset.track = track.id;
    element.srcObject = new MediaStream([track.mediaTrack]);
    if (Sound.speaker !== "" && Sound.canChooseSpeaker()) {
      // A speaker that is unplugged: the default one will do.
      void element.setSinkId(Sound.speaker).catch(() => {});
    }
    this.#elements.set(track.id, element);
    this.#area.append(element);
    void this.#play(element);
  }

  /** @param {HTMLAudioElement} element */
  async #play(element) {
    try {
      await element.play();
    } catch (error) {
      // AbortError only says that the track left before it sounded.
      if (error instanceof DOMException && error.name === "NotAllowedError") this.#notice.hidden = false;
    }
  }
}

/** @param {HTMLAudioElement} element */
function remove(element) {
  element.srcObject = null;
  element.remove();
}
