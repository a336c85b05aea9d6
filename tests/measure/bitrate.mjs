// How fast a publisher's bitrate climbs: a 720p camera in a call on loopback, what it sends and what a subscriber gets.
//
//     node tests/measure/bitrate.mjs [--seconds 15] [--browser chromium|firefox]
//
// The picture is a rough texture that sways, since a test pattern compresses to less than any limit.

import { parseArgs } from 'node:util';
import { launchChromium, launchFirefox } from '../browser/support/browsers.mjs';
import { serveFiles } from '../browser/support/files.mjs';
import { RemotePeer } from '../browser/support/peer.mjs';
import { Server } from '../browser/support/server.mjs';

const { values: options } = parseArgs({
  options: { seconds: { type: 'string', default: '15' }, browser: { type: 'string', default: 'chromium' } },
});
const seconds = Number(options.seconds);
const WANTED = 1_500_000;

// Runs in the page: replaces the camera by 1280 x 720 at 30 frames a second.
async function sendTexture() {
  const [track] = sources.texture().getVideoTracks();
  const sender = peer.pc.getSenders().find((one) => one.track?.kind === 'video');
  await sender.replaceTrack(track);
}

// Runs in the page: bytes of video so far, in one direction.
async function videoBytes(type, member) {
  let bytes = 0;
  for (const report of (await peer.pc.getStats()).values()) if (report.type === type && report.kind === 'video') bytes += report[member];
  return { bytes, at: performance.now() };
}

const server = await Server.start();
const files = await serveFiles('pages');
const browser = await (options.browser === 'firefox' ? launchFirefox() : launchChromium());
const stage = {
  server,
  files,
  async open(from, url) {
    const page = await from.newPage();
    await page.goto(url);
    return page;
  },
};
const rate = (now, then) => ((now.bytes - then.bytes) * 8000) / (now.at - then.at);
try {
  const subscriber = await RemotePeer.open(stage, browser, { room: 'bitrate', name: 'subscriber' });
  await subscriber.join();
  const publisher = await RemotePeer.open(stage, browser, { room: 'bitrate', name: 'publisher' });
  await publisher.join();
  await publisher.run(sendTexture);
  const sample = () =>
    Promise.all([
      publisher.run(videoBytes, 'outbound-rtp', 'bytesSent'),
      subscriber.run(videoBytes, 'inbound-rtp', 'bytesReceived'),
    ]);
  let then = await sample();
  let reached;
  for (let second = 1; second <= seconds; second += 1) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const now = await sample();
    const [sent, received] = [rate(now[0], then[0]), rate(now[1], then[1])];
    then = now;
    if (received >= WANTED) reached ??= second;
    console.error(`second ${second}: ${(sent / 1e6).toFixed(2)} Mbit/s sent, ${(received / 1e6).toFixed(2)} Mbit/s received`);
  }
  console.log(JSON.stringify({ measure: 'bitrate', browser: await browser.version(), wanted: WANTED, reachedAfterSeconds: reached ?? null }));
  console.log(reached ? `1.5 Mbit/s arrive after ${reached} s` : `1.5 Mbit/s never arrive in ${seconds} s`);
  process.exitCode = reached && reached <= 10 ? 0 : 1;
} finally {
  await browser.shut();
  files.close();
  await server.stop();
}
