// Numbers for people: samples getStats and the server's stats, and makes rates of the differences. An application makes one
// per call and calls `sample` every second or two. It keeps one earlier sample and nothing else.

/**
 * One track in one direction. Rates are per second, fractions 0 to 1; what is not known is null.
 * @typedef {object} StatsRow
 * @property {"sent" | "received"} direction
 * @property {string} mid
 * @property {string | null} rid
 * @property {"audio" | "video"} kind
 * @property {import("./protocol.js").Source | null} source
 * @property {number | null} participant whose track it is; null for our own
 * @property {string | null} track
 * @property {string | null} codec
 * @property {number | null} bitrate bits a second
 * @property {number | null} width
 * @property {number | null} height
 * @property {number | null} framesPerSecond
 * @property {number | null} loss fraction since the last sample, as the receiver counts it
 * @property {number | null} jitter seconds
 * @property {number | null} roundTrip seconds
 * @property {number | null} frames decoded or encoded so far
 * @property {string | null} limitedBy what keeps the encoder from more: cpu, bandwidth
 * @property {{packets: number | null, lost: number | null, nacks: number | null, plis: number | null,
 *   bitrate: number | null}} server the same track as the server counts it
 */

/**
 * @typedef {object} StatsSummary
 * @property {number | null} roundTrip seconds, to the server
 * @property {number | null} sent bits a second
 * @property {number | null} received bits a second
 * @property {number | null} available bits a second that the sender believes it may send
 * @property {string | null} path protocol and address family in words
 * @property {Route | null} route the same for programs
 * @property {StatsRow[]} rows
 */

/**
 * The path that media takes. `protocol` is the one that leaves this machine: to the relay, where it is relayed.
 * @typedef {{protocol: "udp" | "tcp" | "tls", relayed: boolean}} Route
 */

/** @typedef {Record<string, any>} Report */

export class StatsSampler {
  #crosspoint;
  /** @type {Map<string, Report>} */
  #before = new Map();

  /** @param {import("./client.js").Crosspoint} crosspoint */
  constructor(crosspoint) {
    this.#crosspoint = crosspoint;
  }

  /** @returns {Promise<StatsSummary | null>} null when no call is on */
  async sample() {
    const pc = this.#crosspoint.pc;
    if (pc === null) return null;
    const [local, remote] = await Promise.all([pc.getStats(), this.#crosspoint.requestStats()]);
    /** @type {Map<string, Report>} */
    const reports = new Map();
    local.forEach((/** @type {Report} */ report) => reports.set(report.id, report));
    for (const report of remote ?? []) {
      if (typeof report?.id === "string") reports.set(`server/${report.id}`, { timestamp: performance.now(), ...report });
    }
    const summary = this.#summarise(reports);
    this.#before = reports;
    return summary;
  }

  /**
   * @param {Map<string, Report>} reports
   * @returns {StatsSummary}
   */
  #summarise(reports) {
    const transport = [...reports].find(([key, { type }]) => type === "transport" && !key.startsWith("server/"))?.[1];
    const pair = this.#pair(reports, transport);
    const ours = [...reports].filter(([key]) => !key.startsWith("server/"));
    const rows = ours
      .filter(([, { type }]) => type === "inbound-rtp" || type === "outbound-rtp")
      .map(([key, report]) => this.#row(reports, key, report))
      .filter((row) => row !== null);
    return {
      roundTrip: number(pair?.currentRoundTripTime),
      sent: sum(rows.filter(({ direction }) => direction === "sent")),
      received: sum(rows.filter(({ direction }) => direction === "received")),
      available: number(pair?.availableOutgoingBitrate),
      path: describePath(reports.get(pair?.localCandidateId), reports.get(pair?.remoteCandidateId)),
      route: routeOf(reports.get(pair?.localCandidateId)),
      rows,
    };
  }

  /**
   * @param {Map<string, Report>} reports
   * @param {Report | undefined} transport
   */
  #pair(reports, transport) {
    if (transport?.selectedCandidatePairId !== undefined) return reports.get(transport.selectedCandidatePairId);
    return [...reports.values()].find(({ type, selected, nominated, state }) => type === "candidate-pair"
      && (selected === true || (nominated === true && state === "succeeded")));
  }

  /**
   * @param {Map<string, Report>} reports
   * @param {string} key
   * @param {Report} report
   * @returns {StatsRow | null}
   */
  #row(reports, key, report) {
    const received = report.type === "inbound-rtp";
    const mid = this.#midOf(report);
    if (mid === null) return null;
    const track = received ? [...this.#crosspoint.tracks.values()].find((one) => one.mid === mid) : undefined;
    if (received && track === undefined) return null; // an m-line that waits to be used again
    const codec = reports.get(report.codecId)?.mimeType;
    const far = reports.get(report.remoteId);
    return {
      direction: received ? "received" : "sent",
      mid,
      rid: report.rid ?? null,
      kind: report.kind,
      source: received ? track?.source ?? null : this.#crosspoint.sourceOf(mid),
      participant: track?.participant ?? null,
      track: track?.id ?? null,
      codec: typeof codec === "string" ? codec.replace(/^\w+\//, "") : null,
      bitrate: this.#rate(key, report, received ? "bytesReceived" : "bytesSent", 8),
      width: number(report.frameWidth),
      height: number(report.frameHeight),
      framesPerSecond: number(report.framesPerSecond)
        ?? this.#rate(key, report, received ? "framesDecoded" : "framesEncoded", 1),
      loss: received ? this.#loss(key, report) : number(far?.fractionLost),
      jitter: number(received ? report.jitter : far?.jitter),
      roundTrip: number(far?.roundTripTime),
      frames: number(received ? report.framesDecoded : report.framesEncoded),
      limitedBy: ["cpu", "bandwidth"].includes(report.qualityLimitationReason) ? report.qualityLimitationReason : null,
      server: this.#serverSide(reports, mid, received, track?.id),
    };
  }

  /** @param {Report} report */
  #midOf(report) {
    if (typeof report.mid === "string") return report.mid;
    // Firefox gives no mid: find the transceiver by its track.
    const transceiver = this.#crosspoint.pc?.getTransceivers().find(({ receiver, sender }) =>
      (report.type === "inbound-rtp" ? receiver.track.id : sender.track?.id) === report.trackIdentifier);
    return transceiver?.mid ?? null;
  }

