// One way that media may take to the server, and no other: for checks of a network. A call that is held to one is told only the
// candidates and the servers that lead there. Nothing here touches a connection.

/**
 * - `udp`, `tcp`: to the server's media port itself, as ICE candidates name it (TCP: RFC 6544)
 * - `turn-udp`, `turn-tcp`, `turn-tls`: relayed by TURN (RFC 8656), which is reached so
 * @typedef {"udp" | "tcp" | "turn-udp" | "turn-tcp" | "turn-tls"} Way
 */

/** @type {readonly Way[]} */
export const WAYS = ["udp", "tcp", "turn-udp", "turn-tcp", "turn-tls"];

/** Where the server takes media. @typedef {{protocol: string, address: string, port: number}} Endpoint */

/** @param {Way} way */
export function isRelayed(way) {
  return way !== "udp" && way !== "tcp";
}

/**
 * Of the servers that we were told those that lead this way; none where it is not offered, or needs none.
 * @param {Way} way
 * @param {RTCIceServer[]} servers
 * @returns {RTCIceServer[]}
 */
export function serversFor(way, servers) {
  if (!isRelayed(way)) return [];
  return servers
    .map((server) => ({ ...server, urls: [server.urls].flat().filter((url) => typeof url === "string" && leads(way, url)) }))
    .filter(({ urls }) => urls.length > 0);
}

/**
 * What a connection that is held to this way is configured with.
 * @param {Way} way
 * @param {RTCIceServer[]} servers as we were told
 * @returns {RTCConfiguration}
 */
export function configurationOf(way, servers) {
  return { iceServers: serversFor(way, servers), iceTransportPolicy: isRelayed(way) ? "relay" : "all" };
}

/**
 * A description of the server's without the candidates that lead elsewhere. A relay reaches the server's media ports by UDP.
 * @param {Way} way
 * @param {RTCSessionDescriptionInit} description
 * @returns {RTCSessionDescriptionInit}
 */
export function keepTo(way, { type, sdp = "" }) {
  const kept = sdp.split("\r\n").filter((line) => !line.startsWith("a=candidate:") || isOn(way, line.slice(2)));
  return { type, sdp: kept.join("\r\n") };
}

/**
 * @param {Way} way
 * @param {string} candidate RFC 8839, section 5.1
 */
export function isOn(way, candidate) {
  return readCandidate(candidate).protocol === (way === "tcp" ? "tcp" : "udp");
}

/**
 * Where a description of the server's says that media is taken, each place once.
 * @param {string} sdp
 * @returns {Endpoint[]}
 */
export function endpointsOf(sdp) {
  const lines = new Set(sdp.split(/\r?\n/).filter((line) => line.startsWith("a=candidate:")));
  /** @type {Map<string, Endpoint>} */
  const endpoints = new Map();
  for (const line of lines) {
    const endpoint = readCandidate(line.slice(2));
    if (Number.isInteger(endpoint.port)) endpoints.set(Object.values(endpoint).join(" "), endpoint);
  }
  return [...endpoints.values()];
}

/** @param {string} candidate @returns {Endpoint} */
function readCandidate(candidate) {
  const [, , protocol = "", , address = "", port] = candidate.split(" ");
  return { protocol: protocol.toLowerCase(), address, port: Number(port) };
}

/**
 * @param {Way} way
 * @param {string} url RFC 7065; without a transport it is UDP, or with TLS, TCP
 */
function leads(way, url) {
  const [scheme, rest = ""] = url.split(/:(.*)/s);
  const transport = /[?&]transport=(\w+)/.exec(rest)?.[1] ?? (scheme === "turns" ? "tcp" : "udp");
  switch (way) {
    case "turn-udp": return scheme === "turn" && transport === "udp";
    case "turn-tcp": return scheme === "turn" && transport === "tcp";
    default: return scheme === "turns" && transport === "tcp";
  }
}
