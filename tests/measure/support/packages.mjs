// What a script needs of Debian's packages beyond what tests/install installs.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Installs Debian's packages of those programs that are not there: packages by program. */
export async function installed(programs) {
  const missing = [];
  for (const [program, name] of Object.entries(programs)) await run('sh', ['-c', `command -v ${program}`]).catch(() => missing.push(name));
  if (missing.length === 0) return;
  await run('apt-get', ['-qq', 'update']);
  await run('apt-get', ['-qq', '-y', '--no-install-recommends', 'install', ...missing], { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
}
