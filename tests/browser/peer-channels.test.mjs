// Data channels: what one sends reaches every other who has a channel of that label, and each knows the sender.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { RemotePeer } from './support/peer.mjs';

const stage = Stage.set({ firefox: true });
const open = (browser, room, name) => RemotePeer.open(stage, stage[browser], { room, name });

const openChannel = async (peer, label, options) => {
  await peer.run((...args) => void (window.channel = peer.openChannel(...args)), label, options);
  await peer.until(`channel '${label}' is open`, () => channel.readyState === 'open');
};

const messages = (peer, label, from) =>
  peer.run((wanted, protocol) => peer.channels.filter((one) => one.label === wanted && one.protocol === protocol).flatMap((one) => one.messages), label, `from:${from.id}`);

const arrives = (peer, label, from, wanted) =>
  peer.until(
    `${JSON.stringify(wanted)} on '${label}' from ${from.name}`,
    (its, protocol, json) => JSON.stringify(peer.channels.filter((one) => one.label === its && one.protocol === protocol).flatMap((one) => one.messages)) === json,
    { args: [label, `from:${from.id}`, JSON.stringify(wanted)] },
  );

stage.scene('text and bytes, in order, to all others of that label, from a known sender', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('firefox', room, 'bob');
  const carol = await open('chromium', room, 'carol');
  for (const peer of [alice, bob, carol]) await peer.join({ video: false });
  await openChannel(alice, 'notes');
  await openChannel(bob, 'notes');
  await openChannel(carol, 'other');

  await alice.run(() => {
    for (const text of ['one', 'two', '']) channel.send(text);
    channel.send(new Uint8Array([0, 1, 255]));
  });
  await arrives(bob, 'notes', alice, ['one', 'two', '', [0, 1, 255]]);
  await bob.run(() => channel.send('grüße ✓'));
  await arrives(alice, 'notes', bob, ['grüße ✓']);

  // Nothing comes back to the sender, and nothing goes to who has no channel of the label.
  assert.deepEqual(await messages(alice, 'notes', alice), []);
  assert.deepEqual(await carol.run(() => peer.channels.flatMap((one) => one.messages)), []);
  assert.deepEqual(await alice.run(() => peer.channels[0].messages), [], 'nothing arrives on the own channel');
});

stage.scene('a channel of a later joiner, and of one who leaves', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  await alice.join({ video: false });
  await openChannel(alice, 'notes');
  const bob = await open('firefox', room, 'bob');
  await bob.join({ video: false });
  await openChannel(bob, 'notes');
  await alice.run(() => channel.send('welcome'));
  await arrives(bob, 'notes', alice, ['welcome']);
  await alice.hangUp();
  await bob.until('the channel from alice is closed', (protocol) => peer.channels.filter((one) => one.protocol === protocol).every((one) => one.channel.readyState === 'closed'), {
    args: [`from:${alice.id}`],
  });
  await bob.until('the own channel stays open', () => channel.readyState === 'open');
});

stage.scene("the channel's own reliability is kept", async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('chromium', room, 'bob');
  for (const peer of [alice, bob]) await peer.join({ video: false });
  for (const peer of [alice, bob]) await openChannel(peer, 'positions', { ordered: false, maxRetransmits: 0 });
  await alice.run(() => channel.send('here'));
  await arrives(bob, 'positions', alice, ['here']);
  const kept = await bob.run((protocol) => {
    const { ordered, maxRetransmits } = peer.channels.find((one) => one.protocol === protocol);
    return { ordered, maxRetransmits };
  }, `from:${alice.id}`);
  assert.deepEqual(kept, { ordered: false, maxRetransmits: 0 });
});

stage.scene('a large message arrives whole', async ({ room }) => {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('firefox', room, 'bob');
  for (const peer of [alice, bob]) await peer.join({ video: false });
  for (const peer of [alice, bob]) await openChannel(peer, 'files');
  await alice.run(() => channel.send('x'.repeat(60_000)));
  await bob.until('60,000 characters', (protocol) => peer.channels.some((one) => one.protocol === protocol && one.messages[0]?.length === 60_000), { args: [`from:${alice.id}`] });
});
