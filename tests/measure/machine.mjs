// A public machine from nothing: deploy/README.md, word for word, on a fresh Debian, until two people are in a call.
//
//     node tests/measure/machine.mjs [--binary FILE] [--rustup] [--pictures FOLDER]     (Debian or Ubuntu, root)
//
// Does what the notes say, step by step, on a machine of its own (debootstrap and systemd-nspawn, which it installs), on a
// network of its own behind a router that lets through what the notes name, with a certificate of Pebble's, an authority
// that looks at port 443 as Let's Encrypt does. Then one person in Chromium and one in Firefox meet in a call; the server is
// killed, restarted as for a new version, and the machine boots again, and each time both are back by themselves. Prints how
// long each step takes. Fails where a step does, where the doctor finds a failure, where the way to the call takes more than
// ten minutes, and where somebody is not back.
//
// The sources are this repository's last commit. Rust is this machine's own, which the new one sees, unless --rustup asks for
// the line that installs it. --binary takes a server that is built already ("a binary built elsewhere does as well"). What
// concerns the whole kernel (`sysctl --system`) and a firewall on the machine itself is left out.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { App } from '../browser/support/app.mjs';
import { launchChromium, launchFirefox } from '../browser/support/browsers.mjs';
import { Hosts } from '../browser/support/hosts.mjs';
import { eventually } from '../browser/support/wait.mjs';
import { Authority } from './support/authority.mjs';
import { Machine } from './support/nspawn.mjs';
import { installed } from './support/packages.mjs';
import { Steps } from './support/steps.mjs';

const run = promisify(execFile);
const { values: options } = parseArgs({
  options: { binary: { type: 'string' }, rustup: { type: 'boolean', default: false }, pictures: { type: 'string' } },
});
const repository = fileURLToPath(new URL('../../', import.meta.url));
const NAME = 'call.example.org';
const MOST_SECONDS = 600;
/** Whom this machine trusts, and by which name the new one sees it: crates may come through a proxy of its own. */
const [AUTHORITIES, TRUSTED] = ['/etc/ssl/certs/ca-certificates.crt', '/opt/authorities.pem'];
// A call has a minute to end by itself before the server stops.
const BACK_TIMEOUT = 120_000;
const CERTIFICATE_TIMEOUT = 60_000;
/** The table of ports in the notes. */
const LET_THROUGH = `table inet firewall { chain forward { type filter hook forward priority 0; policy accept
oifname server ct state new tcp dport != 443 drop
oifname server ct state new udp dport != 7880-7943 drop
}
}`;

