// Malformed input of every kind that the server's doors take: messages, WebSocket frames, SDP, HTTP, datagrams.
// All of it is bounded, and goes to the tested server alone.

import { OPCODE } from './raw-socket.mjs';

const nested = (depth) => '['.repeat(depth) + ']'.repeat(depth);

/** Text that is no message: what is sent, and the codes that may answer it. */
export const badTexts = [
  ['', ['bad-json']],
  ['{', ['bad-json']],
  ['hello', ['bad-json']],
  ['{"type":"message","text":"\\ud800"}', ['bad-json', 'bad-message']],
  [nested(100_000), ['bad-json', 'bad-message']],
  ['null', ['bad-json', 'bad-message']],
  ['[]', ['bad-json', 'bad-message']],
  ['42', ['bad-json', 'bad-message']],
  ['"message"', ['bad-json', 'bad-message']],
  ['{}', ['bad-json', 'bad-message']],
  ['{"type":5}', ['bad-json', 'bad-message']],
  ['{"type":null}', ['bad-json', 'bad-message']],
].map(([text, codes]) => ({ text, codes }));

/** Known types with a wrong field. */
export const badMessages = [
  [{ type: 'username' }, ['bad-message', 'bad-name']],
  [{ type: 'username', name: 5 }, ['bad-message', 'bad-name']],
  [{ type: 'username', name: '   ' }, ['bad-message', 'bad-name']],
  [{ type: 'username', name: 'x'.repeat(65) }, ['bad-message', 'bad-name']],
  [{ type: 'message' }, ['bad-message']],
  [{ type: 'message', text: { a: 1 } }, ['bad-message']],
  [{ type: 'message', text: 'x'.repeat(4097) }, ['bad-message', 'too-large']],
  [{ type: 'message', text: 'x', target: 'nobody-of-that-name' }, ['no-such-user']],
  [{ type: 'message', text: 'x', target: [1] }, ['bad-message']],
  [{ type: 'video-offer' }, ['bad-message', 'bad-sdp']],
  [{ type: 'video-offer', sdp: 5 }, ['bad-message', 'bad-sdp']],
  [{ type: 'video-offer', sdp: {} }, ['bad-message', 'bad-sdp']],
  [{ type: 'video-offer', sdp: { type: 'answer', sdp: 'v=0\r\n' } }, ['bad-message', 'bad-sdp']],
  [{ type: 'video-offer', sdp: '' }, ['bad-message', 'bad-sdp']],
  [{ type: 'video-offer', sdp: 'v=0\r\n' }, ['bad-sdp']],
  [{ type: 'video-offer', sdp: 'x'.repeat(220_000) }, ['bad-sdp', 'too-large']],
  [{ type: 'video-offer', sdp: 'v=0\r\n', tracks: 'none' }, ['bad-message', 'bad-sdp']],
  [{ type: 'video-answer', sdp: 'v=0\r\n' }, ['unexpected-answer', 'not-in-call', 'bad-sdp']],
  [{ type: 'new-ice-candidate', candidate: 5 }, ['bad-message', 'bad-candidate', 'not-in-call']],
  [{ type: 'mute' }, ['bad-message', 'not-in-call']],
  [{ type: 'mute', mid: '0', muted: 'yes' }, ['bad-message']],
  [{ type: 'receive' }, ['bad-message', 'not-in-call']],
  [{ type: 'receive', track: 't999999', paused: true }, ['no-such-track', 'not-in-call']],
  [{ type: 'receive', track: 't1', width: -1 }, ['bad-message']],
  [{ type: 'anything', target: 'nobody-of-that-name' }, ['no-such-user']],
  [{ type: 'anything', target: {} }, ['bad-message']],
  [{ type: 'anything', text: 'x'.repeat(70_000) }, ['too-large']],
  [{ type: 'message', text: 'x'.repeat(300_000) }, ['too-large']],
].map(([message, codes]) => ({ text: JSON.stringify(message), codes }));

/** WebSocket frames that no client may send. The server may close, and nothing else. */
export const badFrames = {
  'a binary frame': (socket) => socket.frame(OPCODE.binary, Buffer.from([1, 2, 3])),
  'text that is not UTF-8': (socket) => socket.frame(OPCODE.text, Buffer.from([0x7b, 0xff, 0xfe, 0x7d])),
  'a frame without mask': (socket) => socket.frame(OPCODE.text, '{}', { mask: false }),
  'reserved bits': (socket) => socket.frame(OPCODE.text, '{}', { reserved: 7 }),
  'an unknown opcode': (socket) => socket.frame(5, 'x'),
  'a continuation of nothing': (socket) => socket.frame(OPCODE.continuation, 'x'),
  'a ping in pieces': (socket) => socket.frame(OPCODE.ping, 'x', { fin: false }),
  'a long ping': (socket) => socket.frame(OPCODE.ping, 'x'.repeat(200)),
  'a length beyond all bounds': (socket) => socket.write(Buffer.from([0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4])),
  'a message that never ends': (socket) => {
    socket.frame(OPCODE.text, '{"type":"', { fin: false });
    for (let piece = 0; piece < 100; piece += 1) socket.frame(OPCODE.continuation, 'x'.repeat(10_000), { fin: false });
  },
  'a close of one byte': (socket) => socket.frame(OPCODE.close, 'x'),
  'a close with a bad code': (socket) => socket.frame(OPCODE.close, Buffer.from([0, 5])),
  noise: (socket) => socket.write(Buffer.from(Array.from({ length: 4000 }, (_, index) => (index * 7919) & 255))),
};

