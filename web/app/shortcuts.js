// One-key shortcuts: the table of them, the listener, and the list in the help dialog. They rest while somebody types, while a
// dialog is open, and when the user switched them off (WCAG 2.1.4).

import { byId, make } from "./dom.js";
import { recall } from "./settings.js";

/**
 * @typedef {{key: string, name: string, run: () => void}} Shortcut
 */

/** Keys that scroll, where there is something to scroll. */
const SCROLLING = new Set(["pageup", "pagedown"]);
/** @type {Record<string, string>} */
const KEY_WORDS = { escape: "Esc", pageup: "Page ↑", pagedown: "Page ↓" };

/**
 * @param {Shortcut[]} shortcuts
 * @param {AbortSignal} signal
 */
export function installShortcuts(shortcuts, signal) {
  const byKey = new Map(shortcuts.map((shortcut) => [shortcut.key, shortcut]));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || recall("shortcuts", "on") !== "on") return;
    if (document.querySelector("dialog[open]") !== null || isTyping(event.target)) return;
    const shortcut = byKey.get(event.key.toLowerCase());
    if (shortcut === undefined || (SCROLLING.has(shortcut.key) && isScrolling(event.target))) return;
    event.preventDefault();
    shortcut.run();
  }, { signal });
  byId("keys", HTMLElement).replaceChildren(...shortcuts.map(({ key, name }) =>
    make("div", "", make("dt", "", make("kbd", "", KEY_WORDS[key] ?? key.toUpperCase())), make("dd", "", name))));
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement
    || (target instanceof HTMLInputElement && target.type !== "checkbox");
}

/** @param {EventTarget | null} target */
function isScrolling(target) {
  return target instanceof Element && target.closest(".panel, .stats") !== null;
}
