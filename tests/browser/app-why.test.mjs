// "Why does this picture look like this?": one sentence, what the server did, and what the browser counts.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { App, byId } from './support/app.mjs';

const stage = Stage.set();

// Alice sees Bob.
async function two(room) {
  const alice = await App.join(stage, stage.chromium, { room, name: 'Alice', ignored: ['layers'] });
  const bob = await App.join(stage, stage.chromium, { room, name: 'Bob', ignored: ['wanted'] });
  await alice.shows(bob.id, 'camera');
  return { alice, bob };
}

const says = (app, id, pattern) =>
  app.until(`${id} says ${pattern}`, (selector, source) => new RegExp(source).test(document.querySelector(selector).innerText), { args: [byId(id), pattern.source] });

stage.scene('all is well: the sentence, the events in words and times, and the counters', async ({ room }) => {
  const { alice, bob } = await two(room);
  await alice.wiretap.answers('timeline', {
    type: 'timeline',
    events: [
      { at: 65_000, event: 'subscribed' }, { at: 20_000, event: 'estimate', bitrate: 320_000 }, { at: 12_000, event: 'layer', rid: 'h', temporal: 1, reason: 'bandwidth' },
      { at: 2_000, event: 'loss', loss: 0.125 }, { at: 700, event: 'keyframe-forwarded' }, { at: 600, event: 'something-new' },
    ],
  });
  await alice.clickOnTile(bob.id, 'tile-why');
  await says(alice, 'why-verdict', /^All is well: \d+ pictures a second come, \d+ × \d+\.$/);
  await says(alice, 'why-events', /something-new[\s\S]*1 s ago\s+A whole picture was sent to you\s+2 s ago\s+13 % of packets were lost\s+12 s ago\s+You are sent half the size, every second picture: your network is too slow for more\s+20 s ago\s+Your network was judged to carry 320 kbit\/s\s+65 s ago\s+The server began to send it to you/);
  await says(alice, 'why-browser', /Pictures decoded\s+[1-9]\d*[\s\S]*Last picture\s+just now[\s\S]*Freezes\s+\d+[\s\S]*Packets lost\s+\d+ of [1-9]\d*/);
});

stage.scene('the keyboard opens it, closes it, and is where it was', async ({ room }) => {
  const { alice, bob } = await two(room);
  await alice.page.bringToFront();
  await alice.run((selector) => document.querySelector(selector).focus(), `[data-participant="${bob.id}"] ${byId('tile-why')}`);
  await alice.page.keyboard.press('w');
  await alice.shown('why-dialog');
  await says(alice, 'why-dialog', /Bob’s video/);
  await alice.page.keyboard.press('Escape');
  await alice.gone('why-dialog');
  assert.equal(await alice.run(() => document.activeElement.dataset.testid), 'tile-why');
});

for (const [words, answer] of [
  ['refuses', { type: 'error', code: 'bad-message', message: 'no such type', request: 'timeline', fatal: false }],
  ['keeps silent', { type: 'nothing' }],
]) {
  stage.scene(`a server that ${words}: the page says so, and no error is shown`, async ({ room }) => {
    const { alice, bob } = await two(room);
    await alice.wiretap.answers('timeline', answer);
    await alice.clickOnTile(bob.id, 'tile-why');
    await says(alice, 'why-events', /^The server does not tell\.$/);
    await says(alice, 'why-verdict', /^All is well/);
    assert.equal(await alice.run((selector) => document.querySelectorAll(selector).length, byId('toast', '.problem')), 0);
  });
}

stage.scene('the camera was turned off', async ({ room }) => {
  const { alice, bob } = await two(room);
  await bob.click('cam');
  await alice.until('the camera is off', (id) => [...window.crosspoint.tracks.values()].some((track) => track.participant === id && track.kind === 'video' && track.muted), { args: [bob.id] });
  await alice.clickOnTile(bob.id, 'tile-why');
  await says(alice, 'why-verdict', /^Bob turned the camera off\.$/);
});

stage.scene('somebody without a camera', async ({ room }) => {
  const alice = await App.join(stage, stage.chromium, { room, name: 'Alice' });
  const [guest] = await alice.wiretap.crowd(1);
  await alice.shown('tile', `[data-participant="${guest}"]`);
  await alice.clickOnTile(guest, 'tile-why');
  await says(alice, 'why-verdict', /^Guest 1 sends no video\.$/);
});

stage.scene('nothing comes any more: the last that the server saw says why', async ({ room }) => {
  const { alice, bob } = await two(room);
  const mid = await bob.run(() => window.crosspoint.pc.getTransceivers().find(({ sender }) => sender.track?.kind === 'video').mid);
  await bob.wiretap.hears({ type: 'wanted', mid, rids: [] }); // so that it stops without a word
  await alice.stopsReceiving({ participant: bob.id, kind: 'video' }, { participant: bob.id, kind: 'audio' });
  await alice.wiretap.answers('timeline', { type: 'timeline', events: [{ at: 9000, event: 'resumed' }, { at: 4000, event: 'silent' }] });
  await alice.clickOnTile(bob.id, 'tile-why');
  await says(alice, 'why-verdict', /^Nothing comes from Bob: their connection or browser has stalled\.$/);
});
