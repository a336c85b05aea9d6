// What one test file works on: a server, the browsers it asks for, the test pages; and `scene`, a test that shows the
// server's and the pages' words when it fails, and closes its pages when it ends.

import { after, before, test } from 'node:test';
import { launchChromium, launchFirefox } from './browsers.mjs';
import { serveFiles } from './files.mjs';
import { Server } from './server.mjs';

const SCENE_TIMEOUT = 90_000;

export class Stage {
  #pages = [];
  #rooms = 0;

  /** Declares the stage of a test file: it is built before the file's first scene, and taken down after its last. */
  static set({ chromium = true, firefox = false, server = {}, files = 'pages', host } = {}) {
    const stage = new Stage();
    before(
      async () => {
        stage.server = await Server.start(server);
        stage.files = await serveFiles(files, { host });
        if (chromium) stage.chromium = await launchChromium(chromium === true ? {} : chromium);
        if (firefox) stage.firefox = await launchFirefox(firefox === true ? {} : firefox);
      },
      { timeout: 60_000 },
    );
    after(() => stage.#strike(), { timeout: 30_000 });
    return stage;
  }

  /** A test. A room's name of its own comes with it. */
  scene(name, body, { timeout = SCENE_TIMEOUT } = {}) {
    test(name, { timeout }, async (t) => {
      try {
        await body({ t, room: `scene-${(this.#rooms += 1)}` });
        if (!this.server.running) throw new Error('the server has ended');
      } catch (error) {
        await this.#report(t);
        throw error;
      } finally {
        await this.#closePages();
      }
    });
  }

  /** Opens a page whose console is kept for the report. */
  async open(browser, url) {
    const page = await browser.newPage();
    const words = [];
    page.on('console', (message) => words.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => words.push(`uncaught: ${error.stack ?? error}`));
    page.words = words;
    this.#pages.push(page);
    await page.evaluateOnNewDocument(neverHidden);
    if (url) await page.goto(url);
    return page;
  }

  async #closePages() {
    await Promise.allSettled(this.#pages.splice(0).map((page) => page.close()));
  }

  async #report(t) {
    t.diagnostic(`server, last lines:\n${tail(this.server.log, 60)}`);
    for (const page of this.#pages.filter((one) => !one.isClosed())) {
      const state = await page.evaluate(describePage).catch((error) => `${error}`);
      t.diagnostic(`page ${page.url()} ${JSON.stringify(state)}\n${tail(page.words.join('\n'), 30)}`);
    }
  }

  async #strike() {
    await this.chromium?.shut();
    await this.firefox?.shut();
    this.files?.close();
    await this.server?.stop();
  }
}

// Runs in the page: it is often not the front one here, and has to run as if somebody looked at it.
function neverHidden() {
  Object.defineProperty(Document.prototype, 'hidden', { get: () => false, configurable: true });
}

// Runs in the page.
function describePage() {
  const pc = window.peer?.pc ?? window.crosspoint?.pc ?? window.myPeerConnection;
  const states = pc && { connection: pc.connectionState, ice: pc.iceConnectionState, signaling: pc.signalingState };
  return { name: window.peer?.name, errors: window.peer?.errors, states, title: document.title };
}

const tail = (text, lines) => text.trimEnd().split('\n').slice(-lines).join('\n');
