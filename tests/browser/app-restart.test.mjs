// The server is killed and comes back, with nothing of before: the pages are in their call again by themselves.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { App } from './support/app.mjs';
import { Server } from './support/server.mjs';

const stage = Stage.set({ firefox: true });

stage.scene('SIGKILL and a new server: both browsers are back in the call', async ({ room, t }) => {
  let server = await Server.start();
  try {
    const { port, url } = server;
    const alice = await App.join(stage, stage.chromium, { room, name: 'Alice', url });
    const bob = await App.join(stage, stage.firefox, { room, name: 'Bob', url });
    await Promise.all([alice.receives([bob]), bob.receives([alice])]);
    server.process.kill('SIGKILL');
    await server.exited;
    for (const app of [alice, bob]) await app.until('it says so', () => /reconnect|connection (was )?lost|connecting/i.test(document.body.innerText));
    server = await Server.start({ listen: [`127.0.0.1:${port}`] });
    const began = performance.now();
    const isBack = () => window.crosspoint?.state === 'open' && window.crosspoint.pc?.connectionState === 'connected' && window.crosspoint.participants.size === 1;
    await Promise.all([alice, bob].map((app) => app.until('it is back in the call', isBack)));
    for (const app of [alice, bob]) app.id = await app.run(() => window.crosspoint.id);
    await Promise.all([alice.receives([bob]), bob.receives([alice])]);
    t.diagnostic(`both see and hear each other ${Math.round(performance.now() - began)} ms after the server was back`);
    assert(server.running);
  } finally {
    await server.stop();
  }
});
