// The little of SDP that the client reads: of each m-line its mid, kind, direction and msid. Negotiation and the track
// map use it. What the browser is told is not edited, but for candidates in a check (way.js); of what the server is told, only the
// order of layers.

import { LAYERS_BEST_FIRST } from "./encodings.js";

/**
 * @typedef {{mid: string, kind: string, rejected: boolean, sends: boolean, receives: boolean, stream: string | null,
 *   track: string | null}} MediaSection
 */

/**
 * The sections of a description that are in use. `sends` and `receives` are as its author says.
 * @param {string} sdp
 * @returns {MediaSection[]}
 */
export function readSections(sdp) {
  /** @type {MediaSection[]} */
  const sections = [];
  for (const line of sdp.split(/\r?\n/)) {
    if (line.startsWith("m=")) {
      const [kind, port] = line.slice(2).split(" ");
      sections.push({ mid: "", kind, rejected: port === "0", sends: true, receives: true, stream: null, track: null });
    } else if (sections.length > 0) {
      readAttribute(sections[sections.length - 1], line);
    }
  }
  return sections.filter(({ mid, rejected }) => mid !== "" && !rejected);
}

/**
 * A description of ours as the server wants to read it: the order of layers says which is preferred (RFC 8853, section 5.2),
 * while browsers write them in the order in which they encode.
 * @param {string} sdp
 */
export function bestLayersFirst(sdp) {
  const rank = (/** @type {string} */ layer) => LAYERS_BEST_FIRST.indexOf(layer.replace(/^~/, ""));
  return sdp.replace(/^(a=simulcast:send )(\S+)/gm, (_, begin, layers) =>
    begin + layers.split(";").sort((/** @type {string} */ one, /** @type {string} */ other) => rank(one) - rank(other)).join(";"));
}

/**
 * @param {MediaSection} section
 * @param {string} line
 */
function readAttribute(section, line) {
  if (line.startsWith("a=mid:")) {
    section.mid = line.slice(6);
  } else if (line === "a=bundle-only") {
    section.rejected = false; // RFC 8843: port 0 then only says that it shares another's transport.
  } else if (line.startsWith("a=msid:")) {
    const [stream, track] = line.slice(7).split(" ");
    section.stream = stream ?? null;
    section.track = track ?? null;
  } else if (/^a=(sendrecv|sendonly|recvonly|inactive)$/.test(line)) {
    section.sends = line === "a=sendrecv" || line === "a=sendonly";
    section.receives = line === "a=sendrecv" || line === "a=recvonly";
  }
}
