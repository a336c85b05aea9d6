// A server that admits nobody without a token: the page takes it out of the link, and says what is wrong with it.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { App, byId } from './support/app.mjs';
import { closed, mint } from './support/tokens.mjs';

const stage = Stage.set({ server: closed, firefox: true });

const invited = (room, ...options) => `#token=${mint(room, ...options)}`;

for (const browser of ['chromium', 'firefox']) {
  stage.scene(`an invitation admits in ${browser}, is nowhere to be seen, and outlives a reload`, async ({ room }) => {
    const app = await App.lobby(stage, stage[browser], { room, query: invited(room, '--name', 'Ada Ünal') });
    assert.equal(await app.run(() => document.querySelector('[data-testid="name-input"]').value), 'Ada Ünal');
    assert(!(await app.run(() => location.href)).includes('token'));
    await app.click('join');
    await app.until('it is in the call', () => window.crosspoint?.pc?.connectionState === 'connected');
    assert(!(await app.run(() => location.href + document.body.innerText + JSON.stringify(history.state))).includes('eyJ'));
    await app.page.reload();
    await app.shown('join');
    await app.enter('Ada again');
    assert.deepEqual(app.failures(), []);
  });
}

stage.scene('without an invitation, or with a wrong one, the page says so and what to do', async ({ room }) => {
  const other = mint('another-room');
  for (const [query, words] of [
    ['', /only people with an invitation/i],
    ['#token=nonsense', /not valid here.*whole link/i],
    [`#token=${mint(room).slice(0, -6)}`, /not valid here/i],
    [`?token=${other}`, /only people with an invitation/i],
  ]) {
    const app = await App.lobby(stage, stage.chromium, { room, query });
    await app.fill('name-input', 'Alice');
    await app.click('join-no-media');
    await app.until(`words for ${query.slice(0, 20)}`, (pattern) => new RegExp(pattern, 'i').test(document.getElementById('room-problem').textContent), { args: [words.source] });
    assert(!(await app.run(() => location.href)).includes('token'));
    await app.page.close();
  }
});

stage.scene('what an invitation does not include cannot be pressed, nor is it sent', async ({ room }) => {
  const bob = await App.join(stage, stage.chromium, { room, name: 'Bob', query: invited(room) });
  const alice = await App.join(stage, stage.chromium, { room, name: 'Alice', query: invited(room, '--publish', 'microphone', '--no-chat') });
  await bob.receives([alice], { kinds: ['audio'] });
  const disabled = (id) => alice.run((selector) => document.querySelector(selector).disabled, byId(id));
  assert.deepEqual(await Promise.all(['mic', 'cam', 'share', 'chat-input'].map(disabled)), [false, true, true, true]);
  assert.deepEqual(await alice.run(() => [...window.crosspoint.sources.keys()]), ['microphone']);
  await alice.receives([bob]);
  assert.deepEqual(alice.failures(), []);
});
