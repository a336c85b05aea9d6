// The independent client (pages/peer.js) as a test holds it: one page, one peer.

import { mediaFlows, mediaStops, inbound } from './media.mjs';
import { until } from './wait.mjs';

const PATH = 'peer.pc';

export class RemotePeer {
  /** Opens a page in a browser, connects to a room under a name. */
  static async open(stage, browser, { room, name, url, protocols }) {
    const page = await stage.open(browser, `${stage.files.url}/peer.html`);
    const peer = new this(page, name);
    peer.hello = await page.evaluate(
      (options) => {
        window.peer = new Peer(options);
        return window.peer.connect();
      },
      { url: url ?? stage.server.socketUrl(room), name, protocols },
    );
    peer.id = peer.hello.id;
    return peer;
  }

  constructor(page, name) {
    this.page = page;
    this.name = name;
  }

  /** Runs a function in the page. */
  run(fn, ...args) {
    return this.page.evaluate(fn, ...args);
  }

  next(type, match, timeout) {
    return this.run((...args) => peer.next(...args), type, match, timeout);
  }

  send(message) {
    return this.run((sent) => peer.send(sent), message);
  }

  /** Joins the room's call with the fake devices, or, with `null`, only to receive. */
  join(media = {}) {
    return this.run(async (wanted) => peer.join(wanted && (await sources.devices(wanted))), media);
  }

  call(target, media = {}) {
    return this.run(async (to, wanted) => peer.call(to, await sources.devices(wanted)), target, media);
  }

  /** Waits for a call, and returns the caller's name. */
  async rings() {
    await this.until('it rings', () => Boolean(peer.ringing));
    return this.run(() => peer.ringing.name);
  }

  accept(media = {}) {
    return this.run(async (wanted) => peer.accept(await sources.devices(wanted)), media);
  }

  decline() {
    return this.run(() => peer.decline());
  }

  hangUp() {
    return this.run(() => peer.hangUp());
  }

  until(what, fn, { args, timeout } = {}) {
    return until(this.page, `${this.name}: ${what}`, fn, { args, timeout, show: describePeer });
  }

  /** Decoded frames and audio energy advance from each of these peers. */
  receives(...from) {
    return this.receivesOnly(['audio', 'video'], ...from);
  }

  receivesOnly(kinds, ...from) {
    return mediaFlows(this.page, PATH, from.map(({ id }) => id), { kinds });
  }

  stopsReceiving(silent, witness) {
    return mediaStops(this.page, PATH, silent, witness);
  }

  inbound() {
    return inbound(this.page, PATH);
  }

  /** Negotiation is at rest: nothing outstanding, nothing refused. */
  settled() {
    return this.until('negotiation is at rest', () => peer.pc.signalingState === 'stable' && !peer.makingOffer);
  }

  errors() {
    return this.run(() => [...peer.errors, ...peer.heard.filter(({ type }) => type === 'error').map((error) => JSON.stringify(error))]);
  }

  /** Measures gaps on everything it receives, until the function returned is called. */
  async watchGaps() {
    await this.run(() => {
      window.gaps = peer.pc.getReceivers().filter(({ track }) => track.readyState === 'live' && !track.muted).map((receiver) => watchGaps(receiver));
    });
    return () => this.run(() => Promise.all(window.gaps.map((gap) => gap.stop())));
  }
}

/**
 * Does `act` while peers are in a call, and asserts that no receiver of theirs misses packets for longer than `longest`
 * milliseconds. A gap that `act` makes is there every time, one that a busy machine makes is not: so the best of three
 * tries counts. Returns the gaps, in words.
 */
export async function withoutGap(peers, act, { longest = 200, tries = 3 } = {}) {
  const told = [];
  for (let attempt = 1; ; attempt += 1) {
    const stops = await Promise.all(peers.map((peer) => peer.watchGaps()));
    await act(attempt);
    const gaps = (await Promise.all(stops.map((stop) => stop()))).flat();
    const words = gaps.map((gap) => `${gap.kind} ${gap.longest.toFixed(0)} ms`).join(', ');
    told.push(words);
    if (gaps.length < 2 * peers.length || gaps.some(({ units }) => units < 5)) throw new Error(`too little was measured: ${JSON.stringify(gaps)}`);
    if (gaps.every((gap) => gap.longest <= longest)) return told.join('; ');
    if (attempt === tries) throw new Error(`no packet for more than ${longest} ms, in each of ${tries} tries: ${told.join('; ')}`);
  }
}

// Runs in the page.
function describePeer() {
  const { name, errors, events, tracks, glares, pc } = peer;
  const heard = peer.heard.slice(-15).map((message) => JSON.stringify({ ...message, sdp: message.sdp && '…' }));
  return { name, errors, events: events.slice(-10), tracks, glares, state: pc?.connectionState, signaling: pc?.signalingState, heard };
}
