// A key for tokens, and tokens that are signed with it by `crosspoint token`.

import { execFileSync } from 'node:child_process';
import { binaryPath } from './server.mjs';

export const key = 'main:0123456789abcdef0123456789abcdef';

/** The options of a server that admits nobody without a token. */
export const closed = { args: ['--token-secret', key] };

/** A token for a room, with the further options of `crosspoint token`. */
export function mint(room, ...options) {
  return execFileSync(binaryPath(), ['token', '--token-secret', key, '--room', room, ...options], { encoding: 'utf8' }).trim();
}
