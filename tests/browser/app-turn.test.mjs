// Calls of browsers that may go by TURN only: the server relays them to itself.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { App } from './support/app.mjs';

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

// Runs in the page, before anything else: connections take relayed candidates only, of servers with such URLs.
function relayOnly({ scheme, end }) {
  const isWanted = (url) => url.startsWith(scheme) && url.endsWith(end);
  const limited = (configuration) => ({
    ...configuration,
    iceTransportPolicy: 'relay',
    iceServers: configuration.iceServers
      .map((server) => ({ ...server, urls: server.urls.filter(isWanted) }))
      .filter(({ urls }) => urls.length > 0),
  });
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration) {
      super(limited(configuration));
    }

    setConfiguration(configuration) {
      super.setConfiguration(limited(configuration));
    }
  };
}

// Runs in the page: the two candidates that media goes between.
async function selectedPair() {
  const stats = await window.crosspoint.pc.getStats();
  const all = [...stats.values()];
  const transport = all.find(({ type, selectedCandidatePairId }) => type === 'transport' && selectedCandidatePairId);
  const pair = transport
    ? stats.get(transport.selectedCandidatePairId)
    : all.find(({ type, selected, nominated }) => type === 'candidate-pair' && (selected ?? nominated));
  return { local: stats.get(pair.localCandidateId), remote: stats.get(pair.remoteCandidateId) };
}
