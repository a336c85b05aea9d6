// Ten headless participants in one room for some minutes: freezes, and the server's memory over time.
//
//     node tests/measure/soak.mjs [--participants 10] [--minutes 10] [--every 10]
//
// Each is a page of the independent client in one Chromium; it sends a tone and a small moving picture, and receives all
// others. A freeze is a time over 1 s in which a picture that should move brought no frame (measured here at every
// receiver, ten times a second, beside the browser's own count).

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
  window.freezes = { longest: 0, where: null, over: 0, own: 0, frames: 0, pictures: 0 };
  const look = async () => {
    const now = performance.now();
    let own = 0;
    let frames = 0;
    let pictures = 0;
    for (const report of (await peer.pc.getStats()).values()) {
      if (report.type !== 'inbound-rtp' || report.kind !== 'video') continue;
      pictures += 1;
      frames += report.framesReceived;
      own += report.totalFreezesDuration ?? 0;
      const last = seen.get(report.id);
      if (!last || last.frames !== report.framesReceived) {
        if (last && now - last.at > 1000) window.freezes.over += 1;
        seen.set(report.id, { frames: report.framesReceived, at: now });
      } else if (now - last.at > window.freezes.longest) {
        Object.assign(window.freezes, { longest: now - last.at, where: report.mid });
      }
    }
    Object.assign(window.freezes, { own, frames, pictures });
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
    await peer.run(async (hue) => {
      const stream = sources.colour(`hsl(${hue} 80% 50%)`);
      for (const track of (await sources.tone(200 + hue)).getTracks()) stream.addTrack(track);
      await peer.join(stream);
    }, Math.round((360 / participants) * count));
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
      over: freezes.reduce((sum, { over }) => sum + over, 0),
      frames: freezes.reduce((sum, { frames }) => sum + frames, 0),
      pictures: freezes.reduce((sum, { pictures }) => sum + pictures, 0),
    };
    samples.push(sample);
    console.error(`${sample.at} s: ${sample.rss} KiB, longest time without a frame ${sample.longest} ms, ${sample.pictures} pictures, ${sample.frames} frames`);
  }

  const own = await Promise.all(peers.map((peer) => peer.run(() => window.freezes.own)));
  const last = samples.at(-1);
  const settled = samples.find(({ at }) => at >= 60) ?? samples[0];
  const peak = Math.max(...samples.filter(({ at }) => at >= settled.at).map(({ rss }) => rss));
  const result = {
    measure: 'soak',
    participants,
    seconds: last.at,
    longestFreezeMs: last.longest,
    freezesOverOneSecond: last.over,
    browserFreezeSeconds: own.reduce((sum, seconds) => sum + seconds, 0),
    rssKiB: { afterFirstMinute: settled.rss, peak, end: last.rss },
    cpuShare: last.cpu / last.at,
    samples,
  };
  const flat = peak <= settled.rss * (1 + GROWTH);
  const smooth = last.longest <= LONGEST_FREEZE;
  console.log(JSON.stringify(result));
  console.log(
    `${participants} participants for ${last.at} s: longest freeze ${last.longest} ms (${smooth ? 'ok' : 'TOO LONG'}); ` +
      `server ${settled.rss} KiB after a minute, ${peak} KiB at most, ${last.rss} KiB at the end (${flat ? 'flat' : 'GROWS'}); ${(result.cpuShare * 100).toFixed(0)} % of a core`,
  );
  process.exitCode = flat && smooth ? 0 : 1;
} finally {
  await browser.shut();
  files.close();
  await server.stop();
}
