// Makes a port of a namespace's loopback reachable from here, under the same number on the loopback here: for browsers
// that are only controlled over a socket. The namespace's network stays as it is.

import { createServer } from 'node:net';
import { spawn } from 'node:child_process';
import { once } from 'node:events';

// Runs in the namespace, once for each connection, which is its input and output.
const FAR_END = `
const socket = require('node:net').connect(Number(process.argv[1]), '127.0.0.1');
socket.on('error', () => process.exit(1));
process.stdin.pipe(socket).pipe(process.stdout);`;

/** `within` is a command that runs others in the namespace. The port is free there as well, since nothing else runs there. */
export async function forwardPort(within) {
  const server = createServer((socket) => {
    const [command, ...words] = [...within, process.execPath, '-e', FAR_END, `${port}`];
    const far = spawn(command, words, { stdio: ['pipe', 'pipe', 'ignore'] });
    for (const stream of [socket, far.stdin, far.stdout]) stream.on('error', () => socket.destroy());
    socket.pipe(far.stdin);
    far.stdout.pipe(socket);
    socket.on('close', () => far.kill());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  return { port, close: () => server.close() };
}
