// Microphone, camera and screen of this machine: opens, closes and switches devices, and lists them. The lobby and the room
// share one. It throws what the browser throws, made whole: words.js says it to people.

import { Emitter } from "../client/emitter.js";
import { recall, remember } from "./settings.js";

/** @typedef {"microphone" | "camera"} Device */

/** @type {Record<Device, "audioinput" | "videoinput">} */
const DEVICE_KINDS = { microphone: "audioinput", camera: "videoinput" };

/** @extends {Emitter<{changed: Device, devices: null}>} */
export class LocalMedia extends Emitter {
  /** @type {Record<Device, MediaStreamTrack | null>} */
  tracks = { microphone: null, camera: null };
  /** @type {Record<Device, MediaDeviceInfo[]>} */
  lists = { microphone: [], camera: [] };
  /** @type {MediaDeviceInfo[]} */
  speakers = [];
  /** Grows when what was asked for so far is not wanted any more. */
  #era = 0;
  #opening = 0;

  constructor() {
    super();
    navigator.mediaDevices?.addEventListener?.("devicechange", () => void this.refresh());
  }

  /** Whether both were asked for and have not come yet. */
  get opening() {
    return this.#opening > 0;
  }

  /**
   * Opens both with one question to the user. What opened is in `tracks`.
   * @returns {Promise<{device: Device | "both", error: unknown}[]>} what did not
   */
  async openBoth() {
    const era = this.#era;
    this.#opening += 1;
    try {
      const stream = await devices().getUserMedia({ audio: this.#constraints("microphone"), video: this.#constraints("camera") });
      this.#take("microphone", stream.getAudioTracks()[0], era);
      this.#take("camera", stream.getVideoTracks()[0], era);
      return [];
    } catch (error) {
      // Refused is refused: asking twice more would only annoy.
      const name = error instanceof Error || error instanceof DOMException ? error.name : "";
      if (name === "NotAllowedError" || name === "InsecureOriginError") return [{ device: "both", error }];
    } finally {
      void this.refresh();
    }
    /** @type {{device: Device, error: unknown}[]} */
    const problems = [];
    for (const device of /** @type {const} */ (["microphone", "camera"])) {
      await this.open(device).catch((error) => problems.push({ device, error }));
    }
    return problems;
  }

  /**
   * Opens a device, the chosen one or a particular one, and closes the one that was open.
   * @param {Device} device
   * @param {string} [id]
   * @returns {Promise<MediaStreamTrack>}
   */
  async open(device, id) {
    const era = this.#era;
    const constraints = this.#constraints(device, id);
    const stream = await devices().getUserMedia(device === "microphone" ? { audio: constraints } : { video: constraints });
    const [track] = stream.getTracks();
    this.#take(device, track, era);
    if (id !== undefined) remember(device, id);
    void this.refresh();
    return track;
  }

  /** @param {Device} device */
  close(device) {
    this.tracks[device]?.stop();
    this.tracks[device] = null;
    this.emit("changed", device);
  }

  /** What is still opening is closed when it comes: a question to the user can stay unanswered for long. */
  stopWaiting() {
    this.#era += 1;
  }

  closeAll() {
    this.stopWaiting();
    this.close("microphone");
    this.close("camera");
  }

  /** @returns {Promise<MediaStream>} */
  static openScreen() {
    const display = devices();
    if (display.getDisplayMedia === undefined) throw new TypeError("no getDisplayMedia");
    return display.getDisplayMedia({ video: { frameRate: { ideal: 15, max: 30 } }, audio: true });
  }

  static canShareScreen() {
    return typeof navigator.mediaDevices?.getDisplayMedia === "function";
  }

  async refresh() {
    const all = await navigator.mediaDevices?.enumerateDevices().catch(() => []) ?? [];
    // Before permission, browsers list one nameless device of each kind: that is no choice.
    for (const device of /** @type {const} */ (["microphone", "camera"])) {
      this.lists[device] = all.filter(({ kind, deviceId }) => kind === DEVICE_KINDS[device] && deviceId !== "");
    }
    this.speakers = all.filter(({ kind, deviceId }) => kind === "audiooutput" && deviceId !== "");
    this.emit("devices", null);
  }

  /** @param {Device} device */
  chosen(device) {
    return this.tracks[device]?.getSettings().deviceId ?? recall(device);
  }

  /**
   * @param {Device} device
   * @param {string} [exact] asked for by the user; a remembered one may be gone and is only preferred
   * @returns {MediaTrackConstraints}
   */
  #constraints(device, exact) {
    const remembered = recall(device);
    const deviceId = exact !== undefined ? { exact } : remembered !== "" ? { ideal: remembered } : undefined;
    return device === "microphone"
      ? { deviceId, echoCancellation: true, noiseSuppression: true, autoGainControl: true }
      : { deviceId, width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
  }

  /**
   * @param {Device} device
   * @param {MediaStreamTrack | undefined} track
   * @param {number} era when it was asked for
   */
  #take(device, track, era) {
    if (track === undefined) return;
    if (era !== this.#era) {
      track.stop();
      return;
    }
    const old = this.tracks[device];
    this.tracks[device] = track;
    if (old !== track) old?.stop();
    this.emit("changed", device);
  }
}

/** Absent where the page is not secure, and then the browser would only say `undefined`. */
function devices() {
  if (navigator.mediaDevices !== undefined) return navigator.mediaDevices;
  throw new DOMException("not a secure context", window.isSecureContext ? "NotSupportedError" : "InsecureOriginError");
}

/**
 * Fills a select with the devices of one kind.
 * @param {HTMLSelectElement} select
 * @param {MediaDeviceInfo[]} list
 * @param {string} chosen
 * @param {string} none what to say when there is none
 */
export function fillDevices(select, list, chosen, none) {
  const options = list.map(({ deviceId, label }, index) => {
    const option = new Option(label || `Device ${index + 1}`, deviceId);
    option.selected = deviceId === chosen;
    return option;
  });
  select.replaceChildren(...(options.length > 0 ? options : [new Option(none, "")]));
  select.disabled = options.length === 0;
}
