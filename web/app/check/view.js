// The list of steps and the finding as they are seen and heard: one line for each step, with its state in a mark and in words.

import { announce, byId, icon, make, setIcon } from "../dom.js";
import { WORDS } from "./report.js";
import { STEPS } from "./run.js";

/**
 * @typedef {import("./run.js").StepId} StepId
 * @typedef {import("./run.js").Verdict} Verdict
 * @typedef {"waiting" | "running" | Verdict} State
 */

/** @type {Record<State, string>} */
const STATE_WORDS = { ...WORDS, waiting: "Waiting", running: "Checking…" };
/** @type {Record<State, string>} */
const MARKS = { waiting: "dash", running: "ring", good: "tick", warning: "warning", failed: "close", absent: "dash", skipped: "dash" };

export class View {
  /** @type {Map<StepId, StepLine>} */
  #lines = new Map();
  #level = make("span");
  video = make("video", "step-video");

  constructor() {
    const list = byId("steps", HTMLOListElement);
    for (const { id, title, about } of STEPS) {
      const line = new StepLine(id, title, about);
      this.#lines.set(id, line);
      list.append(line.element);
    }
    const bar = make("div", "step-level", this.#level);
    bar.setAttribute("aria-hidden", "true");
    this.#lines.get("microphone")?.add(bar);
    Object.assign(this.video, { autoplay: true, muted: true, playsInline: true });
    this.video.setAttribute("aria-label", "Your camera’s picture, which only you see");
    this.#lines.get("camera")?.add(this.video);
  }

  clear() {
    for (const line of this.#lines.values()) line.show("waiting", line.about);
  }

  /** @param {StepId} id */
  began(id) {
    const line = this.#lines.get(id);
    line?.show("running", line.about);
  }

  /**
   * @param {StepId} id
   * @param {string} text
   */
  says(id, text) {
    const line = this.#lines.get(id);
    line?.show("running", text);
    announce(`${line?.title}: ${text}`);
  }

  /**
   * @param {StepId} id
   * @param {import("./run.js").Outcome} outcome
   */
  ended(id, { verdict, text, fix }) {
    const line = this.#lines.get(id);
    line?.show(verdict, text, fix);
    announce(`${line?.title}: ${STATE_WORDS[verdict]}. ${text}`);
    this.level(0);
  }

  /** @param {number} level */
  level(level) {
    this.#level.style.transform = `scaleX(${level.toFixed(3)})`;
  }

  /** @param {import("./judge.js").Finding | null} finding null while there is none */
  find(finding) {
    const box = byId("finding", HTMLElement);
    box.hidden = finding === null;
    if (finding === null) return;
    box.dataset.tone = finding.tone;
    setIcon(box, { good: "tick", warning: "warning", bad: "close" }[finding.tone]);
    byId("finding-title", HTMLElement).textContent = finding.title;
    byId("finding-text", HTMLElement).textContent = finding.text;
    byId("finding-fixes", HTMLElement).replaceChildren(...finding.fixes.map((fix) => make("li", "", ...words(fix))));
    byId("finding-title", HTMLElement).focus();
  }
}

/**
 * A text whose names of options do not break at their hyphens.
 * @param {string} text
 */
function words(text) {
  return text.split(/(--[a-z][a-z-]*)/).map((part, index) => (index % 2 === 0 ? part : make("span", "option", part)));
}

class StepLine {
  #mark = icon("dash");
  #state = make("span", "step-state");
  #text = make("p", "step-text");
  #fix = make("p", "step-fix");
  #more = make("div", "step-more");

  /**
   * @param {StepId} id
   * @param {string} title
   * @param {string} about
   */
  constructor(id, title, about) {
    this.title = title;
    this.about = about;
    this.element = make("li", "step", make("span", "step-mark", this.#mark),
      make("div", "step-words", make("p", "step-head", make("strong", "", title), this.#state), this.#text, this.#more, this.#fix));
    this.element.dataset.testid = "step";
    this.element.dataset.step = id;
    this.show("waiting", about);
  }

  /** @param {HTMLElement} element seen while the step runs */
  add(element) {
    this.#more.append(element);
  }

  /**
   * @param {State} state
   * @param {string} text
   * @param {string} [fix]
   */
  show(state, text, fix = "") {
    this.element.dataset.state = state;
    setIcon(this.#mark, MARKS[state]);
    this.#state.textContent = STATE_WORDS[state];
    this.#text.textContent = text;
    this.#fix.replaceChildren(...words(fix));
    this.#fix.hidden = fix === "";
    this.#more.hidden = state !== "running" || this.#more.childElementCount === 0;
  }
}
