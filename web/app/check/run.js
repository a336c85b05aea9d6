// The check from its first step to its last, one after another, each within a time of its own. It holds what the steps open, and lets
// all of it go at the end, however that comes. view.js shows it; judge.js says what it means.

import { WAYS } from "../../crosspoint.js";
import { explainError } from "../words.js";
import { checkBrowser } from "./browser.js";
import { checkCall } from "./calls.js";
import { DeviceChecks } from "./devices.js";
import { Late, until, within } from "./limits.js";
import { NoCalls, Pair } from "./pair.js";
import { startPicture } from "./picture.js";
import { checkServer } from "./server.js";

/**
 * - `good`, `warning`, `failed`
 * - `absent`: the server does not offer it, which is no failure
 * - `skipped`: not checked
 * @typedef {"good" | "warning" | "failed" | "absent" | "skipped"} Verdict
 */

/**
 * What a step found: `text` for people, `fix` what they can do, `facts` for who helps them. `endpoints` are where the server says that
 * it takes media, `refused` its words where it lets nobody in.
 * @typedef {object} Outcome
 * @property {Verdict} verdict
 * @property {string} text
 * @property {string} [fix]
 * @property {string} [facts]
 * @property {import("../../client/way.js").Endpoint[]} [endpoints]
 * @property {import("./calls.js").Measures} [measures]
 * @property {string} [refused]
 */

/** @typedef {"browser" | "microphone" | "camera" | "server" | import("../../client/way.js").Way} StepId */
/** @typedef {Map<StepId, Outcome>} Outcomes */

/** The steps in their order. `about` is for who wonders what is checked. @type {readonly {id: StepId, title: string, about: string, ms: number}[]} */
export const STEPS = [
  { id: "browser", title: "Browser", about: "Whether it can make calls here", ms: 5000 },
  // A question to the visitor is part of it.
  { id: "microphone", title: "Microphone", about: "Whether it may be used, and sound comes from it", ms: 75_000 },
  { id: "camera", title: "Camera", about: "Whether it may be used, and pictures come from it", ms: 75_000 },
  { id: "server", title: "Server", about: "Whether it answers, and how fast", ms: 25_000 },
  { id: "udp", title: "Call by UDP", about: "The direct way, and the best one", ms: 40_000 },
  { id: "tcp", title: "Call by TCP", about: "For networks that block UDP", ms: 40_000 },
  { id: "turn-udp", title: "Call by relay, over UDP", about: "TURN, for networks that let little through", ms: 40_000 },
  { id: "turn-tcp", title: "Call by relay, over TCP", about: "TURN, for networks that let little through", ms: 40_000 },
  { id: "turn-tls", title: "Call by relay, over TLS", about: "TURN that looks like any secure page", ms: 40_000 },
];

/**
 * What is shown of a run while it goes on.
 * @typedef {object} Show
 * @property {(id: StepId) => void} began
 * @property {(id: StepId, text: string) => void} says
 * @property {(id: StepId, outcome: Outcome) => void} ended
 * @property {(level: number) => void} level of the microphone, 0 to 1
 * @property {HTMLVideoElement} video for the camera's picture
 */

/**
 * @param {{room: string | null, token: string | undefined}} invitation the one room that the token is for, if it is for one only
 * @param {Show} show
 * @param {AbortSignal} signal stops it
 * @returns {Promise<{outcomes: Outcomes, server: string}>} of all steps; and the server's version, where it told
 */
export async function run({ room, token }, show, signal) {
  const devices = new DeviceChecks();
  const pair = new Pair(room, token);
  /** @type {ReturnType<typeof startPicture> | null} */
  let picture = null;
  /** @type {Outcomes} */
  const outcomes = new Map();

  /**
   * @param {StepId} id
   * @param {(signal: AbortSignal, say: (text: string) => void) => Outcome | Promise<Outcome>} check
   */
  const step = async (id, check) => {
    const ms = STEPS.find((one) => one.id === id)?.ms ?? 0;
    show.began(id);
    const outcome = await within(ms, signal, async (inner) => check(inner, (text) => {
      if (!inner.aborted) show.says(id, text);
    })).catch((error) => (signal.aborted ? STOPPED : explain(error)));
    outcomes.set(id, outcome);
    show.ended(id, outcome);
  };

  const release = () => {
    devices.close();
    pair.close();
    picture?.close();
    picture = null;
  };
  signal.addEventListener("abort", release);
  try {
    const { sender } = pair;
    await step("browser", () => checkBrowser());
    await step("microphone", (inner, say) => devices.microphone(inner, say, (level) => show.level(level)));
    await step("camera", (inner, say) => devices.camera(inner, say, show.video));
    devices.close(); // a question that is still open is not waited for
    await step("server", (inner, say) => (canCall() ? checkServer(pair, inner, say) : { verdict: "skipped", text: "This browser opens no calls." }));
    for (const way of WAYS) {
      await step(way, async (inner, say) => {
        if (sender.state !== "open") return { verdict: "skipped", text: "There is no connection to the server." };
        say("Calling…");
        await pair.complete();
        if (picture === null) {
          picture = startPicture();
          if (sender.grants.publish.includes("camera")) await sender.publish("camera", picture.picture);
          if (picture.tone !== null && sender.grants.publish.includes("microphone")) await sender.publish("microphone", picture.tone);
        }
        return Promise.race([checkCall(way, pair, inner, say), intrusion(pair, inner)]);
      });
    }
  } finally {
    signal.removeEventListener("abort", release);
    release();
  }
  return { outcomes, server: pair.sender.server };
}

/** @type {Outcome} */
const STOPPED = { verdict: "skipped", text: "Stopped." };

/**
 * Rejects when somebody else comes in.
 * @param {Pair} pair
 * @param {AbortSignal} signal
 * @returns {Promise<never>}
 */
async function intrusion(pair, signal) {
  await until(pair.sender, ["participant"], () => pair.expectNobody(), signal);
  throw new Error("nobody came"); // which it says by throwing
}

/**
 * @param {unknown} error
 * @returns {Outcome}
 */
function explain(error) {
  if (error instanceof Late) return { verdict: "failed", text: "It took too long.", fix: "Try again. If it does so each time, tell whoever runs this server, with the report below." };
  if (error instanceof NoCalls) return { verdict: "skipped", text: error.message, fix: error.fix };
  const words = error instanceof Error ? error.message : String(error);
  // What a connection is refused with.
  if (error instanceof Error && typeof error.cause === "string") return { verdict: "skipped", text: explainError(words, error.cause) };
  return { verdict: "failed", text: `The check itself failed: ${words}`, fix: "Load the page again. If it stays so, tell whoever runs this server, with the report below." };
}

function canCall() {
  return typeof RTCPeerConnection === "function" && typeof WebSocket === "function";
}
