// The images that deploy/Dockerfile begins with, where their registries are not reached: made of Debian's packages, with
// the same names and what Crosspoint's build and its program find in the true ones.

import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = (command, ...words) => promisify(execFile)(command, words, { maxBuffer: 1 << 28 });
/** What is in distroless `cc`, without what only tells of the packages. */
const DISTROLESS = ['base-files', 'libc6', 'libgcc-s1', 'libgomp1', 'libssl3', 'libstdc++6', 'media-types', 'netbase', 'tzdata'];
const CARGO = '/usr/local/cargo';

/** Makes those of `names` that `podman` cannot pull; returns their names. */
export async function standIns(podman, names) {
  const made = [];
  for (const name of names) {
    const there = await podman('image', 'inspect', name).catch(() => podman('pull', '--quiet', name)).then(() => true, () => false);
    if (there) continue;
    const make = [[/(^|\/)rust:/, rust], [/distroless\/cc-debian12:nonroot$/, distroless]].find(([pattern]) => pattern.test(name))?.[1];
    if (!make) throw new Error(`${name} cannot be pulled, and how to make one is not known`);
    const folder = mkdtempSync(join(tmpdir(), 'crosspoint-image-'));
    try {
      const changes = await make(join(folder, 'root'));
      const archive = join(folder, 'root.tar');
      await run('tar', '--numeric-owner', '-C', join(folder, 'root'), '-cf', archive, '.');
      await podman('import', ...changes.flatMap((change) => ['--change', change]), archive, name.includes('/') ? name : `docker.io/library/${name}`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    made.push(name);
  }
  return made;
}

/** Whom this machine trusts: it may reach the crates through a proxy of its own. */
const AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt';

/** A slim Debian with a compiler, and this machine's Rust. */
async function rust(root) {
  await run('debootstrap', '--variant=minbase', '--include=ca-certificates,gcc,libc6-dev', 'bookworm', root);
  copyFileSync(AUTHORITIES, join(root, AUTHORITIES));
  const { stdout: toolchain } = await run('rustc', '--print', 'sysroot');
  await run('cp', '-rL', toolchain.trim(), join(root, CARGO));
  return [`ENV PATH=${CARGO}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`, `ENV CARGO_HOME=${CARGO}`];
}

/** Nothing but libraries, certificates and a user: no shell. */
async function distroless(root) {
  const folder = `${root}.packages`;
  mkdirSync(folder, { recursive: true });
  await run('sh', '-c', `cd ${folder} && apt-get -qq download ${DISTROLESS.join(' ')}`);
  for (const file of readdirSync(folder)) await run('dpkg-deb', '-x', join(folder, file), root);
  mkdirSync(join(root, 'etc/ssl/certs'), { recursive: true });
  copyFileSync(AUTHORITIES, join(root, AUTHORITIES));
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n');
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nnonroot:x:65532:\n');
  return ['USER 65532', `ENV SSL_CERT_FILE=${AUTHORITIES}`];
}
