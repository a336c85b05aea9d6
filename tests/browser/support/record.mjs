// What a sampler (pages/sampler.js) wrote down of one peer, and what that says: freezes, sizes, bitrates, concealment.
// All times are milliseconds since 1970, as `now` tells them; `from` and `to` bound what is looked at.

/** A frame counts as shown for no longer than this, when its successor is late. */
const FLOWS = 500;

export const now = () => performance.timeOrigin + performance.now();

export class Record {
  constructor({ samples, frames }) {
    this.samples = samples;
    this.frames = frames;
  }

  /** One received picture: of the track so identified, or of the only one. */
  picture(track = Object.keys(this.frames)[0]) {
    return new Picture(this, track);
  }

  /** The share of the sound that was made up, from 0 to 1. */
  concealment(from, to) {
    const audio = (report) => report.kind === 'audio';
    const all = this.growth('inbound', 'totalSamplesReceived', audio, from, to);
    return all ? this.growth('inbound', 'concealedSamples', audio, from, to) / all : NaN;
  }

  /** Bits a second that came in, of all media or of the reports so chosen. */
  receivedBitrate(from, to, chosen = () => true) {
    return this.#rate('inbound', 'bytesReceived', chosen, from, to);
  }

  /** Bits a second of video that went out, of all layers or of one. */
  sentBitrate(from, to, rid) {
    return this.#rate('outbound', 'bytesSent', (report) => report.kind === 'video' && (!rid || report.rid === rid), from, to);
  }

  /** How much a counter grew, in all reports chosen. */
  growth(direction, member, chosen, from, to) {
    const within = this.#within(from, to);
    if (within.length < 2) return 0;
    const [first, last] = [within[0], within.at(-1)].map((sample) => this.#values(sample, direction, member, chosen));
    return Object.entries(last).reduce((sum, [key, value]) => sum + value - (first[key] ?? 0), 0);
  }

  /** When a bitrate, over windows of `span` ms that begin at `from` or later, is first so that `holds`: the window's end. */
  firstWhen(holds, from, to, { span = 1000, chosen } = {}) {
    for (const { at } of this.#within(from + span, to)) if (holds(this.receivedBitrate(at - span, at, chosen))) return at;
    return undefined;
  }

  #rate(direction, member, chosen, from, to) {
    const within = this.#within(from, to);
    if (within.length < 2) return 0;
    return (this.growth(direction, member, chosen, from, to) * 8000) / (within.at(-1).at - within[0].at);
  }

  #values(sample, direction, member, chosen) {
    const reports = sample[direction].filter((report) => chosen(report) && report[member] !== undefined);
    return Object.fromEntries(reports.map((report) => [`${report.mid} ${report.rid} ${report.trackIdentifier}`, report[member]]));
  }

  #within(from, to) {
    return this.samples.filter(({ at }) => at >= from && at <= to);
  }
}

class Picture {
  constructor(record, track) {
    this.record = record;
    this.track = track;
    this.frames = (record.frames[track] ?? []).map(([at, height]) => ({ at, height }));
  }

  /** Bits a second that came in for it. */
  bitrate(from, to) {
    return this.record.receivedBitrate(from, to, this.#own);
  }

  /** When its bitrate is first so that `holds`. */
  bitrateWhen(holds, from, to) {
    return this.record.firstWhen(holds, from, to, { chosen: this.#own });
  }

  /** The longest time, in ms, without a new frame. */
  longestGap(from, to) {
    return Math.max(...this.#gaps(from, to).map(({ gap }) => gap));
  }

  /** How long, in ms, it stood still, as the browser counts freezes. */
  frozen(from, to) {
    return 1000 * this.record.growth('inbound', 'totalFreezesDuration', this.#own, from, to);
  }

  /** Height times seconds, of what was shown: 720 for a second of 1280 x 720. */
  resolutionSeconds(from, to) {
    return this.#gaps(from, to).reduce((sum, { gap, height }) => sum + (height * Math.min(gap, FLOWS)) / 1000, 0);
  }

  /** The mean height of what was shown. */
  height(from, to) {
    return (this.resolutionSeconds(from, to) * 1000) / (to - from);
  }

  /** When a frame is first so that `holds`. */
  frameWhen(holds, from, to) {
    return this.frames.find((frame) => frame.at >= from && frame.at <= to && holds(frame))?.at;
  }

  /** When frames are so from then on until `to`: after the last that is not. `undefined` if that is so of none. */
  settledWhen(holds, from, to) {
    const within = this.frames.filter(({ at }) => at >= from && at <= to);
    const last = within.findLastIndex((frame) => !holds(frame));
    return within[last + 1]?.at;
  }

  #own = (report) => report.trackIdentifier === this.track;

  /** From one frame to the next, with the height of the one that was shown meanwhile. */
  #gaps(from, to) {
    const before = this.frames.findLast(({ at }) => at < from);
    const marks = [{ at: from, height: before?.height ?? 0 }, ...this.frames.filter(({ at }) => at >= from && at <= to)];
    return marks.map(({ at, height }, index) => ({ gap: (marks[index + 1]?.at ?? to) - at, height }));
  }
}