/** Bytes for the HTTP port. */
export const badRequests = [
  'GET\r\n\r\n',
  '\0\0\0\0\r\n\r\n',
  'GET / HTTP/9.9\r\n\r\n',
  `GET /${'x'.repeat(100_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
  `GET / HTTP/1.1\r\n${'A: b\r\n'.repeat(5000)}\r\n`,
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n',
  'GET /../../../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /r/%00%ff HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 12\r\n\r\n',
  'GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
];

/** Rooms that no socket may open. */
export const badRooms = ['x'.repeat(65), 'a b', '../up', 'ä', '%00', 'a/b'].map((room) => `/ws?room=${encodeURIComponent(room)}`);

// A STUN binding request (RFC 8489) with a user name that is nobody's, then changed.
function stun(change = () => {}) {
  const name = Buffer.from('nobody:someone__');
  const message = Buffer.alloc(20 + 4 + name.length);
  message.writeUInt16BE(0x0001, 0);
  message.writeUInt16BE(4 + name.length, 2);
  message.writeUInt32BE(0x2112a442, 4);
  message.write('transaction!', 8);
  message.writeUInt16BE(0x0006, 20);
  message.writeUInt16BE(name.length, 22);
  name.copy(message, 24);
  change(message);
  return message;
}

/** Datagrams for the media port, from an address that belongs to nobody. */
export function* badDatagrams() {
  yield Buffer.alloc(0);
  for (let first = 0; first < 256; first += 1) {
    for (const length of [1, 2, 11, 12, 20, 28]) yield Buffer.alloc(length, first);
  }
  yield Buffer.alloc(1500, 0xff);
  yield Buffer.alloc(60_000, 0x80);
  yield stun();
  yield stun((message) => message.writeUInt16BE(0xffff, 2));
  yield stun((message) => message.writeUInt16BE(0, 2));
  yield stun((message) => message.writeUInt32BE(0, 4));
  yield stun((message) => message.writeUInt16BE(0xffff, 22));
  yield stun((message) => message.writeUInt16BE(0x0101, 0));
  yield stun((message) => message.writeUInt16BE(0x8028, 20));
  // DTLS records: a ClientHello of no length, of too much, in a fragment far away.
  const record = (type, length, body = []) => Buffer.from([type, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, length >> 8, length & 255, ...body]);
  yield record(22, 0);
  yield record(22, 0xffff);
  yield record(22, 12, [1, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
  yield record(22, 16, [1, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 0xfe, 0xfd, 0, 0]);
  yield record(21, 2, [2, 0]);
  yield record(23, 4, [1, 2, 3, 4]);
  yield record(20, 1, [1]);
  // RTP: contributing sources, extensions and padding that are longer than the packet; RTCP: lengths that lie.
  yield Buffer.from([0x8f, 111, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]);
  yield Buffer.from([0x90, 111, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xbe, 0xde, 0xff, 0xff]);
  yield Buffer.from([0xa0, 111, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xff]);
  for (const type of [200, 201, 202, 203, 204, 205, 206, 207]) yield Buffer.from([0x9f, type, 0xff, 0xff, 0, 0, 0, 1]);
  let seed = 1;
  for (let count = 0; count < 3000; count += 1) {
    const body = Buffer.alloc((seed >>> 8) % 1400);
    for (let index = 0; index < body.length; index += 1) body[index] = (seed = (seed * 1103515245 + 12345) >>> 0) >>> 16;
    seed = (seed * 1103515245 + 12345) >>> 0;
    yield body;
  }
}

/** Changes that make a good SDP a bad one. */
export const badSdp = {
  'cut in the middle of a line': (sdp) => sdp.slice(0, sdp.length / 2),
  'no version': (sdp) => sdp.replace(/^v=0\r\n/, ''),
  'a line that is none': (sdp) => sdp.replace('t=0 0\r\n', 't=0 0\r\nthis is no line\r\n'),
  'no ICE user name': (sdp) => sdp.replace(/a=ice-ufrag:.*\r\n/g, ''),
  'no ICE password': (sdp) => sdp.replace(/a=ice-pwd:.*\r\n/g, ''),
  'no fingerprint': (sdp) => sdp.replace(/a=fingerprint:.*\r\n/g, ''),
  'a fingerprint of nonsense': (sdp) => sdp.replace(/a=fingerprint:.*\r\n/g, 'a=fingerprint:sha-256 ZZ:ZZ\r\n'),
  'no BUNDLE': (sdp) => sdp.replace(/a=group:BUNDLE.*\r\n/, ''),
  'no rtcp-mux': (sdp) => sdp.replace(/a=rtcp-mux\r\n/g, ''),
  'no mids': (sdp) => sdp.replace(/a=mid:.*\r\n/g, ''),
  'the same mid twice': (sdp) => sdp.replace(/a=mid:.*\r\n/g, 'a=mid:0\r\n').replace(/a=group:BUNDLE.*\r\n/, 'a=group:BUNDLE 0\r\n'),
  'no m-line at all': (sdp) => sdp.split('\r\nm=')[0] + '\r\n',
  'the m-lines in another order': (sdp) => {
    const [session, ...media] = sdp.split('\r\nm=');
    return [session, ...media.map((text) => text.replace(/\r\n$/, '')).reverse()].join('\r\nm=') + '\r\n';
  },
  'a payload type beyond 127': (sdp) => sdp.replace(/(m=\S+ \d+ UDP\/TLS\/RTP\/SAVPF )\d+/g, '$1999'),
  'an unknown transport': (sdp) => sdp.replaceAll('UDP/TLS/RTP/SAVPF', 'RTP/AVP'),
  'extension ids out of range': (sdp) => sdp.replace(/a=extmap:\d+/g, 'a=extmap:99999'),
  'a thousand m-lines': (sdp) => sdp + 'm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:x\r\n'.repeat(1000),
  'very long': (sdp) => sdp + `a=x:${'y'.repeat(210_000)}\r\n`,
};
