// Waiting that ends: when the visitor stops, when a time is over, or when an event brings what was waited for. Every step of the
// check waits by these only.

/** The time for it was over. */
export class Late extends Error {}

/**
 * Gives `work` so long. Its signal is aborted when it is over, or when `signal` is; whatever it holds it lets go then.
 * @template T
 * @param {number} ms
 * @param {AbortSignal} signal
 * @param {(signal: AbortSignal) => Promise<T>} work
 * @returns {Promise<T>} rejected with `Late`, or with the reason of `signal`
 */
export async function within(ms, signal, work) {
  signal.throwIfAborted();
  const inner = new AbortController();
  const stop = () => inner.abort(signal.reason);
  signal.addEventListener("abort", stop);
  const timer = setTimeout(() => inner.abort(new Late()), ms);
  try {
    return await Promise.race([work(inner.signal), aborted(inner.signal)]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    inner.abort(new Late()); // for what still listens
  }
}

/**
 * The same, where being late is an answer: null.
 * @template T
 * @param {number} ms
 * @param {AbortSignal} signal
 * @param {(signal: AbortSignal) => Promise<T>} work
 * @returns {Promise<T | null>}
 */
export function inTime(ms, signal, work) {
  return within(ms, signal, work).catch((error) => {
    if (error instanceof Late && !signal.aborted) return null;
    throw error;
  });
}

/**
 * Waits for `probe` to find something, now or at one of these events.
 * @template T
 * @param {EventTarget} target
 * @param {string[]} types
 * @param {() => T | null | undefined | false} probe
 * @param {AbortSignal} signal
 * @returns {Promise<T>} rejected with what `probe` throws
 */
export function until(target, types, probe, signal) {
  const done = new AbortController();
  const found = new Promise((/** @type {(value: T) => void} */ resolve, reject) => {
    const look = () => {
      try {
        const value = probe();
        if (value !== null && value !== undefined && value !== false) resolve(value);
      } catch (error) {
        reject(error);
      }
    };
    for (const type of types) target.addEventListener(type, look, { signal: done.signal });
    look();
  });
  return Promise.race([found, aborted(signal)]).finally(() => done.abort());
}

/**
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export async function pause(ms, signal) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const over = new Promise((/** @type {(value: void) => void} */ resolve) => { timer = setTimeout(resolve, ms); });
  await Promise.race([over, aborted(signal)]).finally(() => clearTimeout(timer));
}

/**
 * @param {AbortSignal} signal
 * @returns {Promise<never>}
 */
function aborted(signal) {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