  /**
   * @param {Map<string, Report>} reports
   * @param {string} mid
   * @param {boolean} received
   * @param {string | undefined} track
   */
  #serverSide(reports, mid, received, track) {
    const type = received ? "outbound-rtp" : "inbound-rtp";
    const entry = [...reports].find(([key, one]) => key.startsWith("server/") && one.type === type
      && (one.mid === mid || (track !== undefined && one.trackIdentifier === track)));
    const report = entry?.[1];
    return {
      packets: number(received ? report?.packetsSent : report?.packetsReceived),
      lost: number(report?.packetsLost),
      nacks: number(report?.nackCount),
      plis: number(report?.pliCount),
      bitrate: entry === undefined ? null : this.#rate(entry[0], entry[1], received ? "bytesSent" : "bytesReceived", 8),
    };
  }

  /**
   * @param {string} key
   * @param {Report} report
   * @param {string} counter
   * @param {number} factor
   */
  #rate(key, report, counter, factor) {
    const before = this.#before.get(key);
    const seconds = (report.timestamp - before?.timestamp) / 1000;
    const difference = report[counter] - before?.[counter];
    return seconds > 0 && difference >= 0 ? (difference * factor) / seconds : null;
  }

  /**
   * @param {string} key
   * @param {Report} report
   */
  #loss(key, report) {
    const before = this.#before.get(key);
    const lost = report.packetsLost - (before?.packetsLost ?? 0);
    const received = report.packetsReceived - (before?.packetsReceived ?? 0);
    return lost + received > 0 ? Math.max(0, lost) / (Math.max(0, lost) + received) : null;
  }
}

/** @param {unknown} value */
function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** @param {StatsRow[]} rows */
function sum(rows) {
  const known = rows.map(({ bitrate }) => bitrate).filter((bitrate) => bitrate !== null);
  return known.length === 0 ? null : known.reduce((total, bitrate) => total + bitrate, 0);
}

/**
 * @param {Report | undefined} local
 * @param {Report | undefined} remote
 */
function describePath(local, remote) {
  if (local === undefined || remote === undefined) return null;
  const address = String(remote.address ?? remote.ip ?? "");
  const family = address.includes(":") ? "IPv6" : "IPv4";
  const route = routeOf(local);
  return `${(route?.protocol ?? "udp").toUpperCase()}, ${family}${route?.relayed ? ", relayed" : ""}`;
}

/**
 * @param {Report | undefined} local
 * @returns {Route | null}
 */
function routeOf(local) {
  if (local === undefined) return null;
  const relayed = local.candidateType === "relay";
  const protocol = String((relayed ? local.relayProtocol : undefined) ?? local.protocol ?? "").toLowerCase();
  return protocol === "udp" || protocol === "tcp" || protocol === "tls" ? { protocol, relayed } : null;
}
