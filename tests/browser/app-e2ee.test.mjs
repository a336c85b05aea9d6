// End-to-end encryption through the real page: who has the key of the link sees and hears, who has not does not and is told so, and
// what crosses the server is encrypted.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { App, byId } from './support/app.mjs';
import { inbound } from './support/media.mjs';
import { RemotePeer } from './support/peer.mjs';
import { Proxy } from './support/proxy.mjs';
import { eventually } from './support/wait.mjs';
import { importWeb } from './support/web.mjs';

const { newKey, readKey } = await importWeb('client/e2ee/key.js');
const { Opener } = await importWeb('client/e2ee/opener.js');
const { importBaseKey } = await importWeb('client/e2ee/sframe.js');

const stage = Stage.set({ firefox: true });
const join = (browser, room, name, key, options) => App.join(stage, stage[browser], { room, name, query: key && `#key=${key}`, ...options });

// Of the tile of somebody's camera, or screen.
const note = (id, source = 'camera') => `[data-participant="${id}"][data-source="${source}"] ${byId('tile-note')}`;
const says = (app, id, words, source) =>
  app.until(`the tile says: ${words}`, (selector, text) => document.querySelector(selector)?.checkVisibility() && document.querySelector(selector).innerText === text, { args: [note(id, source), words] });

// What came of somebody: of each stream its kind, and what was made of it.
const streamsOf = async (app, from, path = 'crosspoint.pc') =>
  (await inbound(app.page, path)).filter(({ participant }) => participant === from).flatMap(({ kind, counters }) => Object.values(counters).map((all) => ({ kind, ...all })));

async function hasDecodedNothing(app, from, path) {
  for (const stream of await streamsOf(app, from, path)) {
    assert(stream.frames === 0 && stream.energy < 1e-6, `${app.name} decoded something of ${from}: ${JSON.stringify(stream)}`);
  }
}

// An application's own page, which is no part of Crosspoint, and knows nothing of encryption.
const stranger = async (browser, room, prepare = () => {}) => {
  const peer = await RemotePeer.open(stage, stage[browser], { room, name: 'Stranger' });
  await peer.run(prepare);
  await peer.join(null);
  return peer;
};

const pageOf = (app) => app.run(() => location.href);

for (const [first, second] of [['chromium', 'chromium'], ['chromium', 'firefox'], ['firefox', 'firefox']]) {
  stage.scene(`two with the same link see and hear each other, in ${first} and ${second}`, async ({ room }) => {
    const key = newKey();
    const alice = await join(first, room, 'Alice', key);
    const bob = await join(second, room, 'Bob', key);
    await Promise.all([alice.receives([bob]), bob.receives([alice])]);
    for (const [app, other] of [[alice, bob], [bob, alice]]) {
      await app.shows(other.id, 'camera');
      await app.shown('lock');
      await app.until('both are found good', (id) => {
        const tracks = [...window.crosspoint.tracks.values()].filter(({ participant }) => participant === id);
        return tracks.length === 2 && tracks.every(({ verdict }) => verdict === 'good');
      }, { args: [other.id] });
      assert.doesNotMatch(await app.run((selector) => document.querySelector(selector).innerText, note(other.id)), /encrypted/i);
      assert.deepEqual(app.failures(), []);
    }
  });
}

stage.scene('who has another key, or none, sees and hears nothing, and the page says so', async ({ room }) => {
  const [key, other] = [newKey(), newKey()];
  // Before Alice comes, so that not even her first frame escapes their notice.
  const wrong = await join('chromium', room, 'Wrong', other);
  const wrongFox = await join('firefox', room, 'Wrong fox', other);
  const none = await join('chromium', room, 'None');
  const noneFox = await join('firefox', room, 'None fox');
  const alice = await join('chromium', room, 'Alice', key);
  const bob = await join('firefox', room, 'Bob', key);
  await Promise.all([alice.receives([bob]), bob.receives([alice])]);
  for (const sender of [alice, bob]) {
    for (const app of [wrong, wrongFox]) await says(app, sender.id, 'Encrypted with another key: not shown');
    for (const app of [none, noneFox]) await says(app, sender.id, 'End-to-end encrypted: open the link with the key');
    for (const app of [wrong, wrongFox, none, noneFox]) await hasDecodedNothing(app, sender.id);
  }
  for (const app of [alice, bob]) {
    for (const { id } of [wrong, wrongFox]) await says(app, id, 'Encrypted with another key: not shown');
    for (const { id } of [none, noneFox]) await says(app, id, 'Not encrypted: not shown');
    for (const { id } of [wrong, wrongFox, none, noneFox]) await hasDecodedNothing(app, id);
  }
  // What is not for us is not asked for.
  const foreign = await alice.run((ids) => [...window.crosspoint.tracks.values()].filter(({ participant }) => ids.includes(participant)).map(({ id }) => id), [wrong.id, none.id]);
  assert.equal(foreign.length, 4);
  await eventually('all of it is paused', async () => {
    const said = await alice.wiretap.sent('receive');
    return foreign.every((track) => said.findLast((message) => message.track === track)?.paused === true);
  });
  // Those without a key see each other as ever.
  await none.receives([noneFox]);
  await alice.clickOnTile(wrong.id, 'tile-why');
  await alice.until('the reason is told', (selector) => document.querySelector(selector).textContent === 'Encrypted with another key: not shown.', { args: [byId('why-verdict')] });
});

