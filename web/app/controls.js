// The switches of what we send: microphone, camera, screen. In a call they act on it; outside they say how the next one begins.

import { button, label, setIcon } from "./dom.js";
import { LocalMedia } from "./media.js";
import { toast } from "./toast.js";
import { explainMediaError } from "./words.js";

/**
 * @typedef {import("../crosspoint.js").Crosspoint} Crosspoint
 * @typedef {import("./media.js").Device} Device
 */

const SYMBOLS = { microphone: "mic", camera: "cam" };
const NAMES = { microphone: "microphone", camera: "camera" };
const KEYS = { microphone: "m", camera: "v" };

export class Controls {
  #crosspoint;
  #media;
  /** Whether the next call begins with it. @type {Record<Device, boolean>} */
  #intent;
  /** A device is being opened or closed; a second press waits for none. @type {Set<string>} */
  #busy = new Set();
  /** @type {Promise<unknown>} */
  #releasing = Promise.resolve();
  #buttons = { microphone: button("mic"), camera: button("cam") };
  #share = button("share");
  #stop = new AbortController();

  /**
   * @param {Crosspoint} crosspoint
   * @param {LocalMedia} media
   * @param {Record<Device, boolean>} intent
   */
  constructor(crosspoint, media, intent) {
    this.#crosspoint = crosspoint;
    this.#media = media;
    this.#intent = intent;
    const { signal } = this.#stop;
    for (const device of /** @type {const} */ (["microphone", "camera"])) {
      this.#buttons[device].addEventListener("click", () => void this.toggle(device), { signal });
    }
    this.#share.addEventListener("click", () => void this.toggleScreen(), { signal });
    this.#share.hidden = !LocalMedia.canShareScreen();
    for (const type of ["local", "call", "state"]) crosspoint.addEventListener(type, () => this.#show(), { signal });
    signal.addEventListener("abort", crosspoint.on("ended", ({ source }) => {
      if (source === "microphone" || source === "camera") void this.#lost(source);
    }));
    this.#show();
  }

  close() {
    this.#stop.abort();
  }

  /** Before a call: opens what it is to begin with, and publishes what is open. */
  async prepare() {
    await this.#releasing; // of the call before, or it would take away what is opened now
    const { tracks } = this.#media;
    const microphone = this.#intent.microphone && this.#may("microphone");
    const camera = this.#intent.camera && this.#may("camera");
    if (microphone && camera && tracks.microphone === null && tracks.camera === null) {
      for (const { device, error } of await this.#media.openBoth()) this.#tell(error, device);
    } else {
      for (const device of /** @type {const} */ (["microphone", "camera"])) {
        if (!(device === "microphone" ? microphone : camera) || tracks[device] !== null) continue;
        await this.#media.open(device).catch((error) => this.#tell(error, device));
      }
    }
    for (const device of /** @type {const} */ (["microphone", "camera"])) {
      const track = tracks[device];
      if (track === null) continue;
      if (this.#may(device)) await this.#crosspoint.publish(device, track);
      else this.#media.close(device);
    }
  }

  /** @param {import("../client/protocol.js").Source} source */
  #may(source) {
    return this.#crosspoint.grants.publish.includes(source);
  }

  /**
   * A moderator muted a source of ours: the camera's light is to go, too.
   * @param {import("../client/protocol.js").Source} source
   */
  muted(source) {
    if (source === "microphone" || source === "camera") this.#intent[source] = false;
    if (source === "camera") void this.#switchOff("camera");
    this.#show();
  }

  /** How the next call begins, for whoever is about to accept one. */
  describe() {
    const [microphone, camera] = [this.isOn("microphone"), this.isOn("camera")];
    if (microphone && camera) return "Your microphone and camera will be on.";
    return microphone ? "Only your microphone will be on." : camera ? "Only your camera will be on." : "Your microphone and camera stay off.";
  }

  /** After a call: nothing stays open, so that no light stays on. */
  release() {
    for (const { track } of this.#crosspoint.sources.values()) track?.stop();
    this.#media.closeAll();
    const gone = [...this.#crosspoint.sources.keys()].map((source) => this.#crosspoint.unpublish(source));
    this.#releasing = Promise.all(gone);
    return this.#releasing;
  }

  /** @param {Device} device */
  async toggle(device) {
    if (this.#busy.has(device) || !this.#may(device)) return;
    this.#intent[device] = !this.isOn(device);
    if (this.#crosspoint.call === null) {
      this.#show();
      return;
    }
    this.#busy.add(device);
    try {
      if (this.#intent[device]) await this.#switchOn(device);
      else await this.#switchOff(device);
    } catch (error) {
      this.#intent[device] = false;
      this.#tell(error, device);
    } finally {
      this.#busy.delete(device);
      this.#show();
    }
  }

  async toggleScreen() {
    if (this.#busy.has("screen") || this.#crosspoint.call === null || !this.#may("screen")) return;
    const sharing = this.#crosspoint.sources.get("screen")?.track;
    this.#busy.add("screen");
    try {
      if (sharing) await this.#stopScreen();
      else await this.#startScreen();
    } catch (error) {
      this.#tell(error, "screen");
    } finally {
      this.#busy.delete("screen");
      this.#show();
    }
  }

  /** @param {Device} device */
  isOn(device) {
    if (this.#crosspoint.call === null) return this.#intent[device] && this.#may(device);
    const source = this.#crosspoint.sources.get(device);
    return source !== undefined && source.track !== null && !source.muted;
  }

  /** @param {Device} device */
  async #switchOn(device) {
    const source = this.#crosspoint.sources.get(device);
    if (source?.track?.readyState === "live") {
      this.#crosspoint.setMuted(device, false);
      return;
    }
    const track = await this.#media.open(device);
    if (source === undefined) {
      await this.#crosspoint.publish(device, track);
    } else {
      await this.#crosspoint.replaceTrack(device, track);
      this.#crosspoint.setMuted(device, false);
    }
  }

  /** @param {Device} device */
  async #switchOff(device) {
    this.#crosspoint.setMuted(device, true);
    if (device === "microphone") return; // it stays open: unmuting has to be at once
    await this.#crosspoint.replaceTrack("camera", null);
    this.#media.close("camera");
  }

  async #startScreen() {
    const stream = await LocalMedia.openScreen();
    const [video] = stream.getVideoTracks();
    const [audio] = stream.getAudioTracks();
    video.contentHint = "detail";
    await this.#crosspoint.publish("screen", video);
    if (audio !== undefined && !this.#may("screen-audio")) audio.stop();
    else if (audio !== undefined) await this.#crosspoint.publish("screen-audio", audio);
  }

  async #stopScreen() {
    for (const source of /** @type {const} */ (["screen", "screen-audio"])) {
      const track = this.#crosspoint.sources.get(source)?.track;
      await this.#crosspoint.unpublish(source);
      track?.stop();
    }
  }

  /**
   * The device went away in the call: another may be there.
   * @param {Device} device
   */
  async #lost(device) {
    const wasOn = this.isOn(device);
    this.#crosspoint.setMuted(device, true);
    await this.#crosspoint.replaceTrack(device, null);
    this.#media.close(device);
    toast(`The ${NAMES[device]} was disconnected.`, { tone: "problem" });
    if (wasOn) await this.#switchOn(device).catch(() => { this.#intent[device] = false; });
    this.#show();
  }

  #show() {
    const inCall = this.#crosspoint.call !== null;
    for (const device of /** @type {const} */ (["microphone", "camera"])) {
      const on = this.isOn(device);
      const element = this.#buttons[device];
      element.setAttribute("aria-pressed", String(on));
      element.classList.toggle("off", !on);
      setIcon(element, on ? SYMBOLS[device] : `${SYMBOLS[device]}-off`);
      const does = inCall ? (on ? "Turn off" : "Turn on") : on ? "Begin without" : "Begin with";
      element.disabled = !this.#may(device);
      if (element.disabled) label(element, `Your invitation does not include the ${NAMES[device]}`);
      else label(element, `${does} ${inCall ? "the " : ""}${NAMES[device]}`, KEYS[device]);
    }
    const sharing = Boolean(this.#crosspoint.sources.get("screen")?.track);
    this.#share.disabled = !inCall || !this.#may("screen");
    this.#share.setAttribute("aria-pressed", String(sharing));
    this.#share.classList.toggle("active", sharing);
    setIcon(this.#share, sharing ? "screen-off" : "screen");
    label(this.#share, sharing ? "Stop sharing the screen" : "Share the screen", "s");
  }

  /**
   * @param {unknown} error
   * @param {Device | "screen" | "both"} wanted
   */
  #tell(error, wanted) {
    const { title, text } = explainMediaError(error, wanted);
    toast(text, { title, tone: "problem" });
  }
}