/** The commands of the notes, by the number of their step. */
function commands() {
  const sections = readFileSync(join(repository, 'deploy/README.md'), 'utf8').split(/^## /m).filter((section) => /^\d\. /.test(section));
  return sections.map((section) => [...section.matchAll(/^ {4}(.*)$/gm)].map(([, line]) => line).join('\n'));
}

const steps = new Steps();
/** `counts`: as a part of the way from nothing to a call. */
const step = (what, does, { counts = true } = {}) => steps.take(what, does, { counts });

await installed({ debootstrap: 'debootstrap', 'systemd-nspawn': 'systemd-container', pebble: 'pebble', openssl: 'openssl', curl: 'curl' });
const [program, certificate, settings, service, buffers, check, ...more] = commands();
assert(check && more.length === 0, 'the notes have six steps');

const toolchain = execFileSync('rustc', ['--print', 'sysroot'], { encoding: 'utf8' }).trim();
const browsers = [];
let [hosts, machine, authority] = [];
try {
  hosts = await Hosts.open();
  const [alice, bob, city] = [await hosts.add('alice'), await hosts.add('bob'), await hosts.add('authority')];
  await hosts.rules(LET_THROUGH);
  const names = { [NAME]: hosts.server.ipv4 };
  for (const host of [alice, bob, city]) hosts.names(host, names);
  authority = await Authority.on(city);
  machine = await step('a fresh Debian', () => Machine.debian({ binds: { '/repository': repository, '/opt/rust': toolchain, [TRUSTED]: AUTHORITIES } }), { counts: false });

  // --- 1. The program, by the machine's way to the Internet -----------------------------------------------------------
  if (options.binary) copyFileSync(options.binary, join(machine.root, 'usr/local/bin/crosspoint'));
  await step('1. the program', () => machine.sh(`set -e\ncd ~\n${asHere(program)}`, { show: !options.binary, environment: { CARGO_TERM_QUIET: 'true', CARGO_HTTP_CAINFO: TRUSTED } }));
  await step('the machine boots in a network of its own', async () => {
    const known = { ...names, localhost: '127.0.0.1', [authority.name]: city.ipv4 };
    writeFileSync(join(machine.root, 'etc/hosts'), Object.entries(known).map(([name, address]) => `${address} ${name}\n`).join(''));
    await machine.boot(hosts.server.namespace);
  }, { counts: false });

  // --- 2. to 5. -------------------------------------------------------------------------------------------------------
  const there = options.binary ? 'cd /repository' : 'cd ~/crosspoint';
  const does = (commands, more = {}) => machine.sh(`set -e\n${there}\n${commands}`, { show: true, ...more });
  await step('2. the name leads there', () => does(certificate));
  await step('3. options', () => does(settings));
  // Another authority than Let's Encrypt, which everybody trusts all the same.
  for (const [name, pem] of [['directory', authority.ownCertificate], ['root', authority.root]]) {
    writeFileSync(join(machine.root, `usr/local/share/ca-certificates/${name}.crt`), pem);
  }
  await does(`update-ca-certificates >/dev/null\necho 'acme-directory = "${authority.directory}"' >> /etc/crosspoint/crosspoint.toml`);
  await step('4. the service', () => does(service, { environment: { SYSTEMD_PAGER: '', SYSTEMD_COLORS: '0' } }));
  await step('5. buffers', () => does(buffers.replace(/^ufw .*\n/m, '').replace('sysctl --system && ', '')));

  // --- 6. Is it well? -------------------------------------------------------------------------------------------------
  const roots = join(machine.folder, 'authority.pem');
  writeFileSync(roots, authority.root);
  const from = (host, words) => run(host.within[0], [...host.within.slice(1), ...words], { env: { ...process.env, SSL_CERT_FILE: roots, CURL_CA_BUNDLE: roots } });
  const secrets = 'set -a; . /etc/crosspoint/secrets.env; set +a';
  await step('the certificate is there', async () => {
    const show = async () => `${authority.log}\n${await machine.sh('journalctl -u crosspoint --no-pager')}`;
    await eventually('visitors have a page that they trust', () => from(alice, ['curl', '-fsS', `https://${NAME}/ready`]), { timeout: CERTIFICATE_TIMEOUT, show });
  });
  const [onIt, elsewhere, ready] = check.split('\n');
  await step('6. the doctor there', () => does(onIt));
  const token = (await machine.sh(`${secrets}; crosspoint token --every-room --valid-for 1h`)).trim();
  await step('6. the doctor elsewhere', async () => {
    const words = elsewhere.replace('TOKEN', token).split(' ');
    words[0] = join(machine.root, 'usr/local/bin/crosspoint');
    console.log((await from(bob, words)).stdout.replace(/^(?=.)/gm, '    '));
  });
  assert.match((await from(bob, ready.split(' '))).stdout, /ready/);

  const apps = [];
  const stage = {
    server: { url: `https://${NAME}` },
    async open(browser) {
      const page = await browser.newPage();
      await page.evaluateOnNewDocument(() => Object.defineProperty(Document.prototype, 'hidden', { get: () => false, configurable: true }));
      return page;
    },
  };
  const bothWays = async () => {
    for (const app of apps) app.id = await app.run(() => window.crosspoint.id);
    const [one, another] = apps;
    await Promise.all([one.receives([another], { timeout: BACK_TIMEOUT }), another.receives([one], { timeout: BACK_TIMEOUT })]);
  };
  await step('two people are in a call', async () => {
    for (const [name, host, launch] of [['Alice', alice, launchChromium], ['Bob', bob, launchFirefox]]) {
      const browser = await launch({ within: host.within, trusting: true });
      browsers.push(browser);
      apps.push(await App.join(stage, browser, { room: 'test', name, query: `#token=${token}`, ignored: /./ }));
    }
    await bothWays();
  });
  if (options.pictures) for (const app of apps) await app.page.screenshot({ path: join(options.pictures, `machine-${app.name}.png`) });
  const took = steps.rows.filter(({ counts }) => counts).reduce((sum, { seconds }) => sum + seconds, 0);

  // --- And then -------------------------------------------------------------------------------------------------------
  const account = await machine.sh('ps -o user= -p $(systemctl show -p MainPID --value crosspoint)');
  assert.match(account, /^crosspo/, 'the service has an account of its own');
  const comesBack = async () => {
    await Promise.all(apps.map((app) => app.until(
      'it is back in the call',
      () => window.crosspoint.state === 'open' && window.crosspoint.pc?.connectionState === 'connected' && window.crosspoint.participants.size === 1,
      { timeout: BACK_TIMEOUT },
    )));
    await bothWays();
  };
  const goes = (app) => app.until('it notices', () => window.crosspoint.state !== 'open' || window.crosspoint.pc?.connectionState !== 'connected', { timeout: BACK_TIMEOUT });
  for (const [what, how] of [
    ['killed', () => machine.sh('systemctl kill --signal=KILL crosspoint')],
    ['restarted for a new version', () => machine.sh('systemctl restart crosspoint')],
    ['the machine boots again', () => machine.reboot()],
  ]) {
    await step(`${what}: both are back`, async () => {
      const noticed = Promise.all(apps.map(goes));
      await how();
      await noticed;
      await comesBack();
    }, { counts: false });
  }
  const began = performance.now();
  await machine.sh('systemctl stop crosspoint');
  console.log(`systemctl stop took ${((performance.now() - began) / 1000).toFixed(1)} s with the two in their call`);
  assert.match(await machine.sh('systemctl show -p Result crosspoint'), /success/);
  console.log(await machine.sh('systemd-analyze security crosspoint --no-pager | tail -1'));
  const orders = authority.log.match(/Issued certificate/g)?.length ?? 0;
  assert.equal(orders, 1, 'one certificate was asked for, and kept');

  console.table(steps.rows);
  const holds = took < MOST_SECONDS;
  console.log(`from nothing to a call in ${took.toFixed(0)} s${options.binary ? ' (with a server that was built before)' : ''}: ${holds ? 'ok' : `FAILED, limit ${MOST_SECONDS} s`}`);
  process.exitCode = holds ? 0 : 1;
} catch (error) {
  console.error(`FAILED: ${error.message}`);
  process.exitCode = 1;
} finally {
  for (const browser of browsers) await browser.shut();
  await machine?.close();
  await authority?.close();
  await hosts?.close();
}

/** The first step as it can be done here. */
function asHere(commands) {
  const lines = commands.replace('REPOSITORY', '/repository').replace('--yes', '--yes --quiet --quiet').split('\n');
  if (options.binary) return lines[0];
  if (options.rustup) return lines.join('\n');
  return lines.map((line) => (/rustup/.test(line) ? 'export PATH=/opt/rust/bin:$PATH' : line)).join('\n');
}
