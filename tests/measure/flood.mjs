// A call in progress while strangers flood its media port with checks for nobody, DTLS hellos and random bytes: its latency
// and its loss, without and with the flood.
//
//     cargo build --release && cargo build --release --example flood
//     node tests/measure/flood.mjs [--rate 100000] [--seconds 10] [--publishers 4] [--shards 1]
//
// Several shards share the port. Over loopback, on this machine: server, load generator and flood share its cores. `delivered` is what of the flood reached the
// shard, and `dropped` what the kernel dropped for want of buffer, whosever it was. Fails where a call that carried
// everything without the flood has a p99 of 50 ms or more with it, or loses 0.1 % or more.

import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { Server, binaryPath } from '../browser/support/server.mjs';

const run = promisify(execFile);
const { values: options } = parseArgs({
  options: { rate: { type: 'string', default: '100000' }, seconds: { type: 'string', default: '10' }, publishers: { type: 'string', default: '4' }, shards: { type: 'string', default: '1' } },
});
const seconds = Number(options.seconds);
const WARM_UP = 3;
const MOST_MS = 50;
const MOST_LOSS = 0.001;

function floodPath() {
  const target = process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL('../../target', import.meta.url));
  const path = process.env.FLOOD_BIN ?? ['release', 'debug'].map((profile) => `${target}/${profile}/examples/flood`).find(existsSync);
  if (!path) throw new Error('no flood: cargo build --release --example flood, or set FLOOD_BIN');
  return path;
}

/** The one media port of a server. */
async function mediaPort({ process: { pid } }) {
  const { stdout } = await run('ss', ['-Hlunp']);
  const line = stdout.split('\n').find((text) => text.includes(`pid=${pid},`));
  return Number(/:(\d+)\s/.exec(line)[1]);
}

async function counted(server, name) {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const samples = text.split('\n').filter((line) => line.startsWith(`crosspoint_${name}{`));
  return samples.reduce((sum, line) => sum + Number(line.split(' ')[1]), 0);
}

async function measure(rate) {
  const server = await Server.start({ args: ['--shards', options.shards, '--share-udp-port', '--log', 'warn'] });
  try {
    const target = `127.0.0.1:${await mediaPort(server)}`;
    const flood = rate > 0 && spawn(floodPath(), [target, `${rate}`, `${seconds + WARM_UP + 6}`], { stdio: ['ignore', 'pipe', 'inherit'] });
    const load = await run(binaryPath(), [
      'load', '--url', server.socketUrl('load').replace(/\?.*/, ''), '--profile', 'meeting', '--publishers', options.publishers, '--subscribers', options.publishers,
      '--seconds', `${seconds}`, '--warm-up', `${WARM_UP}`, '--pid', `${server.process.pid}`, '--json',
    ]);
    let sent = 0;
    if (flood) {
      let text = '';
      flood.stdout.on('data', (bytes) => (text += bytes));
      await once(flood, 'close');
      const told = JSON.parse(text);
      sent = told.sent / told.seconds;
    }
    const [report] = JSON.parse(load.stdout).runs;
    const { loss, received, latency } = report;
    const lost = (loss.lost - loss.repaired) / (received.packets + loss.lost);
    return {
      rate: Math.round(sent),
      joined: `${report.joined}/${report.clients}`,
      p50: latency?.p50,
      p99: latency?.p99,
      'lost %': lost * 100,
      'missing at first %': (loss.lost / (received.packets + loss.lost)) * 100,
      received: received.packets,
      delivered: await counted(server, 'received_datagrams_total'),
      dropped: await counted(server, 'kernel_dropped_datagrams_total'),
      'server CPU s': report.server && report.server.userSeconds + report.server.systemSeconds,
      lost,
    };
  } finally {
    await server.stop();
  }
}

const rows = [];
for (const rate of [0, Number(options.rate)]) rows.push(await measure(rate));
console.table(rows.map(({ lost, ...row }) => row));
const flooded = rows[1];
const holds = flooded.p99 < MOST_MS && flooded.lost < MOST_LOSS;
console.log(`${flooded.rate} datagrams a second: ${holds ? 'the call goes on' : 'FAILED'} (p99 ${flooded.p99} ms, limit ${MOST_MS}; lost ${flooded.lost * 100} %, limit ${MOST_LOSS * 100})`);
process.exit(holds ? 0 : 1);
