// Small sounds made here, not fetched: a ring, and soft notes for those who come, go or write. Silent where the browser
// holds sound back, and when the user wants none.

import { recall } from "./settings.js";

/** @type {AudioContext | null} */
let context = null;

/** Frequencies in Hz, played one after the other. */
const NOTES = { joined: [523, 659], left: [523, 392], message: [784], ring: [587, 740, 587, 740], ended: [440, 330] };

const NOTE_S = 0.14;
const RING_EVERY_MS = 2200;

/** @param {keyof typeof NOTES} name */
export function chime(name) {
  if (recall("sounds", "on") !== "on" || globalThis.AudioContext === undefined) return;
  context ??= new AudioContext();
  if (context.state !== "running") {
    void context.resume().catch(() => {});
    return;
  }
  const start = context.currentTime;
  NOTES[name].forEach((frequency, index) => note(/** @type {AudioContext} */ (context), frequency, start + index * NOTE_S));
}

/** @returns {() => void} stops it */
export function ringing() {
  chime("ring");
  const timer = setInterval(chime, RING_EVERY_MS, "ring");
  return () => clearInterval(timer);
}

/**
 * @param {AudioContext} audio
 * @param {number} frequency
 * @param {number} start
 */
function note(audio, frequency, start) {
  const tone = new OscillatorNode(audio, { frequency, type: "sine" });
  const gain = new GainNode(audio, { gain: 0 });
  gain.gain.setValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(0.08, start + 0.02);
  gain.gain.exponentialRampToValueAtTime(0.001, start + NOTE_S * 1.6);
  tone.connect(gain).connect(audio.destination);
  tone.start(start);
  tone.stop(start + NOTE_S * 1.7);
}
