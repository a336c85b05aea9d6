// A TCP proxy before the server, to break a client's WebSocket as a network does: without a word to either side. It also keeps
// what clients sent, as it went over the wire.

import { createConnection, createServer } from 'node:net';
import { once } from 'node:events';

export class Proxy {
  #pairs = new Set();
  #refusing = false;
  #sent = [];

  static async start(port) {
    const proxy = new Proxy();
    proxy.server = createServer((client) => proxy.#join(client, port));
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    proxy.port = proxy.server.address().port;
    proxy.url = `http://localhost:${proxy.port}`;
    return proxy;
  }

  #join(client, port) {
    if (this.#refusing) return client.destroy();
    const upstream = createConnection(port, '127.0.0.1');
    const pair = [client, upstream];
    this.#pairs.add(pair);
    const end = () => {
      this.#pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) socket.setNoDelay(true).on('error', end).on('close', end);
    client.on('data', (bytes) => this.#sent.push(bytes));
    client.pipe(upstream);
    upstream.pipe(client);
  }

  /** All bytes of all clients, one character each. */
  get sent() {
    return Buffer.concat(this.#sent).toString('latin1');
  }

  /** Destroys every connection there is; returns how many. */
  cut() {
    const count = this.#pairs.size;
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
    return count;
  }

  /** From now on, whoever connects is sent away. */
  refuse(refusing = true) {
    this.#refusing = refusing;
  }

  close() {
    this.cut();
    this.server.close();
  }
}
