// The process as a person meets it: what it prints, what it serves, how it refuses and how it ends.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { binaryPath, Server } from './support/server.mjs';
import { RawSocket } from './support/raw-socket.mjs';

async function run(...args) {
  const child = spawn(binaryPath(), args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let words = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (words += text));
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
  const [code] = await once(child, 'close');
  clearTimeout(timer);
  return { code, words };
}

test('it serves the page, its files and its health', async () => {
  const server = await Server.start();
  try {
    for (const path of ['/', '/r/demo', '/r/Some-Room_1.2']) {
      const response = await fetch(server.url + path);
      assert.equal(response.status, 200);
      assert.match(response.headers.get('content-type'), /^text\/html/);
      const policy = response.headers.get('content-security-policy');
      assert.match(policy, /default-src 'none'; script-src 'self'/);
      assert.doesNotMatch(policy, /unsafe/);
      assert.match(await response.text(), /<html/i);
    }
    const script = await fetch(`${server.url}/crosspoint.js`);
    assert.match(script.headers.get('content-type'), /javascript/);
    assert.equal(await (await fetch(`${server.url}/health`)).text(), 'ok');
    assert.equal((await fetch(`${server.url}/no-such-file.js`)).status, 404);
  } finally {
    await server.stop();
  }
});

test('SIGTERM, and nobody is in a call: clients are told (1012), and it ends within 5 s', async () => {
  const server = await Server.start();
  const socket = await RawSocket.open(server.port);
  await socket.next('id');
  const { code, signal, took } = await server.stop('SIGTERM');
  assert.equal((await socket.ended()).code, 1012);
  assert.deepEqual({ code, signal }, { code: 0, signal: null });
  assert(took < 5000, `it took ${took} ms`);
});

test('Ctrl-C ends it too', async () => {
  const server = await Server.start();
  server.process.kill('SIGINT');
  assert.deepEqual(await server.exited, { code: 0, signal: null });
});

test('a wrong option is named, with what it may be: exit code 2', async () => {
  for (const [args, named] of [
    [['--log-format', 'xml'], /log-format[\s\S]*(text|json)/],
    [['--udp-port', '70000'], /udp-port[\s\S]*65535/],
    [['--shards', '0'], /shards/],
    [['--listen', 'nowhere'], /listen/],
    [['--no-such-option'], /no-such-option/],
    [['--config', '/does/not/exist.toml'], /exist\.toml/],
  ]) {
    const { code, words } = await run(...args);
    assert.equal(code, 2, `${args.join(' ')}: ${words}`);
    assert.match(words, named);
  }
});

test('a UDP port that is taken is said to be so', async () => {
  const taken = createSocket('udp4');
  taken.bind(0);
  await once(taken, 'listening');
  const { port } = taken.address();
  const { code, words } = await run('--listen', '127.0.0.1:0', '--udp-port', `${port}`);
  taken.close();
  assert.notEqual(code, 0);
  assert.match(words, new RegExp(`${port}[\\s\\S]*(taken|in use)|(taken|in use)[\\s\\S]*${port}`));
});
