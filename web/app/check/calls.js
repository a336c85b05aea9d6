// A call between the two sessions of a check, held to one way: whether it connects, whether media really flows, and how well.

import { StatsSampler, endpointsOf, inspectTrack, isRelayed, serversFor } from "../../crosspoint.js";
import { explainError } from "../words.js";
import { describeEndpoints } from "./judge.js";
import { inTime, pause, until, within } from "./limits.js";

/**
 * @typedef {import("../../client/way.js").Way} Way
 * @typedef {import("../../client/way.js").Endpoint} Endpoint
 * @typedef {import("../../crosspoint.js").Crosspoint} Crosspoint
 * @typedef {import("./run.js").Outcome} Outcome
 */

/**
 * How media went. Times in seconds, fractions 0 to 1; null where the browser does not tell.
 * @typedef {{roundTrip: number | null, lossUp: number | null, lossDown: number | null, jitter: number | null}} Measures
 */

/** The server's answer. */
const ANSWER_PATIENCE_MS = 6000;
/** ICE and DTLS, by a relay over a slow line with all its handshakes. */
const CONNECT_PATIENCE_MS = 10_000;
const FLOW_PATIENCE_MS = 8000;
const MEASURE_MS = 2000;
const LOOK_EVERY_MS = 200;
const END_PATIENCE_MS = 2000;
/** What flows: so many pictures, or without them so many packets of sound. */
const PICTURES = 5;
const PACKETS = 25;

/** From here on people notice. */
const LOSS_BAD = 0.05;
const ROUND_TRIP_BAD = 0.4;
const JITTER_BAD = 0.1;

/**
 * @param {Way} way
 * @param {import("./pair.js").Pair} pair which has both
 * @param {AbortSignal} signal
 * @param {(text: string) => void} say
 * @returns {Promise<Outcome>}
 */
export async function checkCall(way, { sender, receiver }, signal, say) {
  if (receiver === null) throw new Error("a call takes two");
  if (isRelayed(way) && serversFor(way, [...sender.iceServers]).length === 0) return absent(way);
  const both = [sender, receiver];
  /** @type {Set<string>} */
  const troubles = new Set();
  try {
    for (const client of both) {
      client.way = way;
      client.joinRoom();
      watch(client, troubles);
    }
    const answered = await inTime(ANSWER_PATIENCE_MS, signal, (inner) => Promise.all(both.map((client) => answer(client, inner))));
    if (answered === null) return { verdict: "failed", text: "The server did not answer the call.", fix: "Try again later, or tell whoever runs this server." };
    const endpoints = endpointsOf(sender.pc?.remoteDescription?.sdp ?? "");
    if (!isRelayed(way) && endpoints.length === 0) return absent(way);
    const connected = await inTime(CONNECT_PATIENCE_MS, signal, (inner) => Promise.all(both.map((client) => connection(client, way, inner))));
    if (connected === null || connected.includes(false)) return { ...blocked(way, endpoints, troubles), endpoints };
    say("Connected. Waiting for sound and picture…");
    if (await inTime(FLOW_PATIENCE_MS, signal, (inner) => flow(sender, receiver, inner)) === null) {
      return {
        verdict: "failed", text: "It connects, but no sound and picture come through.", endpoints,
        fix: "Your connection may be too slow, or something in your network lets only small packets through. Try another network, and tell whoever runs this server.",
      };
    }
    say("Sound and picture come through. Measuring…");
    return { ...await measure(way, sender, receiver, signal), endpoints };
  } catch (error) {
    if (error instanceof Refused) return { verdict: "failed", text: `The server ended the call. ${error.message}`, fix: "Try again later, or tell whoever runs this server." };
    throw error;
  } finally {
    for (const client of both) {
      client.way = null;
      client.hangUp();
    }
    // The next way begins with none of this one's tracks.
    if (!signal.aborted) await inTime(END_PATIENCE_MS, signal, (inner) => ended(sender, receiver, inner)).catch(() => null);
  }
}

/** The server refused or ended the call, with words for people. */
class Refused extends Error {}

/**
 * What the browser says of relays that it could not use.
 * @param {Crosspoint} client
 * @param {Set<string>} troubles
 */
