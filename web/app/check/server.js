// The way to the server's signalling: whether a WebSocket opens and stays open, how long a word takes there and back, and whether the
// clocks agree.

import { explainError } from "../words.js";
import { inTime, pause, until } from "./limits.js";

/** @typedef {import("./run.js").Outcome} Outcome */

const OPEN_PATIENCE_MS = 8000;
const ECHO_PATIENCE_MS = 4000;
const HEALTH_PATIENCE_MS = 4000;
const ECHOES = 4;
/** A conversation takes turns: beyond this it stumbles. */
const SLOW_MS = 400;
const CLOCK_OFF_MS = 60_000;

/** What a server says that is there and does not let us in: what helps is for somebody else. @type {Record<string, string>} */
const FIXES = {
  "token-required": "Open this check by the link of your invitation: in the lobby of the room, press “Check your connection”.",
  "bad-token": "Open the whole link that you were sent, or ask for a new one.",
  "token-expired": "Ask whoever invited you for a new one.",
  "too-many-sockets": "Others come from your address as well. Close other tabs, and tell whoever runs the server of --max-sockets-per-address.",
  "too-many-joins": "Wait for a few seconds, and check again.",
};

/**
 * @param {import("./pair.js").Pair} pair
 * @param {AbortSignal} signal
 * @param {(text: string) => void} say
 * @returns {Promise<Outcome>}
 */
export async function checkServer({ sender }, signal, say) {
  const asked = performance.now();
  try {
    if (await inTime(OPEN_PATIENCE_MS, signal, () => sender.connect().then(() => true)) === null) return await unopened(signal);
  } catch (error) {
    signal.throwIfAborted();
    const code = error instanceof Error ? error.message : "";
    if (code === "unreachable" || code === "") return await unopened(signal);
    const text = explainError(code, String((error instanceof Error ? error.cause : "") ?? ""));
    return { verdict: "failed", text: `A WebSocket opens, but the server lets no call begin. ${text}`, fix: FIXES[code] ?? "Try again later, or tell whoever runs this server.", refused: text };
  }
  const opened = Math.round(performance.now() - asked);
  say("Waiting for an answer…");
  if (!sender.grants.chat || sender.waiting !== null) return { verdict: "good", text: `A WebSocket opens in ${opened} ms.` };
  const echo = await listen(sender, signal);
  if (echo === null) {
    return {
      verdict: "failed", text: "A WebSocket opens, but what is said on it does not come back.",
      fix: "Something between here and the server, such as a proxy or a program against viruses, holds WebSockets back. Ask the administrator of your network to let them through.",
    };
  }
  const facts = `WebSocket open in ${opened} ms, round trip ${echo.roundTrip} ms, clocks ${echo.clock} ms apart`;
  if (Math.abs(echo.clock) > CLOCK_OFF_MS) {
    return {
      verdict: "warning", text: `It answers in ${echo.roundTrip} ms, but the clock of this device is ${describeTime(echo.clock)}.`, facts,
      fix: "Let the system set its time by itself: with a wrong one, secure pages and invitations can be refused.",
    };
  }
  if (echo.roundTrip > SLOW_MS) {
    return { verdict: "warning", text: `It answers, but only after ${echo.roundTrip} ms.`, facts, fix: "Something else may be using up your connection. Stop downloads, or come nearer to the wireless router." };
  }
  return { verdict: "good", text: `A WebSocket opens, and the server answers in ${echo.roundTrip} ms.`, facts };
}

/**
 * Says something to ourselves, which comes back with the server's time.
 * @param {import("../../crosspoint.js").Crosspoint} client
 * @param {AbortSignal} signal
 * @returns {Promise<{roundTrip: number, clock: number} | null>} ms; the clock is positive where ours is ahead
 */
function listen(client, signal) {
  return inTime(ECHO_PATIENCE_MS, signal, async (inner) => {
    let best = { roundTrip: Infinity, clock: 0 };
    for (let count = 0; count < ECHOES; count += 1) {
      const text = `check ${count}`;
      /** @type {number | null} */
      let date = null;
      const stop = client.on("message", (message) => {
        if (message.text === text && message.id === client.id) date = message.date;
      });
      try {
        const [said, on] = [performance.now(), Date.now()];
        client.say(text, client.id ?? undefined);
        const told = await until(client, ["message"], () => date, inner);
        const roundTrip = performance.now() - said;
        if (roundTrip < best.roundTrip) best = { roundTrip, clock: on + roundTrip / 2 - told };
      } finally {
        stop();
      }
      await pause(50, inner);
    }
    return { roundTrip: Math.round(best.roundTrip), clock: Math.round(best.clock) };
  });
}

/**
 * No WebSocket opened. Whether the server can be reached at all tells whom to ask.
 * @param {AbortSignal} signal
 * @returns {Promise<Outcome>}
 */
async function unopened(signal) {
  const reached = await inTime(HEALTH_PATIENCE_MS, signal, (inner) => fetch("/health", { cache: "no-store", signal: inner }).then(({ ok }) => ok))
    .catch(() => false);
  signal.throwIfAborted();
  if (!reached) {
    return { verdict: "failed", text: "The server cannot be reached.", fix: "Look whether other pages open. If they do, the server may be down: try again later, or tell whoever runs it." };
  }
  return {
    verdict: "failed", text: "The server answers, but no WebSocket to it opens.",
    fix: `Ask the administrator of your network to let WebSockets to ${location.host} through: a proxy, a firewall or a program against viruses may stop them. `
      + `If it fails for everybody: a proxy before the server may not pass them on, or its --allowed-origins may lack ${location.origin}.`,
  };
}

/** @param {number} ms */
function describeTime(ms) {
  const minutes = Math.round(Math.abs(ms) / 60_000);
  const amount = minutes < 120 ? `${minutes} ${minutes === 1 ? "minute" : "minutes"}` : `${Math.round(minutes / 60)} hours`;
  return `${amount} ${ms > 0 ? "ahead" : "behind"}`;
}
