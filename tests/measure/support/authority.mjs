// A certificate authority of a script's own that is asked by ACME: Pebble, by those who made Let's Encrypt.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../browser/support/wait.mjs';

const NAME = 'acme.example.org';
const PORT = 14000;
const MANAGEMENT = 15000;

export class Authority {
  #folder = mkdtempSync(join(tmpdir(), 'crosspoint-authority-'));
  #log = '';

  /** Starts one on a host. It looks at port 443 of whoever asks for a certificate of a name, and knows names as that host does. */
  static async on(host) {
    const authority = new Authority();
    await authority.#start(host);
    return authority;
  }

  name = NAME;
  directory = `https://${NAME}:${PORT}/dir`;

  async #start(host) {
    const [key, certificate, config] = ['key.pem', 'certificate.pem', 'config.json'].map((name) => join(this.#folder, name));
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=${NAME}`, '-addext', `subjectAltName=DNS:${NAME}`,
      '-addext', 'basicConstraints=critical,CA:FALSE', '-keyout', key, '-out', certificate], { stdio: 'ignore' });
    this.ownCertificate = readFileSync(certificate, 'utf8');
    const pebble = { listenAddress: `0.0.0.0:${PORT}`, managementListenAddress: `0.0.0.0:${MANAGEMENT}`, certificate, privateKey: key, httpPort: 80, tlsPort: 443 };
    writeFileSync(config, JSON.stringify({ pebble: { ...pebble, ocspResponderURL: '', externalAccountBindingRequired: false } }));
    const [command, ...words] = [...host.within, 'pebble', '-strict', '-config', config];
    this.process = spawn(command, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.process.stdout, this.process.stderr]) stream.setEncoding('utf8').on('data', (text) => (this.#log += text));
    this.exited = once(this.process, 'exit');
    const ask = (path) => execFileSync(host.within[0], [...host.within.slice(1), 'curl', '-fsSk', `https://127.0.0.1:${MANAGEMENT}${path}`], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    /** The root of what it signs, PEM. */
    this.root = await eventually('the authority tells its root', () => ask('/roots/0'), { show: () => this.#log });
  }

  get log() {
    return this.#log;
  }

  async close() {
    this.process.kill();
    await this.exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
