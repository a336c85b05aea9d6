// Network namespaces of a test's own. They vanish with `close`, or, if that never comes, with this process. Needs root,
// and Linux.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** `ip` with the words of a line. */
export const ip = (line) => run('ip', line.split(' '));

let groups = 0;

export class Namespaces {
  /** How the names of these begin, short enough for devices. */
  prefix = `xp${process.pid}n${(groups += 1)}`;
  #guard = spawn('setsid', ['sh', '-c', GUARD], { stdio: ['pipe', 'ignore', 'inherit'] });

  /** Makes one, with its loopback up, and returns its name. */
  async add(name) {
    const namespace = `${this.prefix}-${name}`;
    await ip(`netns add ${namespace}`);
    this.#guard.stdin.write(`${namespace}\n`);
    await ip(`-n ${namespace} link set dev lo up`);
    return namespace;
  }

  /** What `/etc/hosts` is for what is started in a namespace from now on: addresses by name. */
  names(namespace, addresses) {
    mkdirSync(`/etc/netns/${namespace}`, { recursive: true });
    const lines = Object.entries({ localhost: '127.0.0.1', ...addresses }).map(([name, address]) => `${address} ${name}\n`);
    writeFileSync(`/etc/netns/${namespace}/hosts`, lines.join(''));
  }

  async close() {
    this.#guard.stdin.end();
    await once(this.#guard, 'exit');
  }
}

/** What to write before a command, so that it runs in a namespace. */
export const inside = (namespace) => ['ip', 'netns', 'exec', namespace];

// It is told the namespaces, and when its input ends, even because this process was killed, it ends what still runs in
// them and deletes them.
const GUARD = `
names=
while read -r name; do names="$names $name"; done
for name in $names; do
  ip netns pids "$name" | xargs -r kill
  ip netns delete "$name"
  rm -rf "/etc/netns/$name"
done`;
