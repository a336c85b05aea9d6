// Ten headless participants in one room for some minutes: freezes, and the server's memory over time.
//
//     node tests/measure/soak.mjs [--participants 10] [--minutes 10] [--every 10]
//
// Each is a page of the independent client in one Chromium; it sends the fake microphone and a small picture of the fake
// camera, and receives all others. A freeze is a time over 1 s in which a picture brought no frame (measured at every
// receiver, ten times a second). The same is measured of what the publishers send: a machine too slow for ten encoders
// and ninety decoders shows there first, and is no fault of the server's.

import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { launchChromium } from '../browser/support/browsers.mjs';
import { serveFiles } from '../browser/support/files.mjs';
import { RemotePeer } from '../browser/support/peer.mjs';
import { Server } from '../browser/support/server.mjs';

const { values: options } = parseArgs({
  options: { participants: { type: 'string', default: '10' }, minutes: { type: 'string', default: '10' }, every: { type: 'string', default: '10' } },
});
const participants = Number(options.participants);
const minutes = Number(options.minutes);
const LONGEST_FREEZE = 1000;
// "Flat": what memory may grow by after the first minute.
const GROWTH = 0.1;

function residentKiB(pid) {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

// Runs in the page: notes, for every picture received, the longest time without a new frame.
function watchFreezes() {
  const seen = new Map();
  window.freezes = { longest: 0, over: 0, sent: 0, poll: 0, frames: 0, pictures: 0 };
  let polled = performance.now();
  const look = async () => {
    const reports = [...(await peer.pc.getStats()).values()];
    const now = performance.now();
    window.freezes.poll = Math.max(window.freezes.poll, now - polled);
    polled = now;
    let frames = 0;
    let pictures = 0;
    for (const { id, type, kind, framesReceived, framesSent } of reports) {
      if (kind !== 'video' || (type !== 'inbound-rtp' && type !== 'outbound-rtp')) continue;
      const count = type === 'inbound-rtp' ? framesReceived : framesSent;
      const last = seen.get(id) ?? { count, at: now };
      // Nothing new at the last reading, and now: that long it lasted at least.
      const still = last.count === count ? now - last.at : 0;
      if (type === 'outbound-rtp') window.freezes.sent = Math.max(window.freezes.sent, still);
      else {
        pictures += 1;
        frames += framesReceived;
        window.freezes.longest = Math.max(window.freezes.longest, still);
        if (still > 1000 && !last.told) {
          window.freezes.over += 1;
          last.told = true;
        }
      }
      seen.set(id, last.count === count ? last : { count, at: now });
    }
    Object.assign(window.freezes, { frames, pictures });
    setTimeout(look, 100);
  };
  look();
}

const server = await Server.start();
const files = await serveFiles('pages');
const browser = await launchChromium();
const stage = {
  server,
  files,
  async open(from, url) {
    const page = await from.newPage();
    await page.goto(url);
    return page;
  },
};
try {
  const peers = [];
  for (let count = 1; count <= participants; count += 1) {
    const peer = await RemotePeer.open(stage, browser, { room: 'soak', name: `peer-${count}` });
    await peer.join();
    peers.push(peer);
  }
  for (const peer of peers) await peer.receives(...peers.filter((one) => one !== peer));
  for (const peer of peers) await peer.run(watchFreezes);
  console.error(`${participants} participants, everyone receives everyone; ${minutes} minutes begin`);

  const began = performance.now();
  const samples = [];
  while (performance.now() - began < minutes * 60_000) {
    await pause(Number(options.every) * 1000);
    const freezes = await Promise.all(peers.map((peer) => peer.run(() => window.freezes)));
    const sample = {
      at: Math.round((performance.now() - began) / 1000),
      rss: residentKiB(server.process.pid),
      cpu: cpuSeconds(server.process.pid),
      longest: Math.round(Math.max(...freezes.map(({ longest }) => longest))),
      sent: Math.round(Math.max(...freezes.map(({ sent }) => sent))),
      poll: Math.round(Math.max(...freezes.map(({ poll }) => poll))),
      over: freezes.reduce((sum, { over }) => sum + over, 0),
      frames: freezes.reduce((sum, { frames }) => sum + frames, 0),
      pictures: freezes.reduce((sum, { pictures }) => sum + pictures, 0),
    };
    samples.push(sample);
    console.error(`${sample.at} s: ${sample.rss} KiB, longest time without a frame ${sample.longest} ms (${sample.over} over 1 s), without sending one ${sample.sent} ms, ${sample.pictures} pictures, ${sample.frames} frames`);
  }

  const last = samples.at(-1);
  const settled = samples.find(({ at }) => at >= 60) ?? samples[0];
  const peak = Math.max(...samples.filter(({ at }) => at >= settled.at).map(({ rss }) => rss));
  const result = {
    measure: 'soak',
    participants,
    seconds: last.at,
    longestFreezeMs: last.longest,
    freezesOverOneSecond: last.over,
    longestUnsentMs: last.sent,
    slowestPollMs: last.poll,
    rssKiB: { afterFirstMinute: settled.rss, peak, end: last.rss },
    cpuShare: last.cpu / last.at,
    samples,
  };
  const flat = peak <= settled.rss * (1 + GROWTH);
  const smooth = last.longest <= LONGEST_FREEZE;
  console.log(JSON.stringify(result));
  console.log(
    `${participants} participants for ${last.at} s: longest freeze ${last.longest} ms (${smooth ? 'ok' : 'TOO LONG'}; publishers themselves paused ${last.sent} ms); ` +
      `server ${settled.rss} KiB after a minute, ${peak} KiB at most, ${last.rss} KiB at the end (${flat ? 'flat' : 'GROWS'}); ${(result.cpuShare * 100).toFixed(0)} % of a core`,
  );
  process.exitCode = flat && smooth ? 0 : 1;
} finally {
  await browser.shut();
  files.close();
  await server.stop();
}
