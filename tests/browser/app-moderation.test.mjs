// What a moderator can do from the page, and what those see to whom it is done.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { App, byId } from './support/app.mjs';
import { closed, mint } from './support/tokens.mjs';

const stage = Stage.set({ server: closed, firefox: true });

const join = (browser, room, name, ...options) =>
  App.join(stage, stage[browser], { room, name, query: `#token=${mint(room, ...options)}` });

const says = (app, words) =>
  app.until(`it says ${words}`, (pattern) => new RegExp(pattern, 'i').test(document.body.innerText), { args: [words.source] });

stage.scene('a moderator mutes, stops a screen and removes, and the person is told by whom', async ({ room }) => {
  const eve = await join('chromium', room, 'Eve', '--moderate');
  const bob = await join('firefox', room, 'Bob');
  const ann = await join('chromium', room, 'Ann', '--identity', 'ann');
  await bob.receives([ann]);
  assert.equal(await bob.run((selector) => document.querySelector(selector).checkVisibility(), byId('room-menu')), false);

  await eve.clickOnTile(ann.id, 'moderate-button');
  await eve.click('mute-person');
  await says(ann, /Eve muted you/);
  await ann.until('its microphone is off', (selector) => document.querySelector(selector).getAttribute('aria-pressed') === 'false', { args: [byId('mic')] });
  await bob.stopsReceiving({ participant: ann.id, kind: 'audio' }, { participant: ann.id, kind: 'video' });
  await ann.click('mic');
  await bob.receives([ann], { kinds: ['audio'] });

  await eve.clickOnTile(ann.id, 'moderate-button');
  await eve.click('camera-off-person');
  await says(ann, /Eve turned your camera off/);
  await bob.stopsReceiving({ participant: ann.id, kind: 'video' }, { participant: ann.id, kind: 'audio' });
  await ann.click('cam');
  await bob.shows(ann.id, 'camera');

  await ann.click('share');
  await bob.shows(ann.id, 'screen', { timeout: 20_000 });
  await eve.openPeople();
  await eve.click('moderate-button', `[data-participant="${ann.id}"]:not([data-testid="tile"] *)`);
  await eve.click('stop-screen-person');
  await bob.gone('tile', `[data-participant="${ann.id}"][data-source="screen"]`);
  await says(ann, /Eve ended your screen sharing/);
  await ann.until('nothing of it is captured any more', () => !window.crosspoint.sources.has('screen'));

  await eve.click('moderate-button', `[data-participant="${ann.id}"]:not([data-testid="tile"] *)`);
  await eve.click('remove-person');
  await eve.click('confirm-yes');
  await ann.shown('name-input');
  await says(ann, /Eve removed you from the room/);
  await bob.gone('tile', `[data-participant="${ann.id}"]`);

  // Who is only removed may come back; who is banned may not.
  await ann.enter('Ann');
  await eve.until('Ann is back', (id) => window.crosspoint.participants.has(id), { args: [ann.id] });
  await eve.click('moderate-button', `[data-participant="${ann.id}"]:not([data-testid="tile"] *)`);
  await eve.click('ban-person');
  await eve.click('confirm-yes');
  await says(ann, /Eve banned you from the room/);
  await ann.click('join-no-media');
  await says(ann, /You are banned from this room/);
  await Promise.all([bob.receives([eve]), eve.receives([bob])]);
  for (const app of [eve, bob, ann]) assert.deepEqual(app.failures(), [], app.name);
});

stage.scene('newcomers wait until they are let in, and a locked room takes none', async ({ room }) => {
  const eve = await join('chromium', room, 'Eve', '--moderate');
  await eve.click('room-menu');
  await eve.click('use-waiting-room');
  const bob = await App.lobby(stage, stage.firefox, { room, query: `#token=${mint(room)}` });
  await bob.fill('name-input', 'Bob');
  await bob.click('join');
  await bob.shown('waiting-view');
  await says(bob, /has to let you in/);
  await says(eve, /Bob waits to be let in/);
  assert.equal(await bob.run(() => window.crosspoint.participants.size), 0);
  await eve.click('admit');
  await bob.until('it is in the call', () => window.crosspoint.pc?.connectionState === 'connected', { timeout: 20_000 });
  bob.id = await bob.run(() => window.crosspoint.id);
  await Promise.all([eve.receives([bob]), bob.receives([eve])]);

  const ann = await App.lobby(stage, stage.chromium, { room, query: `#token=${mint(room)}` });
  await ann.fill('name-input', 'Ann');
  await ann.click('join-no-media');
  await ann.shown('waiting-view');
  await says(eve, /Ann waits to be let in/);
  await eve.click('refuse');
  await ann.shown('name-input');
  await says(ann, /Eve did not let you in/);

  // The list of those who wait is gone about now: the switches stay where they are.
  await eve.click('lock-room');
  await bob.shown('room-locked');
  await ann.click('join-no-media');
  await says(ann, /The room is locked/);
  for (const app of [eve, bob, ann]) assert.deepEqual(app.failures(), [], app.name);
});
