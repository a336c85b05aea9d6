// How calls of real browsers go over bad networks: runs the scenarios of tests/browser/network, prints what was found,
// and fails where something is not as it must be. Needs root, and Linux.
//
//     cargo build --release && cargo build --release --example wires
//     node tests/measure/network.mjs [--only WORD] [--layers 3|1] [--seed N] [--json FILE]
//                                    [--publisher chromium|firefox] [--viewer chromium|firefox] [--all]
//
// CROSSPOINT_BIN tests another binary than the one built. `--layers 1` publishes one size of 2.5 Mbit/s. The browsers
// are those of the calls of two. With `--all` publishers go on to send layers that nobody wants.

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Lab } from '../browser/support/lab.mjs';
import { Findings, scenarios } from '../browser/network/scenarios.mjs';

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    layers: { type: 'string', default: '3' },
    seed: { type: 'string', default: '1' },
    json: { type: 'string' },
    publisher: { type: 'string', default: 'chromium' },
    viewer: { type: 'string', default: 'chromium' },
    all: { type: 'boolean', default: false },
  },
});
const layers = options.layers === '1' ? [{ maxBitrate: 2_500_000 }] : undefined;
const shown = (value) => (typeof value === 'number' && Number.isFinite(value) ? `${Math.round(value * 10) / 10}` : 'none');
const row = (...cells) => console.log(`  ${cells[0].padEnd(48)} ${cells.slice(1).join(' ')}`);

async function play({ name, run }) {
  const findings = new Findings();
  const lab = await Lab.open({ seed: Number(options.seed) });
  try {
    await run(lab, findings, { layers, heeds: !options.all, publisherBrowser: options.publisher, viewerBrowser: options.viewer });
  } catch (error) {
    findings.error = `${error.stack}`;
  } finally {
    await lab.close();
  }
  return { name, ...findings };
}

const results = [];
for (const scenario of scenarios.filter(({ name }) => name.includes(options.only))) {
  console.log(`\n${scenario.name}`);
  const result = await play(scenario);
  results.push(result);
  for (const { name, value, unit } of result.figures) row(name, shown(value), unit);
  for (const { name, value, holds, limit, unit = '' } of result.checks) row(name, shown(value), unit, `(${limit})`, holds ? 'ok' : 'FAILED');
  if (result.error) console.log(result.error);
}
if (options.json) writeFileSync(options.json, JSON.stringify(results, null, 1));

const failed = results.filter(({ error, checks }) => error || checks.some(({ holds }) => !holds));
console.log(`\nseed ${options.seed}: ${results.length - failed.length} passed, ${failed.length} failed`);
process.exit(failed.length > 0 || results.length === 0 ? 1 : 0);
