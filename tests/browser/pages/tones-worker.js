// The worker's half of tones.js.

'use strict';

self.onrtctransform = async ({ transformer }) => {
  const events = {};
  const packets = {};
  const reader = transformer.readable.getReader();
  const writer = transformer.writable.getWriter();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const { mimeType } = value.getMetadata();
    packets[mimeType] = (packets[mimeType] ?? 0) + 1;
    if (mimeType === 'audio/telephone-event') {
      const event = new Uint8Array(value.data)[0];
      events[event] = (events[event] ?? 0) + 1;
    }
    self.postMessage({ events, packets });
    writer.write(value);
  }
};
