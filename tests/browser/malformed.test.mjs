// Malformed input of every kind, during a call: whoever sends it is told, and the call does not notice.

import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { createConnection } from 'node:net';
import { once } from 'node:events';
import { Stage } from './support/stage.mjs';
import { RemotePeer, withoutGap } from './support/peer.mjs';
import { OPCODE, RawSocket } from './support/raw-socket.mjs';
import { badDatagrams, badFrames, badMessages, badRequests, badRooms, badSdp, badTexts } from './support/junk.mjs';

const stage = Stage.set({ firefox: true });

const open = (browser, room, name) => RemotePeer.open(stage, stage[browser], { room, name });

// Two in a call; `mischief` is done meanwhile, and must cost them nothing.
async function duringCall(room, t, mischief) {
  const alice = await open('chromium', room, 'alice');
  const bob = await open('firefox', room, 'bob');
  await alice.join();
  await bob.join();
  await Promise.all([alice.receives(bob), bob.receives(alice)]);
  const gaps = await withoutGap([alice, bob], async () => {
    await mischief({ alice, bob });
    await Promise.all([alice.receives(bob), bob.receives(alice)]);
  });
  t.diagnostic(`longest gaps: ${gaps}`);
  for (const peer of [alice, bob]) {
    assert.deepEqual(await peer.errors(), []);
    assert.equal(await peer.run(() => peer.socket.readyState), 1);
  }
}

async function stranger(room, name = 'mallory') {
  const socket = await RawSocket.open(stage.server.port, { path: `/ws?room=${room}` });
  await socket.next('id');
  socket.send({ type: 'username', name });
  return socket;
}

stage.scene('messages that are none, or have a wrong field: an error each, and the socket stays', async ({ room, t }) => {
  await duringCall(room, t, async () => {
    const bad = [...badTexts, ...badMessages];
    // Two on a socket: the third in ten seconds would close it.
    for (let index = 0; index < bad.length; index += 2) {
      const socket = await stranger(room);
      for (const [place, { text, codes }] of bad.slice(index, index + 2).entries()) {
        socket.send(text);
        const shown = text.slice(0, 80);
        const errors = () => socket.messages.filter(({ type }) => type === 'error');
        await socket.next('error', () => errors().length > place).catch((error) => assert.fail(`no error for ${shown}: ${error.message}`));
        const error = errors()[place];
        assert(codes.includes(error.code), `${shown}: ${error.code} instead of ${codes.join(' or ')}`);
        assert.equal(typeof error.message, 'string');
        assert.equal(error.fatal, false, `${shown}: ${JSON.stringify(error)}`);
      }
      // It can still be talked to.
      socket.send({ type: 'message', text: 'still here' });
      await socket.next('message', ({ text }) => text === 'still here');
      socket.destroy();
    }
  });
});

stage.scene('the third bad message in ten seconds closes the socket: 1008', async ({ room }) => {
  const socket = await stranger(room);
  for (const text of ['{', '{', '{']) socket.send(text);
  assert.equal((await socket.ended()).code, 1008);
  assert.equal(socket.messages.filter(({ type }) => type === 'error').length, 3);
});

stage.scene('a flood of messages is cut off', async ({ room, t }) => {
  await duringCall(room, t, async () => {
    const socket = await stranger(room);
    for (let count = 0; count < 3000; count += 1) socket.send({ type: 'stats' });
    await socket.next('error', ({ code }) => code === 'too-fast');
    socket.destroy();
  });
});

stage.scene('WebSocket frames that are wrong: no more than a closed socket', async ({ room, t }) => {
  await duringCall(room, t, async () => {
    for (const [name, send] of Object.entries(badFrames)) {
      const socket = await stranger(room);
      send(socket);
      // Ends with a close or an error; where neither is due, the socket answers still.
      socket.frame(OPCODE.text, JSON.stringify({ type: 'message', text: name }));
      await Promise.any([socket.ended(), socket.next('error'), socket.next('message', ({ text }) => text === name)]).catch(() =>
        assert.fail(`neither an end nor an answer after ${name}`),
      );
      socket.destroy();
    }
  });
});

