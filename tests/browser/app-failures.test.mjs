// When there is no camera to be had, or the socket breaks: the page says in words what it is and what to do.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { App, byId } from './support/app.mjs';
import { launchChromium } from './support/browsers.mjs';
import { Proxy } from './support/proxy.mjs';

const stage = Stage.set({ firefox: true });

// What the words must speak of, by the failure; and that one can join all the same.
const words = {
  NotAllowedError: /permission|allow|block|denied/i,
  NotFoundError: /no camera|not found|no microphone|plug|connect/i,
  NotReadableError: /in use|another (app|program|tab)|other (app|program|tab)/i,
  OverconstrainedError: /another (camera|device)|other (camera|device)|choose|cannot do|does not|support/i,
};

async function saysAndJoins(app, name) {
  await app.until(
    `words for ${name}`,
    (selector, pattern) => new RegExp(pattern, 'i').test(document.querySelector(selector).innerText),
    { args: [byId('media-problem'), words[name].source] },
  );
  await app.enter('Alice', { media: false });
}

stage.scene('the person says no to camera and microphone', async ({ room }) => {
  const browser = await launchChromium({ prompts: 'deny' });
  try {
    const app = await App.lobby(stage, browser, { room });
    await saysAndJoins(app, 'NotAllowedError');
  } finally {
    await browser.shut();
  }
});

stage.scene('there is no camera and no microphone', async ({ room }) => {
  const app = await lobbyWhere('chromium', room, 'NotFoundError');
  await saysAndJoins(app, 'NotFoundError');
});

for (const name of ['NotReadableError', 'OverconstrainedError', 'NotAllowedError']) {
  for (const browser of ['chromium', 'firefox']) {
    stage.scene(`getUserMedia fails with ${name} in ${browser}`, async ({ room }) => {
      const app = await lobbyWhere(browser, room, name);
        await saysAndJoins(app, name);
    });
  }
}

// A lobby in which getUserMedia fails by this name.
async function lobbyWhere(browser, room, name) {
  const page = await stage.open(stage[browser]);
  await page.evaluateOnNewDocument((failure) => {
    navigator.mediaDevices.getUserMedia = async () => {
      const error = failure === 'OverconstrainedError' && window.OverconstrainedError ? new OverconstrainedError('width', 'simulated') : new DOMException('simulated', failure);
      throw error;
    };
  }, name);
  await page.goto(`${stage.server.url}/r/${room}`);
  const app = new App(page);
  await app.shown('name-input');
  return app;
}

stage.scene('an insecure origin: the browser gives no devices at all', async ({ room }) => {
  const browser = await launchChromium({ flags: ['--host-resolver-rules=MAP crosspoint.test 127.0.0.1'] });
  try {
    const app = await App.lobby(stage, browser, { room, url: `http://crosspoint.test:${stage.server.port}` });
    assert.equal(await app.run(() => window.isSecureContext), false);
    await app.until('words', () => /https|secure|localhost/i.test(document.body.innerText));
  } finally {
    await browser.shut();
  }
});

for (const browser of ['chromium', 'firefox']) {
  stage.scene(`the socket breaks in ${browser}: it is said, it comes back, and the media never stopped`, async ({ room }) => {
    const proxy = await Proxy.start(stage.server.port);
    try {
      const alice = await App.join(stage, stage[browser], { room, name: 'Alice', url: proxy.url });
      const bob = await App.join(stage, stage.chromium, { room, name: 'Bob' });
      await Promise.all([alice.receives([bob]), bob.receives([alice])]);
      const { id } = alice;
      proxy.refuse();
      assert(proxy.cut() > 0);
      await alice.until('it says so', () => /reconnect|connection (was )?lost|connecting/i.test(document.body.innerText));
      await Promise.all([alice.receives([bob]), bob.receives([alice])]);
      proxy.refuse(false);
      await alice.until('it says no more', () => !/reconnecting|connection (was )?lost/i.test(document.body.innerText), { timeout: 20_000 });
      assert.equal(await alice.run(() => window.crosspoint.id), id);
      await Promise.all([alice.receives([bob]), bob.receives([alice])]);
    } finally {
      proxy.close();
    }
  });
}
