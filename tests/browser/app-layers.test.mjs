// The camera in three sizes, and who needs which: what the page sends, what it asks for, and what it says of the connections.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { App, byId } from './support/app.mjs';
import { eventually } from './support/wait.mjs';

const stage = Stage.set({ firefox: true });
// What the server itself says of such things depends on the machine's network: the tests say it.
const ignored = ['wanted', 'layers', 'quality'];
const join = (browser, room, name, options) => App.join(stage, stage[browser], { room, name, ignored, ...options });

// The layers that a page sends of its camera: rid, lines, frames so far, and whether it is to be encoded.
const layers = (app) =>
  app.run(async () => {
    const { mid, sender } = window.crosspoint.pc.getTransceivers().find((one) => one.sender.track?.kind === 'video');
    const { encodings } = sender.getParameters();
    const reports = [...(await sender.getStats()).values()].filter(({ type }) => type === 'outbound-rtp');
    return { mid, encodings: encodings.map(({ rid = '', active = true }) => {
      const report = reports.find((one) => (one.rid ?? '') === rid);
      return { rid, active, lines: report?.frameHeight ?? 0, frames: report?.framesEncoded ?? 0 };
    }) };
  });

const active = async (app) => (await layers(app)).encodings.filter((one) => one.active).map(({ rid }) => rid).sort().join();

for (const browser of ['chromium', 'firefox']) {
  stage.scene(`${browser} sends the camera in three sizes, and tells the best first`, async ({ room }) => {
    const alice = await join(browser, room, 'Alice');
    const bob = await join('chromium', room, 'Bob');
    await bob.receives([alice]);
    await eventually('all three are encoded', async () => (await layers(alice)).encodings.every(({ frames, lines }) => frames > 5 && lines > 0), { show: () => layers(alice) });
    const lines = Object.fromEntries((await layers(alice)).encodings.map((one) => [one.rid, one.lines]));
    assert.deepEqual(Object.keys(lines).sort(), ['f', 'h', 'q']);
    assert(Math.abs(lines.f - 2 * lines.h) <= 2 && Math.abs(lines.f - 4 * lines.q) <= 4, JSON.stringify(lines));
    const [offer] = await alice.wiretap.sent('video-offer');
    assert.match(offer.sdp.sdp, /^a=simulcast:send f;h;q\r?$/m);
    assert.deepEqual(alice.failures(), []);
  });

  stage.scene(`${browser} encodes what anyone receives, and no more`, async ({ room }) => {
    const alice = await join(browser, room, 'Alice');
    const bob = await join('chromium', room, 'Bob');
    await bob.receives([alice]);
    const { mid } = await layers(alice);
    await alice.wiretap.hears({ type: 'wanted', mid, rids: ['f'] }, { type: 'wanted', mid, rids: ['q', 'h'] }, { type: 'wanted', mid, rids: ['q'] });
    await eventually('only the smallest is encoded', async () => (await active(alice)) === 'q', { show: () => layers(alice) });
    await alice.wiretap.hears({ type: 'wanted', mid, rids: [] });
    await eventually('nothing is encoded', async () => (await active(alice)) === '', { show: () => layers(alice) });
    await bob.stopsReceiving({ participant: alice.id, kind: 'video' }, { participant: alice.id, kind: 'audio' });

    // Another camera track does not bring back what nobody receives.
    await alice.click('cam');
    await alice.click('cam');
    await alice.until('the camera is on again', () => window.crosspoint.sources.get('camera').track !== null && !window.crosspoint.sources.get('camera').muted);
    assert.equal(await active(alice), '');

    await alice.wiretap.hears({ type: 'wanted', mid, rids: ['f', 'h', 'q'] });
    await bob.receives([alice]);
    assert.equal(await active(alice), 'f,h,q');
    assert.deepEqual(alice.failures(), []);
  });
}

for (const browser of ['chromium', 'firefox']) {
  stage.scene(`a camera that comes later, or again, is sent in three sizes by ${browser} too`, async ({ room }) => {
    const alice = await join(browser, room, 'Alice', { media: false });
    const bob = await join('chromium', room, 'Bob');
    const all = () => eventually('all three are encoded', async () => (await layers(alice)).encodings.filter(({ frames }) => frames > 5).map(({ rid }) => rid).sort().join() === 'f,h,q', { show: () => layers(alice) });
    await alice.click('cam');
    await bob.shows(alice.id, 'camera');
    await all();
    // The page only mutes; an application may take it away altogether.
    await alice.run(async () => {
      window.camera = window.crosspoint.sources.get('camera').track;
      await window.crosspoint.unpublish('camera');
    });
    await bob.until('the camera is gone', (id) => ![...window.crosspoint.tracks.values()].some(({ participant, kind }) => participant === id && kind === 'video'), { args: [alice.id] });
    await alice.run(() => window.crosspoint.publish('camera', window.camera));
    await bob.receives([alice], { kinds: ['video'] });
    await all();
    assert.deepEqual(alice.failures(), []);
  });
}