stage.scene('HTTP that is none, and rooms that cannot be', async ({ room, t }) => {
  await duringCall(room, t, async () => {
    for (const bytes of badRequests) {
      const tcp = createConnection(stage.server.port, '127.0.0.1').on('error', () => {});
      let answer = '';
      tcp.setEncoding('latin1').on('data', (text) => (answer += text));
      await once(tcp, 'connect');
      tcp.end(Buffer.from(bytes, 'latin1'));
      await once(tcp, 'close');
      assert.doesNotMatch(answer, /root:/);
      assert.doesNotMatch(answer, /^HTTP\/1\.1 101/);
    }
    for (const path of badRooms) {
      const refusal = await RawSocket.open(stage.server.port, { path }).then(
        async (socket) => {
          const { code } = await socket.next('error');
          await socket.ended();
          return code;
        },
        ({ status }) => status,
      );
      assert(refusal === 'bad-room' || refusal === 400 || refusal === 404, `${path}: ${refusal}`);
    }
    // Half a request, held open by many.
    const held = Array.from({ length: 50 }, () => createConnection(stage.server.port, '127.0.0.1').on('error', () => {}));
    for (const tcp of held) tcp.write('GET /ws HTTP/1.1\r\nHost: a\r\n');
    const health = await fetch(`${stage.server.url}/health`);
    assert.equal(await health.text(), 'ok');
    for (const tcp of held) tcp.destroy();
  });
});

stage.scene('datagrams of every first byte, and those that begin well', async ({ room, t }) => {
  await duringCall(room, t, async ({ alice }) => {
    const sdp = await alice.run(() => peer.pc.currentRemoteDescription.sdp);
    const ports = new Set([...sdp.matchAll(/^a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+) typ host/gim)].map(([, port]) => Number(port)));
    assert(ports.size > 0, `no loopback candidate in the server's SDP:\n${sdp.match(/^a=candidate.*$/gm)}`);
    const udp = createSocket('udp4');
    for (const port of ports) {
      let count = 0;
      for (const datagram of badDatagrams()) {
        udp.send(datagram, port, '127.0.0.1');
        // As fast as the sockets take it, but not at the price of this process's other work.
        if ((count += 1) % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    }
    await new Promise((resolve) => udp.send('last', [...ports][0], '127.0.0.1', resolve));
    udp.close();
  });
});

stage.scene("bad SDP from one in the call: 'bad-sdp', and the call goes on as it was, theirs too", async ({ room, t }) => {
  await duringCall(room, t, async ({ alice, bob }) => {
    const wrong = [];
    for (const [name, spoil] of Object.entries(badSdp)) {
      const mallory = await open('chromium', room, 'mallory');
      await mallory.join();
      await alice.until('mallory is there', (id) => peer.tracksOf(id).length === 2, { args: [mallory.id] });
      // The server's own offer to the newcomer is over once it has everybody's tracks.
      for (const other of [alice, bob]) await mallory.until('all tracks', (id) => peer.tracksOf(id).length === 2, { args: [other.id] });
      await mallory.settled();
      const good = await mallory.run(async () => (await peer.pc.createOffer()).sdp);
      await mallory.send({ type: 'video-offer', sdp: { type: 'offer', sdp: spoil(good) } });
      const error = await mallory.next('error', {}, 3000).catch(() => undefined);
      if (!error) wrong.push(`${name}: no error`);
      else if (!['bad-sdp', 'too-many-tracks', 'too-large'].includes(error.code) || error.request !== 'video-offer' || error.fatal) wrong.push(`${name}: ${JSON.stringify(error)}`);
      else {
        // The good one is served as ever.
        await mallory.next('video-answer');
        await mallory.run(() => peer.offer());
        await mallory.next('video-answer', {}, 5000).catch(() => wrong.push(`${name}: afterwards a good offer gets no answer`));
        await mallory.receivesOnly(['video'], bob);
      }
      await mallory.hangUp();
      await mallory.page.close();
    }
    assert.deepEqual(wrong, []);
  });
}, { timeout: 240_000 });

stage.scene('messages in the wrong state, from one in the call', async ({ room, t }) => {
  await duringCall(room, t, async ({ alice, bob }) => {
    const mallory = await open('chromium', room, 'mallory');
    await mallory.join();
    // While the server's own offer is out, an answer is expected: it is over once the newcomer has everybody's tracks.
    for (const other of [alice, bob]) await mallory.until('all tracks', (id) => peer.tracksOf(id).length === 2, { args: [other.id] });
    await mallory.settled();
    const { sdp } = await mallory.run(() => peer.pc.currentLocalDescription.toJSON());
    await mallory.send({ type: 'video-answer', sdp: { type: 'answer', sdp } });
    assert.equal((await mallory.next('error')).code, 'unexpected-answer');
    await mallory.send({ type: 'mute', mid: 'none', muted: true });
    assert.match((await mallory.next('error')).code, /^(bad-message|no-such-track)$/);
    await mallory.send({ type: 'new-ice-candidate', candidate: { candidate: 'candidate:x', sdpMid: '0' } });
    assert.equal((await mallory.next('error')).code, 'bad-candidate');
    await mallory.send({ type: 'receive', track: 't999999', paused: true });
    assert.equal((await mallory.next('error')).code, 'no-such-track');
    await mallory.hangUp();
    await mallory.send({ type: 'hang-up' });
    await mallory.send({ type: 'video-answer', sdp: { type: 'answer', sdp } });
  });
});
