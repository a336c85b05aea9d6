// A server and browsers on a network of their own (network.mjs), and in them peers that write down how the call goes.

import { answerFromFiles } from './files.mjs';
import { launchChromium, launchFirefox } from './browsers.mjs';
import { Network } from './network.mjs';
import { RemotePeer } from './peer.mjs';
import { Record } from './record.mjs';
import { Server } from './server.mjs';

// Pages of localhost may use devices, wherever the browser stands.
const ORIGIN = 'http://localhost';

const flags = [
  // Else a page of localhost would have to ask before it opens a socket to a private address.
  '--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets',
];

/** The three sizes that pictures are published in; the largest is worth 2.5 Mbit/s. */
const LAYERS = [
  { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 500_000 },
  { rid: 'f', scaleResolutionDownBy: 1, maxBitrate: 2_500_000 },
];

export class Lab {
  #browsers = [];

  static async open({ seed = 1 } = {}) {
    const lab = new Lab();
    lab.network = await Network.open({ seed });
    try {
      const { within, address } = lab.network.server;
      lab.server = await Server.start({ within, listen: [`${address}:0`] });
    } catch (error) {
      await lab.close();
      throw error;
    }
    return lab;
  }

  /** A place on the network with a browser; its wire can be changed by `set`. */
  async place(name, wire, { browser = 'chromium' } = {}) {
    const place = await this.network.place(name, wire);
    const launch = { chromium: launchChromium, firefox: launchFirefox }[browser];
    place.browser = await launch({ within: place.within, flags });
    this.#browsers.push(place.browser);
    return place;
  }

  /** A peer in a window of its own in the browser of a place, in the one room there is. */
  async peer(place, name = place.name) {
    const stage = { server: this.server, files: { url: ORIGIN }, open };
    const peer = await LabPeer.open(stage, place.browser, { room: 'lab', name });
    peer.place = place;
    return peer;
  }

  /** So many light participants in one page of the browser of a place; resolves with their ids. */
  async crowd(place, count) {
    const page = await open(place.browser, `${ORIGIN}/peer.html`);
    return page.evaluate((url, many) => crowd.join(url, many), this.server.socketUrl('lab'), count);
  }

  async close() {
    await Promise.allSettled(this.#browsers.map((browser) => browser.shut()));
    await this.server?.stop();
    await this.network.close();
  }
}

async function open(browser, url) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  page.words = [];
  page.on('console', (message) => page.words.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => page.words.push(`uncaught: ${error.stack ?? error}`));
  await answerFromFiles(page, 'pages', ORIGIN);
  await page.goto(url);
  return page;
}

/** A peer that is measured. */
class LabPeer extends RemotePeer {
  /** Joins with a rough moving picture in three sizes, of which it sends what is wanted if it `heeds` that, and a tone. */
  async publish({ layers = LAYERS, rate = 20, heeds = true } = {}) {
    await this.run(
      async (encodings, frameRate, heeds) => {
        // Firefox plays no sound where there is no sound card, but its fake microphone hums by itself.
        const hums = navigator.userAgent.includes('Firefox');
        const sound = await (hums ? sources.devices({ video: false }) : sources.tone());
        const tracks = [sources.texture({ rate: frameRate }), sound].flatMap((stream) => stream.getTracks());
        await peer.join(new MediaStream(tracks), { encodings, heeds });
        const sender = peer.pc.getSenders().find(({ track }) => track?.kind === 'video');
        // A busy machine shall cost frames, and not sizes, which are what is looked at.
        await sender.setParameters({ ...sender.getParameters(), degradationPreference: 'maintain-resolution' });
      },
      layers,
      rate,
      heeds,
    );
    await this.#record();
  }

  /** Joins only to receive, every picture of these peers at a size. */
  async watch(publishers, { width = 1280, height = 720 } = {}) {
    await this.join(null);
    const ids = publishers.map(({ id }) => id);
    await this.hasPicturesOf(ids);
    if (ids.length > 0) await this.looksAt(ids, { width, height });
    await this.#record();
  }

  /** The pictures of all these participants are announced. */
  hasPicturesOf(ids) {
    return this.until('all pictures are announced', (wanted) => wanted.every((id) => peer.tracksOf(id).some(({ kind }) => kind === 'video')), { args: [ids] });
  }

  /** Wants the pictures of these participants at a size, and no others; resolves with the identifiers of their tracks. */
  looksAt(ids, size) {
    return this.run(
      (wanted, shown) => {
        const pictures = peer.tracks.filter(({ kind }) => kind === 'video');
        for (const { track, participant } of pictures) peer.receive(track, wanted.includes(participant) ? { paused: false, ...shown } : { paused: true });
        const receivers = new Map(peer.pc.getTransceivers().map(({ mid, receiver }) => [mid, receiver]));
        return wanted.map((id) => receivers.get(pictures.find(({ participant }) => participant === id).mid).track.id);
      },
      ids,
      size,
    );
  }

  #record() {
    return this.run(() => {
      window.sampler = new Sampler(peer.pc);
      return sampler.start();
    });
  }

  /** What was written down so far. */
  async record() {
    return new Record(await this.run(() => sampler.read()));
  }

  /** It sends so many bits of video a second. */
  sends(bitrate, timeout = 30_000) {
    return this.until(
      `it sends ${bitrate} bits a second`,
      (wanted) => {
        const [then, last] = [sampler.samples.at(-10), sampler.samples.at(-1)];
        const bytes = ({ outbound }) => outbound.reduce((sum, { kind, bytesSent }) => sum + (kind === 'video' ? bytesSent : 0), 0);
        return then && ((bytes(last) - bytes(then)) * 8000) / (last.at - then.at) >= wanted;
      },
      { args: [bitrate], timeout },
    );
  }

  /** A picture of this height is shown. */
  shows(height, timeout = 20_000) {
    return this.until(`a picture of height ${height}`, (wanted) => Object.values(sampler.frames).some((frames) => frames.at(-1)?.[1] === wanted), { args: [height], timeout });
  }
}
