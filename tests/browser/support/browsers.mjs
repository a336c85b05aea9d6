// Launches Chromium and Firefox, headless and with fake devices, each with a profile folder of its own, and ends them by
// their own process handle.

import puppeteer from 'puppeteer-core';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { forwardPort } from './forward.mjs';

const CLOSE_TIMEOUT = 5_000;

function executable(variable, names) {
  if (process.env[variable]) return process.env[variable];
  for (const name of names) {
    try {
      return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
    } catch {
      // The next name, then.
    }
  }
  throw new Error(`none of ${names.join(', ')} is installed: run tests/install, or set ${variable}`);
}

const chromiumPath = () => executable('CHROMIUM', ['chromium', 'google-chrome-stable', 'google-chrome', 'chromium-browser']);
const firefoxPath = () => executable('FIREFOX', ['firefox-esr', 'firefox']);

const chromiumFlags = [
  '--use-fake-device-for-media-stream',
  '--allow-loopback-in-peer-connection',
  '--auto-select-desktop-capture-source=Entire screen',
  '--autoplay-policy=no-user-gesture-required',
  '--no-sandbox',
  '--no-first-run',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
  '--disable-background-networking',
  '--disable-component-update',
  // A page is often not the front one here, and has to run all the same.
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
];

const firefoxPrefs = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.peerconnection.ice.loopback': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.autoplay.default': 0,
  'media.getusermedia.screensharing.enabled': true,
  'media.videocontrols.picture-in-picture.video-toggle.enabled': false,
  'dom.min_background_timeout_value': 4,
  'dom.timeout.enable_budget_timer_throttling': false,
  'app.update.disabledForTesting': true,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
};

/**
 * `prompts`: `accept` grants camera and microphone, `deny` refuses them. `within` is a command to start it by. `trusting`
 * takes any certificate.
 */
export function launchChromium({ prompts = 'accept', flags = [], within, trusting = false } = {}) {
  const answer = prompts === 'accept' ? '--use-fake-ui-for-media-stream' : '--deny-permission-prompts';
  return launch((home) => ({
    browser: 'chrome',
    executablePath: within ? starter(home, [...within, chromiumPath()]) : chromiumPath(),
    // In a namespace of its own it has no port that could be reached from here.
    pipe: Boolean(within),
    args: [...chromiumFlags, answer, ...flags],
    acceptInsecureCerts: trusting,
    userDataDir: home,
  }));
}

export async function launchFirefox({ prefs = {}, within, trusting = false } = {}) {
  const control = within && (await forwardPort(within));
  try {
    const browser = await launch((home) => ({
      browser: 'firefox',
      executablePath: within ? starter(home, [...within, firefoxPath()]) : firefoxPath(),
      debuggingPort: control?.port,
      acceptInsecureCerts: trusting,
      env: { ...process.env, HOME: home },
      extraPrefsFirefox: { ...firefoxPrefs, ...prefs },
    }));
    const { shut } = browser;
    return Object.assign(browser, { shut: () => shut().finally(() => control?.close()) });
  } catch (error) {
    control?.close();
    throw error;
  }
}

/** Writes an executable that runs a command with its own arguments. */
function starter(home, command) {
  const path = join(home, 'start');
  writeFileSync(path, `#!/bin/sh\nexec ${command.join(' ')} "$@"\n`, { mode: 0o755 });
  return path;
}

async function launch(options) {
  const home = mkdtempSync(join(tmpdir(), 'crosspoint-browser-'));
  try {
    const browser = await puppeteer.launch({
      headless: true,
      defaultViewport: { width: 1000, height: 700 },
      protocolTimeout: 120_000,
      ...options(home),
    });
    return Object.assign(browser, { shut: () => shut(browser, home) });
  } catch (error) {
    rmSync(home, { recursive: true, force: true });
    throw error;
  }
}

async function shut(browser, home) {
  const child = browser.process();
  const timer = setTimeout(() => child?.kill('SIGKILL'), CLOSE_TIMEOUT);
  await browser.close().catch(() => child?.kill('SIGKILL'));
  clearTimeout(timer);
  rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}
