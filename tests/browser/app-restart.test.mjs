// The server is killed and comes back, with nothing of before: the pages are in their call again by themselves.
// tests/measure/restart.mjs measures how soon.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { App } from './support/app.mjs';
import { killAndRestart } from './support/restart.mjs';
import { Server } from './support/server.mjs';

const stage = Stage.set({ firefox: true });

stage.scene('SIGKILL and a new server: both browsers are back in the call', async ({ room, t }) => {
  let server = await Server.start();
  try {
    const { url } = server;
    const alice = await App.join(stage, stage.chromium, { room, name: 'Alice', url });
    const bob = await App.join(stage, stage.firefox, { room, name: 'Bob', url });
    await Promise.all([alice.receives([bob]), bob.receives([alice])]);
    const { mediaMs } = await killAndRestart(server, [alice, bob], { started: (next) => (server = next) });
    t.diagnostic(`both see and hear each other ${Math.round(mediaMs)} ms after the server was back`);
    assert(server.running);
  } finally {
    await server.stop();
  }
});
