// What participants cost the server who are in the call of a room, connected, and send and receive nothing.
//
//     node tests/measure/idle.mjs [--participants 100] [--seconds 60]
//
// They are clients of the page's own library, all in one Chromium. Processor time is the whole server's, kernel included.

import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { launchChromium } from '../browser/support/browsers.mjs';
import { Server } from '../browser/support/server.mjs';

const { values: options } = parseArgs({
  options: { participants: { type: 'string', default: '100' }, seconds: { type: 'string', default: '60' } },
});
const participants = Number(options.participants);
const seconds = Number(options.seconds);
/** Of a core, for each. */
const LIMIT = 0.0002;

/** How long the threads of a process ran, in seconds: Linux counts it in nanoseconds. */
function cpuSeconds(pid) {
  const threads = readdirSync(`/proc/${pid}/task`);
  const ran = threads.map((thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]));
  return ran.reduce((sum, time) => sum + time, 0) / 1e9;
}

// Runs in the page.
async function joinAll(count) {
  const { Crosspoint } = await import('/crosspoint.js');
  window.idle = [];
  for (let number = 1; number <= count; number += 1) {
    const client = new Crosspoint({ room: 'idle', name: `idle-${number}` });
    await client.connect();
    client.joinRoom();
    await new Promise((resolve) => {
      client.on('media', ({ state }) => { if (state === 'connected') resolve(); });
    });
    window.idle.push(client);
  }
}

const server = await Server.start({ args: ['--max-participants', String(participants), '--max-sockets-per-address', String(participants + 10)] });
const browser = await launchChromium();
try {
  const page = await browser.newPage();
  await page.goto(server.url);
  await page.evaluate(joinAll, participants);
  console.error(`${participants} participants are connected; ${seconds} s begin`);
  await pause(5000); // what joining still does
  const { pid } = server.process;
  const before = cpuSeconds(pid);
  const began = performance.now();
  await pause(seconds * 1000);
  const share = (cpuSeconds(pid) - before) / ((performance.now() - began) / 1000);
  const connected = await page.evaluate(() => window.idle.filter(({ pc }) => pc?.connectionState === 'connected').length);
  const each = share / participants;
  console.log(JSON.stringify({ measure: 'idle', participants, connected, seconds, cpuShare: share, cpuShareEach: each }));
  console.log(`${connected} of ${participants} connected; ${(share * 100).toFixed(2)} % of a core, ${(each * 100).toFixed(4)} % each (${each < LIMIT ? 'ok' : 'TOO MUCH'})`);
  process.exitCode = connected === participants && each < LIMIT ? 0 : 1;
} finally {
  await browser.shut();
  await server.stop();
}
