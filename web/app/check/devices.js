// Microphone, camera and speakers in the check: asked for once, each looked at, and let go as soon as that is done. Nothing of them
// is sent anywhere.

import { LocalMedia } from "../media.js";
import { meter } from "../meter.js";
import { Sound } from "../sound.js";
import { explainMediaError } from "../words.js";
import { inTime, pause, until } from "./limits.js";

/**
 * @typedef {import("./run.js").Outcome} Outcome
 * @typedef {import("../media.js").Device} Device
 */

/** For a voice; a quiet room is below. Of the meter, which counts from -60 dB. */
const HEARD = 0.3;
const HEAR_PATIENCE_MS = 8000;
/** A device that the system has just opened may be muted for a moment. */
const MUTED_PATIENCE_MS = 2000;
const PICTURE_PATIENCE_MS = 8000;
/** Cameras begin in the dark. */
const LIGHT_PATIENCE_MS = 3000;
const LIGHT_EVERY_MS = 200;
/** Of 255: as dark is only a covered lens. */
const DARK = 12;
const TONE_MS = 1200;
const PLAY_PATIENCE_MS = 3000;

export class DeviceChecks {
  #media = new LocalMedia();
  /** @type {Promise<{device: Device | "both", error: unknown}[]> | null} */
  #problems = null;

  /**
   * @param {AbortSignal} signal
   * @param {(text: string) => void} say
   * @param {(level: number) => void} show how loud it is
   * @returns {Promise<Outcome>}
   */
  async microphone(signal, say, show) {
    say("Answer the browser, if it asks whether this page may use them.");
    const [track, problem] = await this.#opened("microphone");
    signal.throwIfAborted();
    if (track === null) return problem;
    const facts = number((await this.#listed("microphone")).length, "microphone");
    try {
      if (await staysMuted(track, signal)) {
        return {
          verdict: "failed", text: "The system mutes it.", facts,
          fix: "Look for a switch at the device or the headset, a key on the keyboard, and the sound settings of the system.",
        };
      }
      say("Say something.");
      let looked = false;
      const heard = await inTime(HEAR_PATIENCE_MS, signal, (inner) => hears(track, (level) => {
        looked = true;
        show(level);
      }, inner));
      if (heard !== null) return { verdict: "good", text: "Sound comes from it.", facts };
      if (!looked) return { verdict: "good", text: "It is open. The browser does not let the page look at how loud it is.", facts };
      return {
        verdict: "warning", text: "It is open, but no voice was heard.", facts,
        fix: "If you said something: look whether it is muted at the device or in the sound settings of the system, and choose the right one in the lobby.",
      };
    } finally {
      this.#media.close("microphone");
    }
  }

  /**
   * @param {AbortSignal} signal
   * @param {(text: string) => void} say
   * @param {HTMLVideoElement} video where it is shown
   * @returns {Promise<Outcome>}
   */
  async camera(signal, say, video) {
    const [track, problem] = await this.#opened("camera");
    signal.throwIfAborted();
    if (track === null) return problem;
    const facts = number((await this.#listed("camera")).length, "camera");
    say("Waiting for a picture…");
    try {
      video.srcObject = new MediaStream([track]);
      const hasPicture = () => video.videoWidth > 0 && video.readyState >= video.HAVE_CURRENT_DATA;
      if (!await inTime(PICTURE_PATIENCE_MS, signal, (inner) => until(video, ["loadeddata", "resize"], hasPicture, inner))) {
        return {
          verdict: "failed", text: "It is open, but no picture comes from it.", facts,
          fix: "Another program may hold it, or the system keeps it off: close other programs for calls, and look for a switch or a key for the camera.",
        };
      }
      const size = `${video.videoWidth} × ${video.videoHeight}`;
      const light = await inTime(LIGHT_PATIENCE_MS, signal, async (inner) => {
        while (isDark(video)) await pause(LIGHT_EVERY_MS, inner);
        return true;
      });
      if (light) return { verdict: "good", text: `Pictures come from it, ${size}.`, facts };
      return {
        verdict: "warning", text: "Its picture is black.", facts,
        fix: "Look whether a cover is before the lens, or a switch or a key keeps it dark.",
      };
    } finally {
      video.srcObject = null;
      this.#media.close("camera");
    }
  }

  /** Plays a tone on the speaker that calls use; rejected where it does not sound. */
  async playTone() {
    const context = new AudioContext();
    try {
      const out = new MediaStreamAudioDestinationNode(context);
      const oscillator = new OscillatorNode(context, { frequency: 523 });
      oscillator.connect(new GainNode(context, { gain: 0.25 })).connect(out);
      oscillator.start();
      const element = new Audio();
      element.srcObject = out.stream;
      // A speaker that is unplugged: the default one will do.
      if (Sound.speaker !== "" && Sound.canChooseSpeaker()) await element.setSinkId(Sound.speaker).catch(() => {});
      await inTime(PLAY_PATIENCE_MS, new AbortController().signal, () => element.play().then(() => true)).then((plays) => {
        if (plays === null || context.state !== "running") throw new Error("it does not sound");
      });
      await new Promise((resolve) => { setTimeout(resolve, TONE_MS); });
      element.srcObject = null;
    } finally {
      await context.close();
    }
  }

  /** What is still asked for is let go when it comes. */
  close() {
    this.#media.closeAll();
  }

  /**
   * @param {Device} device
   * @returns {Promise<[MediaStreamTrack, null] | [null, Outcome]>}
   */
  async #opened(device) {
    this.#problems ??= this.#media.openBoth();
    const problem = (await this.#problems).find((one) => one.device === device || one.device === "both");
    const track = this.#media.tracks[device];
    if (problem === undefined && track !== null) return [track, null];
    const { title, text } = explainMediaError(problem?.error, device);
    const absent = problem?.error instanceof DOMException && problem.error.name === "NotFoundError";
    return [null, { verdict: absent ? "warning" : "failed", text: `${title}.`, fix: text }];
  }

  /** @param {Device} device */
  async #listed(device) {
    await this.#media.refresh();
    return this.#media.lists[device];
  }
}

/**
 * @param {MediaStreamTrack} track
 * @param {AbortSignal} signal
 */
async function staysMuted(track, signal) {
  return await inTime(MUTED_PATIENCE_MS, signal, (inner) => until(track, ["unmute"], () => !track.muted, inner)) === null;
}

/**
 * @param {MediaStreamTrack} track
 * @param {(level: number) => void} show
 * @param {AbortSignal} signal
 */
async function hears(track, show, signal) {
  const levels = new EventTarget();
  let loudest = 0;
  const stop = meter(track, (level) => {
    show(level);
    loudest = Math.max(loudest, level);
    levels.dispatchEvent(new Event("level"));
  });
  try {
    return await until(levels, ["level"], () => loudest >= HEARD, signal);
  } finally {
    stop();
  }
}

/** @param {HTMLVideoElement} video */
function isDark(video) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 16, height: 12 });
  const brush = canvas.getContext("2d");
  if (brush === null) return false;
  brush.drawImage(video, 0, 0, canvas.width, canvas.height);
  const { data } = brush.getImageData(0, 0, canvas.width, canvas.height);
  return data.every((value, index) => index % 4 === 3 || value < DARK);
}

/**
 * @param {number} count
 * @param {string} thing
 */
function number(count, thing) {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}
