// A room with more people than fit: pages of tiles, who is on which, and a tile that is pinned.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { App, byId } from './support/app.mjs';
import { eventually } from './support/wait.mjs';

const stage = Stage.set();

// Alice in a room with a crowd, in a window of this size.
async function inCrowd(room, count, window = { width: 1280, height: 800 }) {
  const alice = await App.join(stage, stage.chromium, { room, name: 'Alice', ignored: ['speakers'], ...window });
  const crowd = await alice.wiretap.crowd(count);
  await alice.page.bringToFront();
  return { alice, crowd };
}

// Somebody with a camera and a silent microphone, so that nobody is heard who would come to the front.
async function withCamera(room, name) {
  const app = await App.lobby(stage, stage.chromium, { room });
  await app.until('its microphone is open', (selector) => document.querySelector(selector).getAttribute('aria-pressed') === 'true', { args: [byId('preview-mic')] });
  await app.click('preview-mic');
  await app.enter(name);
  return app;
}

const names = async (app) => (await app.seen()).map(({ name }) => name);
const label = (app, text) => app.until(`it says ${text}`, (selector, wanted) => document.querySelector(selector).innerText === wanted, { args: [byId('page-label'), text] });
const onPage = async (app, text) => {
  await label(app, text);
  return names(app);
};

stage.scene('nine on a page: buttons and keys turn it, and everybody keeps their place', async ({ room }) => {
  const { alice } = await inCrowd(room, 12);
  const first = await onPage(alice, 'Page 1 of 2');
  assert.equal(first.length, 9);
  assert(first.includes('Alice (you)'));
  assert.equal(await alice.run((selector) => document.querySelector(selector).disabled, byId('page-previous')), true);

  await alice.click('page-next');
  const second = await onPage(alice, 'Page 2 of 2');
  assert.equal(second.length, 4);
  assert.deepEqual(first.filter((name) => second.includes(name)), []);
  // The button went grey: the keyboard stays on the pager.
  assert.equal(await alice.run(() => document.activeElement.dataset.testid), 'page-previous');

  await alice.page.keyboard.press('PageUp');
  assert.deepEqual(await onPage(alice, 'Page 1 of 2'), first);
  await alice.page.keyboard.press('PageDown');
  assert.deepEqual(await onPage(alice, 'Page 2 of 2'), second);

  await alice.wiretap.hears({ type: 'participant', id: 9100, name: 'Newcomer', state: 'joined', call: 'room', tracks: [] });
  await alice.until('the newcomer is seen', () => document.body.innerText.includes('Newcomer'));
  assert.deepEqual(await names(alice), [...second, 'Newcomer']);
});

stage.scene('when the last page empties, the one before it is shown', async ({ room }) => {
  const { alice, crowd } = await inCrowd(room, 9);
  await alice.click('page-next');
  await label(alice, 'Page 2 of 2');
  await alice.wiretap.hears({ type: 'participant', id: crowd[8], name: 'Guest 9', state: 'left', call: null, tracks: [] });
  await alice.gone('page-label');
  assert.equal((await alice.seen()).length, 9);
});

