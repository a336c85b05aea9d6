// Networks of a test's own: a namespace for the server, one for each place that a browser stands at, and between them
// wires whose rate, queue, loss and delay can be changed at any time (tests/network/wires.rs). Needs root, and Linux.
//
//     server (10.77.0.1) ── wire ── alice (10.77.0.2)
//                        └─ wire ── bob (10.77.0.3)
//
// Everything vanishes with the network, or, if it is never closed, with this process.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { inside, ip, Namespaces } from './namespaces.mjs';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const SERVER = '10.77.0.1';

export class Network {
  #namespaces = new Namespaces();
  #places = 0;
  #wires;

  /** Makes the server's side. `seed` decides what gets lost. */
  static async open({ seed = 1 } = {}) {
    const network = new Network();
    try {
      network.#wires = await Wires.start(seed);
      network.server = new Place(await network.#namespaces.add('server'), SERVER);
      await ip(`-n ${network.server.namespace} address add ${SERVER}/32 dev lo`);
    } catch (error) {
      await network.close();
      throw error;
    }
    return network;
  }

  /** Makes a place with a wire to the server: `down` towards the place, `up` from it. */
  async place(name, { down, up } = {}) {
    const number = (this.#places += 1);
    const address = `10.77.0.${number + 1}`;
    const [near, far] = ['s', 'c'].map((side) => `${this.#namespaces.prefix}${side}${number}`);
    const namespace = await this.#namespaces.add(name);
    await this.#wires.ask({ open: name, server: near, client: far });
    for (const [device, to] of [[near, this.server.namespace], [far, namespace]]) {
      await ip(`link set dev ${device} addrgenmode none netns ${to}`);
      await ip(`-n ${to} link set dev ${device} up`);
    }
    await ip(`-n ${this.server.namespace} route add ${address} dev ${near} src ${SERVER}`);
    await ip(`-n ${namespace} address add ${address}/32 dev ${far}`);
    await ip(`-n ${namespace} route add default dev ${far} src ${address}`);
    const place = new Place(namespace, address, name, this.#wires);
    await place.set({ down, up });
    return place;
  }

  async close() {
    await this.#wires?.stop();
    await this.#namespaces.close();
  }
}

/** Where processes run. */
class Place {
  #wires;

  constructor(namespace, address, name, wires) {
    Object.assign(this, { namespace, address, name });
    this.#wires = wires;
  }

  /** What to write before a command, so that it runs here. */
  get within() {
    return inside(this.namespace);
  }

  /** Changes the wire: `rate` (bits a second, 0 for no limit), `queue_ms`, `loss`, `delay_ms`, `jitter_ms`, `reordering`, `duplication`. */
  set({ down, up }) {
    return this.#wires.ask({ wire: this.name, down, up });
  }

  /** What passed so far, in each direction. */
  stats() {
    return this.#wires.ask({ stats: this.name });
  }
}

/** The program that carries the packets. */
class Wires {
  #answers = [];

  static async start(seed) {
    const wires = new Wires();
    wires.process = spawn('sh', ['-c', AT_ONCE, wiresPath(), `${seed}`], { stdio: ['pipe', 'pipe', 'inherit'] });
    wires.exited = once(wires.process, 'exit');
    createInterface({ input: wires.process.stdout }).on('line', (line) => wires.#answers.shift()?.resolve(JSON.parse(line)));
    wires.exited.then(() => wires.#answers.splice(0).forEach(({ reject }) => reject(new Error('the wires have ended'))));
    await wires.#answer();
    return wires;
  }

  async ask(order) {
    this.process.stdin.write(`${JSON.stringify(order)}\n`);
    const answer = await this.#answer();
    if (answer.error) throw new Error(`${JSON.stringify(order)}: ${answer.error}`);
    return answer;
  }

  async stop() {
    this.process.stdin.end();
    await this.exited;
  }

  #answer() {
    return new Promise((resolve, reject) => this.#answers.push({ resolve, reject }));
  }
}

// Packets shall come out when they are due, however busy the browsers are: before them, where that is allowed.
const AT_ONCE = 'if chrt -f 10 true 2>/dev/null; then exec chrt -f 10 "$0" "$@"; else exec "$0" "$@"; fi';

function wiresPath() {
  const target = process.env.CARGO_TARGET_DIR ?? `${root}target`;
  const path = process.env.WIRES_BIN ?? ['release', 'debug'].map((profile) => `${target}/${profile}/examples/wires`).find(existsSync);
  if (!path) throw new Error('no wires: cargo build --release --example wires, or set WIRES_BIN');
  return path;
}