function watch({ pc }, troubles) {
  pc?.addEventListener("icecandidateerror", (event) => {
    if (event instanceof RTCPeerConnectionIceErrorEvent) troubles.add(String(event.errorCode));
  });
}

/**
 * @param {Crosspoint} client
 * @param {AbortSignal} signal
 */
async function answer(client, signal) {
  /** @type {string | null} */
  let why = null;
  const stop = client.on("call", ({ state, reason }) => {
    if (state === "ended") why = reason ?? "";
  });
  try {
    await until(client, ["call"], () => {
      if (why !== null) throw new Refused(explainError(why, ""));
      return client.call?.state === "active";
    }, signal);
  } finally {
    stop();
  }
}

/**
 * @param {Crosspoint} client
 * @param {Way} way
 * @param {AbortSignal} signal
 * @returns {Promise<boolean>} false where the browser gave up
 */
async function connection(client, way, signal) {
  const { pc } = client;
  if (pc === null) return false;
  // No relay has taken us, and there is nothing else to wait for.
  const isHopeless = () => isRelayed(way) && pc.iceGatheringState === "complete" && !(pc.localDescription?.sdp ?? "").includes("a=candidate:");
  const state = await until(pc, ["connectionstatechange", "icegatheringstatechange"], () => {
    if (isHopeless()) return "failed";
    return ["connected", "failed", "closed"].includes(pc.connectionState) ? pc.connectionState : null;
  }, signal);
  return state === "connected";
}

/**
 * @param {Crosspoint} sender
 * @param {Crosspoint} receiver
 * @param {AbortSignal} signal
 */
async function flow(sender, receiver, signal) {
  const pictures = sender.sources.has("camera");
  for (;;) {
    const track = [...receiver.tracks.values()].find(({ participant, kind }) => participant === sender.id && kind === (pictures ? "video" : "audio"));
    const inspection = track === undefined ? null : await inspectTrack(track);
    if (pictures ? (inspection?.framesDecoded ?? 0) >= PICTURES : (inspection?.packets ?? 0) >= PACKETS) return true;
    await pause(LOOK_EVERY_MS, signal);
  }
}

/**
 * @param {Way} way
 * @param {Crosspoint} sender
 * @param {Crosspoint} receiver
 * @param {AbortSignal} signal
 * @returns {Promise<Outcome>}
 */
async function measure(way, sender, receiver, signal) {
  const samplers = [new StatsSampler(sender), new StatsSampler(receiver)];
  const sample = () => Promise.all(samplers.map((one) => one.sample()));
  await within(FLOW_PATIENCE_MS, signal, sample);
  await pause(MEASURE_MS, signal);
  const [up, down] = await within(FLOW_PATIENCE_MS, signal, sample);
  if (up === null || down === null) throw new Refused("");
  for (const { route } of [up, down]) {
    if (route === null || isOf(way, route)) continue;
    return { verdict: "failed", text: `The browser took another way: ${route.relayed ? "a relay by " : ""}${route.protocol.toUpperCase()}.`, fix: "Tell whoever runs this server, with the report below." };
  }
  const sent = up.rows.filter(({ direction }) => direction === "sent");
  const received = down.rows.filter(({ direction }) => direction === "received");
  /** @type {Measures} */
  const measures = {
    roundTrip: up.roundTrip ?? most(sent.map(({ roundTrip }) => roundTrip)),
    lossUp: most(sent.map(({ loss }) => loss)),
    lossDown: most(received.map(({ loss }) => loss)),
    jitter: most(received.map(({ jitter }) => jitter)),
  };
  const facts = [up.path ?? "", down.received === null ? "" : `${Math.round(down.received / 1000)} kbit/s came back`].filter(Boolean).join(", ");
  const complaint = complain(measures);
  if (complaint === "") return { verdict: "good", text: `Sound and picture come through: ${describe(measures)}.`, facts, measures };
  return {
    verdict: "warning", text: `Sound and picture come through, but ${complaint}: ${describe(measures)}.`, facts, measures,
    fix: "Come nearer to the wireless router or use a cable, and stop downloads and other calls.",
  };
}

