// How soon two browsers are back in their call, by themselves, after the server was killed and another one started.
//
//     cargo build --release
//     node tests/measure/restart.mjs [--rounds 3] [--away 0,3,12,40]
//
// Chromium and Firefox, over loopback. For each of the times in seconds for which there is no server, several rounds: from the
// moment the new server says its address until both pages are in the call again, and until each decodes the other's
// picture and sound. Fails where being back takes 5 s or more.

import { parseArgs } from 'node:util';
import { App } from '../browser/support/app.mjs';
import { launchChromium, launchFirefox } from '../browser/support/browsers.mjs';
import { killAndRestart } from '../browser/support/restart.mjs';
import { Server } from '../browser/support/server.mjs';

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '3' }, away: { type: 'string', default: '0,3,12,40' } } });
const MOST_MS = 5000;

let server = await Server.start();
const browsers = [await launchChromium(), await launchFirefox()];
const stage = {
  server,
  async open(browser) {
    const page = await browser.newPage();
    await page.evaluateOnNewDocument(() => Object.defineProperty(Document.prototype, 'hidden', { get: () => false, configurable: true }));
    return page;
  },
};
try {
  const apps = [];
  for (const [index, browser] of browsers.entries()) apps.push(await App.join(stage, browser, { room: 'restart', name: ['Chromium', 'Firefox'][index] }));
  const [one, other] = apps;
  await Promise.all([one.receives([other]), other.receives([one])]);
  const rows = [];
  for (const seconds of options.away.split(',').map(Number)) {
    for (let round = 1; round <= Number(options.rounds); round += 1) {
      const { backMs, mediaMs } = await killAndRestart(server, apps, { away: seconds * 1000, started: (next) => (server = next) });
      rows.push({ 'away s': seconds, round, 'back in the call ms': Math.round(backMs), 'see and hear each other ms': Math.round(mediaMs) });
      console.error(JSON.stringify(rows.at(-1)));
    }
  }
  console.table(rows);
  const slowest = Math.max(...rows.map((row) => row['see and hear each other ms']));
  const holds = slowest < MOST_MS;
  console.log(`${rows.length} times killed: both saw and heard each other again ${slowest} ms after the new server was there, at most: ${holds ? 'ok' : `FAILED, limit ${MOST_MS}`}`);
  process.exitCode = holds ? 0 : 1;
} finally {
  for (const browser of browsers) await browser.shut();
  await server.stop();
}