for (const browser of ['chromium', 'firefox']) {
  stage.scene(`who takes all that the server has, in ${browser}, can make nothing of it`, async ({ room }) => {
    const peer = await stranger(browser, room);
    const key = newKey();
    const alice = await join('chromium', room, 'Alice', key);
    const bob = await join('firefox', room, 'Bob', key);
    await Promise.all([alice.receives([bob]), bob.receives([alice])]);
    for (const { id } of [alice, bob]) {
      const streams = () => streamsOf(peer, id, 'peer.pc');
      await eventually('much came of both kinds', async () => {
        const now = await streams();
        return ['audio', 'video'].every((kind) => now.some((one) => one.kind === kind && one.packets > 100));
      }, { show: streams });
      await hasDecodedNothing(peer, id, 'peer.pc');
    }
  });
}

stage.scene('what crosses the server opens with the key alone, and only as it was sent', async ({ room }) => {
  // Keeps what the server sends, as it comes.
  const peer = await stranger('chromium', room, () => {
    window.received = { audio: [], video: [] };
    const source = `onrtctransform = ({ transformer: { readable, options } }) => readable.pipeTo(new WritableStream({ write: ({ data }) => postMessage({ kind: options.kind, data: [...new Uint8Array(data)] }) }));
      postMessage('ready');`;
    const worker = new Worker(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));
    return new Promise((resolve) => {
      worker.onmessage = ({ data }) => {
        if (data === 'ready') resolve();
        else window.received[data.kind].push(data.data);
      };
      peer.prepared = ({ pc }) => {
        for (const { receiver } of pc.getTransceivers()) receiver.transform = new RTCRtpScriptTransform(worker, { kind: receiver.track.kind });
      };
    });
  });
  const key = newKey();
  const alice = await join('firefox', room, 'Alice', key);
  const bob = await join('chromium', room, 'Bob', key, { media: false });
  await bob.receives([alice]);
  await peer.until('frames are kept', () => window.received.audio.length > 20 && window.received.video.length > 10);
  const frames = await peer.run(() => window.received);
  const [base, other] = await Promise.all([key, newKey()].map((text) => importBaseKey(readKey(text))));
  for (const [kind, all] of Object.entries(frames)) {
    // Chromium hands on a frame again that was sent again.
    const wire = [...new Set(all.map((frame) => Buffer.from(frame).toString('hex')))].map((hex) => Uint8Array.from(Buffer.from(hex, 'hex')));
    const opener = new Opener(kind, base);
    const wrong = new Opener(kind, other);
    for (const frame of wire) {
      const flipped = frame.slice();
      flipped[frame.length >> 1] ^= 0x10;
      assert.deepEqual(await opener.open(flipped), { refused: 'other-key' });
      assert.deepEqual(await wrong.open(frame), { refused: 'other-key' });
      assert('frame' in (await opener.open(frame)), `${kind} that does not open: ${Buffer.from(frame).toString('hex').slice(0, 60)}`);
      assert.deepEqual(await opener.open(frame), { refused: 'replayed' });
    }
  }
});

for (const browser of ['chromium', 'firefox']) {
  stage.scene(`a late joiner sees all in ${browser}, and all see one who came back`, async ({ room }) => {
    const key = newKey();
    const alice = await join('chromium', room, 'Alice', key);
    const bob = await join('firefox', room, 'Bob', key);
    await Promise.all([alice.receives([bob]), bob.receives([alice])]);
    const carol = await join(browser, room, 'Carol', key, { media: false });
    await carol.receives([alice, bob]);
    // Another connection, and so other keys, on m-lines that have had others.
    await carol.click('hangup');
    await carol.click('rejoin');
    await carol.receives([alice, bob]);
    await bob.page.reload();
    await bob.shown('name-input');
    await bob.enter('Bob');
    await Promise.all([alice.receives([bob]), carol.receives([alice, bob]), bob.receives([alice])]);
    // The camera that Carol did not have.
    await carol.click('cam');
    for (const app of [alice, bob]) await app.shows(carol.id, 'camera');
    for (const app of [alice, bob, carol]) assert.deepEqual(app.failures(), []);
  });
}

