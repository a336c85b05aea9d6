// A group call through the real page, as people hold it.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { App } from './support/app.mjs';

const stage = Stage.set({ firefox: true });
const join = (browser, room, name, options) => App.join(stage, stage[browser], { room, name, ...options });

stage.scene('three in a call across both browsers see, hear and read each other', async ({ room }) => {
  const alice = await join('chromium', room, 'Alice');
  const bob = await join('firefox', room, 'Bob');
  const carol = await join('chromium', room, 'Carol');
  const all = [alice, bob, carol];
  const others = (app) => all.filter((one) => one !== app);
  await Promise.all(all.map((app) => app.receives(others(app))));
  for (const app of all) {
    for (const other of others(app)) {
      await app.shows(other.id, 'camera');
      await app.shown('tile', `[data-participant="${other.id}"]`);
      assert((await app.tiles()).some(({ participant, text }) => participant === other.id && text.includes(other.name)), `${other.name}'s tile bears no name`);
    }
    const playing = await app.run(() => [...document.querySelectorAll('audio, video')].filter((element) => element.srcObject?.getAudioTracks().length && !element.paused && !element.muted).length);
    assert(playing >= 2, `${app.name} plays the sound of ${playing} others`);
    assert.deepEqual(app.failures(), []);
  }

  await alice.say('Hello <b>all</b>');
  for (const app of all) {
    await app.until('the chat has it, as text', () => document.querySelector('[data-testid="chat-log"]').textContent.includes('Hello <b>all</b>'));
  }
});

stage.scene('microphone and camera are switched off and on', async ({ room }) => {
  const alice = await join('chromium', room, 'Alice');
  const bob = await join('firefox', room, 'Bob');
  await bob.receives([alice]);
  for (const [button, source, kind, witness] of [['mic', 'microphone', 'audio', 'video'], ['cam', 'camera', 'video', 'audio']]) {
    const offNow = (off) =>
      bob.until(`Alice's ${source} is off: ${off}`, (id, which, wanted) => {
        const track = window.crosspoint.participants.get(id)?.tracks.find((one) => one.source === which);
        return wanted ? !track || track.muted : track && !track.muted;
      }, { args: [alice.id, source, off] });
    await alice.click(button);
    await offNow(true);
    await bob.stopsReceiving({ participant: alice.id, kind }, { participant: alice.id, kind: witness });
    await alice.click(button);
    await offNow(false);
    await bob.receives([alice], { kinds: [kind] });
  }
});

stage.scene('a screen is shared and taken away', async ({ room }) => {
  const alice = await join('chromium', room, 'Alice');
  const bob = await join('firefox', room, 'Bob');
  await bob.receives([alice]);
  for (const round of [1, 2]) {
    await alice.click('share');
    await bob.shows(alice.id, 'screen', { timeout: 20_000 });
    await bob.shows(alice.id, 'camera');
    await alice.click('share');
    await bob.gone('tile', `[data-participant="${alice.id}"][data-source="screen"]`);
    assert.deepEqual(alice.failures(), [], `round ${round}`);
  }
  await Promise.all([bob.receives([alice]), alice.receives([bob])]);
});

stage.scene('a late joiner without camera and microphone sees all, and is seen in the list', async ({ room }) => {
  const alice = await join('chromium', room, 'Alice');
  const bob = await join('firefox', room, 'Bob');
  await Promise.all([alice.receives([bob]), bob.receives([alice])]);
  const carol = await join('chromium', room, 'Carol', { media: false });
  await carol.receives([alice, bob]);
  for (const other of [alice, bob]) await carol.shows(other.id, 'camera');
  await alice.until('Carol is in the list', () => document.querySelector('[data-testid="people"]').textContent.includes('Carol'));
});

stage.scene('one hangs up: the tile goes, the others go on', async ({ room }) => {
  const alice = await join('chromium', room, 'Alice');
  const bob = await join('firefox', room, 'Bob');
  const carol = await join('chromium', room, 'Carol');
  await alice.receives([bob, carol]);
  await carol.click('hangup');
  for (const app of [alice, bob]) await app.gone('tile', `[data-participant="${carol.id}"]`);
  await Promise.all([alice.receives([bob]), bob.receives([alice])]);
});

stage.scene('the statistics overlay tells bitrate, resolution and codec', async ({ room }) => {
  const alice = await join('chromium', room, 'Alice');
  const bob = await join('chromium', room, 'Bob');
  await alice.receives([bob]);
  await alice.page.bringToFront();
  if (!(await alice.run(() => document.querySelector('[data-testid="stats"]')?.checkVisibility()))) {
    await alice.run(() => document.querySelector('[data-testid="stats-toggle"]')?.click());
  }
  await alice.until('numbers', () => {
    const text = document.body.innerText;
    return /\bbit\/s|kbit|Mbit|kbps|Mbps/i.test(text) && /\d+\s*[×x]\s*\d+/.test(text) && /VP8|VP9|H\.?264|AV1/i.test(text);
  });
});

stage.scene('a narrow window (360 px) needs no sideways scrolling, before and in the call', async ({ room }) => {
  const app = await App.lobby(stage, stage.chromium, { room, width: 360 });
  const wide = () => app.run(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(await wide(), 0);
  await app.enter('Alice');
  assert.equal(await wide(), 0);
  await app.shown('hangup');
});

stage.scene('the keyboard alone joins', async ({ room }) => {
  const app = await App.lobby(stage, stage.chromium, { room });
  await app.page.bringToFront();
  await app.run(() => document.querySelector('[data-testid="name-input"]').focus());
  await app.page.keyboard.type('Alice');
  await app.page.keyboard.press('Enter');
  await app.until('it is in the call', () => window.crosspoint?.pc?.connectionState === 'connected');
});

stage.scene('every control has a name for screen readers', async ({ room }) => {
  const app = await join('chromium', room, 'Alice');
  const nameless = await app.run(() =>
    [...document.querySelectorAll('button, input, select, textarea, a[href]')]
      .filter((element) => element.checkVisibility())
      .filter((element) => !(element.getAttribute('aria-label') || element.getAttribute('aria-labelledby') || element.labels?.length || element.innerText?.trim() || element.title))
      .map((element) => element.outerHTML.slice(0, 120)),
  );
  assert.deepEqual(nameless, []);
});
