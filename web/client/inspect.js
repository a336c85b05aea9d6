// What this browser knows of one track that it receives, out of getStats. Nothing is kept: whoever wants a rate asks twice.

/**
 * Counters since the track came; what the browser does not count is null.
 * @typedef {object} Inspection
 * @property {number} time ms, of the browser's clock
 * @property {number | null} packets
 * @property {number | null} lost
 * @property {number | null} framesReceived
 * @property {number | null} framesDecoded
 * @property {number | null} framesDropped
 * @property {number | null} framesPerSecond
 * @property {number | null} width
 * @property {number | null} height
 * @property {number | null} freezes
 * @property {number | null} frozen seconds, of all freezes together
 * @property {number | null} nacks
 * @property {number | null} plis
 * @property {number | null} sincePacket ms since the last packet
 */

/**
 * @param {import("./subscriptions.js").RemoteTrack} track
 * @returns {Promise<Inspection | null>} null before anything came
 */
export async function inspectTrack({ receiver }) {
  const reports = [...(await receiver.getStats()).values()];
  const report = reports.find(({ type }) => type === "inbound-rtp");
  if (report === undefined) return null;
  const last = number(report.lastPacketReceivedTimestamp);
  return {
    time: report.timestamp,
    packets: number(report.packetsReceived),
    lost: number(report.packetsLost),
    framesReceived: number(report.framesReceived),
    framesDecoded: number(report.framesDecoded),
    framesDropped: number(report.framesDropped),
    framesPerSecond: number(report.framesPerSecond),
    width: number(report.frameWidth),
    height: number(report.frameHeight),
    freezes: number(report.freezeCount),
    frozen: number(report.totalFreezesDuration),
    nacks: number(report.nackCount),
    plis: number(report.pliCount),
    sincePacket: last === null || last === 0 ? null : Math.max(0, report.timestamp - last),
  };
}

/** @param {unknown} value */
function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
