// How a call must go when the network is bad: each scenario is one call of real browsers over a `Lab`, with what must
// hold of it, and figures to compare. `tests/measure/network.mjs` runs them.

import { setTimeout as pause } from 'node:timers/promises';
import { now } from '../support/record.mjs';

const seconds = (count) => pause(count * 1000);
const FULL = 720;
const Mbit = 1_000_000;

/** What a scenario found out. */
export class Findings {
  figures = [];
  checks = [];

  figure(name, value, unit = '') {
    this.figures.push({ name, value, unit });
  }

  /** `value` must be at most, or at least, so much; none at all fails. */
  most(name, value, limit, unit) {
    this.#check(name, value, value <= limit, `≤ ${limit}`, unit);
  }

  least(name, value, limit, unit) {
    this.#check(name, value, value >= limit, `≥ ${limit}`, unit);
  }

  #check(name, value, holds, limit, unit) {
    this.checks.push({ name, value, holds, limit, unit });
  }
}

/** A publisher that has come to send about as much as it wants to. */
async function publisher(lab, findings, { wire, layers, rate, heeds, publisherBrowser }) {
  const alice = await lab.peer(await lab.place('alice', wire, { browser: publisherBrowser }));
  const began = now();
  await alice.publish({ layers, rate, heeds });
  const got = await alice.sends(2 * Mbit).then(now, () => undefined);
  findings.figure('the publisher sends 2 Mbit/s after', got - began, 'ms');
  return alice;
}

/** A publisher, and a viewer whose picture is full at first, if it ever is. */
async function callOfTwo(lab, findings, { wires = {}, ...options }) {
  const alice = await publisher(lab, findings, { ...options, wire: wires.alice });
  const bob = await lab.peer(await lab.place('bob', wires.bob, { browser: options.viewerBrowser }));
  const began = now();
  await bob.watch([alice]);
  await full(bob, findings, began);
  return [alice, bob];
}

async function full(viewer, findings, began) {
  const got = await viewer.shows(FULL).then(now, () => undefined);
  findings.most(`${viewer.name} gets the full picture after`, got - began, 15_000, 'ms');
  // What the change to it leaves behind is none of the scenario's.
  await seconds(3);
}

/** What everyone wants to know of a viewer between two times. */
function describe(findings, what, record, from, to, available) {
  const picture = record.picture();
  const used = record.receivedBitrate(from, to);
  findings.figure(`${what}: longest gap`, picture.longestGap(from, to), 'ms');
  findings.figure(`${what}: frozen`, picture.frozen(from, to), 'ms');
  findings.figure(`${what}: resolution-seconds`, picture.resolutionSeconds(from, to));
  findings.figure(`${what}: mean height`, picture.height(from, to));
  findings.figure(`${what}: received`, used / 1000, 'kbit/s');
  if (available) findings.figure(`${what}: used of what there is`, (100 * used) / available, '%');
  findings.figure(`${what}: sound made up`, 100 * record.concealment(from, to), '%');
}

/** Loss at one of two wires, both ways. */
const lossAt = (who, wire, limits) => async (lab, findings, options) => {
  const call = await callOfTwo(lab, findings, options);
  const [, bob] = call;
  const { place } = call.find(({ name }) => name === who);
  const from = now();
  await place.set({ down: wire, up: wire });
  await seconds(25);
  const to = now();
  const record = await bob.record();
  describe(findings, 'viewer', record, from, to);
  findings.most('the longest gap between frames', record.picture().longestGap(from, to), limits.gap, 'ms');
  findings.most('sound made up', 100 * record.concealment(from, to), 5, '%');
  if (limits.height) findings.least('the mean height', record.picture().height(from, to), limits.height);
};

