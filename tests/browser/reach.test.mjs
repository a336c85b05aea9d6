// Calls from networks that keep most of what a call needs from passing: the server and each pair of callers have hosts of
// their own, and a router between them. Each call has to be made, and by the way that is left.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { App } from './support/app.mjs';
import { launchChromium, launchFirefox } from './support/browsers.mjs';
import { Hosts } from './support/hosts.mjs';
import { Server } from './support/server.mjs';
import { eventually } from './support/wait.mjs';

let networks = 0;
let hosts;
let server;

before(async () => {
  hosts = await Hosts.open();
  server = await Server.start({
    within: hosts.server.within,
    listen: [':443'],
    udpPort: 443,
    args: ['--tls', 'self', '--shards', '2', '--share-udp-port'],
  });
});

after(async () => {
  await server?.stop();
  await hosts?.close();
});

/** A call of two in a browser on a host of its own: `{ host, alice, bob, paths }`. */
function call(name, { launch = launchChromium, families, address = () => hosts.server.ipv4, rules = () => '', prepare }, body) {
  test(name, { timeout: 90_000 }, async (t) => {
    const device = `net${(networks += 1)}`;
    const host = await hosts.add(device, { families });
    const text = rules(device);
    if (text) await hosts.rules(text);
    const browser = await launch({ within: host.within, trusting: true });
    const stage = { open: (_, url) => open(browser, url), server: { url: `https://${address()}` } };
    try {
      const alice = await App.join(stage, browser, { room: device, name: 'Alice', prepare });
      const bob = await App.join(stage, browser, { room: device, name: 'Bob', prepare });
      await alice.receives([bob]);
      await bob.receives([alice]);
      await body({ host, alice, bob });
    } catch (error) {
      for (const page of await browser.pages()) t.diagnostic((page.words ?? []).slice(-20).join('\n'));
      t.diagnostic(server.log.split('\n').slice(-30).join('\n'));
      throw error;
    } finally {
      await browser.shut();
    }
  });
}

async function open(browser, url) {
  const page = await browser.newPage();
  page.words = [];
  page.on('console', (message) => page.words.push(`${message.type()}: ${message.text()}`));
  await page.evaluateOnNewDocument(() => Object.defineProperty(Document.prototype, 'hidden', { get: () => false, configurable: true }));
  if (url) await page.goto(url);
  return page;
}

/** Peer connections are told of no TURN: what is left is the media's own way. */
const withoutServers = (page) =>
  page.evaluateOnNewDocument(() => {
    window.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(configuration) {
        super({ ...configuration, iceServers: [] });
      }

      setConfiguration(configuration) {
        super.setConfiguration({ ...configuration, iceServers: [] });
      }
    };
  });

/** The two ends of the path by which an app's media goes. */
const path = (app) =>
  app.run(async () => {
    const stats = await window.crosspoint.pc.getStats();
    const pairs = [...stats.values()].filter(({ type, nominated, state }) => type === 'candidate-pair' && nominated && state === 'succeeded');
    const transport = [...stats.values()].find(({ type }) => type === 'transport');
    const pair = stats.get(transport?.selectedCandidatePairId) ?? pairs.find(({ selected }) => selected) ?? pairs[0];
    const end = ({ protocol, address, port, candidateType, relayProtocol }) => ({ protocol: relayProtocol ?? protocol, address, port, type: candidateType });
    return { local: end(stats.get(pair.localCandidateId)), remote: end(stats.get(pair.remoteCandidateId)) };
  });

call('an open network: by UDP, to the port of the page', {}, async ({ alice }) => {
  const { remote } = await path(alice);
  assert.deepEqual([remote.protocol, remote.address, remote.port], ['udp', hosts.server.ipv4, 443]);
});

for (const [name, launch] of [['Chromium', launchChromium], ['Firefox', launchFirefox]]) {
  call(
    `UDP is blocked, ${name}: by TCP, to the port of the page`,
    { launch, prepare: withoutServers, rules: (device) => forward(device, `iifname ${device} meta l4proto udp drop`) },
    async ({ alice, bob }) => {
      for (const app of [alice, bob]) {
        const { remote } = await path(app);
        assert.deepEqual([remote.protocol, remote.address, remote.port], ['tcp', hosts.server.ipv4, 443]);
      }
    },
  );
}

call(
  'only TCP to port 443 passes',
  { rules: (device) => forward(device, `iifname ${device} tcp dport 443 accept`, `iifname ${device} drop`) },
  async ({ alice }) => {
    // As media in frames, or relayed by TURN: each goes to that port.
    const { local, remote } = await path(alice);
    assert.ok(['tcp', 'tls'].includes(local.protocol), local.protocol);
    assert.equal(remote.port, 443);
  },
);

call(
  'a network behind one address: by UDP, from the address of its router',
  { rules: (device) => `table ip ${device} { chain out { type nat hook postrouting priority srcnat\nip saddr 203.0.113.0/24 oifname server masquerade\n}\n}` },
  async ({ host, alice }) => {
    const { local, remote } = await path(alice);
    assert.equal(remote.protocol, 'udp');
    assert.equal(local.type, 'prflx', 'the server is asked from an address that the browser has not');
    assert.notEqual(local.address, host.ipv4);
  },
);

call('there is only IPv6', { families: [6], address: () => `[${hosts.server.ipv6}]` }, async ({ alice }) => {
  const { remote } = await path(alice);
  assert.deepEqual([remote.protocol, remote.address.replace(/[[\]]/g, '')], ['udp', hosts.server.ipv6]);
});

call('the address changes in the midst of the call', {}, async ({ host, alice, bob }) => {
  const ids = [alice.id, bob.id];
  await host.move(5);
  await eventually('media comes by the new address', async () => {
    const { local } = await path(alice);
    return local.type === 'prflx' || local.address === host.ipv4 || local.address === '';
  }, { timeout: 30_000, show: () => path(alice) });
  await alice.receives([bob], { timeout: 40_000 });
  await bob.receives([alice], { timeout: 40_000 });
  assert.deepEqual([await alice.run(() => window.crosspoint.id), await bob.run(() => window.crosspoint.id)], ids, 'the same participants');
});

let tables = 0;
const forward = (device, ...rules) => `table inet t${(tables += 1)} { chain on { type filter hook forward priority 0\n${rules.join('\n')}\n}\n}`;
