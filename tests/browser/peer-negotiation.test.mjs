// Negotiation under stress with the independent client: both sides offer at once, and an hour's joining and leaving.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { RemotePeer } from './support/peer.mjs';

const stage = Stage.set({ firefox: true });
const open = (browser, room, name) => RemotePeer.open(stage, stage[browser], { room, name });
const ROUNDS = 50;
const CYCLES = 40;

// Adds a picture in odd rounds, takes it away in even ones, so that the client and, for the other one, the server offer.
// One client keeps its transceiver and changes the direction; the other stops it, so that its m-line is free for anyone.
// (Not removeTrack and addTrack: a transceiver that has sent is not used by addTrack again, and the client's SDP grows.)
const toggle = (peer, round, how) =>
  peer.run(
    (add, stops) => {
      window.extra ??= sources.colour('teal');
      const track = window.extra.getVideoTracks()[0];
      if (!add) {
        if (stops) window.extraOne.stop();
        else window.extraOne.direction = 'inactive';
      } else if (stops || !window.extraOne) {
        window.extraOne = peer.pc.addTransceiver(track, { streams: [window.extra], direction: 'sendonly' });
      } else {
        window.extraOne.direction = 'sendonly';
      }
    },
    round % 2 === 1,
    how === 'stop',
  );

stage.scene(
  `both sides renegotiate at once, ${ROUNDS} times`,
  async ({ room, t }) => {
    const alice = await open('chromium', room, 'alice');
    const bob = await open('firefox', room, 'bob');
    await alice.join();
    await bob.join();
    await Promise.all([alice.receives(bob), bob.receives(alice)]);

    for (let round = 1; round <= ROUNDS; round += 1) {
      await Promise.all([toggle(alice, round, 'direction'), toggle(bob, round, 'stop')]);
      const pictures = round % 2 === 1 ? 2 : 1;
      for (const [peer, other] of [[alice, bob], [bob, alice]]) {
        await peer.until(
          `round ${round}: ${pictures} pictures of ${other.name}`,
          (id, count) => {
            const { sdp } = peer.pc.currentRemoteDescription;
            const sections = sdp.split(/\r?\nm=/).slice(1);
            const shown = sections.filter((text) => text.startsWith('video') && /^a=(sendonly|sendrecv)\s*$/m.test(text) && text.includes(`a=msid:${id} `));
            return shown.length === count && peer.pc.signalingState === 'stable';
          },
          { args: [other.id, pictures] },
        );
      }
    }

    const glares = [await alice.run(() => peer.glares), await bob.run(() => peer.glares)];
    t.diagnostic(`glares that alice and bob gave way in: ${glares}`);
    assert(glares[0] + glares[1] > 0, 'the two sides never collided: this test tests nothing');
    for (const [peer, other] of [[alice, bob], [bob, alice]]) {
      await peer.settled();
      assert.deepEqual(await peer.errors(), []);
      const sections = await peer.run(() => peer.sections);
      assert(sections <= 6, `${peer.name} has ${sections} m-lines after ${ROUNDS} rounds`);
      await peer.receives(other);
    }
  },
  { timeout: 180_000 },
);

