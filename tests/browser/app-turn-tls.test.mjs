// Calls of browsers that may go by TURN over TLS only (`turns:`), which is how they leave a network where nothing but HTTPS passes.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { App } from './support/app.mjs';
import { relayOnly, selectedPair } from './support/relay.mjs';

const stage = Stage.set({
  server: { args: ['--tls', 'self'] },
  // A page's certificate may be trusted without that of a relay: this is for all that the browser opens.
  chromium: { trusting: true, flags: ['--ignore-certificate-errors'] },
  firefox: { trusting: true },
});

stage.scene('a call by TURN over TLS and nothing else', async ({ room }) => {
  const prepare = (page) => page.evaluateOnNewDocument(relayOnly, { scheme: 'turns:', end: 'transport=tcp' });
  const alice = await App.join(stage, stage.chromium, { room, name: 'Alice', prepare });
  const bob = await App.join(stage, stage.firefox, { room, name: 'Bob', prepare });
  for (const [app, other] of [[alice, bob], [bob, alice]]) {
    await app.receives([other]);
    await app.shows(other.id, 'camera');
    const { local, remote } = await app.run(selectedPair);
    assert.deepEqual([local.candidateType, local.relayProtocol, remote.candidateType], ['relay', 'tls', 'host']);
    assert.deepEqual(app.failures(), []);
  }
});
