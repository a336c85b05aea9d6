// Measures the longest time in which nothing arrived on a receiver, from its counters and the arrival time of its last
// packet: what the machine does to rendering, or to this script's timers, is not counted as a gap of the media.

'use strict';

window.watchGaps = (receiver, { every = 20 } = {}) => {
  const kind = receiver.track.kind;
  // What regular media brings: an audio packet in 20 ms, a video frame in 1/15 s.
  const usual = kind === 'audio' ? 20 : 67;
  const watch = { kind, longest: 0, polls: 0, slowest: 0, units: 0 };
  let last;
  let stopped = false;

  const read = async () => {
    for (const report of (await receiver.getStats()).values()) {
      if (report.type !== 'inbound-rtp') continue;
      return { at: report.lastPacketReceivedTimestamp, units: kind === 'audio' ? report.packetsReceived : report.framesReceived };
    }
    return undefined;
  };

  const done = (async () => {
    let polled = performance.now();
    while (!stopped) {
      const now = await read();
      watch.polls += 1;
      watch.slowest = Math.max(watch.slowest, performance.now() - polled);
      polled = performance.now();
      if (now?.at && last && now.units > last.units) {
        // Between two readings that saw several units, those but one came in their usual time.
        const gap = now.at - last.at - (now.units - last.units - 1) * usual;
        watch.units += now.units - last.units;
        watch.longest = Math.max(watch.longest, gap);
      }
      if (now?.at && (!last || now.units !== last.units)) last = now;
      await new Promise((resolve) => setTimeout(resolve, every));
    }
    // Media that has not come back is a gap that still goes on.
    if (last) watch.longest = Math.max(watch.longest, performance.timeOrigin + performance.now() - last.at - usual);
    return watch;
  })();

  return {
    watch,
    stop() {
      stopped = true;
      return done;
    },
  };
};
