// Starts the crosspoint binary on free ports and ends it again. What it writes to stderr is kept, to be shown when a
// test fails. Never talks to the server: that is the tests' business.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const START_TIMEOUT = 15_000;
const STOP_TIMEOUT = 6_000;

export function binaryPath() {
  const path = process.env.CROSSPOINT_BIN ?? `${process.env.CARGO_TARGET_DIR ?? `${root}target`}/release/crosspoint`;
  if (!existsSync(path)) throw new Error(`no server at ${path}: cargo build --release, or set CROSSPOINT_BIN`);
  return path;
}

export class Server {
  #log = '';

  /** Starts a server; resolves once it has said the address to open. `within` is a command to start it by. */
  static async start({ args = [], listen = ['127.0.0.1:0'], udpPort = 0, env = {}, within = [] } = {}) {
    const server = new Server();
    const listens = listen.flatMap((address) => ['--listen', address]);
    const [command, ...words] = [...within, binaryPath(), ...listens, '--udp-port', `${udpPort}`, ...args];
    server.process = spawn(command, words, {
      cwd: root,
      // Nothing is kept from one server to the next.
      env: { ...process.env, HOME: '', XDG_STATE_HOME: '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    server.exited = once(server.process, 'exit').then(([code, signal]) => ({ code, signal }));
    server.process.stderr.setEncoding('utf8').on('data', (text) => (server.#log = (server.#log + text).slice(-200_000)));
    server.url = await server.#address();
    server.port = Number(new URL(server.url).port);
    return server;
  }

  async #address() {
    const lines = createInterface({ input: this.process.stdout });
    const said = new Promise((resolve) => {
      lines.on('line', (line) => {
        this.#log += `stdout: ${line}\n`;
        const url = /^Crosspoint \S+: open (https?:\/\/\S+)$/.exec(line)?.[1];
        if (url) resolve(url);
      });
    });
    const ended = this.exited.then(({ code, signal }) => {
      throw new Error(`the server ended at start (code ${code}, signal ${signal}):\n${this.#log}`);
    });
    const late = new Promise((_, reject) => {
      setTimeout(() => reject(new Error(`the server said no address in ${START_TIMEOUT} ms:\n${this.#log}`)), START_TIMEOUT).unref();
    });
    return Promise.race([said, ended, late]);
  }

  /** The WebSocket address of a room. */
  socketUrl(room, query = {}) {
    return `${this.url.replace(/^http/, 'ws')}/ws?${new URLSearchParams({ room, ...query })}`;
  }

  get log() {
    return this.#log;
  }

  get running() {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  /** Ends it by SIGINT, then SIGKILL; returns how it ended and how long that took. */
  async stop(signal = 'SIGINT') {
    const began = performance.now();
    if (this.running) this.process.kill(signal);
    const timer = setTimeout(() => this.process.kill('SIGKILL'), STOP_TIMEOUT);
    const end = await this.exited;
    clearTimeout(timer);
    return { ...end, took: performance.now() - began };
  }
}
