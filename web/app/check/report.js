// The outcomes as text for whoever helps the visitor. No secrets are in it: neither tokens nor credentials nor the room's name, no
// address of the visitor's, no names of devices.

import { STEPS } from "./run.js";

/**
 * @param {import("./run.js").Outcomes} outcomes
 * @param {import("./judge.js").Finding} finding
 * @param {string} server its version, empty where it did not tell
 */
export function report(outcomes, finding, server) {
  const lines = [
    "Crosspoint connection check",
    `Time: ${new Date().toISOString()}`,
    `Page: ${location.origin}`,
    ...(server === "" ? [] : [`Server: Crosspoint ${server}`]),
    `Browser: ${navigator.userAgent}`,
    "",
    `${finding.title}. ${finding.text}`,
    ...finding.fixes.map((fix) => `  ${fix}`),
    "",
  ];
  for (const { id, title } of STEPS) {
    const outcome = outcomes.get(id);
    if (outcome === undefined) continue;
    lines.push(`${title}: ${WORDS[outcome.verdict]}. ${outcome.text}`);
    const endpoints = outcome.endpoints?.map(({ protocol, address, port }) => `${protocol} ${address} ${port}`).join(", ");
    for (const detail of [outcome.facts, endpoints && `the server takes media at ${endpoints}`]) {
      if (detail) lines.push(`  ${detail}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

/** A verdict in a word. @type {Record<import("./run.js").Verdict, string>} */
export const WORDS = { good: "Works", warning: "Look here", failed: "Failed", absent: "Not offered", skipped: "Not checked" };