stage.scene('four on a page of a phone, and a swipe turns it', async ({ room }) => {
  const { alice } = await inCrowd(room, 6, { width: 390, height: 800, hasTouch: true });
  assert.equal((await onPage(alice, 'Page 1 of 2')).length, 4);
  const swipe = async (from, to) => {
    const finger = await alice.page.touchscreen.touchStart(from, 300);
    await finger.move((from + to) / 2, 302);
    await finger.move(to, 304);
    await finger.end();
  };
  await swipe(320, 80);
  assert.equal((await onPage(alice, 'Page 2 of 2')).length, 3);
  await swipe(80, 320);
  await label(alice, 'Page 1 of 2');
  assert.equal(await alice.run(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0);
});

stage.scene('a large window holds sixteen on a page', async ({ room }) => {
  const { alice } = await inCrowd(room, 20, { width: 1700, height: 1050 });
  assert.equal((await onPage(alice, 'Page 1 of 2')).length, 16);
});

stage.scene('who speaks comes onto the first page, and changes places with one silent tile', async ({ room }) => {
  const { alice, crowd } = await inCrowd(room, 14);
  const before = await onPage(alice, 'Page 1 of 2');
  assert(!before.includes('Guest 12'));
  await alice.wiretap.hears({ type: 'speakers', ids: [crowd[11]], levels: [0.5] });
  await alice.until('the speaker is seen', () => [...document.querySelectorAll('.tile')].some((tile) => tile.checkVisibility() && tile.innerText.includes('Guest 12')));
  const after = await names(alice);
  assert.equal(before.filter((name, index) => after[index] !== name).length, 1, `${before} became ${after}`);
  assert(after.includes('Alice (you)'));

  // Who spoke a moment ago stays when the next one comes.
  await alice.wiretap.hears({ type: 'speakers', ids: [crowd[12]], levels: [0.5] });
  await alice.until('the next speaker is seen', () => [...document.querySelectorAll('.tile')].some((tile) => tile.checkVisibility() && tile.innerText.includes('Guest 13')));
  assert((await names(alice)).includes('Guest 12'));
});

stage.scene('pictures of another page are not asked for until one turns to it', async ({ room }) => {
  const { alice } = await inCrowd(room, 12);
  const bob = await withCamera(room, 'Bob');
  const track = await bobsTrack(alice, bob);
  await alice.page.bringToFront();
  await wants(alice, track, ({ paused }) => paused === true);
  await alice.click('page-next');
  await wants(alice, track, ({ paused, width, height }) => paused === false && width > 0 && height > 0);
  await alice.shows(bob.id, 'camera');
  await alice.click('page-previous');
  await wants(alice, track, ({ paused }) => paused === true);
  assert.deepEqual(alice.failures(), []);
});

stage.scene('a pinned tile is large, before all pages, and matters most', async ({ room }) => {
  const { alice, crowd } = await inCrowd(room, 2);
  const bob = await withCamera(room, 'Bob');
  const track = await bobsTrack(alice, bob);
  await alice.shows(bob.id, 'camera');
  await alice.clickOnTile(bob.id, 'tile-pin');
  await wants(alice, track, ({ priority, width }) => priority === 255 && width >= 900);
  await alice.until('the button says so', (selector) => document.querySelector(selector).getAttribute('aria-pressed') === 'true' && /^Unpin Bob/.test(document.querySelector(selector).ariaLabel),
    { args: [`[data-participant="${bob.id}"] ${byId('tile-pin')}`] });
  const area = ({ width, height }) => width * height;
  await eventually('it is much the largest', async () => {
    const [large, next] = (await alice.seen()).sort((one, other) => area(other) - area(one));
    return large.name === 'Bob' && area(large) > 5 * area(next);
  });

  // With more than fit beside it, it stays while the others turn.
  await alice.wiretap.crowd(40, crowd.at(-1) + 1);
  await alice.shown('page-next');
  await alice.click('page-next');
  assert((await names(alice)).includes('Bob'));
  await alice.clickOnTile(bob.id, 'tile-pin');
  await wants(alice, track, ({ priority, width }) => priority === 100 && width < 900);
});

// The id of Bob's camera at the server, as Alice has it.
async function bobsTrack(alice, bob) {
  await alice.until("Bob's camera comes", (id) => [...window.crosspoint.tracks.values()].some(({ participant, kind }) => participant === id && kind === 'video'), { args: [bob.id] });
  return alice.run((id) => [...window.crosspoint.tracks.values()].find(({ participant, kind }) => participant === id && kind === 'video').id, bob.id);
}

// The last that was said of a track is so.
function wants(app, track, like) {
  const last = async () => (await app.wiretap.sent('receive')).filter((message) => message.track === track).at(-1);
  return eventually(`a receive of ${track} like ${like}`, async () => like((await last()) ?? {}), { show: last });
}
