// A Debian machine of a script's own: a fresh system in a folder, run by systemd-nspawn, whose network is a namespace that
// the script has made. Needs root, and Debian or Ubuntu.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from '../../browser/support/wait.mjs';

const run = promisify(execFile);
const BOOT_TIMEOUT = 60_000;
/** How systemd-nspawn ends where the system asks to be started again. */
const REBOOTS = 133;
/** What a minimal Debian lacks of what a rented one has. */
const PACKAGES = ['systemd-sysv', 'dbus', 'iproute2', 'procps'];
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LANG: 'C.UTF-8' };

export class Machine {
  folder = mkdtempSync(join(tmpdir(), 'crosspoint-machine-'));
  root = join(this.folder, 'root');
  #binds = [];
  #namespace;
  #nspawn;
  #said = '';

  /** A fresh Debian 12. `binds` are files and folders of this machine that it sees, unable to write there: by their names in it. */
  static async debian({ binds = {} } = {}) {
    const machine = new Machine();
    machine.#binds = Object.entries(binds).map(([inside, outside]) => `--bind-ro=${outside}:${inside}`);
    try {
      await run('debootstrap', ['--variant=minbase', `--include=${PACKAGES}`, 'bookworm', machine.root], { maxBuffer: 1 << 26 });
    } catch (error) {
      machine.#delete();
      throw error;
    }
    return machine;
  }

  /**
   * Runs a script of bash's: with this machine's own network, until `boot`, then on the booted system. `show` passes on
   * what it prints. Returns what it printed; throws where it fails.
   */
  async sh(script, { show = false, environment = {} } = {}) {
    const variables = Object.entries({ ...ENVIRONMENT, ...environment }).map(([name, value]) => `${name}=${value}`);
    const shell = ['env', '-i', ...variables, 'bash', '-c', script];
    const [command, ...words] = this.#nspawn
      ? ['nsenter', '--target', this.#leader(), '--all', '--', ...shell]
      : ['systemd-nspawn', ...this.#options(), '--pipe', '--resolv-conf=copy-host', ...shell];
    const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        said += text;
        if (show) process.stdout.write(text.replace(/^(?=.)/gm, '    '));
      });
    }
    const [code, signal] = await once(child, 'close');
    if (code !== 0) throw Object.assign(new Error(`ended with ${code ?? signal}: ${script}\n${said}`), { code, said });
    return said;
  }

  /** Starts systemd in it, in a network namespace, and waits until that has started everything. */
  async boot(namespace) {
    this.#namespace = namespace;
    const words = ['--boot', `--network-namespace-path=/run/netns/${namespace}`, '--resolv-conf=off'];
    this.#nspawn = spawn('systemd-nspawn', [...this.#options(), ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#nspawn.stdout, this.#nspawn.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (this.#said = (this.#said + text).slice(-20_000)));
    }
    const is = () => this.sh('systemctl is-system-running').catch(({ said }) => said);
    await eventually('the machine has started', async () => /^(running|degraded)/.test(await is()), { timeout: BOOT_TIMEOUT, show: () => this.#said });
  }

  /** Starts it again, as somebody at its console would, and waits until it has started everything. */
  async reboot() {
    const ended = once(this.#nspawn, 'exit');
    await this.sh('systemctl reboot');
    const [code] = await ended;
    if (code !== REBOOTS) throw new Error(`the machine ended with ${code}:\n${this.#said}`);
    await this.boot(this.#namespace);
  }

  /** Turns it off and deletes it. */
  async close() {
    if (this.#nspawn && this.#nspawn.exitCode === null) {
      const ended = once(this.#nspawn, 'exit');
      this.#nspawn.kill('SIGTERM');
      await ended;
    }
    this.#delete();
  }

  #delete() {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #options() {
    return ['--quiet', '--directory', this.root, '--register=no', '--keep-unit', ...this.#binds];
  }

  /** The process that is the system's first. */
  #leader() {
    const { pid } = this.#nspawn;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
    const first = children.find((child) => readFileSync(`/proc/${child}/comm`, 'utf8').trim() === 'systemd');
    if (!first) throw new Error(`the machine does not run:\n${this.#said}`);
    return first;
  }
}
