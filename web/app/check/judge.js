// What the outcomes of a check mean together: one finding, in words for the visitor, with what they can do or whom to ask. No logic
// but choosing; it touches nothing.

/**
 * @typedef {import("./run.js").Outcomes} Outcomes
 * @typedef {import("./run.js").Outcome} Outcome
 * @typedef {import("../../client/way.js").Way} Way
 * @typedef {{tone: "good" | "warning" | "bad", title: string, text: string, fixes: string[]}} Finding
 */

/**
 * @param {Outcomes} outcomes
 * @param {string} host of the page
 * @returns {Finding}
 */
export function judge(outcomes, host) {
  const network = judgeNetwork(outcomes, host);
  const devices = /** @type {const} */ (["microphone", "camera"]).filter((id) => ["failed", "warning"].includes(outcomes.get(id)?.verdict ?? ""));
  if (network.tone === "bad" || devices.length === 0) return network;
  const effect = devices.length === 2 ? "nobody may hear or see you" : devices[0] === "camera" ? "nobody may see you" : "nobody may hear you";
  const found = devices.map((id) => outcomes.get(id)).filter((one) => one !== undefined);
  // Refused together they have one reason, and want one word.
  const together = [...new Set(found.map(({ text }) => text.replace(/ (microphone|camera)\b/, " microphone and camera")))];
  const words = found.length === 2 && together.length === 1 ? together
    : found.map(({ text }, index) => `${devices[index] === "camera" ? "Camera" : "Microphone"}: ${text}`);
  return {
    tone: "warning", title: `${network.title}, but ${effect}`, text: [network.text, ...words].join(" "),
    fixes: [...new Set([...found.flatMap(list), ...network.fixes])],
  };
}

/**
 * @param {Outcomes} outcomes
 * @param {string} host
 * @returns {Finding}
 */
function judgeNetwork(outcomes, host) {
  const browser = outcomes.get("browser");
  const server = outcomes.get("server");
  if (browser?.verdict === "failed" && server?.verdict !== "good" && server?.verdict !== "warning") {
    return { tone: "bad", title: "This browser cannot make calls here", text: browser.text, fixes: list(browser) };
  }
  if (server?.verdict === "failed") {
    return { tone: "bad", title: server.refused === undefined ? "There is no connection to the server" : "The server lets no call begin", text: server.text, fixes: list(server) };
  }
  const ways = /** @type {const} */ (["udp", "tcp", "turn-udp", "turn-tcp", "turn-tls"]);
  const works = (/** @type {Way} */ way) => ["good", "warning"].includes(outcomes.get(way)?.verdict ?? "");
  const failed = ways.filter((way) => outcomes.get(way)?.verdict === "failed");
  const best = ways.find(works);
  if (best === undefined) {
    const skipped = outcomes.get("udp") ?? server;
    if (failed.length === 0) return { tone: "warning", title: "Calls were not checked", text: skipped?.text ?? "", fixes: skipped === undefined ? [] : list(skipped) };
    return {
      tone: "bad", title: "Nothing gets through",
      text: "Neither sound nor picture reaches the server by any of the ways that it offers, so that calls do not work from here.",
      fixes: [...askFor(outcomes, host), "Until then try another network, such as that of a mobile phone."],
    };
  }
  if (browser?.verdict === "failed") {
    return { tone: "warning", title: "You can watch and listen, and no more", text: browser.text, fixes: list(browser) };
  }
  const outcome = outcomes.get(best);
  if (best === "udp") {
    if (outcome?.verdict === "warning") return { tone: "warning", title: "Calls work from here, but not well", text: outcome.text, fixes: list(outcome) };
    if (server?.verdict === "warning") return { tone: "warning", title: "Calls work from here", text: server.text, fixes: list(server) };
    return {
      tone: "good", title: "Calls work well from here", fixes: [],
      text: failed.length === 0 ? "Sound and picture take the direct way, by UDP."
        : "Sound and picture take the direct way, by UDP. One of the other ways does not work, which matters only in networks that block UDP.",
    };
  }
  const stutters = best === "turn-udp" ? "by a relay, which takes a little longer" : `by ${best === "tcp" ? "TCP" : "a relay over TCP"}, and may stutter`;
  const udpFailed = outcomes.get("udp")?.verdict === "failed";
  return {
    tone: "warning",
    title: udpFailed ? "UDP is blocked by your network" : "Calls work from here, but not by UDP",
    text: `${udpFailed ? "Calls work, but" : "The server offers no media by UDP: calls"} go ${stutters}.${outcome?.verdict === "warning" ? ` ${outcome.text}` : ""}`,
    fixes: udpFailed ? askFor(outcomes, host) : ["Tell whoever runs this server."],
  };
}

/**
 * What to ask the administrator of the network for: the best way that the server offers.
 * @param {Outcomes} outcomes
 * @param {string} host
 */
function askFor(outcomes, host) {
  const way = /** @type {const} */ (["udp", "tcp"]).find((one) => (outcomes.get(one)?.endpoints?.length ?? 0) > 0);
  const endpoints = way === undefined ? [] : outcomes.get(way)?.endpoints ?? [];
  const inside = endpoints.length > 0 && endpoints.every(({ address }) => isPrivate(address));
  return [
    way === undefined ? `Ask the administrator of your network to let calls to ${host} through.`
      : `Ask the administrator of your network to let ${describeEndpoints(way, endpoints, host)} through.`,
    ...(inside ? [`The server says that it is reached at ${endpoints[0].address}, an address of a private network. If you are not in that network, whoever runs the server has to tell it the public one (--announce).`]
      : ["If it is so for everybody, a firewall before the server may be closed: tell whoever runs it."]),
  ];
}

/**
 * Ports and addresses, for an administrator.
 * @param {"udp" | "tcp"} protocol
 * @param {import("../../client/way.js").Endpoint[]} endpoints
 * @param {string} host
 */
export function describeEndpoints(protocol, endpoints, host) {
  const ports = [...new Set(endpoints.map(({ port }) => port))];
  const addresses = [...new Set(endpoints.map(({ address }) => address))].filter((address) => address !== host).slice(0, 4);
  // Each shard of the server has a port of its own, unless they share a well-known one.
  const more = protocol === "udp" && ports.some((port) => port >= 1024) ? " and those after it" : "";
  return `${protocol.toUpperCase()} to port ${ports.join(" and ")}${more} of ${host}${addresses.length === 0 ? "" : ` (${addresses.join(", ")})`}`;
}

/**
 * Whether an address means something in its own network only (RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291). This machine's own does
 * not count: then page and server are one.
 * @param {string} address
 */
export function isPrivate(address) {
  return /^(10\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.)/.test(address)
    || /^(f[cd]|fe[89ab])[0-9a-f]*:/i.test(address);
}

/** @param {Outcome} outcome */
const list = ({ fix }) => (fix === undefined ? [] : [fix]);
