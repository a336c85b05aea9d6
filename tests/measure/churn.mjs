// Half an hour of people who come and go, 20 a second: what the server needs returns to what it was.
//
//     cargo build --release
//     node tests/measure/churn.mjs [--minutes 30] [--rate 20] [--stay 5] [--warm-up 12] [--rooms 30] [--every 60] [--port own|shared]
//
// `crosspoint load --churn` joins, publishes, receives and leaves: half of the visitors say goodbye, a fifth breaks off, a
// tenth falls silent with its socket open, a fifth is gone within 100 ms, anywhere in its handshake. One client stays in each
// room meanwhile. The same goes on for some minutes first, since what the busiest moment needed is kept for the next one; then
// everybody leaves, every time limit passes, and what the server has is its start. Fails where memory, file handles, tasks
// or threads are more than 5 % above that at the end, when everybody has left again, where anybody is left over, or where
// one visitor in a thousand did not get into the call. The shards have a UDP port each, or share one.

import { execFile } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { get } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { Server, binaryPath } from '../browser/support/server.mjs';

const run = promisify(execFile);
const { values: options } = parseArgs({
  options: Object.fromEntries(Object.entries({ minutes: '30', rate: '20', stay: '5', 'warm-up': '12', rooms: '30', every: '60', port: 'own' })
    .map(([name, value]) => [name, { type: 'string', default: value }])),
});
const GROWTH = 0.05;
const MOST_FAILED = 0.001;
// Beyond the limits for silent sockets, for resuming, for ICE and for DTLS.
const QUIET_TIMEOUT = 300_000;
const AFTER_QUIET = 60_000;

/** The samples of /metrics by name, labels summed up. Each asks by a connection of its own. */
async function metrics({ url }) {
  const text = await new Promise((resolve, reject) => {
    get(`${url}/metrics`, { agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (part) => (body += part)).on('end', () => resolve(body)).on('error', reject);
    }).on('error', reject);
  });
  const values = {};
  for (const line of text.split('\n')) {
    const [, name, value] = /^(\w+)(?:\{.*\})? (\S+)$/.exec(line) ?? [];
    if (name) values[name] = (values[name] ?? 0) + Number(value);
  }
  return values;
}

/** The file handles that a process has. The connection by which we asked just before may not be closed yet: the fewest of some looks. */
async function openHandles(pid) {
  let fewest = Infinity;
  for (let look = 0; look < 5; look += 1) {
    fewest = Math.min(fewest, readdirSync(`/proc/${pid}/fd`).length);
    await pause(100);
  }
  return fewest;
}

/** What the server has and needs. */
async function sample(server) {
  const { pid } = server.process;
  const values = await metrics(server);
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)[1]);
  return {
    memoryKiB: field('VmRSS'),
    handles: await openHandles(pid),
    tasks: values.crosspoint_tasks,
    threads: field('Threads'),
    rooms: values.crosspoint_rooms,
    participants: values.crosspoint_participants,
    sockets: values.crosspoint_websockets,
    peers: values.crosspoint_peers,
    tracks: values.crosspoint_tracks,
    sessions: values.crosspoint_sessions_total,
    connections: values.crosspoint_peer_connections_total,
    cpuSeconds: Math.round(values.process_cpu_seconds_total),
  };
}

const PEOPLE = ['rooms', 'participants', 'sockets', 'peers', 'tracks'];

/** Waits until nobody is left, and every state that has a time limit is over. */
async function quiet(server) {
  const end = performance.now() + QUIET_TIMEOUT;
  for (;;) {
    const now = await sample(server);
    if (PEOPLE.every((name) => now[name] === 0)) break;
    if (performance.now() > end) return now;
    await pause(1000);
  }
  await pause(AFTER_QUIET);
  return sample(server);
}

/** Lets people come and go for so long, and tells how that went. */
async function churn(server, seconds, note) {
  const load = run(binaryPath(), [
    'load', '--url', server.socketUrl('load').replace(/\?.*/, ''), '--profile', 'meeting', '--rooms', options.rooms, '--subscribers', '1',
    '--video-bitrate', '60000', '--churn', options.rate, '--churn-stay', options.stay, '--warm-up', '0', '--seconds', `${Math.round(seconds)}`,
    '--pid', `${server.process.pid}`, '--json',
  ], { maxBuffer: 1 << 26 });
  const began = performance.now();
  const timer = note && setInterval(async () => {
    const { memoryKiB, handles, tasks, participants, peers, sessions, cpuSeconds } = await sample(server);
    console.error(`${Math.round((performance.now() - began) / 1000)} s: ${memoryKiB} KiB, ${handles} file handles, ${tasks} tasks; ${participants} participants, ${peers} peers; ${sessions} came until now, ${cpuSeconds} s of CPU`);
  }, Number(options.every) * 1000);
  try {
    const { stdout } = await load;
    return JSON.parse(stdout).runs[0];
  } finally {
    clearInterval(timer);
  }
}

const most = '1000000';
const server = await Server.start({
  args: ['--share-udp-port', `${options.port === 'shared'}`, '--max-sockets-per-address', most, '--max-joins-per-second', '100000', '--max-participants', '1000', '--max-rooms', most, '--log', 'warn'],
});
try {
  const empty = await sample(server);
  await churn(server, Number(options['warm-up']) * 60, true);
  const before = await quiet(server);
  console.error('everybody has left: this is the start');
  const report = await churn(server, Number(options.minutes) * 60, true);
  const after = await quiet(server);
  console.table({ 'with nobody yet': empty, 'at the start': before, 'at the end': after });
  const { came, early, stayed, failed } = report.churn;
  const notIn = failed.reduce((sum, [, count]) => sum + count, 0);
  console.log(`${came} came in ${Math.round(report.seconds / 60)} minutes (${(came / report.seconds).toFixed(1)} a second): ${early} left before they were connected, ${stayed} after ${options.stay} s, ${notIn} did not get in ${JSON.stringify(failed)}`);
  console.log(`${report.received.packets} packets were received; ${(((report.server.userSeconds + report.server.systemSeconds) / report.seconds) * 100).toFixed(0)} % of a core; ${report.joined} of ${report.clients} stayed all the time`);
  const wrong = ['memoryKiB', 'handles', 'tasks', 'threads']
    .filter((name) => !(after[name] <= before[name] * (1 + GROWTH)))
    .map((name) => `${name}: ${before[name]} before, ${after[name]} after`);
  for (const name of PEOPLE) if (after[name] !== 0) wrong.push(`${name}: ${after[name]} are left`);
  if (notIn > came * MOST_FAILED) wrong.push(`${notIn} of ${came} did not get in`);
  if (report.joined !== report.clients || report.failed.length > 0) wrong.push(`of those that stayed: ${JSON.stringify(report.failed)}`);
  const growth = (name) => `${name} ${(((after[name] - before[name]) / before[name]) * 100).toFixed(1)} %`;
  console.log(`${wrong.length === 0 ? 'ok' : 'FAILED'}: ${['memoryKiB', 'handles', 'tasks', 'threads'].map(growth).join(', ')}${wrong.map((line) => `\n  ${line}`).join('')}`);
  if (server.log.replace(/^stdout:.*\n/gm, '')) console.log(`the server's log:\n${server.log.slice(-4000)}`);
  process.exitCode = wrong.length === 0 ? 0 : 1;
} finally {
  await server.stop();
}
