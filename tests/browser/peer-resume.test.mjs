// The socket breaks during a call, and is taken up again: the media must not notice.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { RemotePeer, withoutGap } from './support/peer.mjs';
import { Proxy } from './support/proxy.mjs';
import { eventually } from './support/wait.mjs';

const stage = Stage.set({ firefox: true, server: { args: ['--resume-timeout', '8'] } });
const open = (browser, room, name, url) => RemotePeer.open(stage, stage[browser], { room, name, url });

async function openBehindProxy(browser, room, name) {
  const proxy = await Proxy.start(stage.server.port);
  const url = new URL(stage.server.socketUrl(room));
  url.port = proxy.port;
  const peer = await open(browser, room, name, url.href);
  return { peer, proxy };
}

for (const browser of ['chromium', 'firefox']) {
  stage.scene(`cut and resumed in ${browser}: no gap in the media of either side`, async ({ room, t }) => {
    const { peer: alice, proxy } = await openBehindProxy(browser, room, 'alice');
    try {
      const bob = await open('chromium', room, 'bob');
      await alice.join();
      await bob.join();
      await Promise.all([alice.receives(bob), bob.receives(alice)]);
      let token = alice.hello.resume;
      const gaps = await withoutGap([alice, bob], async () => {
        proxy.cut();
        await alice.run(() => peer.closed);
        // The media goes on while there is no socket.
        await Promise.all([alice.receives(bob), bob.receives(alice)]);
        const id = await alice.run(() => peer.resume());
        assert.deepEqual({ id: id.id, resumed: id.resumed, room: id.room }, { id: alice.id, resumed: true, room });
        assert.notEqual(id.resume, token);
        token = id.resume;
        await Promise.all([alice.receives(bob), bob.receives(alice)]);
      });
      t.diagnostic(`longest gaps of alice and bob: ${gaps}`);
      // As a newcomer, one who resumes is told who is there.
      const known = await alice.run((id) => peer.heard.filter((message) => message.type === 'participant' && message.id === id && message.state === 'joined').length, bob.id);
      assert(known >= 2, `bob was announced ${known} times`);
      assert.equal(await bob.run((left) => peer.heard.some(({ type, state, id }) => type === 'participant' && state === 'left' && id === left), alice.id), false);

      // What others did meanwhile is caught up with.
      proxy.cut();
      await alice.run(() => peer.closed);
      await bob.run(() => peer.add(sources.colour('teal')));
      await bob.next('video-answer');
      await alice.run(() => peer.resume());
      await alice.until("bob's second picture", (from) => peer.tracksOf(from).length === 3, { args: [bob.id] });
    } finally {
      proxy.close();
    }
  });
}

stage.scene('the old token is worth nothing, once used', async ({ room }) => {
  const { peer: alice, proxy } = await openBehindProxy('chromium', room, 'alice');
  proxy.cut();
  await alice.run(() => peer.closed);
  await alice.run(() => peer.resume());
  const end = await alice.run(async (token, url) => {
    const old = new Peer({ url, name: 'thief' });
    old.resumeToken = token;
    old.resume().catch(() => {});
    return { error: await old.next('error'), ...(await old.closed) };
  }, alice.hello.resume, stage.server.socketUrl(room));
  assert.equal(end.error.code, 'resume-failed');
  assert.equal(end.code, 4404);
  proxy.close();
});

stage.scene('who does not come back has left, and may not resume', async ({ room }) => {
  const { peer: alice, proxy } = await openBehindProxy('chromium', room, 'alice');
  const bob = await open('chromium', room, 'bob');
  await alice.join();
  await bob.join();
  await bob.receives(alice);
  proxy.refuse();
  proxy.cut();
  await bob.next('participant', { id: alice.id, state: 'left' }, 20_000);
  await eventually('nothing is left of alice', async () => (await bob.inbound()).every(({ participant }) => participant !== alice.id));
  proxy.refuse(false);
  const end = await alice.run(async () => {
    peer.resume().catch(() => {});
    return { error: await peer.next('error'), ...(await peer.closed) };
  });
  assert.equal(end.error.code, 'resume-failed');
  assert.equal(end.code, 4404);
  proxy.close();
});
