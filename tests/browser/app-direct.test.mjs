// One-to-one calls through the real page: ringing, accepted, declined, busy.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { App } from './support/app.mjs';

const stage = Stage.set({ firefox: true });

// In the room, but in no call.
async function idle(browser, room, name) {
  const app = await App.lobby(stage, stage[browser], { room });
  await app.enterOnly(name);
  return app;
}

async function ringUp(caller, callee) {
  await caller.openPeople();
  await caller.click('call-button', `[data-participant="${callee.id}"]`);
}

stage.scene('accepted: both see and hear each other, and one hangs up', async ({ room }) => {
  const alice = await idle('chromium', room, 'Alice');
  const bob = await idle('firefox', room, 'Bob');
  await ringUp(alice, bob);
  await bob.shown('accept');
  await bob.click('accept');
  await Promise.all([alice.receives([bob]), bob.receives([alice])]);
  await alice.shows(bob.id, 'camera');
  await bob.shows(alice.id, 'camera');
  await alice.click('hangup');
  for (const app of [alice, bob]) await app.until('the call is over', () => !window.crosspoint.pc || window.crosspoint.pc.connectionState === 'closed');
});

stage.scene('declined: the caller is told in words', async ({ room }) => {
  const alice = await idle('chromium', room, 'Alice');
  const bob = await idle('chromium', room, 'Bob');
  await ringUp(alice, bob);
  await bob.click('decline');
  await alice.until('the word', () => /declin/i.test(document.body.innerText));
});

stage.scene('busy: the caller is told in words, and the call of the others goes on', async ({ room }) => {
  const alice = await idle('chromium', room, 'Alice');
  const bob = await idle('chromium', room, 'Bob');
  const carol = await idle('firefox', room, 'Carol');
  await ringUp(alice, bob);
  await bob.click('accept');
  await Promise.all([alice.receives([bob]), bob.receives([alice])]);
  // Where the page lets nobody ring one in a call, that is the word.
  await carol.openPeople();
  const offered = await carol.run((id) => {
    const button = document.querySelector(`[data-testid="call-button"][data-participant="${id}"]`);
    return Boolean(button && !button.disabled && button.checkVisibility());
  }, bob.id);
  if (offered) await ringUp(carol, bob);
  await carol.until('the word', () => /busy|in a call/i.test(document.body.innerText));
  await Promise.all([alice.receives([bob]), bob.receives([alice])]);
});

stage.scene('two who ring each other up at once are in a call', async ({ room }) => {
  const alice = await idle('chromium', room, 'Alice');
  const bob = await idle('chromium', room, 'Bob');
  for (const app of [alice, bob]) await app.openPeople();
  // Neither waits for the other, so that the offers cross.
  const press = (app, other) => app.run(
    (id) => document.querySelector(`[data-testid="call-button"][data-participant="${id}"]`).click(), other.id);
  await Promise.all([press(alice, bob), press(bob, alice)]);
  for (const app of [alice, bob]) {
    await app.until('a call, or a ring to accept', () => window.crosspoint.call?.state === 'active' || window.crosspoint.ring);
    // Where one was quicker after all, the other was rung.
    if (await app.run(() => Boolean(window.crosspoint.ring))) await app.click('accept');
  }
  await Promise.all([alice.receives([bob]), bob.receives([alice])]);
});

stage.scene('two whose offers cross: the one whose call was not taken answers with its own tracks, at once', async ({ room }) => {
  const alice = await idle('chromium', room, 'Alice');
  const bob = await idle('chromium', room, 'Bob');
  for (const app of [alice, bob]) await app.openPeople();
  // Bob's offer leaves his page only when Alice's has come to it, so that they cross whatever the machine does.
  await bob.run(() => {
    const held = [];
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (text) {
      if (!text.includes('"video-offer"')) return send.call(this, text);
      held.push(text);
      this.addEventListener('message', ({ data }) => {
        if (data.includes('"video-offer"')) for (const one of held.splice(0)) send.call(this, one);
      });
    };
  });
  await ringUp(bob, alice);
  await bob.until('it calls', () => window.crosspoint.call?.state === 'calling' && window.crosspoint.negotiation.offersSent === 1);
  await ringUp(alice, bob);
  await Promise.all([alice.receives([bob]), bob.receives([alice])]);
  assert.deepEqual(await bob.run(() => window.crosspoint.negotiation),
    { offersSent: 0, offersReceived: 1, answersReceived: 0, staleAnswers: 0, rollbacks: 0 });
});

stage.scene('ringing back whoever rings answers them', async ({ room }) => {
  const alice = await idle('chromium', room, 'Alice');
  const bob = await idle('chromium', room, 'Bob');
  await ringUp(alice, bob);
  await bob.shown('accept');
  await bob.run((id) => window.crosspoint.ringUp(id), alice.id);
  await bob.gone('accept');
  await Promise.all([alice, bob].map((app) => app.until('the call is on', () => window.crosspoint.call?.state === 'active')));
});

stage.scene('entered before the camera was allowed: nothing stays open, and a call has it all the same', async ({ room }) => {
  const page = await stage.open(stage.chromium);
  await page.evaluateOnNewDocument(() => {
    const { mediaDevices } = navigator;
    const get = mediaDevices.getUserMedia.bind(mediaDevices);
    const allowed = new Promise((resolve) => { window.allow = resolve; });
    window.streams = [];
    mediaDevices.getUserMedia = async (constraints) => {
      await allowed;
      const stream = await get(constraints);
      window.streams.push(stream);
      return stream;
    };
  });
  await page.goto(`${stage.server.url}/r/${room}`);
  const alice = new App(page);
  await alice.shown('name-input');
  await alice.enterOnly('Alice');
  await alice.run(() => window.allow());
  await alice.until('the camera closes again', () => window.streams.length === 1
    && window.streams[0].getTracks().every(({ readyState }) => readyState === 'ended'));
  const bob = await idle('chromium', room, 'Bob');
  await ringUp(alice, bob);
  await bob.click('accept');
  await bob.receives([alice]);
});