for (const browser of ['chromium', 'firefox']) {
  stage.scene(`${browser} sends its camera in three sizes, and each of them can be seen`, async ({ room }) => {
    const key = newKey();
    const alice = await join(browser, room, 'Alice', key);
    const bob = await join('chromium', room, 'Bob', key);
    await bob.shows(alice.id, 'camera');
    const { track } = (await bob.tiles()).find(({ participant }) => participant === alice.id);
    const wide = () => bob.run((selector) => document.querySelector(selector).videoWidth, `[data-participant="${alice.id}"][data-source="camera"] video`);
    // Else the page itself asks for the size that its tile has.
    await bob.run(() => {
      const { crosspoint } = window;
      window.receive = crosspoint.receive.bind(crosspoint);
      crosspoint.receive = () => {};
    });
    const full = await alice.run(() => window.crosspoint.sources.get('camera').track.getSettings().width);
    for (const [width, height, expected] of [[160, 90, full / 4], [1920, 1080, full], [160, 90, full / 4], [480, 270, full / 2]]) {
      await bob.run((id, size) => window.receive(id, size), track, { width, height });
      await eventually(`a picture ${expected} wide`, async () => Math.abs((await wide()) - expected) <= 2, { show: wide, timeout: 40_000 });
      await bob.receives([alice]);
    }
  });
}

stage.scene('a shared screen is encrypted too', async ({ room }) => {
  const key = newKey();
  const alice = await join('chromium', room, 'Alice', key);
  const bob = await join('firefox', room, 'Bob', key);
  const wrong = await join('chromium', room, 'Wrong', newKey());
  const peer = await stranger('chromium', room);
  for (const round of [1, 2]) {
    await alice.click('share');
    await bob.shows(alice.id, 'screen', { timeout: 20_000 });
    await says(wrong, alice.id, 'Encrypted with another key: not shown', 'screen');
    await hasDecodedNothing(peer, alice.id, 'peer.pc');
    const unsealed = await alice.run(() => window.crosspoint.pc.getTransceivers().filter(({ sender, receiver }) => (sender.track && !sender.transform) || !receiver.transform).length);
    assert.equal(unsealed, 0, `round ${round}`);
    await alice.click('share');
    await bob.gone('tile', `[data-participant="${alice.id}"][data-source="screen"]`);
  }
});

stage.scene('two with the key call each other, encrypted; one without hears nothing', async ({ room }) => {
  const key = newKey();
  const enter = async (browser, name, secret) => {
    const app = await App.lobby(stage, stage[browser], { room, query: secret && `#key=${secret}` });
    await app.enterOnly(name);
    return app;
  };
  const alice = await enter('chromium', 'Alice', key);
  const bob = await enter('firefox', 'Bob', key);
  const none = await enter('chromium', 'None');
  const call = async (from, to) => {
    await from.openPeople();
    await from.click('call-button', `[data-participant="${to.id}"]`);
    await to.shown('ring-dialog');
    await to.click('accept');
  };
  await call(alice, bob);
  await Promise.all([alice.receives([bob]), bob.receives([alice])]);
  for (const app of [alice, bob]) {
    await app.until('it is encrypted', () => [...window.crosspoint.tracks.values()].every(({ verdict }) => verdict === 'good') && window.crosspoint.tracks.size === 2);
  }
  await alice.click('hangup');
  await bob.until('the call is over', () => window.crosspoint.call === null);
  await call(none, alice);
  await says(none, alice.id, 'End-to-end encrypted: open the link with the key');
  await says(alice, none.id, 'Not encrypted: not shown');
  await hasDecodedNothing(alice, none.id);
  await hasDecodedNothing(none, alice.id);
});

