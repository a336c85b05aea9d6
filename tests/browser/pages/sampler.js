// Writes down how a call goes, several times a second: what arrives and is sent as the connection counts it, and every
// video frame when it is presented. What that means is worked out by support/record.mjs.
//
// All times are milliseconds since 1970, so that the records of several pages and of the test fit together.

'use strict';

class Sampler {
  constructor(pc, { every = 150 } = {}) {
    Object.assign(this, { pc, every });
    this.samples = [];
    /** Presented frames by the id of their track: [when, height]. */
    this.frames = {};
    this.watched = new WeakSet();
  }

  static now() {
    return performance.timeOrigin + performance.now();
  }

  start() {
    setInterval(() => this.sample(), this.every);
    return this.sample();
  }

  /** All that was written down so far. */
  async read() {
    await this.sample();
    return { samples: this.samples, frames: this.frames };
  }

  async sample() {
    for (const element of document.querySelectorAll('video')) this.watch(element);
    const sample = { at: Sampler.now(), inbound: [], outbound: [] };
    for (const report of (await this.pc.getStats()).values()) {
      if (report.type === 'inbound-rtp') sample.inbound.push(pick(report, Sampler.inbound));
      if (report.type === 'outbound-rtp') sample.outbound.push(pick(report, Sampler.outbound));
    }
    this.samples.push(sample);
  }

  watch(element) {
    const id = element.srcObject?.getVideoTracks()[0]?.id;
    if (!id || this.watched.has(element)) return;
    this.watched.add(element);
    const frames = (this.frames[id] ??= []);
    const presented = (now, { height }) => {
      frames.push([Math.round(performance.timeOrigin + now), height]);
      element.requestVideoFrameCallback(presented);
    };
    element.requestVideoFrameCallback(presented);
  }

  static inbound = [
    'kind', 'mid', 'trackIdentifier', 'bytesReceived', 'packetsReceived', 'packetsLost',
    'framesDecoded', 'frameWidth', 'frameHeight', 'framesPerSecond', 'freezeCount', 'totalFreezesDuration', 'pliCount', 'nackCount',
    'totalSamplesReceived', 'concealedSamples', 'silentConcealedSamples',
  ];

  static outbound = ['kind', 'mid', 'rid', 'active', 'bytesSent', 'targetBitrate', 'frameHeight', 'framesPerSecond', 'qualityLimitationReason', 'pliCount'];
}

const pick = (report, names) => Object.fromEntries(names.filter((name) => report[name] !== undefined).map((name) => [name, report[name]]));

window.Sampler = Sampler;
