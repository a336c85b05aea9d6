// DTMF: RTCDTMFSender plays its tones, and the telephone-event packets arrive at the others.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { RemotePeer } from './support/peer.mjs';

const stage = Stage.set({ firefox: true });
const open = (browser, room, name) => RemotePeer.open(stage, stage[browser], { room, name });

// RFC 4733: 0 to 9, then * # A to D.
const codes = { 1: 1, '*': 10, '#': 11, D: 15 };

for (const [from, to] of [['chromium', 'firefox'], ['firefox', 'chromium']]) {
  stage.scene(`tones from ${from} arrive in ${to}`, async ({ room }) => {
    const alice = await open(from, room, 'alice');
    const bob = await open(to, room, 'bob');
    // Chromium takes a transform only in the task in which the receiver comes to be: as soon as the track is added.
    await bob.run(() => (peer.prepared = ({ pc }) => (window.heard = watchTones(pc.getReceivers()[0]))));
    await alice.join({ video: false });
    await bob.join({ video: false });
    await bob.receivesOnly(['audio'], alice);
    await bob.until('the transform sees packets', () => heard.packets['audio/opus'] > 0);
    await alice.run((tones) => {
      const { dtmf } = peer.pc.getSenders().find(({ track }) => track?.kind === 'audio');
      if (!dtmf.canInsertDTMF) throw new Error('the answer has no telephone-event');
      window.played = [];
      dtmf.ontonechange = ({ tone }) => window.played.push(tone);
      dtmf.insertDTMF(tones, 120, 70);
    }, Object.keys(codes).join(''));
    await alice.until('all tones are played', (count) => played.length === count + 1 && played.at(-1) === '', { args: [Object.keys(codes).length] });
    await bob.until('a packet of each tone', (wanted) => wanted.every((code) => heard.events[code] > 0), { args: [Object.values(codes)] });
    assert.deepEqual(Object.keys(await bob.run(() => heard.events)).map(Number), Object.values(codes).sort((a, b) => a - b));
    await bob.receivesOnly(['audio'], alice);
  });
}