stage.scene('the key is made in the lobby, stays in the address, and goes with the link; the server never gets it', async ({ t, room }) => {
  const proxy = await Proxy.start(stage.server.port);
  t.after(() => proxy.close());
  const alice = await App.lobby(stage, stage.chromium, { room, url: proxy.url });
  const fragment = () => alice.run(() => location.hash);
  assert.equal(await fragment(), '');
  await alice.click('encrypt');
  const link = await pageOf(alice);
  const key = /#key=([\w-]{22})$/.exec(link)?.[1];
  assert(key, link);
  await alice.click('encrypt');
  assert.equal(await fragment(), '');
  await alice.click('encrypt');
  assert.equal(await pageOf(alice), link);
  await alice.page.reload();
  await alice.shown('name-input');
  assert.equal(await alice.run((selector) => document.querySelector(selector).checked, byId('encrypt')), true);
  await alice.enter('Alice');
  assert.equal(await pageOf(alice), link);
  await alice.run(() => { navigator.clipboard.writeText = async (text) => { window.copied = text; }; });
  await alice.click('copy-link');
  await alice.until('the link is copied', () => window.copied !== undefined);
  assert.equal(await alice.run(() => window.copied), link);

  const bob = await App.join(stage, stage.firefox, { room, name: 'Bob', query: `#key=${key}` });
  await Promise.all([alice.receives([bob]), bob.receives([alice])]);
  await alice.say('Hello');
  await bob.until('the chat has it', () => document.querySelector('[data-testid="chat-log"]').textContent.includes('Hello'));
  const said = await alice.run(() => JSON.stringify([window.wiretap.socket.url, window.wiretap.sent, Object.entries(localStorage), document.cookie, document.title]));
  const raw = Buffer.from(readKey(key));
  for (const form of [key, raw.toString('hex'), raw.toString('base64').replace(/=+$/, '')]) {
    assert(!said.includes(form), 'the key was said or kept');
    assert(!proxy.sent.includes(form), 'the key was in a request');
    assert(!stage.server.log.includes(form), 'the key reached the server');
  }
  assert.match(proxy.sent, /GET \/client\/e2ee\/worker\.js/);
  const offers = await alice.wiretap.sent('video-offer');
  for (const { sdp: { sdp } } of offers) assert.deepEqual([...new Set(sdp.match(/(?<=^a=rtpmap:\d+ )[^/]+/gm))].sort(), ['VP8', 'opus', 'rtx']);

  await alice.click('lock');
  await alice.shown('lock-dialog');
  await alice.until('it says what the server sees', () => /how loud[\s\S]*chat/.test(document.querySelector('[data-testid="lock-dialog"]').innerText));
});

stage.scene('a link whose key is not whole lets nobody in, unless they give it up', async ({ room }) => {
  for (const key of ['', 'AAAA', newKey().slice(0, 20), `${newKey()}%20`]) {
    const app = await App.lobby(stage, stage.chromium, { room, query: `#key=${key}` });
    for (const way of ['join', 'join-no-media', 'enter-only']) {
      await app.fill('name-input', 'Alice');
      await app.click(way);
      await app.until('it says why', (selector) => /incomplete/.test(document.querySelector(selector).innerText), { args: [byId('encrypt-problem')] });
      assert.equal(await app.run(() => window.crosspoint), undefined);
    }
    await app.click('encrypt');
    assert.equal(await app.run(() => location.hash), '');
    await app.enter('Alice');
    assert.equal(await app.run(() => window.crosspoint.encrypted), false);
    assert.equal(await app.run((selector) => document.querySelector(selector).checkVisibility(), byId('lock')), false);
    await app.page.close();
  }
});

for (const browser of ['chromium', 'firefox']) {
  stage.scene(`a browser without encoded transforms says so, and does not join unencrypted (${browser})`, async ({ room }) => {
    const open = async (fragment) => {
      const page = await stage.open(stage[browser]);
      await page.evaluateOnNewDocument(() => { delete window.RTCRtpScriptTransform; });
      await page.goto(`${stage.server.url}/r/${room}${fragment}`);
      const app = new App(page);
      await app.shown('name-input');
      return app;
    };
    const words = [byId('encrypt-problem')];
    const plain = await open('');
    assert.equal(await plain.run((selector) => document.querySelector(selector).disabled, byId('encrypt')), true);
    await plain.until('it says so', (selector) => /cannot do end-to-end encryption/.test(document.querySelector(selector).innerText), { args: words });
    await plain.enter('Plain');
    const linked = await open(`#key=${newKey()}`);
    await linked.fill('name-input', 'Linked');
    for (const way of ['join', 'join-no-media', 'enter-only']) {
      await linked.click(way);
      await linked.until('it says so', (selector) => /cannot do end-to-end encryption/.test(document.querySelector(selector).innerText), { args: words });
      assert.equal(await linked.run(() => window.crosspoint), undefined);
    }
  });
}

stage.scene('where the worker does not start nobody joins', async ({ room }) => {
  const app = await App.lobby(stage, stage.chromium, { room, query: `#key=${newKey()}` });
  await app.run(() => {
    window.Worker = class extends Worker {
      constructor(url, options) {
        super(new URL('no-such-worker.js', url), options);
      }
    };
  });
  await app.fill('name-input', 'Alice');
  await app.click('join');
  await app.until('it says so', () => /End-to-end encryption did not start/.test(document.body.innerText));
  assert.deepEqual(await app.run(() => window.wiretap.sent), []);
});
