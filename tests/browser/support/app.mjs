// The real page as a test uses it: by its test ids, with real clicks and keys, as a person would.

import { inbound, mediaFlows, mediaStops } from './media.mjs';
import { until } from './wait.mjs';
import { Wiretap } from './wiretap.mjs';

const PATH = 'crosspoint.pc';

export const byId = (id, more = '') => `[data-testid="${id}"]${more}`;

export class App {
  /** Opens the page of a room, without joining. */
  static async lobby(stage, browser, { room, url = stage.server.url, width, height = 640, hasTouch = false, query = '', ignored, prepare }) {
    const page = await stage.open(browser);
    if (width) await page.setViewport({ width, height, hasTouch });
    const wiretap = await Wiretap.on(page, ignored);
    await prepare?.(page);
    await page.goto(`${url}/r/${room}${query}`);
    const app = new App(page);
    app.wiretap = wiretap;
    await app.shown('name-input');
    return app;
  }

  /** Opens the page of a room and joins under a name. `media: false` joins without camera and microphone. */
  static async join(stage, browser, { room, name, media = true, ...lobby }) {
    const app = await App.lobby(stage, browser, { room, ...lobby });
    await app.enter(name, { media });
    return app;
  }

  constructor(page) {
    this.page = page;
  }

  async enter(name, { media = true } = {}) {
    this.name = name;
    await this.fill('name-input', name);
    await this.click(media ? 'join' : 'join-no-media');
    await this.until('it is in the call', () => window.crosspoint?.pc?.connectionState === 'connected', {
      show: () => ({ state: window.crosspoint?.pc?.connectionState, text: document.body.innerText.slice(0, 1500) }),
    });
    this.id = await this.run(() => window.crosspoint.id);
  }

  /** Enters the room without its call, to be called or to call one of those there. */
  async enterOnly(name) {
    this.name = name;
    await this.fill('name-input', name);
    await this.click('enter-only');
    await this.until('it is in the room', () => typeof window.crosspoint?.id === 'number');
    this.id = await this.run(() => window.crosspoint.id);
  }

  run(fn, ...args) {
    return this.page.evaluate(fn, ...args);
  }

  until(what, fn, { args, timeout, show = () => document.body.innerText.slice(0, 2000) } = {}) {
    return until(this.page, `${this.name ?? 'page'}: ${what}`, fn, { args, timeout, show });
  }

  /** An element is there, and a person could see it. */
  shown(id, more = '', options = {}) {
    return this.until(
      `${id}${more} is shown`,
      (selector) => [...document.querySelectorAll(selector)].some((element) => element.checkVisibility() && element.getClientRects().length > 0),
      { args: [byId(id, more)], ...options },
    );
  }

  gone(id, more = '', options = {}) {
    return this.until(
      `${id}${more} is gone`,
      (selector) => [...document.querySelectorAll(selector)].every((element) => !element.checkVisibility() || element.getClientRects().length === 0),
      { args: [byId(id, more)], ...options },
    );
  }

  async click(id, more = '') {
    await this.page.bringToFront();
    await this.shown(id, more);
    await this.until(`${id}${more} can be clicked`, (selector) => !document.querySelector(selector).disabled, { args: [byId(id, more)] });
    await this.page.click(byId(id, more));
  }

  async fill(id, text) {
    await this.page.bringToFront();
    await this.page.click(byId(id), { count: 3 });
    await this.page.keyboard.press('Backspace');
    await this.page.type(byId(id), text);
  }

  /** Writes into the chat, which may have to be opened first. */
  async say(text) {
    const open = await this.run((selector) => document.querySelector(selector).checkVisibility(), byId('chat-input'));
    if (!open) await this.click('chat-toggle');
    await this.click('chat-input');
    await this.page.keyboard.type(text);
    await this.page.keyboard.press('Enter');
  }

  /** Makes the list of people visible. */
  async openPeople() {
    const open = await this.run((selector) => document.querySelector(selector).checkVisibility(), byId('people'));
    if (!open) await this.click('people-toggle');
    await this.shown('people');
  }

  /** The tiles of others' tracks: participant, source, track. */
  tiles() {
    return this.run(
      (selector) => [...document.querySelectorAll(selector)].map(({ dataset, innerText }) => ({ participant: Number(dataset.participant), source: dataset.source, track: dataset.track, text: innerText })),
      byId('tile'),
    );
  }

  /** Of the tiles that a person sees: whose camera or screen each is, how it is named and where, in reading order. */
  seen() {
    return this.run((selector) => {
      for (const animation of document.getAnimations()) if (animation instanceof CSSTransition) animation.finish();
      const shown = [...document.querySelectorAll(selector)].filter((tile) => tile.checkVisibility());
      return shown.map((tile) => {
        const { x, y, width, height } = tile.getBoundingClientRect();
        return { participant: Number(tile.dataset.participant), source: tile.dataset.source, name: tile.querySelector('.tile-name').textContent, x, y, width, height };
      }).sort((one, other) => one.y - other.y || one.x - other.x);
    }, byId('tile'));
  }

  /** A button of somebody's tile. */
  async clickOnTile(participant, button, source = 'camera') {
    await this.page.bringToFront();
    const tile = byId('tile', `[data-participant="${participant}"][data-source="${source}"]`);
    await this.page.hover(tile);
    await this.page.click(`${tile} ${byId(button)}`);
  }

  /** A tile of this participant and source shows moving pictures. */
  shows(participant, source, options) {
    return this.until(
      `a picture of ${participant}'s ${source}`,
      (selector) => [...document.querySelectorAll(selector)].some((tile) => tile.checkVisibility() && tile.querySelector('video')?.videoWidth > 0 && !tile.querySelector('video').paused),
      { args: [byId('tile', `[data-participant="${participant}"][data-source="${source}"]`)], ...options },
    );
  }

  /** Decoded frames and audio energy advance: of these apps, or of so many others. */
  receives(from, options) {
    return mediaFlows(this.page, PATH, Array.isArray(from) ? from.map(({ id }) => id) : from, options);
  }

  stopsReceiving(silent, witness) {
    return mediaStops(this.page, PATH, silent, witness);
  }

  inbound() {
    return inbound(this.page, PATH);
  }

  /** What the page's scripts failed in. */
  failures() {
    return this.page.words.filter((word) => /^(uncaught|error|warn)/.test(word) && !/favicon/.test(word));
  }
}
