// Room calls with the independent client: who is there, whose media arrives where, who comes late and who leaves.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { RemotePeer } from './support/peer.mjs';
import { eventually } from './support/wait.mjs';

const stage = Stage.set({ firefox: true });
const open = (browser, room, name) => RemotePeer.open(stage, stage[browser], { room, name });

stage.scene('three in a call across both browsers: everyone receives everyone', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('firefox', room, 'bob');
  const carol = await open('chromium', room, 'carol');
  for (const peer of [alice, bob, carol]) await peer.join();
  await Promise.all([alice.receives(bob, carol), bob.receives(alice, carol), carol.receives(alice, bob)]);
  for (const peer of [alice, bob, carol]) assert.deepEqual(await peer.errors(), []);
});

stage.scene('each sees the picture of the one that the server names', async ({ room }) => {
  const colours = { alice: [255, 0, 0], bob: [0, 255, 0], carol: [0, 0, 255] };
  const peers = [];
  for (const name of Object.keys(colours)) {
    const peer = await open('chromium', room, name);
    await peer.run((rgb) => peer.join(sources.colour(`rgb(${rgb})`)), colours[name]);
    peers.push(peer);
  }
  for (const peer of peers) {
    for (const other of peers.filter((one) => one !== peer)) {
      const [r, g, b] = colours[other.name];
      await peer.until(
        `${other.name}'s colour`,
        (id, wanted) => sources.seen(id)?.every((value, index) => Math.abs(value - wanted[index]) < 80),
        { args: [other.id, [r, g, b]] },
      );
    }
  }
});

stage.scene('offers and answers name every track: mid, participant, kind, source', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('chromium', room, 'bob');
  await alice.join();
  await bob.join();
  await bob.receives(alice);
  const tracks = await bob.run((id) => peer.tracksOf(id), alice.id);
  assert.deepEqual(
    tracks.map(({ kind, source, name, muted, participant }) => ({ kind, source, name, muted, participant })).sort((a, b) => a.kind.localeCompare(b.kind)),
    [
      { kind: 'audio', source: 'microphone', name: 'alice', muted: false, participant: alice.id },
      { kind: 'video', source: 'camera', name: 'alice', muted: false, participant: alice.id },
    ],
  );
  const sections = await bob.inbound();
  for (const { mid, track, kind } of tracks) {
    assert(
      sections.some((section) => section.mid === mid && section.track === track && section.kind === kind),
      `no section ${mid} of ${kind} ${track} in the server's SDP: ${JSON.stringify(sections)}`,
    );
  }
});

stage.scene('participants are announced: joined, updated, left', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('chromium', room, 'bob');
  const joined = await alice.next('participant', { id: bob.id, state: 'joined' });
  assert.equal(joined.name, 'bob');
  assert.equal((await bob.next('participant', { id: alice.id, state: 'joined' })).name, 'alice');
  await bob.join();
  await alice.until('bob is in the call with two tracks', (id) => {
    const known = peer.participants.get(id);
    return known?.call === 'room' && known.tracks.length === 2;
  }, { args: [bob.id] });
  await bob.hangUp();
  await alice.until('bob is out of the call', (id) => {
    const known = peer.participants.get(id);
    return known?.call === null && known.tracks.length === 0;
  }, { args: [bob.id] });
  await bob.run(() => peer.socket.close(1000));
  await alice.next('participant', { id: bob.id, state: 'left' });
});

stage.scene('a late joiner, who only watches, sees the others at once', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('firefox', room, 'bob');
  await alice.join();
  await bob.join();
  await Promise.all([alice.receives(bob), bob.receives(alice)]);
  const carol = await open('chromium', room, 'carol');
  const began = performance.now();
  await carol.join(null);
  await carol.until('a frame of each', (ids) => ids.every((id) => document.querySelector(`video[data-participant="${id}"]`)?.videoWidth > 0), {
    args: [[alice.id, bob.id]],
  });
  const took = performance.now() - began;
  assert(took < 5000, `the first pictures took ${took} ms`);
  await carol.receives(alice, bob);
  await alice.receives(bob);
});

