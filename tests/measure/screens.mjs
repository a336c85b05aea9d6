// Two Chromium windows and a Firefox window hold a call at /r/demo: a picture of each, into a folder.
//
//     node tests/measure/screens.mjs FOLDER [--room demo] [--url http://localhost:8080]
//
// Without --url it starts a server of its own. It also takes the lobby, the share of a screen, a phone's width, and the
// light theme.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { App } from '../browser/support/app.mjs';
import { launchChromium, launchFirefox } from '../browser/support/browsers.mjs';
import { Server } from '../browser/support/server.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { room: { type: 'string', default: 'demo' }, url: { type: 'string' } },
});
const [folder] = positionals;
if (!folder) {
  console.error('usage: node tests/measure/screens.mjs FOLDER [--room demo] [--url http://localhost:8080]');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });

const server = options.url ? undefined : await Server.start();
const url = options.url ?? server.url;
const browsers = [];
const stage = {
  server,
  async open(browser, address) {
    const page = await browser.newPage();
    page.words = [];
    if (address) await page.goto(address);
    return page;
  },
};
const taken = [];
async function take(app, name) {
  await app.page.bringToFront();
  const path = join(folder, `${name}.png`);
  await app.page.screenshot({ path });
  taken.push(path);
  console.log(path);
}

try {
  // A window each, as people have.
  for (const launch of [launchChromium, launchChromium, launchFirefox]) browsers.push(await launch());
  const names = ['Ada', 'Grace', 'Linus'];
  const apps = [];
  for (const [index, browser] of browsers.entries()) {
    const app = await App.lobby(stage, browser, { room: options.room, url });
    await app.page.setViewport({ width: 1280, height: 800 });
    apps.push(app);
    if (index === 0) {
      await app.until('the preview shows', () => [...document.querySelectorAll('video')].some(({ videoWidth }) => videoWidth > 0), { timeout: 5000 }).catch(() => {});
      await take(app, '0-lobby');
    }
    await app.enter(names[index]);
  }
  for (const app of apps) await app.receives(apps.filter((one) => one !== app));
  for (const app of apps) for (const other of apps.filter((one) => one !== app)) await app.shows(other.id, 'camera');
  for (const [index, app] of apps.entries()) await take(app, `${index + 1}-${index < 2 ? 'chromium' : 'firefox'}-${names[index].toLowerCase()}`);

  const [first, second] = apps;
  await second.click('share');
  await first.shows(second.id, 'screen');
  await take(first, '4-screen-share');
  await second.click('share');
  await first.page.setViewport({ width: 360, height: 740 });
  await take(first, '5-phone');
  await first.page.setViewport({ width: 1280, height: 800 });
  await first.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
  await take(first, '6-light');
  await first.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
  await take(first, '7-dark');
  console.log(JSON.stringify({ measure: 'screens', taken }));
} finally {
  for (const browser of browsers) await browser.shut();
  await server?.stop();
}
