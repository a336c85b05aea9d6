// The server is killed while two browsers are in a call, and comes back with nothing of before.

import { setTimeout as pause } from 'node:timers/promises';
import { Server } from './server.mjs';

const saysSo = () => /reconnect|connection (was )?lost|connecting/i.test(document.body.innerText);
const isBack = () => window.crosspoint?.state === 'open' && window.crosspoint.pc?.connectionState === 'connected' && window.crosspoint.participants.size === 1;

/**
 * Kills the server, starts one on its port, and waits until the two apps see and hear each other again by themselves.
 * `away` is how long there is none, in ms, from when both pages say so. Returns the new server, and how long each step
 * took from when it was there: `backMs` until both are in the call, `mediaMs` until both see and hear each other.
 */
export async function killAndRestart(server, apps, { away = 0, started = () => {} } = {}) {
  server.process.kill('SIGKILL');
  await server.exited;
  for (const app of apps) await app.until('it says so', saysSo);
  await pause(away);
  const next = await Server.start({ listen: [`127.0.0.1:${server.port}`] });
  started(next);
  const began = performance.now();
  await Promise.all(apps.map((app) => app.until('it is back in the call', isBack)));
  const backMs = performance.now() - began;
  for (const app of apps) app.id = await app.run(() => window.crosspoint.id);
  const [one, other] = apps;
  await Promise.all([one.receives([other]), other.receives([one])]);
  return { server: next, backMs, mediaMs: performance.now() - began };
}
