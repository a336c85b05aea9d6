// Hosts of a test's own on networks of their own, with a router between them that translates addresses or blocks what a
// test tells it to. Needs root, and Linux.
//
//     server (203.0.113.10, 2001:db8:1::2) ── router ── alice (203.0.113.18)
//                                                   └─ bob (203.0.113.26, 2001:db8:3::2)
//
// The addresses are of documentation's networks: Chromium takes no media from ports 80 and 443 of private ones.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { inside, ip, Namespaces } from './namespaces.mjs';

const PORTS_OF_ALL = 'net.ipv4.ip_unprivileged_port_start=0';
const FORWARDING = ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'];
// An address may be used at once, without asking who else has it.
// And the last one may go without those that came after it.
const AT_ONCE = ['net.ipv4.conf.all.promote_secondaries=1', 'net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0'];

export class Hosts {
  #namespaces = new Namespaces();
  #count = 1;

  /** The router, and the server's host. */
  static async open() {
    const hosts = new Hosts();
    try {
      hosts.#router = await hosts.#namespaces.add('router');
      await sysctl(hosts.#router, [...AT_ONCE, ...FORWARDING]);
      hosts.server = await hosts.add('server', { families: [4, 6] });
      await sysctl(hosts.server.namespace, [PORTS_OF_ALL]);
    } catch (error) {
      await hosts.close();
      throw error;
    }
    return hosts;
  }

  #router;

  /** A host behind a device `name` of the router's. It has an address of each of the `families`: 4, 6. */
  async add(name, { families = [4] } = {}) {
    const number = this.#count++;
    const [near, far] = [name, 'wire'];
    const namespace = await this.#namespaces.add(name);
    await sysctl(namespace, AT_ONCE);
    await ip(`-n ${this.#router} link add ${near} type veth peer name ${far} netns ${namespace}`);
    const nets = { 4: (host) => `203.0.113.${8 * number + host}`, 6: (host) => `2001:db8:${number}::${host}` };
    for (const family of families) {
      const length = family === 4 ? 29 : 64;
      await ip(`-n ${this.#router} address add ${nets[family](1)}/${length} dev ${near}`);
      await ip(`-n ${namespace} address add ${nets[family](2)}/${length} dev ${far}`);
    }
    await ip(`-n ${this.#router} link set dev ${near} up`);
    await ip(`-n ${namespace} link set dev ${far} up`);
    for (const family of families) await ip(`-n ${namespace} -${family} route add default via ${nets[family](1)}`);
    return new Host(namespace, nets);
  }

  /** Tells a host under which names others are found: addresses by name. Holds for what is started there from now on. */
  names(host, addresses) {
    this.#namespaces.names(host.namespace, addresses);
  }

  /** Tells the router what to do, in the language of nft. */
  async rules(text) {
    await command(inside(this.#router), ['nft', '-f', '-'], text);
  }

  /** Lets nothing more through from and to the host behind a device, or everything again: `how` is to drop it in the router, or to unplug the wire. */
  async cut(device, how, on = true) {
    if (how === 'unplug') await ip(`-n ${this.#router} link set dev ${device} ${on ? 'down' : 'up'}`);
    else if (on) await this.rules(`table inet cut_${device} { chain forward { type filter hook forward priority -5\niifname ${device} drop\noifname ${device} drop\n}\n}`);
    else await this.rules(`delete table inet cut_${device}`);
  }

  close() {
    return this.#namespaces.close();
  }
}

class Host {
  constructor(namespace, nets) {
    Object.assign(this, { namespace, nets });
    [this.ipv4, this.ipv6] = [nets[4](2), nets[6](2)];
  }

  get within() {
    return inside(this.namespace);
  }

  /** Exchanges its IPv4 address for another of its network, of which there are five: 2 to 6. */
  async move(host) {
    const next = this.nets[4](host);
    await ip(`-n ${this.namespace} address add ${next}/29 dev wire`);
    await ip(`-n ${this.namespace} address del ${this.ipv4}/29 dev wire`);
    await ip(`-n ${this.namespace} -4 route replace default via ${this.nets[4](1)} src ${next}`);
    this.ipv4 = next;
  }
}

const sysctl = (namespace, settings) => command(inside(namespace), ['sysctl', '-qw', ...settings]);

async function command([name, ...before], words, input = '') {
  const child = spawn(name, [...before, ...words], { stdio: ['pipe', 'inherit', 'inherit'] });
  // It may not read what is said to it.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${words.join(' ')} ended with ${code}\n${input}`);
}
