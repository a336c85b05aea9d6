// Calls of browsers that may go by TURN only: the server relays them to itself.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { App } from './support/app.mjs';
import { relayOnly, selectedPair } from './support/relay.mjs';

const stage = Stage.set({ firefox: true, server: { args: ['--turn-port', '0'] } });

for (const [way, scheme, protocol] of [['udp', 'turn:', 'udp'], ['tcp', 'turn:', 'tcp']]) {
  stage.scene(`a call by TURN over ${way} and nothing else`, async ({ room }) => {
    const only = { scheme, end: `transport=${protocol}` };
    const prepare = (page) => page.evaluateOnNewDocument(relayOnly, only);
    const alice = await App.join(stage, stage.chromium, { room, name: 'Alice', prepare });
    const bob = await App.join(stage, stage.firefox, { room, name: 'Bob', prepare });
    for (const [app, other] of [[alice, bob], [bob, alice]]) {
      await app.receives([other]);
      await app.shows(other.id, 'camera');
      const { local, remote } = await app.run(selectedPair);
      assert.equal(local.candidateType, 'relay');
      assert.equal(local.relayProtocol, way);
      assert.equal(remote.candidateType, 'host');
      assert.deepEqual(app.failures(), []);
    }
  });
}
