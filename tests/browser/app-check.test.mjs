// The check of the visitor's side: each step says what it found, and the finding what to do about it. Its calls are held to one way
// each, and their media really flows; that is seen from outside here, by the page's own peer connections.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { App, byId } from './support/app.mjs';
import { launchChromium, launchFirefox } from './support/browsers.mjs';
import { Hosts } from './support/hosts.mjs';
import { Server } from './support/server.mjs';
import { Stage } from './support/stage.mjs';
import { closed, mint } from './support/tokens.mjs';
import { eventually } from './support/wait.mjs';
import { importWeb } from './support/web.mjs';

const stage = Stage.set({ server: { args: ['--turn-port', '0'] } });

const WAYS = ['udp', 'tcp', 'turn-udp', 'turn-tcp', 'turn-tls'];

/** The page of the check, as a test uses it. */
class Check extends App {
  name = 'check';

  static async open(stage, browser, { url = stage.server.url, query = '', viewport } = {}) {
    const page = await stage.open(browser);
    if (viewport) await page.setViewport(viewport);
    await page.evaluateOnNewDocument(keepBooks);
    await page.goto(`${url}/check${query}`);
    const check = new Check(page);
    await check.shown('begin');
    return check;
  }

  begin() {
    return this.click('begin');
  }

  /** Each step's state and words. */
  steps() {
    return this.run((selector) => Object.fromEntries([...document.querySelectorAll(selector)].map(({ dataset, innerText }) => [dataset.step, { state: dataset.state, text: innerText }])), byId('step'));
  }

  reaches(step, states, words = '') {
    return this.until(
      `${step} is ${states}${words && `: ${words}`}`,
      (selector, wanted, text) => {
        const { dataset, innerText } = document.querySelector(selector);
        return wanted.includes(dataset.state) && innerText.includes(text);
      },
      { args: [byId('step', `[data-step="${step}"]`), [states].flat(), words], timeout: 45_000 },
    );
  }

  /** Its end: what it found, as a person reads it. */
  async finding() {
    await this.shown('finding', '', { timeout: 80_000 });
    return this.run((selector) => document.querySelector(selector).innerText.replace(/\s+/g, ' '), byId('finding'));
  }

  /** Nothing that the check opened is open. */
  released() {
    return this.until(
      'all is let go',
      () => books.tracks.every(({ readyState }) => readyState === 'ended') && books.sockets.every(({ readyState }) => readyState === WebSocket.CLOSED)
        && books.connections.every(({ connectionState }) => connectionState === 'closed'),
      { show: () => ({ tracks: books.tracks.map((track) => `${track.label} ${track.readyState}`), sockets: books.sockets.map((one) => one.readyState), connections: books.connections.map((one) => one.connectionState) }) },
    );
  }
}

// Runs in the page: what it opens is written down.
function keepBooks() {
  const books = (window.books = { asked: 0, tracks: [], sockets: [], connections: [] });
  if (navigator.mediaDevices) {
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (constraints) => {
      books.asked += 1;
      const stream = await ask(constraints);
      books.tracks.push(...stream.getTracks());
      return stream;
    };
  }
  window.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      books.sockets.push(this);
    }
  };
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args) {
      super(...args);
      books.connections.push(this);
    }
  };
}

// Runs in the page: the ways that the connections of the present call take. Those of the one before may not be closed yet.
async function waysTaken() {
  const ways = [];
  for (const pc of books.connections.slice(-2)) {
    const stats = await pc.getStats();
    const all = [...stats.values()];
    const transport = all.find(({ type, selectedCandidatePairId }) => type === 'transport' && selectedCandidatePairId);
    const pair = transport ? stats.get(transport.selectedCandidatePairId) : all.find(({ type, selected, nominated }) => type === 'candidate-pair' && (selected ?? nominated));
    const local = pair && stats.get(pair.localCandidateId);
    if (local) ways.push(local.candidateType === 'relay' ? `turn-${local.relayProtocol}` : local.protocol);
  }
  return ways;
}

