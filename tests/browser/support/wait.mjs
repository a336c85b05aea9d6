// Waiting for what must come to be, instead of for a time to pass.

import { setTimeout as pause } from 'node:timers/promises';

const POLL = 50;

/**
 * Calls `probe` until it returns something true, which is returned; an error of the probe's counts as "not yet".
 * `what` says, in the failure, what was waited for; `show` what there was instead.
 */
export async function eventually(what, probe, { timeout = 15_000, show } = {}) {
  const end = performance.now() + timeout;
  let last;
  for (;;) {
    try {
      last = await probe();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) break;
    await pause(POLL);
  }
  const seen = show ? await Promise.resolve(show()).catch((error) => `${error}`) : last;
  throw new Error(`waited ${timeout} ms in vain: ${what}\nseen: ${inspect(seen)}`);
}

/** Evaluates `fn` in the page until it is true there. */
export function until(page, what, fn, { timeout, args = [], show } = {}) {
  return eventually(what, () => page.evaluate(fn, ...args), { timeout, show: show && (() => page.evaluate(show, ...args)) });
}

function inspect(value) {
  if (value instanceof Error) return value.stack;
  return typeof value === 'string' ? value : JSON.stringify(value, null, 1);
}
