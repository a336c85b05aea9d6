// SFrame as the page does it, against the vectors of RFC 9605 (appendix C), and what it makes of frames. No browser, no server.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importWeb } from './support/web.mjs';

const { facadeLength, facadeOf } = await importWeb('client/e2ee/facade.js');
const { newKey, readKey } = await importWeb('client/e2ee/key.js');
const { Opener } = await importWeb('client/e2ee/opener.js');
const { ReplayWindow } = await importWeb('client/e2ee/replay.js');
const { Sealer } = await importWeb('client/e2ee/sealer.js');
const { decodeHeader, decrypt, deriveKeys, encodeHeader, encrypt, importBaseKey } = await importWeb('client/e2ee/sframe.js');
const { Witness } = await importWeb('client/e2ee/witness.js');

const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
const hex = (array) => Buffer.from(array).toString('hex');
const baseOf = (fill) => importBaseKey(new Uint8Array(16).fill(fill));

const keyframe = bytes('101c009d012a8002680100'.padEnd(120, 'a7'));
const interFrame = bytes('b11c00'.padEnd(60, '5b'));
const dtx = bytes('0b');

test('headers are those of RFC 9605, C.1', () => {
  const vectors = [
    ['0000000000000000', '0000000000000000', '00'],
    ['0000000000000000', '0000000000000001', '01'],
    ['0000000000000001', '00000000000000ff', '18ff'],
    ['00000000000000ff', '0000000000000000', '80ff'],
    ['0000000000000123', '0000000000004567', '9901234567'],
    ['0001000000000000', '00ffffffffffffff', 'ee01000000000000ffffffffffffff'],
    ['0001000000000000', '0100000000000000', 'ef010000000000000100000000000000'],
    ['00ffffffffffffff', '0000000000000001', 'e1ffffffffffffff'],
    ['00ffffffffffffff', '0000000000ffffff', 'eaffffffffffffffffffff'],
    ['0100000000000000', '0000000000000000', 'f00100000000000000'],
    ['0100000000000000', '0000000000000100', 'f901000000000000000100'],
    ['0100000000000000', '0000010000000000', 'fd0100000000000000010000000000'],
    ['ffffffffffffffff', '00000000ffffffff', 'fbffffffffffffffffffffffff'],
    ['ffffffffffffffff', 'ffffffffffffffff', 'ffffffffffffffffffffffffffffffffff'],
  ];
  for (const [kid, ctr, header] of vectors) {
    const numbers = { kid: BigInt(`0x${kid}`), ctr: BigInt(`0x${ctr}`) };
    assert.equal(hex(encodeHeader(numbers.kid, numbers.ctr)), header);
    assert.deepEqual(decodeHeader(bytes(`${header}cafe`)), { ...numbers, length: header.length / 2 });
    for (let cut = 0; cut < header.length; cut += 2) assert.equal(decodeHeader(bytes(header.slice(0, cut))), null, `${header} cut to ${cut / 2}`);
  }
});

test('keys, ciphertext and tag are those of RFC 9605, C.3, cipher suite 4', async () => {
  const base = await importBaseKey(bytes('000102030405060708090a0b0c0d0e0f'));
  const [kid, ctr, metadata, plaintext] = [0x123n, 0x4567n, bytes('4945544620534672616d65205747'), bytes('64726166742d696574662d736672616d652d656e63')];
  const ciphertext = '9901234567b7412c2513a1b66dbb48841bbaf17f598751176ad847681a69c6d0b091c07018ce4adb34eb';
  const keys = await deriveKeys(base, kid);
  assert.equal(hex(keys.salt), '75234edefe07819026751816');
  // The key itself cannot be exported: what it makes is compared with what the RFC's makes.
  const theirs = await crypto.subtle.importKey('raw', bytes('d34f547f4ca4f9a7447006fe7fcbf768'), 'AES-GCM', false, ['encrypt']);
  assert.equal(hex(await encrypt({ ...keys, key: theirs }, kid, ctr, metadata, plaintext)), ciphertext);
  assert.equal(hex(await encrypt(keys, kid, ctr, metadata, plaintext)), ciphertext);
  const header = decodeHeader(bytes(ciphertext));
  assert.deepEqual({ kid: header.kid, ctr: header.ctr }, { kid, ctr });
  assert.equal(hex(await decrypt(keys, header, metadata, bytes(ciphertext))), hex(plaintext));
  assert.equal(await decrypt(keys, header, bytes('00'), bytes(ciphertext)), null);
});

