// A client of MDN's sample, unmodified, logs in, chats and holds one-to-one calls through the server, on the sample's
// own port.

import assert from 'node:assert/strict';
import { Stage } from './support/stage.mjs';
import { mediaFlows } from './support/media.mjs';
import { until } from './support/wait.mjs';

const stage = Stage.set({
  firefox: true,
  files: 'mdn',
  // The client asks for port 6503 of the host that served its page.
  host: '127.0.0.1',
  server: { listen: ['127.0.0.1:6503'] },
});

async function logIn(browser, name) {
  const page = await stage.open(browser, `${stage.files.url}/index.html`);
  await page.evaluate((wanted) => {
    document.getElementById('name').value = wanted;
    document.querySelector('[name=login]').click();
  }, name);
  await until(page, `${name} is logged in`, () => myUsername && document.querySelectorAll('.userlistbox li').length > 0);
  return page;
}

const listed = (page, names) =>
  until(page, `the list of users is ${names}`, (wanted) => [...document.querySelectorAll('.userlistbox li')].map((item) => item.textContent).sort().join() === wanted, {
    args: [[...names].sort().join()],
    show: () => document.querySelector('.userlistbox').innerText,
  });

function invite(page, name) {
  return page.evaluate((wanted) => {
    const item = [...document.querySelectorAll('.userlistbox li')].find(({ textContent }) => textContent === wanted);
    item.click();
  }, name);
}

async function callBothWays(caller, callee, calleeName) {
  await invite(caller, calleeName);
  await Promise.all([mediaFlows(caller, 'myPeerConnection', 1), mediaFlows(callee, 'myPeerConnection', 1)]);
  for (const page of [caller, callee]) {
    await until(page, 'the picture of the other is shown', () => {
      const video = document.getElementById('received_video');
      return video.videoWidth > 0 && video.srcObject.getTracks().length === 2;
    });
  }
}

async function hangUp(page, other) {
  await page.evaluate(() => document.getElementById('hangup-button').click());
  for (const each of [page, other]) await until(each, 'the call is over', () => myPeerConnection === null);
}

async function understood(...pages) {
  for (const page of pages) assert.deepEqual(await page.evaluate(() => ({ unknownMessages, reportedErrors })), { unknownMessages: [], reportedErrors: [] });
}

stage.scene('two of them log in, see who is there, and chat', async () => {
  const alice = await logIn(stage.chromium, 'Alice');
  const bob = await logIn(stage.chromium, 'Bob');
  for (const page of [alice, bob]) await listed(page, ['Alice', 'Bob']);

  await alice.evaluate(() => {
    document.getElementById('text').value = 'Hello, Bob';
    document.getElementById('send').click();
  });
  for (const page of [alice, bob]) await until(page, 'the word is shown', () => /Alice<\/b>: Hello, Bob/.test(document.querySelector('.chatbox').innerHTML));
  await understood(alice, bob);
});

stage.scene('a name that is taken is changed', async () => {
  const first = await logIn(stage.chromium, 'Carol');
  const second = await logIn(stage.chromium, 'Carol');
  await until(second, 'another name is given', () => /^Carol.+/.test(myUsername));
  await listed(first, ['Carol', await second.evaluate(() => myUsername)]);
  await understood(first, second);
});

for (const other of ['chromium', 'firefox']) {
  stage.scene(`a call from Chromium to ${other}, hung up, and another one back`, async () => {
    const alice = await logIn(stage.chromium, 'Alice');
    const bob = await logIn(stage[other], 'Bob');
    await listed(alice, ['Alice', 'Bob']);
    await callBothWays(alice, bob, 'Bob');
    await hangUp(alice, bob);
    await callBothWays(bob, alice, 'Alice');
    await hangUp(alice, bob);
    await understood(alice, bob);
  });
}
