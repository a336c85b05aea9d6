// What a page receives, as its own peer connection counts it, told apart by participant. Who a stream is from is read
// from the `a=msid:<participant id> <track id>` of the server's SDP, so it works for any client.

import assert from 'node:assert/strict';
import { eventually } from './wait.mjs';

/**
 * Runs in the page: every m-section that the server sends on, with the counters of what arrived on it.
 * `path` leads from `window` to the peer connection, e.g. `peer.pc`.
 */
export async function readInbound(path) {
  const pc = path.split('.').reduce((object, key) => object?.[key], window);
  if (!pc?.currentRemoteDescription) return [];
  const sections = pc.currentRemoteDescription.sdp.split(/\r?\nm=/).slice(1).map((text) => ({
    kind: text.slice(0, 5),
    port: Number(text.split(' ')[1]),
    mid: /^a=mid:(\S+)/m.exec(text)?.[1],
    sends: /^a=(sendrecv|sendonly)\s*$/m.test(text),
    participant: Number(/^a=msid:(\S+)/m.exec(text)?.[1]),
    track: /^a=msid:\S+ (\S+)/m.exec(text)?.[1],
    counters: {},
  }));
  const stats = [...(await pc.getStats()).values()];
  for (const report of stats) {
    if (report.type !== 'inbound-rtp') continue;
    const section = sections.find(({ mid }) => mid === report.mid);
    if (!section) continue;
    // By report, since a section that is used again gets new streams, which count from zero.
    section.counters[report.id] = {
      packets: report.packetsReceived ?? 0,
      bytes: report.bytesReceived ?? 0,
      frames: report.framesDecoded ?? 0,
      energy: report.totalAudioEnergy ?? 0,
      width: report.frameWidth ?? 0,
    };
  }
  return sections.filter(({ sends, kind }) => sends && (kind === 'audio' || kind === 'video'));
}

export const inbound = (page, path) => page.evaluate(readInbound, path);

/** How much `counter` of a section grew since the reading `before`, whichever stream of it did. */
export function growth(before, section, counter) {
  const old = before.find(({ mid, track }) => mid === section.mid && track === section.track)?.counters ?? {};
  return Math.max(0, ...Object.entries(section.counters).map(([id, now]) => now[counter] - (old[id]?.[counter] ?? 0)));
}

const advances = {
  video: (before, section, much) => growth(before, section, 'frames') >= much,
  audio: (before, section, much) => growth(before, section, 'packets') >= much && growth(before, section, 'energy') > 1e-6,
};

/**
 * Waits until, from now on, decoded frames and audio energy advance from every participant wanted: `from` is a list of
 * participant ids, or the number of participants that there must be. Returns the ids.
 */
export async function mediaFlows(page, path, from, { kinds = ['audio', 'video'], much = 8, timeout = 20_000 } = {}) {
  const before = await inbound(page, path);
  let now = before;
  const wanted = () => (Array.isArray(from) ? from : [...new Set(now.map(({ participant }) => participant))]);
  const flows = (participant, kind) =>
    now.some((section) => section.participant === participant && section.kind === kind && advances[kind](before, section, much));
  await eventually(
    `${kinds.join(' and ')} advance from ${Array.isArray(from) ? `participants ${from}` : `${from} participants`}`,
    async () => {
      now = await inbound(page, path);
      const ids = wanted();
      return ids.length === (Array.isArray(from) ? from.length : from) && ids.every((id) => kinds.every((kind) => flows(id, kind)));
    },
    { timeout, show: () => ({ before, now }) },
  );
  return wanted();
}

/**
 * Asserts that nothing arrives of one section while another goes on: from the moment that `silent` has stopped, until
 * `witness` has advanced by `much` packets.
 */
export async function mediaStops(page, path, silent, witness, { much = 60, timeout = 20_000 } = {}) {
  const find = (sections, match) => sections.find((section) => Object.entries(match).every(([key, value]) => section[key] === value));
  let before = await inbound(page, path);
  await eventually(
    `packets of ${JSON.stringify(silent)} stop while those of ${JSON.stringify(witness)} go on`,
    async () => {
      const now = await inbound(page, path);
      const stopped = find(now, silent);
      if (stopped && growth(before, stopped, 'packets') > 0) before = now;
      const going = find(now, witness);
      assert(going, `no section ${JSON.stringify(witness)}`);
      return growth(before, going, 'packets') >= much;
    },
    { timeout, show: () => inbound(page, path) },
  );
}