/** Runs `body` with a server of its own. */
async function withServer(options, body) {
  const server = await Server.start(options);
  try {
    await body(server);
  } finally {
    await server.stop();
  }
}

/** No more than calls by UDP, which is quick. */
const BARE = ['--turn', 'false', '--ice-tcp', 'off'];

async function expectNobody(server) {
  await eventually('nobody is left at the server', async () => /^crosspoint_participants 0$/m.test(await (await fetch(`${server.url}/metrics`)).text()), {
    show: async () => (await (await fetch(`${server.url}/metrics`)).text()).match(/^crosspoint_(participants|rooms).*$/gm),
  });
}

stage.scene('all is well: each way is taken by its call, and nothing is left behind', async () => {
  const check = await Check.open(stage, stage.chromium, { viewport: { width: 1000, height: 700 } });
  assert.deepEqual(await check.run(() => [books.asked, books.sockets.length]), [0, 0], 'nothing is asked for before it begins');
  await check.begin();
  for (const way of ['udp', 'tcp', 'turn-udp', 'turn-tcp']) {
    await check.reaches(way, 'running', 'Measuring');
    assert.deepEqual(await check.run(waysTaken), [way, way]);
  }
  const finding = await check.finding();
  assert.match(finding, /^Calls work/);
  const steps = await check.steps();
  for (const step of ['browser', 'microphone', 'camera', 'server']) assert.equal(steps[step].state, 'good', steps[step].text);
  for (const way of ['udp', 'tcp', 'turn-udp', 'turn-tcp']) assert.match(steps[way].text, /come through.*round trip \d+ ms.*lost.*jitter \d+ ms/s);
  assert.equal(steps['turn-tls'].state, 'absent', 'this server has no certificate');
  await check.released();
  await expectNobody(stage.server);

  const report = await check.run((selector) => document.querySelector(selector).value, byId('report'));
  assert.match(report, /Call by TCP: Works\./);
  assert.match(report, /Server: Crosspoint \d/);
  const secrets = await check.run(() => books.sockets.map(({ url }) => new URL(url).searchParams.get('room')));
  for (const secret of [...secrets, '.local', 'fake_device', 'Fake']) assert(!report.includes(secret), secret);
  assert.deepEqual(check.failures(), []);
});

stage.scene('camera and microphone are refused, and the server offers UDP only: said as not offered, and not as failed', async () => {
  const browser = await launchChromium({ prompts: 'deny' });
  try {
    await withServer({ args: BARE }, async (server) => {
      const check = await Check.open(stage, browser, { url: server.url });
      await check.begin();
      assert.match(await check.finding(), /^Calls work.*but nobody may hear or see you.*not use your microphone and camera.*site’s permissions/);
      const steps = await check.steps();
      for (const device of ['microphone', 'camera']) {
        assert.equal(steps[device].state, 'failed');
        assert.match(steps[device].text, /permission/);
      }
      assert.match(steps.udp.state, /good|warning/);
      for (const way of WAYS.slice(1)) {
        assert.equal(steps[way].state, 'absent');
        assert.match(steps[way].text, /Not offered/);
      }
    });
  } finally {
    await browser.shut();
  }
});

stage.scene('the server lets no WebSocket of this page in: it says so, and calls are not checked', async () => {
  await withServer({ args: ['--allowed-origins', 'https://elsewhere.example'] }, async (server) => {
    const check = await Check.open(stage, stage.chromium, { url: server.url });
    await check.begin();
    assert.match(await check.finding(), /^There is no connection to the server The server answers, but no WebSocket/);
    const steps = await check.steps();
    assert.equal(steps.server.state, 'failed');
    assert.match(steps.server.text, /--allowed-origins/);
    for (const way of WAYS) assert.equal(steps[way].state, 'skipped');
    await check.released();
  });
});

