// Calls that may go by TURN only, by some of its ways, and what they went by.

// Runs in the page, before anything else: connections take relayed candidates only, of servers with such URLs.
export function relayOnly({ scheme, end }) {
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
export async function selectedPair() {
  const stats = await window.crosspoint.pc.getStats();
  const all = [...stats.values()];
  const transport = all.find(({ type, selectedCandidatePairId }) => type === 'transport' && selectedCandidatePairId);
  const pair = transport
    ? stats.get(transport.selectedCandidatePairId)
    : all.find(({ type, selected, nominated }) => type === 'candidate-pair' && (selected ?? nominated));
  return { local: stats.get(pair.localCandidateId), remote: stats.get(pair.remoteCandidateId) };
}
