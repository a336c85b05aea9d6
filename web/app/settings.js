// What the page remembers between visits, in localStorage, which may be absent or full: then it forgets, and works.

const PREFIX = "crosspoint.";

/**
 * @param {string} key
 * @param {string} [fallback]
 */
export function recall(key, fallback = "") {
  try {
    return localStorage.getItem(PREFIX + key) ?? fallback;
  } catch {
    return fallback;
  }
}

/**
 * @param {string} key
 * @param {string} value
 */
export function remember(key, value) {
  try {
    localStorage.setItem(PREFIX + key, value);
  } catch {
    // A private window may have no storage; nothing depends on it.
  }
}
