// A minute without network: who is cut off in a call is told, and is back by itself afterwards.
//
//     cargo build --release
//     node tests/measure/outage.mjs [--seconds 60] [--pictures FOLDER]     (Linux, root)
//
// Four people in one call, each on a host of its own behind a router: one stays, and of the others one in Firefox and one in
// Chromium meet a router that drops everything, and one in Chromium a wire that is unplugged. Prints what each page says
// meanwhile and how long each step takes. Fails where a page does not say that it is connecting again; where somebody is not
// back, under the same name, with sound and picture both ways; and where anybody is there twice at the end.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { App } from '../browser/support/app.mjs';
import { launchChromium, launchFirefox } from '../browser/support/browsers.mjs';
import { Hosts } from '../browser/support/hosts.mjs';
import { Server } from '../browser/support/server.mjs';
import { eventually } from '../browser/support/wait.mjs';

const { values: options } = parseArgs({ options: { seconds: { type: 'string', default: '60' }, pictures: { type: 'string' } } });
const seconds = Number(options.seconds);
const BACK_TIMEOUT = 60_000;
const GHOST_TIMEOUT = 20_000;
const WORDS = /reconnecting/i;
const CUT = [
  { name: 'Alice', device: 'alice', launch: launchChromium, how: 'drop' },
  { name: 'Bob', device: 'bob', launch: launchFirefox, how: 'drop' },
  { name: 'Carol', device: 'carol', launch: launchChromium, how: 'unplug' },
];

const hosts = await Hosts.open();
const server = await Server.start({ within: hosts.server.within, listen: [':443'], udpPort: 7880, args: ['--tls', 'self', '--log', 'crosspoint=debug'] });
const browsers = [];
let began = performance.now();
const at = () => `${((performance.now() - began) / 1000).toFixed(1)} s`;
const tell = (words) => console.log(`${at()}: ${words}`);

async function join(name, device, launch) {
  const host = await hosts.add(device);
  const browser = await launch({ within: host.within, trusting: true });
  browsers.push(browser);
  const stage = {
    server: { url: `https://${hosts.server.ipv4}` },
    async open(from, url) {
      const page = await from.newPage();
      page.on('console', (message) => options.pictures && console.error(`${name} ${at()}: ${message.text()}`));
      await page.evaluateOnNewDocument(() => Object.defineProperty(Document.prototype, 'hidden', { get: () => false, configurable: true }));
      if (url) await page.goto(url);
      return page;
    },
  };
  return App.join(stage, browser, { room: 'outage', name });
}

/** What the page says of the connection, and who is there for it. */
const seen = (app) =>
  app.run(() => ({
    says: [...document.querySelectorAll('[data-testid="connection"], [role="status"], [role="alert"]')].map((element) => element.innerText.trim()).filter(Boolean).join(' | '),
    state: window.crosspoint.state,
    media: window.crosspoint.pc?.connectionState ?? 'none',
    others: [...window.crosspoint.participants.values()].map(({ name }) => name).sort(),
  }));

try {
  const dave = await join('Dave', 'dave', launchChromium);
  const apps = [];
  for (const { name, device, launch } of CUT) apps.push(await join(name, device, launch));
  const all = [dave, ...apps];
  for (const app of all) await app.receives(all.filter((other) => other !== app), { timeout: 40_000 });
  began = performance.now();
  tell(`everybody receives everybody; now ${CUT.map(({ name }) => name).join(', ')} have no network`);
  const said = apps.map(() => new Set());
  await Promise.all(CUT.map(({ device, how }) => hosts.cut(device, how)));
  let there = '';
  while (performance.now() - began < seconds * 1000) {
    for (const [index, app] of apps.entries()) {
      const now = JSON.stringify(await seen(app));
      if (!said[index].has(now)) {
        said[index].add(now);
        tell(`${app.name}: ${now}`);
      }
    }
    const now = JSON.stringify(await seen(dave));
    if (now !== there) tell(`${dave.name}: ${(there = now)}`);
    await pause(500);
  }
  if (options.pictures) for (const app of all) await app.page.screenshot({ path: `${options.pictures}/${app.name}.png` });
  began = performance.now();
  await Promise.all(CUT.map(({ device, how }) => hosts.cut(device, how, false)));
  tell('there is a network again');
  const rows = await Promise.all(apps.map(async (app, index) => {
    const { device, how, launch } = CUT[index];
    await app.until('it is back in the call', () => window.crosspoint.state === 'open' && window.crosspoint.pc?.connectionState === 'connected', { timeout: BACK_TIMEOUT });
    const back = performance.now() - began;
    tell(`${app.name} is back`);
    return { name: app.name, browser: launch === launchFirefox ? 'Firefox' : 'Chromium', network: how, 'said so': WORDS.test([...said[index]].join()), 'back after ms': Math.round(back) };
  }));
  const names = all.map(({ name }) => name).sort();
  for (const app of all) {
    const others = names.filter((name) => name !== app.name).join();
    await eventually(`${app.name} sees each of the others once`, async () => (await seen(app)).others.join() === others, { timeout: GHOST_TIMEOUT, show: () => seen(app) });
    assert.equal(await app.run(() => window.crosspoint.name), app.name);
    app.id = await app.run(() => window.crosspoint.id);
  }
  for (const app of all) await app.receives(all.filter((other) => other !== app), { timeout: BACK_TIMEOUT });
  tell('everybody is there once, under their own name, and receives everybody');
  console.table(rows);
  assert(rows.every((row) => row['said so']), 'each page said that it was connecting again');
  console.log('ok');
} finally {
  for (const browser of browsers) await browser.shut();
  await server.stop();
  if (options.pictures) console.error(server.log.slice(-20000));
  await hosts.close();
}