export const scenarios = [
  {
    name: 'downlink of 5, then 0.5, then 5 Mbit/s',
    async run(lab, findings, options) {
      const [, bob] = await callOfTwo(lab, findings, { ...options, wires: { bob: { down: { rate: 5 * Mbit } } } });
      const from = now();
      await seconds(8);
      const narrowed = now();
      await bob.place.set({ down: { rate: Mbit / 2 } });
      await seconds(15);
      const widened = now();
      await bob.place.set({ down: { rate: 5 * Mbit } });
      await seconds(20);
      const to = now();
      const record = await bob.record();
      const picture = record.picture();
      const { down } = await bob.place.stats();

      describe(findings, '5 Mbit/s', record, from, narrowed, 5 * Mbit);
      describe(findings, '0.5 Mbit/s', record, narrowed, widened, Mbit / 2);
      describe(findings, '5 Mbit/s again', record, widened, to, 5 * Mbit);
      findings.figure('packets that overflowed', down.overflows);
      const smaller = picture.frameWhen(({ height }) => height < FULL, narrowed, widened);
      const back = picture.settledWhen(({ height }) => height === FULL, widened, to);
      findings.least('the mean height at first', picture.height(from, narrowed), 0.95 * FULL);
      findings.most('a smaller picture after', smaller - narrowed, 2000, 'ms');
      findings.most('the longest gap between frames', picture.longestGap(narrowed, to), 1000, 'ms');
      findings.most('the full picture for good after', back - widened, 15_000, 'ms');
    },
  },
  { name: '10 % loss both ways at the viewer', run: lossAt('bob', { loss: 0.1 }, { gap: 500 }) },
  { name: '10 % loss both ways at the publisher', run: lossAt('alice', { loss: 0.1 }, { gap: 500 }) },
  {
    name: 'one of five viewers at 300 kbit/s',
    async run(lab, findings, options) {
      // Five decoders share the machine with the encoders.
      const alice = await publisher(lab, findings, { ...options, rate: 12 });
      const bob = await lab.peer(await lab.place('bob'));
      await bob.watch([alice]);
      const others = [];
      const place = await lab.place('others');
      for (const name of ['carol', 'dave', 'erin', 'frank']) {
        const other = await lab.peer(place, name);
        await other.watch([alice]);
        others.push(other);
      }
      await Promise.all([bob, ...others].map((viewer) => full(viewer, findings, now())));
      const from = now();
      await seconds(8);
      const narrowed = now();
      await bob.place.set({ down: { rate: 300_000 } });
      await seconds(20);
      const to = now();

      describe(findings, 'bob', await bob.record(), narrowed, to, 300_000);
      findings.most('bob: the longest gap between frames', (await bob.record()).picture().longestGap(narrowed, to), 1000, 'ms');
      for (const other of others) {
        const record = await other.record();
        describe(findings, other.name, record, narrowed, to);
        const picture = record.picture();
        findings.least(`${other.name}: the mean height`, picture.height(narrowed, to), 0.95 * FULL);
        findings.least(`${other.name}: bitrate, of that before`, (100 * picture.bitrate(narrowed, to)) / picture.bitrate(from, narrowed), 90, '%');
      }
      const sent = await alice.record();
      const [before, after] = [sent.sentBitrate(from, narrowed), sent.sentBitrate(narrowed, to)];
      findings.figure('publisher before', before / 1000, 'kbit/s');
      findings.figure('publisher after', after / 1000, 'kbit/s');
      findings.least('the bitrate of the publisher, of that before', (100 * after) / before, 90, '%');
    },
  },
  { name: 'a round trip of 200 ms and 5 % loss', run: lossAt('bob', { delay_ms: 100, loss: 0.05 }, { gap: 1000, height: 0.9 * FULL }) },
  {
    name: 'the uplink of the publisher halves',
    async run(lab, findings, options) {
      const uplink = 4 * Mbit;
      const [alice, bob] = await callOfTwo(lab, findings, { ...options, wires: { alice: { up: { rate: uplink } } } });
      const from = now();
      await seconds(8);
      const halved = now();
      await alice.place.set({ up: { rate: uplink / 2 } });
      await seconds(15);
      const restored = now();
      await alice.place.set({ up: { rate: uplink } });
      await seconds(20);
      const to = now();
      const [sent, record] = [await alice.record(), await bob.record()];
      const picture = record.picture();
      const { up } = await alice.place.stats();

      for (const [what, since, until] of [['before', from, halved], ['halved', halved, restored], ['after', restored, to]]) {
        describe(findings, what, record, since, until);
        for (const rid of ['q', 'h', 'f']) findings.figure(`${what}: layer ${rid} is sent`, sent.sentBitrate(since, until, rid) / 1000, 'kbit/s');
      }
      findings.figure('packets that overflowed', up.overflows);
      const back = picture.settledWhen(({ height }) => height === FULL, restored, to);
      findings.most('what is sent, 3 s later', sent.sentBitrate(halved + 3000, restored) / 1000, uplink / 2000, 'kbit/s');
      findings.most('the longest gap between frames', picture.longestGap(halved, to), 1000, 'ms');
      findings.least('the mean height while halved', picture.height(halved, restored), FULL / 2);
      findings.most('the full picture for good after', back - restored, 15_000, 'ms');
    },
  },
  {
    name: 'nine tiles among 25 participants, and scrolling',
    async run(lab, findings) {
      const TILES = 9;
      const ids = await lab.crowd(await lab.place('crowd'), 24);
      const bob = await lab.peer(await lab.place('bob', { down: { rate: 3 * Mbit } }));
      await bob.watch([]);
      await bob.hasPicturesOf(ids);
      for (const [turn, first] of [0, 6, 15, 0].entries()) {
        // At first nothing is known of the network, and the browser makes nine decoders.
        const patience = turn === 0 ? 1500 : 1000;
        const from = now();
        const tiles = await bob.looksAt(ids.slice(first, first + TILES), { width: 320, height: 180 });
        await seconds(6);
        const to = now();
        const record = await bob.record();
        const what = `tiles from ${first + 1}`;
        const begins = tiles.map((track) => record.picture(track).frameWhen(() => true, from, to) - from);
        const settled = Math.min(from + 2000, to);
        const gaps = tiles.map((track) => record.picture(track).longestGap(settled, to));
        const unseen = ({ kind, trackIdentifier }) => kind === 'video' && !tiles.includes(trackIdentifier);
        findings.figure(`${what}: received`, record.receivedBitrate(settled, to) / 1000, 'kbit/s');
        findings.figure(`${what}: mean height`, tiles.reduce((sum, track) => sum + record.picture(track).height(settled, to), 0) / TILES);
        findings.most(`${what}: the last one shows a frame after`, Math.max(...begins), patience, 'ms');
        findings.most(`${what}: the longest gap between frames`, Math.max(...gaps), 1000, 'ms');
        findings.most(`${what}: video of tiles out of sight`, record.receivedBitrate(settled, to, unseen) / 1000, 1, 'kbit/s');
      }
    },
  },
];
