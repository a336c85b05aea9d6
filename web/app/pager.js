// The pages of the stage as a person turns them: two buttons, where one is, and a swipe. Which tiles are on which page is the
// stage's business.

import { button, byId, label } from "./dom.js";

/** A swipe is that long, in CSS pixels, and more sideways than not. */
const SWIPE_MIN = 50;

export class Pager {
  #element = byId("pager", HTMLElement);
  #label = byId("page-label", HTMLElement);
  #previous = button("page-previous");
  #next = button("page-next");
  #stop = new AbortController();

  /**
   * @param {HTMLElement} stage
   * @param {(by: 1 | -1) => void} turn
   */
  constructor(stage, turn) {
    const { signal } = this.#stop;
    this.#previous.addEventListener("click", () => turn(-1), { signal });
    this.#next.addEventListener("click", () => turn(1), { signal });
    label(this.#previous, "Previous page", "PageUp");
    label(this.#next, "Next page", "PageDown");
    /** @type {{x: number, y: number} | null} */
    let from = null;
    stage.addEventListener("pointerdown", ({ pointerType, isPrimary, clientX, clientY }) => {
      from = pointerType === "mouse" || !isPrimary ? null : { x: clientX, y: clientY };
    }, { signal });
    stage.addEventListener("pointercancel", () => { from = null; }, { signal });
    stage.addEventListener("pointerup", ({ clientX, clientY }) => {
      if (from === null) return;
      const { x, y } = { x: clientX - from.x, y: clientY - from.y };
      from = null;
      if (Math.abs(x) >= SWIPE_MIN && Math.abs(x) > 2 * Math.abs(y)) turn(x < 0 ? 1 : -1);
    }, { signal });
  }

  close() {
    this.#stop.abort();
    this.#element.hidden = true;
  }

  /**
   * @param {number} page counted from 0
   * @param {number} pages
   */
  show(page, pages) {
    this.#element.hidden = pages < 2;
    const text = `Page ${page + 1} of ${pages}`;
    if (this.#label.textContent !== text) this.#label.textContent = text;
    const { activeElement } = document;
    this.#previous.disabled = page === 0;
    this.#next.disabled = page >= pages - 1;
    // A button that went grey under the finger would lose the keyboard.
    if (activeElement === this.#next && this.#next.disabled) this.#previous.focus();
    if (activeElement === this.#previous && this.#previous.disabled) this.#next.focus();
  }
}