stage.scene('a server that takes one connection of an address only: said as not checked', async () => {
  await withServer({ args: [...BARE, '--max-sockets-per-address', '1'] }, async (server) => {
    const check = await Check.open(stage, stage.chromium, { url: server.url });
    await check.begin();
    assert.match(await check.finding(), /^Calls were not checked There are too many connections from your address/);
    assert.equal((await check.steps()).udp.state, 'skipped');
  });
});

stage.scene('stopped in the midst of a call: all is let go, and the keyboard is where it can go on', async () => {
  const check = await Check.open(stage, stage.chromium);
  await check.begin();
  await check.reaches('udp', 'running', 'Measuring');
  await check.page.keyboard.press('Enter'); // Stop has the focus
  await check.shown('begin');
  assert.equal(await check.run(() => document.activeElement.dataset.testid), 'begin');
  const steps = await check.steps();
  assert.equal(steps.server.state, 'good');
  for (const way of WAYS) assert.match(steps[way].text, /Not checked\s+Stopped/);
  await check.gone('finding');
  await check.released();
  await expectNobody(stage.server);
  assert.deepEqual(check.failures(), []);
});

stage.scene('by keyboard, on a phone, with a screen reader; and the page goes in the midst', async ({ room }) => {
  const check = await Check.open(stage, stage.chromium, { query: `?room=${room}#key=abc`, viewport: { width: 360, height: 740, hasTouch: true } });
  assert.equal(await check.run(() => document.getElementById('back').getAttribute('href')), `/r/${room}#key=abc`);
  await check.run(() => {
    window.said = [];
    new MutationObserver(() => said.push(document.getElementById('announcer').textContent)).observe(document.getElementById('announcer'), { childList: true });
  });
  await check.page.bringToFront();
  await check.page.keyboard.press('Tab');
  assert.equal(await check.run(() => document.activeElement.dataset.testid), 'begin');
  await check.page.keyboard.press('Enter');
  await check.reaches('udp', 'running', 'Measuring');
  const said = (await check.run(() => window.said)).join('\n');
  assert.match(said, /Browser: Works\.[\s\S]*Microphone: Works\.[\s\S]*Camera: Works\.[\s\S]*Server: Works\.[\s\S]*Call by UDP: Calling/);
  assert.equal(await check.run(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0);
  await check.page.goto('about:blank');
  await expectNobody(stage.server);
});

stage.scene('a server that asks for tokens: without one it says so; with one the calls are made where it is good, and nobody sees them', async ({ room }) => {
  await withServer({ args: [...closed.args, ...BARE] }, async (server) => {
    const without = await Check.open(stage, stage.chromium, { url: server.url });
    await without.begin();
    assert.match(await without.finding(), /^The server lets no call begin.*invitation/);

    // From the lobby, with its invitation.
    const token = mint(room);
    const lobby = await App.lobby(stage, stage.chromium, { room, url: server.url, query: `#token=${token}`, prepare: (page) => page.evaluateOnNewDocument(keepBooks) });
    await lobby.click('check');
    const check = new Check(lobby.page);
    await check.shown('begin');
    await check.begin();
    assert.match(await check.finding(), /^Calls work/);
    assert.deepEqual(await check.run(() => [...new Set(books.sockets.map(({ url }) => new URL(url).searchParams.get('room')))]), [room]);
    const report = await check.run((selector) => document.querySelector(selector).value, byId('report'));
    assert(!report.includes(token) && !report.includes('eyJ') && !report.includes(room));

    const alice = await App.join(stage, stage.chromium, { room, name: 'Alice', url: server.url, query: `#token=${token}` });
    await check.begin();
    assert.match(await check.finding(), /^Calls were not checked.*room with people in it/);
    assert.equal((await check.steps()).udp.state, 'skipped');
    assert.equal(await alice.run(() => window.crosspoint.tracks.size), 0);
    await check.page.close();

    const grant = mint(room, '--publish', 'microphone', '--no-subscribe');
    const silent = await Check.open(stage, stage.chromium, { url: server.url, query: `?room=${room}#token=${grant}` });
    assert(!(await silent.run(() => location.href)).includes('token'));
    await silent.begin();
    assert.match(await silent.finding(), /^Calls were not checked.*does not let you both send and receive/);
  });
});

stage.scene('in a room: when sound and picture do not get through, the page says so and leads to the check', async ({ room }) => {
  const app = await App.lobby(stage, stage.chromium, { room, ignored: ['video-answer'] });
  await app.fill('name-input', 'Alice');
  await app.click('join');
  await app.shown('stuck-notice');
  const opened = new Promise((resolve) => { app.page.once('popup', resolve); });
  await app.click('stuck-check');
  const page = await opened;
  await eventually('the check is opened, for this room', () => page.evaluate((name) => location.pathname === '/check' && new URLSearchParams(location.search).get('room') === name, room));
  await page.close();
  assert.equal(await app.run(() => window.crosspoint.state), 'open', 'the room is still there');
});

// What is found of what the steps say, without a browser.

const { isPrivate, judge } = await importWeb('app/check/judge.js');
const works = { verdict: 'good', text: 'It works.' };
const fails = { verdict: 'failed', text: 'It does not.', fix: 'Help it.' };
const slow = { verdict: 'warning', text: 'It is slow.', fix: 'Come nearer.' };
const absent = { verdict: 'absent', text: 'There is none.' };
const udpTo = (address) => ({ ...fails, endpoints: [{ protocol: 'udp', address, port: 7880 }] });
const all = { browser: works, microphone: works, camera: works, server: works, udp: works, tcp: works, 'turn-udp': absent, 'turn-tcp': works, 'turn-tls': works };

for (const [name, outcomes, tone, words] of [
  ['everything', {}, 'good', /^Calls work well from here\. .*direct way/],
  ['a detour fails', { tcp: fails }, 'good', /^Calls work well from here\. .*One of the other ways/],
  ['slowly', { udp: slow }, 'warning', /not well\. It is slow\. Come nearer/],
  ['no camera', { camera: fails }, 'warning', /nobody may see you\. .*Camera: It does not\. Help it/],
  ['no microphone, and no UDP', { microphone: slow, udp: udpTo('192.0.2.1') }, 'warning', /^UDP is blocked by your network, but nobody may hear you\. .*by TCP/],
  ['no UDP', { udp: udpTo('192.0.2.1') }, 'warning', /^UDP is blocked.*go by TCP, and may stutter.*UDP to port 7880 and those after it of host \(192\.0\.2\.1\)/],
  ['a relay by UDP only', { udp: fails, tcp: fails, 'turn-udp': works }, 'warning', /^UDP is blocked.*a relay, which takes a little longer/],
  ['a relay by TLS only', { udp: fails, tcp: fails, 'turn-tcp': fails }, 'warning', /^UDP is blocked.*a relay over TCP, and may stutter/],
  ['a server without UDP', { udp: absent }, 'warning', /^Calls work from here, but not by UDP\. The server offers/],
  ['nothing', { udp: udpTo('192.0.2.1'), tcp: fails, 'turn-tcp': fails, 'turn-tls': absent }, 'bad', /^Nothing gets through.*UDP to port 7880.*another network/],
  ['an address of elsewhere', { udp: udpTo('10.0.0.5'), tcp: absent, 'turn-tcp': absent, 'turn-tls': absent }, 'bad', /10\.0\.0\.5, an address of a private network.*--announce/],
  ['no server', { server: fails, udp: absent }, 'bad', /^There is no connection to the server\. It does not\. Help it/],
  ['refused', { server: { ...fails, refused: 'The room is full.' } }, 'bad', /^The server lets no call begin/],
  ['no calls checked', Object.fromEntries(WAYS.map((way) => [way, { verdict: 'skipped', text: 'People are there.' }])), 'warning', /^Calls were not checked\. People are there/],
  ['insecure', { browser: fails }, 'warning', /^You can watch and listen/],
  ['no WebRTC', { browser: fails, server: { verdict: 'skipped', text: '' } }, 'bad', /^This browser cannot make calls/],
]) {
  test(`the finding: ${name}`, () => {
    const finding = judge(new Map(Object.entries({ ...all, ...outcomes })), 'host');
    assert.equal(finding.tone, tone);
    assert.match(`${finding.title}. ${finding.text} ${finding.fixes.join(' ')}`, words);
  });
}

test('addresses that mean something in their own network only', () => {
  for (const address of ['10.1.2.3', '172.16.0.1', '172.31.255.1', '192.168.1.1', '169.254.1.1', '100.64.0.1', '100.127.0.1', 'fd00::1', 'fc00::1', 'fe80::1']) assert(isPrivate(address), address);
  for (const address of ['203.0.113.1', '172.32.0.1', '100.128.0.1', '127.0.0.1', '::1', '2001:db8::1', '110.0.0.1', 'fdx.example.org']) assert(!isPrivate(address), address);
});

let hosts;
let server;

before(async () => {
  hosts = await Hosts.open();
  server = await Server.start({ within: hosts.server.within, listen: [':443'], udpPort: 443, args: ['--tls', 'self', '--share-udp-port'] });
}, { timeout: 60_000 });

after(async () => {
  await server?.stop();
  await hosts?.close();
});

/** The check in a browser on a host of its own, with these rules of the router's. */
async function onHost(name, launch, rules, body) {
  const host = await hosts.add(name);
  if (rules !== '') await hosts.rules(`table inet ${name} { chain on { type filter hook forward priority 0\niifname ${name} ${rules}\n}\n}`);
  const browser = await launch({ within: host.within, trusting: true });
  const own = {
    server: { url: `https://${hosts.server.ipv4}` },
    async open() {
      const page = await browser.newPage();
      page.words = [];
      return page;
    },
  };
  try {
    await body(await Check.open(own, browser));
  } finally {
    await browser.shut();
  }
}

test('Firefox: directly, by TCP and by a relay', { timeout: 90_000 }, () => onHost('fox', launchFirefox, '', async (check) => {
  await check.begin();
  for (const way of ['udp', 'tcp', 'turn-tcp']) {
    await check.reaches(way, 'running', 'Measuring');
    assert.deepEqual(await check.run(waysTaken), [way, way]);
  }
  assert.match(await check.finding(), /^Calls work/);
  await check.released();
}));

test('UDP is blocked: the finding says so, how calls go, and what to ask for', { timeout: 90_000 }, () => onHost('noudp', launchChromium, 'meta l4proto udp drop', async (check) => {
  await check.begin();
  const finding = await check.finding();
  assert.match(finding, /^UDP is blocked by your network Calls work, but go by TCP, and may stutter\./);
  assert.match(finding, new RegExp(`administrator of your network to let UDP to port 443 of ${hosts.server.ipv4} .*through`));
  const steps = await check.steps();
  assert.equal(steps.udp.state, 'failed');
  assert.match(steps.tcp.state, /good|warning/);
}));

test('nothing but the page gets through', { timeout: 90_000 }, async () => {
  const other = await Server.start({ within: hosts.server.within, listen: [':8443'], udpPort: 7880, args: ['--tls', 'self', '--turn', 'false', '--ice-tcp', 'off'] });
  try {
    await onHost('walled', launchChromium, 'meta l4proto udp drop', async (check) => {
      await check.page.goto(`https://${hosts.server.ipv4}:8443/check`);
      await check.begin();
      const finding = await check.finding();
      assert.match(finding, /^Nothing gets through/);
      assert.match(finding, new RegExp(`let UDP to port \\d+ and those after it of ${hosts.server.ipv4} .*through`));
      assert.match(finding, /another network/);
    });
  } finally {
    await other.stop();
  }
});
