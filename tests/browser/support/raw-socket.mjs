// A WebSocket client that can also do it wrong: it writes whatever frame it is told to, and keeps what comes back.

import { createConnection } from 'node:net';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { eventually } from './wait.mjs';

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

export class RawSocket {
  messages = [];
  closed = undefined;
  #input = Buffer.alloc(0);

  static async open(port, { path = '/ws', protocol = 'crosspoint.v1', headers = {} } = {}) {
    const socket = new RawSocket();
    socket.tcp = createConnection(port, '127.0.0.1');
    socket.tcp.on('error', () => {});
    await once(socket.tcp, 'connect');
    const lines = {
      Host: `localhost:${port}`,
      Upgrade: 'websocket',
      Connection: 'Upgrade',
      'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
      'Sec-WebSocket-Version': '13',
      ...(protocol && { 'Sec-WebSocket-Protocol': protocol }),
      ...headers,
    };
    socket.tcp.write(`GET ${path} HTTP/1.1\r\n${Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
    await new Promise((resolve, reject) => {
      let head = Buffer.alloc(0);
      const read = (chunk) => {
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) return;
        socket.tcp.off('data', read);
        socket.status = Number(head.toString('latin1').split(' ')[1]);
        socket.tcp.on('data', (more) => socket.#read(more));
        if (socket.status === 101) resolve(socket.#read(head.subarray(end + 4)));
        else reject(Object.assign(new Error(`upgrade refused: ${socket.status}`), { status: socket.status }));
      };
      socket.tcp.on('data', read).once('close', () => reject(new Error('closed before the upgrade')));
    });
    socket.tcp.once('close', () => (socket.closed ??= { code: 1006 }));
    return socket;
  }

  // Frames of a server have no mask.
  #read(chunk) {
    this.#input = Buffer.concat([this.#input, chunk]);
    for (;;) {
      if (this.#input.length < 2) return;
      let length = this.#input[1] & 127;
      let start = 2;
      if (length === 126) [length, start] = [this.#input.length < 4 ? Infinity : this.#input.readUInt16BE(2), 4];
      else if (length === 127) [length, start] = [this.#input.length < 10 ? Infinity : Number(this.#input.readBigUInt64BE(2)), 10];
      if (this.#input.length < start + length) return;
      const opcode = this.#input[0] & 15;
      const body = this.#input.subarray(start, start + length);
      this.#input = this.#input.subarray(start + length);
      if (opcode === OPCODE.text) this.messages.push(JSON.parse(body.toString()));
      else if (opcode === OPCODE.close) this.closed = { code: body.length >= 2 ? body.readUInt16BE(0) : 1005, reason: body.subarray(2).toString() };
      else if (opcode === OPCODE.ping) this.frame(OPCODE.pong, body);
    }
  }

  frame(opcode, body, { fin = true, reserved = 0, mask = true } = {}) {
    const payload = Buffer.from(body);
    const size =
      payload.length < 126
        ? Buffer.from([payload.length])
        : payload.length < 65536
          ? Buffer.from([126, payload.length >> 8, payload.length & 255])
          : Buffer.concat([Buffer.from([127]), Buffer.from(BigInt(payload.length).toString(16).padStart(16, '0'), 'hex')]);
    size[0] |= mask ? 128 : 0;
    const key = mask ? randomBytes(4) : Buffer.alloc(0);
    const masked = mask ? payload.map((byte, index) => byte ^ key[index % 4]) : payload;
    this.write(Buffer.concat([Buffer.from([(fin ? 128 : 0) | (reserved << 4) | opcode]), size, key, masked]));
  }

  write(bytes) {
    if (!this.tcp.destroyed) this.tcp.write(bytes);
  }

  send(message) {
    this.frame(OPCODE.text, typeof message === 'string' ? message : JSON.stringify(message));
  }

  /** The first message of a type that fits, counted from `since`. */
  async next(type, fits = () => true, timeout = 5000) {
    return eventually(`'${type}' on a raw socket`, () => this.messages.find((message) => message.type === type && fits(message)), {
      timeout,
      show: async () => ({ messages: this.messages.slice(-10), closed: this.closed }),
    });
  }

  async ended(timeout = 5000) {
    return eventually('the socket is closed', () => this.closed, { timeout, show: async () => this.messages.slice(-10) });
  }

  destroy() {
    this.tcp.destroy();
  }
}
