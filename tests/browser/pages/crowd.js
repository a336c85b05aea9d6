// Many light participants in one page: each sends a small picture in two sizes, and wants to see nobody.

'use strict';

class LightPeer extends Peer {
  constructor(options) {
    super(options);
    this.unwanted = new Set();
  }

  hear(message) {
    super.hear(message);
    for (const { track } of this.tracks) {
      if (this.unwanted.has(track)) continue;
      this.unwanted.add(track);
      this.receive(track, { paused: true });
    }
  }

  play() {}
}

window.crowd = {
  encodings: [
    { rid: 'q', scaleResolutionDownBy: 2, maxBitrate: 50_000 },
    { rid: 'h', scaleResolutionDownBy: 1, maxBitrate: 150_000 },
  ],

  /** Lets so many join, all at once; resolves with their ids. */
  async join(url, count) {
    const stream = sources.texture({ width: 480, height: 270, rate: 8, spots: 40 });
    this.peers = Array.from({ length: count }, (_, index) => new LightPeer({ url, name: `light-${index + 1}` }));
    for (const peer of this.peers) await peer.connect();
    await Promise.all(this.peers.map((peer) => peer.join(stream.clone(), { encodings: this.encodings })));
    return this.peers.map(({ id }) => id);
  },
};