for (const browser of ['chromium', 'firefox']) {
  stage.scene(
    `${CYCLES} times someone joins and leaves, and the SDP of one in ${browser} stays bounded`,
    async ({ room, t }) => {
      const alice = await open(browser, room, 'alice');
      const bob = await open('chromium', room, 'bob');
      await alice.join();
      const counts = [];
      for (let cycle = 1; cycle <= CYCLES; cycle += 1) {
        await bob.join();
        await alice.until(`cycle ${cycle}: bob is there`, (id) => peer.tracksOf(id).length === 2, { args: [bob.id] });
        await alice.until(`cycle ${cycle}: a frame of bob`, (id) => [...document.querySelectorAll(`video[data-participant="${id}"]`)].some((video) => video.videoWidth > 0 && video.srcObject.active), {
          args: [bob.id],
        });
        await bob.hangUp();
        await alice.until(`cycle ${cycle}: bob is gone`, (id) => peer.tracksOf(id).length === 0 && peer.pc.signalingState === 'stable', { args: [bob.id] });
        counts.push(await alice.run(() => peer.sections));
      }
      t.diagnostic(`m-lines after each cycle: ${counts}`);
      assert(Math.max(...counts) <= 4, `the SDP grew: ${counts}`);
      const length = await alice.run(() => peer.pc.currentRemoteDescription.sdp.length);
      assert(length < 20_000, `the server's SDP has ${length} bytes`);
      assert.deepEqual(await alice.errors(), []);
      await bob.join();
      await Promise.all([alice.receives(bob), bob.receives(alice)]);
    },
    { timeout: 180_000 },
  );
}

stage.scene('transceivers that are stopped, and replaced tracks', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('firefox', room, 'bob');
  await alice.join();
  await bob.join();
  await bob.receives(alice);

  const before = await alice.run(() => peer.heard.filter(({ type }) => type === 'video-answer').length);
  await alice.run(async () => {
    const sender = peer.pc.getSenders().find(({ track }) => track?.kind === 'video');
    await sender.replaceTrack(sources.colour('rgb(255, 0, 255)').getVideoTracks()[0]);
  });
  await bob.until("the new track's colour", (id) => sources.seen(id)?.every((value, index) => Math.abs(value - [255, 0, 255][index]) < 80), { args: [alice.id] });
  assert.equal(await alice.run(() => peer.heard.filter(({ type }) => type === 'video-answer').length), before, 'replaceTrack needs no negotiation');

  await alice.run(() => peer.pc.getTransceivers().find(({ sender }) => sender.track?.kind === 'video').stop());
  await bob.until('the picture is removed', (id) => peer.tracksOf(id).every(({ kind }) => kind === 'audio') && peer.tracksOf(id).length === 1, { args: [alice.id] });
  await bob.receivesOnly(['audio'], alice);

  await alice.run(() => peer.add(sources.colour('teal')));
  await bob.receives(alice);
  await alice.run(() => peer.add(sources.colour('navy')));
  await bob.until('two pictures', (id) => peer.tracksOf(id).length === 3, { args: [alice.id] });
  for (const peer of [alice, bob]) assert.deepEqual(await peer.errors(), []);
});

stage.scene('directions that change: paused and taken up again by the client', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('firefox', room, 'bob');
  await alice.join();
  await bob.join();
  await bob.receives(alice);
  await alice.run(() => (peer.pc.getTransceivers().find(({ sender }) => sender.track?.kind === 'video').direction = 'inactive'));
  await bob.until('the picture is removed', (id) => peer.tracksOf(id).length === 1, { args: [alice.id] });
  await alice.run(() => (peer.pc.getTransceivers().find(({ sender }) => sender.track?.kind === 'video').direction = 'sendrecv'));
  await bob.receives(alice);
  await alice.receives(bob);
});

stage.scene('an ICE restart in the call loses no media', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('firefox', room, 'bob');
  await alice.join();
  await bob.join();
  await Promise.all([alice.receives(bob), bob.receives(alice)]);
  for (const peer of [alice, bob]) {
    const before = await peer.run(() => /a=ice-ufrag:(\S+)/.exec(peer.pc.currentRemoteDescription.sdp)[1]);
    const stop = await bob.watchGaps();
    await peer.run(() => peer.offer({ iceRestart: true }));
    await peer.until('the server has new credentials', (old) => /a=ice-ufrag:(\S+)/.exec(peer.pc.currentRemoteDescription.sdp)[1] !== old && peer.pc.iceConnectionState.match(/connected|completed/), {
      args: [before],
    });
    await Promise.all([alice.receives(bob), bob.receives(alice)]);
    for (const gap of await stop()) assert(gap.longest < 500, `a gap: ${JSON.stringify(gap)}`);
  }
});