test('frames of all kinds come back as they were, and show no more than they must', async () => {
  const base = await baseOf(1);
  for (const [kind, frame, clear] of [
    ['video', keyframe, 'f0ffff9d012a80026801'],
    ['video', interFrame, 'f1ffff'],
    ['audio', dtx, 'ff00'],
    ['audio', bytes('fc'.padEnd(160, '3c')), 'ff00'],
  ]) {
    const sealed = await new Sealer(kind, base).seal(frame);
    assert.equal(hex(sealed.subarray(0, clear.length / 2)), clear);
    assert.equal(facadeLength(kind, sealed), clear.length / 2);
    assert(!hex(sealed).includes(hex(frame.subarray(0, 16))) || frame.length < 4);
    const { frame: opened } = await new Opener(kind, base).open(sealed);
    assert.equal(hex(opened), hex(frame));
    assert.equal(facadeLength(kind, frame), 0);
    assert.deepEqual(await new Opener(kind, base).open(frame), { refused: 'clear' });
    assert.deepEqual(await new Opener(kind, await baseOf(2)).open(sealed), { refused: 'other-key' });
  }
  assert.equal(facadeOf('video', keyframe.subarray(0, 9)), null);
  assert.equal(facadeOf('video', new Uint8Array(0)), null);
});

test('a change of any byte is refused, the clear ones included', async () => {
  const base = await baseOf(1);
  for (const [kind, frame] of [['video', keyframe], ['video', interFrame], ['audio', dtx]]) {
    const sealed = await new Sealer(kind, base).seal(frame);
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = sealed.slice();
      changed[at] ^= 1;
      assert('refused' in (await new Opener(kind, base).open(changed)), `${kind}, byte ${at}`);
      assert('refused' in (await new Opener(kind, base).open(sealed.slice(0, at))), `${kind}, cut to ${at}`);
    }
  }
});

test('no two frames have a key and a counter in common, not even at once', async () => {
  const base = await baseOf(1);
  const seen = new Set();
  for (const sealer of [new Sealer('video', base), new Sealer('video', base), new Sealer('audio', base)]) {
    for (const sealed of await Promise.all(Array.from({ length: 300 }, () => sealer.seal(interFrame)))) {
      const { kid, ctr } = decodeHeader(sealed.subarray(facadeLength(sealed[0] === 0xff ? 'audio' : 'video', sealed)));
      assert.equal(kid >> 63n, 1n);
      seen.add(`${kid} ${ctr}`);
    }
  }
  assert.equal(seen.size, 900);
  assert.equal(new Set([...seen].map((pair) => pair.split(' ')[0])).size, 3);
});

test('a frame counts once, out of order or not, and not when it is old', async () => {
  const base = await baseOf(1);
  const sealer = new Sealer('audio', base);
  const opener = new Opener('audio', base);
  const frames = [];
  for (let count = 0; count < 1100; count += 1) frames.push(await sealer.seal(dtx));
  const opens = async (index) => 'frame' in (await opener.open(frames[index]));
  for (const [index, expected] of [[1, true], [0, true], [1, false], [0, false], [700, true], [699, true], [699, false], [1099, true], [75, false], [76, true], [76, false]]) {
    assert.equal(await opens(index), expected, `frame ${index}`);
  }
  // What was refused leaves no trace.
  const window = new ReplayWindow();
  assert(window.isNew(5) && window.isNew(5));
  window.add(5);
  assert(!window.isNew(5) && window.isNew(4));
});

test('made-up key ids displace none in use, and of those in use the oldest gives way', async () => {
  const base = await baseOf(1);
  const opener = new Opener('audio', base);
  const sealer = new Sealer('audio', base);
  const first = await sealer.seal(dtx);
  assert('frame' in (await opener.open(first)));
  const stranger = await baseOf(9);
  for (let count = 0; count < 50; count += 1) assert.deepEqual(await opener.open(await new Sealer('audio', stranger).seal(dtx)), { refused: 'other-key' });
  // It is still known, or it would be taken for new.
  assert.deepEqual(await opener.open(first), { refused: 'replayed' });
  for (let count = 0; count < 16; count += 1) assert('frame' in (await opener.open(await new Sealer('audio', base).seal(dtx))));
  assert('frame' in (await opener.open(await sealer.seal(dtx))));
});

test('a verdict takes a few refused frames in a row, and one that is good', () => {
  const witness = new Witness();
  const good = { frame: dtx };
  const say = (...results) => results.map((result) => witness.judge(typeof result === 'string' ? { refused: result } : result));
  assert.deepEqual(say('clear', 'clear', 'clear', 'clear', good), [null, null, null, null, 'good']);
  assert.deepEqual(say('replayed', 'other-key', 'other-key', 'replayed', 'other-key', 'other-key'), Array(6).fill(null));
  assert.deepEqual(say('other-key', 'other-key', 'clear', good, good), ['other-key', null, 'clear', 'good', null]);
});

test('keys as text: new ones differ, and what is no whole key is none', () => {
  const texts = Array.from({ length: 50 }, newKey);
  assert.equal(new Set(texts).size, 50);
  for (const text of texts) {
    assert.match(text, /^[A-Za-z0-9_-]{22}$/);
    assert.equal(Buffer.from(readKey(text)).toString('base64url'), text);
  }
  assert.equal(hex(readKey('AAECAwQFBgcICQoLDA0ODw')), '000102030405060708090a0b0c0d0e0f');
  for (const text of ['', 'AAEC', texts[0].slice(0, 20), texts[0].slice(0, 21), `${texts[0]}=`, `${texts[0]} `, 'ä'.repeat(22), 'A'.repeat(89)]) assert.equal(readKey(text), null, text);
});
