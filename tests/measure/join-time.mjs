// How long joining takes: from the click, so to say, to the first decoded frame of another participant, on loopback.
//
//     node tests/measure/join-time.mjs [--joins 20] [--browser chromium|firefox]
//
// One publisher is in the room; a second client joins, waits for its first decoded remote frame, leaves, and joins again.
// Two times are taken: `call` from the offer's making, with the socket open; `all` from opening the socket.

import { parseArgs } from 'node:util';
import { launchChromium, launchFirefox } from '../browser/support/browsers.mjs';
import { serveFiles } from '../browser/support/files.mjs';
import { RemotePeer } from '../browser/support/peer.mjs';
import { Server } from '../browser/support/server.mjs';

const { values: options } = parseArgs({ options: { joins: { type: 'string', default: '20' }, browser: { type: 'string', default: 'chromium' } } });
const joins = Number(options.joins);

// Runs in the page: one join of a client that also sends, up to the first decoded frame of the publisher.
async function timedJoin(url, publisher) {
  const stream = (window.devices ??= await sources.devices());
  const began = performance.now();
  const peer = new Peer({ url, name: 'joiner' });
  await peer.connect();
  const opened = performance.now();
  const frame = new Promise((resolve) => {
    const look = async () => {
      for (const video of document.querySelectorAll(`video[data-participant="${publisher}"]`)) {
        if (video.watched) continue;
        video.watched = true;
        video.requestVideoFrameCallback((now) => resolve(now));
      }
      // What is decoded but not yet shown counts as well: rendering is the machine's business.
      for (const receiver of peer.pc?.getReceivers() ?? []) {
        if (receiver.track.kind !== 'video') continue;
        for (const report of (await receiver.getStats()).values()) if (report.framesDecoded > 0) return resolve(performance.now());
      }
      setTimeout(look, 2);
    };
    look();
  });
  await peer.join(stream);
  const decoded = await frame;
  peer.hangUp();
  peer.socket.close(1000);
  await peer.closed;
  return { call: decoded - opened, all: decoded - began };
}

const quantile = (numbers, part) => [...numbers].sort((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(numbers.length * part))];
const summary = (numbers) => ({ min: Math.min(...numbers), median: quantile(numbers, 0.5), p90: quantile(numbers, 0.9), max: Math.max(...numbers) });

const server = await Server.start();
const files = await serveFiles('pages');
const browser = await (options.browser === 'firefox' ? launchFirefox() : launchChromium());
const pages = [];
const stage = {
  server,
  files,
  async open(from, url) {
    const page = await from.newPage();
    pages.push(page);
    await page.goto(url);
    return page;
  },
};
try {
  const publisher = await RemotePeer.open(stage, browser, { room: 'join-time', name: 'publisher' });
  await publisher.join();
  const page = await stage.open(browser, `${files.url}/peer.html`);
  const times = [];
  for (let count = 0; count <= joins; count += 1) {
    const time = await page.evaluate(timedJoin, server.socketUrl('join-time'), publisher.id);
    // The first one starts the codecs and the audio device of the browser.
    if (count > 0) times.push(time);
    console.error(`join ${count}: ${time.call.toFixed(0)} ms with the socket open, ${time.all.toFixed(0)} ms in all${count ? '' : ' (not counted)'}`);
  }
  const call = summary(times.map((time) => time.call));
  const all = summary(times.map((time) => time.all));
  console.log(JSON.stringify({ measure: 'join-time', browser: await browser.version(), joins, unit: 'ms', call, all }));
  console.log(`join to first decoded remote frame, median of ${joins}: ${call.median.toFixed(0)} ms, with the socket's opening ${all.median.toFixed(0)} ms`);
  process.exitCode = all.median < 500 ? 0 : 1;
} finally {
  await browser.shut();
  files.close();
  await server.stop();
}
