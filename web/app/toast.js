// Short notices at the foot of the page. They go by themselves, except those with a problem, which wait to be read.

import { button, byId, icon, label, make } from "./dom.js";

const SHOWN_MS = 5000;
const SHOWN_PROBLEM_MS = 15_000;
const AT_ONCE = 4;

/**
 * @param {string} text
 * @param {{title?: string, tone?: "info" | "problem"}} [options]
 */
export function toast(text, { title, tone = "info" } = {}) {
  const area = byId("toasts", HTMLElement);
  const words = make("div", "toast-words");
  if (title !== undefined) words.append(make("strong", "", title));
  words.append(make("p", "", text));
  const close = make("button", "plain", icon("close"));
  close.type = "button";
  label(close, "Close this notice");
  const box = make("div", `toast ${tone}`, ...(tone === "problem" ? [icon("warning")] : []), words, close);
  box.dataset.testid = "toast";
  const remove = () => box.remove();
  close.addEventListener("click", remove);
  setTimeout(remove, tone === "problem" ? SHOWN_PROBLEM_MS : SHOWN_MS);
  while (area.childElementCount >= AT_ONCE) area.firstElementChild?.remove();
  area.append(box);
}

/**
 * Asks before something that cannot be taken back.
 * @param {string} title
 * @param {string} text
 * @param {string} yes
 * @returns {Promise<boolean>}
 */
export function confirm(title, text, yes) {
  const dialog = byId("confirm-dialog", HTMLDialogElement);
  byId("confirm-title", HTMLElement).textContent = title;
  byId("confirm-text", HTMLElement).textContent = text;
  button("confirm-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