stage.scene('what is wanted of an m-line that is not there yet is remembered', async ({ room }) => {
  const alice = await join('chromium', room, 'Alice', { media: false });
  const told = await alice.run(() => new Promise((resolve) => {
    const stop = window.crosspoint.on('wanted', (wanted) => { stop(); resolve(wanted); });
    window.wiretap.hear({ type: 'wanted', mid: '2', rids: ['h'] });
  }));
  assert.deepEqual(told, { mid: '2', source: null, rids: ['h'] });
  await alice.click('cam');
  await eventually('only that layer is encoded', async () => (await layers(alice)).mid === '2' && (await active(alice)) === 'h', { show: () => layers(alice) });
});

stage.scene('without simulcast the camera is sent once', async ({ room }) => {
  const alice = await join('chromium', room, 'Alice', { query: '?simulcast=off' });
  const bob = await join('chromium', room, 'Bob');
  await bob.receives([alice]);
  assert.equal((await layers(alice)).encodings.length, 1);
});

stage.scene('a small camera is sent in fewer sizes', async ({ room }) => {
  const alice = await App.lobby(stage, stage.chromium, { room });
  await alice.run(() => {
    const { getUserMedia } = navigator.mediaDevices;
    navigator.mediaDevices.getUserMedia = ({ audio }) => getUserMedia.call(navigator.mediaDevices, { audio, video: { width: { exact: 640 }, height: { exact: 360 } } });
  });
  await alice.until('the preview runs', () => document.querySelector('#preview-video').videoWidth > 0);
  await alice.click('preview-cam');
  await alice.click('preview-cam');
  await alice.until('the small camera is on', () => document.querySelector('#preview-video').videoHeight === 360);
  await alice.enter('Alice');
  assert.deepEqual((await layers(alice)).encodings.map(({ rid }) => rid).sort(), ['f', 'h']);
});

stage.scene('a screen is sent in two sizes, each time on the same m-line', async ({ room }) => {
  const alice = await join('chromium', room, 'Alice');
  const bob = await join('chromium', room, 'Bob');
  const lines = () => alice.run(() => window.crosspoint.pc.localDescription.sdp.match(/^m=/gm).length);
  const counts = [];
  for (const round of [1, 2, 3]) {
    await alice.click('share');
    await bob.shows(alice.id, 'screen');
    const sent = () => alice.run(async () => {
      const { sender } = window.crosspoint.pc.getTransceivers().find((one) => one.sender.track?.contentHint === 'detail');
      return [...(await sender.getStats()).values()].filter(({ type }) => type === 'outbound-rtp').map(({ rid, frameWidth, framesEncoded }) => ({ rid, frameWidth, framesEncoded }));
    });
    await eventually(`both sizes are encoded, round ${round}`, async () => {
      const [f, h] = (await sent()).sort((one, other) => (one.rid < other.rid ? -1 : 1));
      return f.rid === 'f' && h.rid === 'h' && f.framesEncoded > 3 && h.framesEncoded > 3 && f.frameWidth === 2 * h.frameWidth;
    }, { show: sent });
    counts.push(await lines());
    await alice.click('share');
    await bob.gone('tile', `[data-participant="${alice.id}"][data-source="screen"]`);
  }
  assert.equal(new Set(counts).size, 1, `m-lines: ${counts}`);
  await bob.shows(alice.id, 'camera');
  assert.deepEqual(alice.failures(), []);
});

stage.scene('tiles ask for their size, once it rests, and not pixel by pixel', async ({ room }) => {
  const alice = await join('chromium', room, 'Alice', { width: 1000, height: 700 });
  const bob = await join('chromium', room, 'Bob');
  await alice.shows(bob.id, 'camera');
  const asked = async () => (await alice.wiretap.sent('receive')).filter(({ paused }) => !paused);
  await eventually('the size is asked for', async () => (await asked()).length > 0);
  const before = await asked();
  const { width, height } = before.at(-1);
  assert(width % 60 === 0 && height % 60 === 0 && width > 0 && height > 0, JSON.stringify(before));
  await alice.page.bringToFront();
  for (let step = 1; step <= 20; step += 1) await alice.page.setViewport({ width: 1000 - 20 * step, height: 700 - 10 * step });
  await eventually('the smaller size is asked for', async () => (await asked()).at(-1).width < width, { show: asked });
  assert((await asked()).length - before.length <= 5, JSON.stringify(await asked()));
});

