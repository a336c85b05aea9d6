// The image of deploy/Dockerfile, built and run by the commands of deploy/README.md, until two people are in a call.
//
//     node tests/measure/image.mjs [--keep] [--pictures FOLDER]     (Debian or Ubuntu, root)
//
// With Podman, which it installs, and which takes Docker's commands. Where the images that it begins with cannot be pulled,
// it makes ones like them of Debian's packages and says so. The server is on a network of its own; one person in Chromium
// and one in Firefox meet there. Prints how long each step takes, and the image's size. Fails where a step does,
// where the program is root or has a shell beside it, where `stop` does not end it by itself, and where it is not the same
// server, by its certificate, when it comes back. `--keep` leaves the images; otherwise what was not there before is removed.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { App } from '../browser/support/app.mjs';
import { launchChromium, launchFirefox } from '../browser/support/browsers.mjs';
import { Hosts } from '../browser/support/hosts.mjs';
import { eventually } from '../browser/support/wait.mjs';
import { standIns } from './support/images.mjs';
import { installed } from './support/packages.mjs';
import { Steps } from './support/steps.mjs';

const { values: options } = parseArgs({ options: { keep: { type: 'boolean', default: false }, pictures: { type: 'string' } } });
const repository = fileURLToPath(new URL('../../', import.meta.url));
const OPERATOR = 'an-operator-token-of-one-test';
/** Of the image and of the container: nobody's but this script's. */
const NAME = `crosspoint-test-${process.pid}`;
const SETTINGS = 'listen = [":443"]\ntls = "self"\nstate-dir = "/var/lib/crosspoint"\n';

const run = async (command, words) => (await promisify(execFile)(command, words, { cwd: repository, maxBuffer: 1 << 28 })).stdout.trim();
const steps = new Steps();
const step = (what, does) => steps.take(what, does);

/** The two commands of the notes, a line each. */
function commands() {
  const [, block] = /^\*\*Docker\.\*\*.*\n\n((?: {4}.*\n)+)/m.exec(readFileSync(join(repository, 'deploy/README.md'), 'utf8'));
  return block.replace(/\\\n/g, '').trim().split('\n').map((line) => line.trim().split(/\s+(?![^(]*\))/))
    .map((words) => words.map((word) => word.replace(/^crosspoint(-state:.*)?$/, `${NAME}$1`)));
}

await installed({ debootstrap: 'debootstrap', openssl: 'openssl', curl: 'curl', podman: 'podman', runc: 'runc', conmon: 'conmon', netavark: 'netavark' });
// Podman's usual runtime, crun, knows no machine with control groups of both versions.
const podman = (...words) => run('podman', ['--runtime', 'runc', ...words]);
const dockerfile = readFileSync(join(repository, 'deploy/Dockerfile'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'crosspoint-image-'));
const browsers = [];
let [hosts, made] = [undefined, []];
try {
  const [[, ...build], [, ...start]] = commands();
  const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, name]) => name);
  made = await step('the images that it begins with', () => standIns(podman, bases));
  console.log(made.length ? `made here, since they cannot be pulled: ${made.join(', ')}` : 'pulled, or there before');

  // Docker finds the list of what not to send by itself.
  const more = ['--network', 'host', '--ignorefile', 'deploy/Dockerfile.dockerignore'];
  await step('docker build', () => podman(...build.slice(0, 1), ...more, ...build.slice(1)));
  const size = Number(await podman('image', 'inspect', '--format', '{{.Size}}', NAME));

  hosts = await Hosts.open();
  const [alice, bob] = [await hosts.add('alice'), await hosts.add('bob')];
  writeFileSync(join(folder, 'crosspoint.toml'), SETTINGS);
  writeFileSync(join(folder, 'secrets.env'), `CROSSPOINT_OPERATOR_TOKEN=${OPERATOR}\n`, { mode: 0o600 });
  chmodSync(folder, 0o750);
  // Podman asks for more than a machine may have that is a guest itself.
  const files = await run('bash', ['-c', 'ulimit -Hn']);
  const [first, ...others] = start;
  const words = [first, ...[`nofile=${files}:${files}`, 'nproc=4096:4096'].map((limit) => `--ulimit=${limit}`), ...others].map((word) => word
    .replace(/^\/etc\/crosspoint(?=:|\/secrets)/, folder)
    .replace(/^\$\(getent .*\)$/, '0')
    .replace(/^host$/, `ns:/run/netns/${hosts.server.namespace}`));
  const url = `https://${hosts.server.ipv4}`;
  const within = (host, command) => run(host.within[0], [...host.within.slice(1), ...command]);
  const ready = () => eventually('it is ready', () => within(alice, ['curl', '-fsSk', `${url}/ready`]), { timeout: 20_000, show: () => podman('logs', NAME) });
  const fingerprint = () => within(alice, ['sh', '-c', `openssl s_client -connect ${hosts.server.ipv4}:443 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256`]);
  await step('docker run', async () => {
    await podman(...words);
    await ready();
  });
  const shown = await fingerprint();
  const pid = await podman('inspect', '--format', '{{.State.Pid}}', NAME);
  assert.match(readFileSync(`/proc/${pid}/status`, 'utf8'), /^Uid:\s+65532\b/m, 'the program is not root');
  await assert.rejects(podman('exec', NAME, 'sh', '-c', 'true'), 'there is no shell');

  await step('two people are in a call', async () => {
    const stage = { server: { url }, open: (browser) => browser.newPage() };
    const apps = [];
    for (const [name, host, launch] of [['Alice', alice, launchChromium], ['Bob', bob, launchFirefox]]) {
      const browser = await launch({ within: host.within, trusting: true });
      browsers.push(browser);
      apps.push(await App.join(stage, browser, { room: 'image', name, ignored: /./ }));
    }
    const [one, other] = apps;
    await Promise.all([one.receives([other]), other.receives([one])]);
    if (options.pictures) for (const app of apps) await app.page.screenshot({ path: join(options.pictures, `image-${app.name}.png`) });
  });
  for (const browser of browsers.splice(0)) await browser.shut();

  await step('docker stop', () => podman('stop', NAME));
  assert.equal(await podman('inspect', '--format', '{{.State.ExitCode}}', NAME), '0', 'it ended by itself');
  await step('a new container with the same volume', async () => {
    await podman('rm', NAME);
    await podman(...words);
    await ready();
  });
  assert.equal(await fingerprint(), shown, 'it has the certificate that it had');
  console.table(steps.rows);
  console.log(`an image of ${(size / 1e6).toFixed(0)} MB, of which two people had a call: ok`);
} catch (error) {
  console.error(`FAILED: ${error.message}\n${error.stderr ?? ''}`);
  process.exitCode = 1;
} finally {
  for (const browser of browsers) await browser.shut();
  await podman('rm', '--force', '--time', '0', NAME).catch(() => {});
  await podman('volume', 'rm', '--force', `${NAME}-state`).catch(() => {});
  if (!options.keep) for (const image of [NAME, ...made]) await podman('rmi', image).catch(() => {});
  rmSync(folder, { recursive: true, force: true });
  await hosts?.close();
}
