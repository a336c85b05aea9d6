// A call by the server's own HTTPS, under a name that is no localhost: browsers give a camera there by HTTPS only.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { App } from './support/app.mjs';

const NAME = 'crosspoint.test';

const stage = Stage.set({
  server: { args: ['--tls', 'self'] },
  chromium: { trusting: true, flags: [`--host-resolver-rules=MAP ${NAME} 127.0.0.1`] },
  firefox: { trusting: true, prefs: { 'network.dns.localDomains': NAME } },
});

stage.scene('who opens the address without TLS is sent to HTTPS, and calls with camera and sound', async ({ room }) => {
  const url = `http://${NAME}:${stage.server.port}`;
  const alice = await App.join(stage, stage.chromium, { room, name: 'Alice', url });
  const bob = await App.join(stage, stage.firefox, { room, name: 'Bob', url });
  for (const [app, other] of [[alice, bob], [bob, alice]]) {
    assert.deepEqual(await app.run(() => [location.protocol, isSecureContext]), ['https:', true]);
    assert.equal(new URL(app.page.url()).host, `${NAME}:${stage.server.port}`);
    await app.receives([other]);
    await app.shows(other.id, 'camera');
    assert.deepEqual(app.failures(), []);
  }
});