stage.scene('a page that nobody looks at asks for no pictures, and for all when it is looked at again', async ({ room }) => {
  const alice = await join('chromium', room, 'Alice');
  const bob = await join('chromium', room, 'Bob');
  await alice.shows(bob.id, 'camera');
  const hide = (hidden) => alice.run((value) => {
    Object.defineProperty(document, 'hidden', { value, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  const last = async () => (await alice.wiretap.sent('receive')).at(-1);
  await hide(true);
  await eventually('pictures are paused', async () => (await last())?.paused === true, { timeout: 20_000 });
  const video = await alice.run(() => [...window.crosspoint.tracks.values()].filter(({ kind }) => kind === 'video').map(({ id }) => id));
  assert.deepEqual([...new Set((await alice.wiretap.sent('receive')).filter(({ paused }) => paused).map(({ track }) => track))], video);
  await alice.receives([bob], { kinds: ['audio'] });
  await hide(false);
  await eventually('pictures are asked for', async () => (await last())?.paused === false);
});

stage.scene('after a broken socket all wants are said again, and what did not change is never said twice', async ({ room }) => {
  const alice = await join('chromium', room, 'Alice');
  const bob = await join('chromium', room, 'Bob');
  await alice.shows(bob.id, 'camera');
  await eventually('the size is asked for', async () => (await alice.wiretap.sent('receive')).some(({ paused }) => !paused));
  const before = await alice.wiretap.sent('receive');
  assert.equal(before.filter((message, index) => index > 0 && JSON.stringify(message) === JSON.stringify(before[index - 1])).length, 0);
  await alice.run(() => window.crosspoint.breakSocket());
  await eventually('it is said again', async () => (await alice.wiretap.sent('receive')).length > before.length);
  assert.deepEqual((await alice.wiretap.sent('receive')).at(-1), before.at(-1));

  // In the next call too.
  const { length } = await alice.wiretap.sent('receive');
  await alice.click('hangup');
  await alice.click('rejoin');
  await alice.shows(bob.id, 'camera');
  await eventually('it is said in the new call', async () => (await alice.wiretap.sent('receive')).length > length);
});

stage.scene('each tile shows how well the connection does, and the statistics show it in numbers', async ({ room }) => {
  const alice = await join('chromium', room, 'Alice');
  const [good, bad] = await alice.wiretap.crowd(2);
  await alice.wiretap.hears({ type: 'quality', id: good, score: 5, loss: 0, rtt: 24, bandwidth: 2_000_000 }, { type: 'quality', id: bad, score: 1, loss: 0.2, rtt: null, bandwidth: 90_000 });
  const bars = (id) => alice.run((selector) => {
    const bar = document.querySelector(selector);
    return { words: bar.ariaLabel, title: bar.title, on: bar.querySelectorAll('.on').length, shown: bar.checkVisibility() };
  }, `[data-participant="${id}"] ${byId('tile-quality')}`);
  await alice.shown('tile-quality', '');
  assert.deepEqual(await bars(good), { words: 'Connection: excellent', title: 'Connection: excellent (0 % lost, 24 ms round trip)', on: 5, shown: true });
  assert.deepEqual(await bars(bad), { words: 'Connection: very weak', title: 'Connection: very weak (20 % lost)', on: 1, shown: true });
  await alice.click('stats-toggle');
  await alice.until('the statistics have it', (selector) => /Guest 1\s+excellent\s+0 %\s+24 ms\s+2\.00 Mbit\/s[\s\S]*Guest 2\s+very weak\s+20 %/.test(document.querySelector(selector).innerText), { args: [byId('stats')] });
});

stage.scene('a tile says why its picture is poor or absent', async ({ room }) => {
  const alice = await join('chromium', room, 'Alice', { width: 1280, height: 800 });
  const bob = await join('chromium', room, 'Bob');
  await alice.shows(bob.id, 'camera');
  const { track } = (await alice.tiles()).find(({ participant }) => participant === bob.id);
  const note = `[data-participant="${bob.id}"] ${byId('tile-note')}`;
  for (const [layer, words] of [
    [{ rid: 'q', spatial: null, temporal: 0, reason: 'bandwidth' }, 'Your network is too slow for a sharper picture'],
    [{ rid: null, spatial: null, temporal: null, reason: 'bandwidth' }, 'Your network is too slow for this picture'],
    [{ rid: 'h', spatial: null, temporal: 2, reason: 'publisher' }, 'Their network or browser limits this picture'],
    [{ rid: null, spatial: null, temporal: null, reason: 'muted' }, 'They turned their camera off'],
    [{ rid: null, spatial: null, temporal: null, reason: 'paused' }, 'Paused while nobody here looks at it'],
    [{ rid: null, spatial: null, temporal: null, reason: 'codec' }, 'This browser cannot play their video'],
  ]) {
    await alice.wiretap.hears({ type: 'layers', track, ...layer });
    await alice.until(words, (selector, text) => document.querySelector(selector).checkVisibility() && document.querySelector(selector).innerText === text, { args: [note, words] });
    assert((await alice.run((selector) => document.querySelector(selector).closest('.tile').ariaLabel, note)).includes(words));
  }
  await alice.wiretap.hears({ type: 'layers', track, rid: 'f', spatial: null, temporal: 2 });
  await alice.until('nothing is left to say', (selector) => !document.querySelector(selector).checkVisibility(), { args: [note] });
  await alice.shows(bob.id, 'camera');
});
