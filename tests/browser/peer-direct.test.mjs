// One-to-one calls with the independent client: accepted, declined, busy, given up, timed out, and misdirected.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { RemotePeer } from './support/peer.mjs';

const stage = Stage.set({ firefox: true, server: { args: ['--ring-timeout', '4'] } });
const open = (browser, room, name) => RemotePeer.open(stage, stage[browser], { room, name });

for (const [from, to] of [['chromium', 'firefox'], ['firefox', 'chromium']]) {
  stage.scene(`accepted, from ${from} to ${to}: media both ways, then hung up`, async ({ room }) => {
    const alice = await open(from, room, 'alice');
    const bob = await open(to, room, 'bob');
    await alice.call('bob');
    assert.equal(await bob.rings(), 'alice');
    // The caller's answer comes only once the callee has accepted.
    assert.equal(await alice.run(() => peer.heard.some(({ type }) => type === 'video-answer')), false);
    await bob.accept();
    await Promise.all([alice.receives(bob), bob.receives(alice)]);
    for (const peer of [alice, bob]) {
      const offers = await peer.run(() => peer.heard.filter(({ type }) => type === 'video-offer' || type === 'video-answer').map(({ type }) => type));
      assert.deepEqual(offers, [peer === alice ? 'video-answer' : 'video-offer'], 'one offer and one answer a side suffice');
      assert.equal(await peer.run(() => peer.sections), 2);
      assert.deepEqual(await peer.errors(), []);
    }
    await alice.hangUp();
    assert.equal((await bob.next('hang-up')).reason, 'left');
    await bob.until('the call is over', () => peer.pc === null);
  });
}

stage.scene('outsiders see who is in a call, and receive nothing of it', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('chromium', room, 'bob');
  const carol = await open('chromium', room, 'carol');
  await alice.call('bob');
  await bob.rings();
  await bob.accept();
  await alice.receives(bob);
  await carol.until('both are in a direct call', (ids) => ids.every((id) => peer.participants.get(id)?.call === 'direct'), { args: [[alice.id, bob.id]] });
  await carol.run(() => void peer.join().catch(() => {}));
  await carol.next('video-answer');
  assert.deepEqual(await carol.inbound(), []);
});

stage.scene('declined', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('chromium', room, 'bob');
  await alice.call('bob');
  await bob.rings();
  await bob.decline();
  const { reason, name } = await alice.next('hang-up');
  assert.deepEqual({ reason, name }, { reason: 'declined', name: 'bob' });
  // Nothing is left of it: the same call again is a new one.
  await alice.call('bob');
  await bob.rings();
  await bob.accept();
  await alice.receives(bob);
});

stage.scene('busy: the callee is in another call, or rings already', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('chromium', room, 'bob');
  const carol = await open('chromium', room, 'carol');
  await alice.call('bob');
  await bob.rings();
  await carol.call('bob');
  assert.equal((await carol.next('hang-up')).reason, 'busy');
  await bob.accept();
  await Promise.all([alice.receives(bob), bob.receives(alice)]);
  for (const name of ['bob', 'alice']) {
    await carol.call(name);
    const { reason, name: by } = await carol.next('hang-up');
    assert.deepEqual({ reason, by }, { reason: 'busy', by: name });
  }
  await Promise.all([alice.receives(bob), bob.receives(alice)]);
});

stage.scene('the caller gives up while it rings', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('chromium', room, 'bob');
  await alice.call('bob');
  await bob.rings();
  await alice.hangUp();
  assert.equal((await bob.next('hang-up')).reason, 'left');
  await bob.until('it rings no longer', () => !peer.ringing);
});

stage.scene('nobody answers: both are told that time is out', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('chromium', room, 'bob');
  await alice.call('bob');
  await bob.rings();
  for (const peer of [alice, bob]) assert.equal((await peer.next('hang-up')).reason, 'timeout');
});

stage.scene('the callee vanishes: gone', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('chromium', room, 'bob');
  await alice.call('bob');
  await bob.rings();
  await bob.accept();
  await alice.receives(bob);
  await bob.page.close();
  assert.match((await alice.next('hang-up', {}, 45_000)).reason, /^(gone|left)$/);
});

stage.scene('calling nobody, or oneself, is an error', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  await alice.call('nobody');
  const missing = await alice.next('error');
  assert.deepEqual({ code: missing.code, request: missing.request, fatal: missing.fatal }, { code: 'no-such-user', request: 'video-offer', fatal: false });
  await alice.run(() => peer.close());
  await alice.call('alice');
  assert.equal((await alice.next('error')).code, 'self-call');
});

stage.scene('a call by id instead of by name', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('chromium', room, 'bob');
  await alice.call(bob.id);
  assert.equal(await bob.rings(), 'alice');
  await bob.accept();
  await alice.receives(bob);
});