stage.scene('a leaver is gone for the others, who go on', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('firefox', room, 'bob');
  const carol = await open('chromium', room, 'carol');
  for (const peer of [alice, bob, carol]) await peer.join();
  await alice.receives(bob, carol);
  await carol.hangUp();
  for (const peer of [alice, bob]) {
    await peer.until('both tracks are removed', (id) => peer.events.filter(({ type, stream }) => type === 'removetrack' && stream === `${id}`).length === 2, {
      args: [carol.id],
    });
    // The events come with the offer, the end of what is received with the answer to it.
    await eventually('nothing is left of carol', async () => (await peer.inbound()).every(({ participant }) => participant !== carol.id));
  }
  await Promise.all([alice.receives(bob), bob.receives(alice)]);
});

stage.scene('one whose page is closed is gone for the others', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('firefox', room, 'bob');
  await alice.join();
  await bob.join();
  await bob.receives(alice);
  await alice.page.close();
  await bob.next('participant', { id: alice.id, state: 'left' }, 40_000);
  await eventually('nothing is left of alice', async () => (await bob.inbound()).every(({ participant }) => participant !== alice.id));
});

stage.scene('a screen is shared and taken away in the call: track, removetrack', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('firefox', room, 'bob');
  const carol = await open('chromium', room, 'carol');
  for (const peer of [alice, bob, carol]) await peer.join();
  await bob.receives(alice);

  for (const round of [1, 2]) {
    await alice.run(() => {
      window.shared = sources.colour('rgb(255, 128, 0)');
      window.screenSender = peer.pc.addTrack(window.shared.getVideoTracks()[0], window.shared);
    });
    for (const peer of [bob, carol]) {
      await peer.until(
        `round ${round}: a second picture of alice`,
        (id, count) => peer.events.filter(({ type, kind, stream }) => type === 'track' && kind === 'video' && stream === `${id}`).length === count && peer.tracksOf(id).length === 3,
        { args: [alice.id, round + 1] },
      );
      await eventually(`round ${round}: frames of both pictures`, async () => {
        const pictures = (await peer.inbound()).filter(({ participant, kind }) => participant === alice.id && kind === 'video');
        return pictures.length === 2 && pictures.every(({ counters }) => Object.values(counters).some(({ frames }) => frames > 3));
      }, { show: () => peer.inbound() });
    }
    await alice.run(() => peer.pc.removeTrack(window.screenSender));
    for (const peer of [bob, carol]) {
      await peer.until(
        `round ${round}: one picture of alice is removed`,
        (id, count) => peer.events.filter(({ type, stream }) => type === 'removetrack' && stream === `${id}`).length === count,
        { args: [alice.id, round] },
      );
    }
  }
  await Promise.all([bob.receives(alice), carol.receives(alice)]);
});

stage.scene('a client says the source of what it sends, and the others are told', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('chromium', room, 'bob');
  await alice.join();
  await bob.join();
  await bob.receives(alice);
  await alice.run(async () => {
    peer.pc.onnegotiationneeded = null;
    const stream = sources.colour('purple');
    const { sender } = peer.pc.addTransceiver(stream.getVideoTracks()[0], { streams: [stream], direction: 'sendonly' });
    await peer.pc.setLocalDescription();
    const { mid } = peer.pc.getTransceivers().find((one) => one.sender === sender);
    peer.send({ type: 'video-offer', sdp: peer.pc.localDescription.toJSON(), tracks: [{ mid, source: 'screen' }] });
  });
  await bob.until('a track whose source is the screen', (id) => peer.tracksOf(id).some(({ source, kind }) => source === 'screen' && kind === 'video'), { args: [alice.id] });
  await bob.until('the participant has it too', (id) => peer.participants.get(id).tracks.some(({ source }) => source === 'screen'), { args: [alice.id] });
});

stage.scene('mute: shown to the others, and nothing of a muted track is forwarded', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('firefox', room, 'bob');
  await alice.join();
  await bob.join();
  await bob.receives(alice);
  for (const [source, kind, witness] of [['microphone', 'audio', 'video'], ['camera', 'video', 'audio']]) {
    const mutedIs = (muted) =>
      bob.until(`alice's ${source} has muted: ${muted}`, (id, which, wanted) => peer.participants.get(id).tracks.some((track) => track.source === which && track.muted === wanted), {
        args: [alice.id, source, muted],
      });
    await alice.send({ type: 'mute', source, muted: true });
    await mutedIs(true);
    await bob.stopsReceiving({ participant: alice.id, kind }, { participant: alice.id, kind: witness });
    await alice.send({ type: 'mute', source, muted: false });
    await mutedIs(false);
    await bob.receivesOnly([kind], alice);
  }
});