/**
 * @param {Way} way
 * @param {import("../../client/stats.js").Route} route
 */
function isOf(way, { protocol, relayed }) {
  if (relayed !== isRelayed(way)) return false;
  // Firefox calls a relay by TLS one by TCP, which it is as well.
  return way === "turn-tls" ? protocol !== "udp" : protocol === way.replace("turn-", "");
}

/** @param {Measures} measures */
export function complain({ roundTrip, lossUp, lossDown, jitter }) {
  if (Math.max(lossUp ?? 0, lossDown ?? 0) > LOSS_BAD) return "much is lost on the way";
  if ((roundTrip ?? 0) > ROUND_TRIP_BAD) return "late";
  return (jitter ?? 0) > JITTER_BAD ? "unevenly" : "";
}

/** @param {Measures} measures */
function describe({ roundTrip, lossUp, lossDown, jitter }) {
  const ms = (/** @type {number} */ seconds) => `${Math.round(seconds * 1000)} ms`;
  const percent = (/** @type {number} */ loss) => `${(loss * 100).toFixed(loss > 0 && loss < 0.1 ? 1 : 0)} %`;
  const lost = Math.max(lossUp ?? 0, lossDown ?? 0);
  return [
    roundTrip === null ? "" : `round trip ${ms(roundTrip)}`,
    lossUp === null && lossDown === null ? "" : lost === 0 ? "nothing lost" : `${percent(lossUp ?? 0)} lost on the way there and ${percent(lossDown ?? 0)} back`,
    jitter === null ? "" : `jitter ${ms(jitter)}`,
  ].filter(Boolean).join(", ");
}

/** @param {Way} way @returns {Outcome} */
function absent(way) {
  const what = isRelayed(way) ? `no relay over ${way.slice(5).toUpperCase()}` : `no media by ${way.toUpperCase()}`;
  return { verdict: "absent", text: `This server offers ${what}.` };
}

/**
 * @param {Way} way
 * @param {Endpoint[]} endpoints
 * @param {Set<string>} troubles codes of RFC 8656 and RFC 8489, and 701 for a relay that cannot be reached
 * @returns {Outcome}
 */
function blocked(way, endpoints, troubles) {
  const facts = [...troubles].map((code) => `ICE error ${code}`).join(", ");
  if (!isRelayed(way)) {
    return {
      verdict: "failed", text: `Nothing came through by ${way.toUpperCase()}.`, facts,
      fix: `Ask the administrator of your network to let ${describeEndpoints(way === "tcp" ? "tcp" : "udp", endpoints, location.hostname)} through. If it fails for everybody, it is a firewall before the server, `
        + "or the server tells an address at which it cannot be reached (--announce).",
    };
  }
  if (troubles.has("401")) return { verdict: "failed", text: "The relay refused the credentials that it had handed out.", facts, fix: "Tell whoever runs this server: another TURN server may answer at its address, or --turn-secret may differ." };
  if (troubles.has("486") || troubles.has("508")) return { verdict: "failed", text: "The relay has no place left.", facts, fix: "Try again later, and tell whoever runs this server of --turn-max-allocations and --turn-max-per-address." };
  const tls = way === "turn-tls" ? " A certificate that this browser does not trust is refused here even where you have trusted the page." : "";
  return {
    verdict: "failed", text: "The relay cannot be reached, or lets nothing through.", facts,
    fix: `It matters only where the ways above are blocked. Ask the administrator of your network to let it through, or whoever runs the server whether it is reachable.${tls}`,
  };
}

/**
 * @param {Crosspoint} sender
 * @param {Crosspoint} receiver
 * @param {AbortSignal} signal
 */
function ended(sender, receiver, signal) {
  const isOut = (/** @type {Crosspoint} */ of, /** @type {Crosspoint} */ who) => of.participants.get(who.id ?? -1)?.call !== "room";
  return Promise.all([
    until(sender, ["participant"], () => isOut(sender, receiver), signal), until(receiver, ["participant"], () => isOut(receiver, sender), signal),
  ]);
}

/** @param {(number | null)[]} values */
function most(values) {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : Math.max(...known);
}
