// SFrame (RFC 9605) with the cipher suite AES_128_GCM_SHA256_128: headers, the derivation of keys, and one payload at a time.
// Sealer and Opener use it. It chooses no key id and counts nothing: that a counter is never used twice is up to its caller.

/** RFC 9605, section 8.1. */
const CIPHER_SUITE = 4;
const KEY_BITS = 128;
const SALT_BITS = 96;
export const TAG_BYTES = 16;
/** Of a key id or counter that has bytes of its own; up to 7 it is in the first byte of the header. */
const LENGTH_FLAG = 8;

/** @typedef {{key: CryptoKey, salt: Uint8Array}} Keys */
/** @typedef {{kid: bigint, ctr: bigint, length: number}} Header */

/**
 * What all keys of a call are derived from.
 * @param {Uint8Array<ArrayBuffer>} bytes at least 16
 */
export function importBaseKey(bytes) {
  return crypto.subtle.importKey("raw", bytes, "HKDF", false, ["deriveKey", "deriveBits"]);
}

/**
 * Key and salt of one key id (section 4.4.2).
 * @param {CryptoKey} base
 * @param {bigint} kid
 * @returns {Promise<Keys>}
 */
export async function deriveKeys(base, kid) {
  const from = (/** @type {string} */ label) => ({ name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info: labelled(label, kid) });
  const [key, salt] = await Promise.all([
    crypto.subtle.deriveKey(from("SFrame 1.0 Secret key "), base, { name: "AES-GCM", length: KEY_BITS }, false, ["encrypt", "decrypt"]),
    crypto.subtle.deriveBits(from("SFrame 1.0 Secret salt "), base, SALT_BITS),
  ]);
  return { key, salt: new Uint8Array(salt) };
}

/**
 * @param {bigint} kid up to 64 bits, as is the counter
 * @param {bigint} ctr
 */
export function encodeHeader(kid, ctr) {
  const [kidBits, kidBytes] = encodeNumber(kid);
  const [ctrBits, ctrBytes] = encodeNumber(ctr);
  return Uint8Array.of(kidBits << 4 | ctrBits, ...kidBytes, ...ctrBytes);
}

/**
 * @param {Uint8Array} bytes that begin with a header
 * @returns {Header | null} null where they are too few
 */
export function decodeHeader(bytes) {
  if (bytes.length === 0) return null;
  const kid = decodeNumber(bytes[0] >> 4, bytes, 1);
  const ctr = kid === null ? null : decodeNumber(bytes[0] & 15, bytes, kid.end);
  return kid === null || ctr === null ? null : { kid: kid.value, ctr: ctr.value, length: ctr.end };
}

/**
 * @param {Keys} keys of this key id
 * @param {bigint} kid
 * @param {bigint} ctr one that these keys have not been used with
 * @param {Uint8Array} metadata authenticated with it, and not part of the result
 * @param {Uint8Array<ArrayBuffer>} plaintext
 * @returns {Promise<Uint8Array>} header, ciphertext and tag
 */
export async function encrypt(keys, kid, ctr, metadata, plaintext) {
  const header = encodeHeader(kid, ctr);
  return join(header, new Uint8Array(await crypto.subtle.encrypt(parameters(keys, ctr, header, metadata), keys.key, plaintext)));
}

/**
 * @param {Keys} keys of the key id in the header
 * @param {Header} header what `decodeHeader` read of it
 * @param {Uint8Array} metadata
 * @param {Uint8Array<ArrayBuffer>} payload header, ciphertext and tag
 * @returns {Promise<Uint8Array<ArrayBuffer> | null>} null where it is not authentic
 */
export async function decrypt(keys, { ctr, length }, metadata, payload) {
  try {
    const how = parameters(keys, ctr, payload.subarray(0, length), metadata);
    return new Uint8Array(await crypto.subtle.decrypt(how, keys.key, payload.subarray(length)));
  } catch {
    return null;
  }
}

/** @param {...Uint8Array} parts */
export function join(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * @param {Keys} keys
 * @param {bigint} ctr
 * @param {Uint8Array} header
 * @param {Uint8Array} metadata
 */
function parameters({ salt }, ctr, header, metadata) {
  const iv = Uint8Array.from(salt);
  const view = new DataView(iv.buffer, iv.length - 8);
  view.setBigUint64(0, view.getBigUint64(0) ^ ctr);
  return { name: "AES-GCM", iv, additionalData: join(header, metadata), tagLength: 8 * TAG_BYTES };
}

/**
 * @param {string} label
 * @param {bigint} kid
 */
function labelled(label, kid) {
  const numbers = new DataView(new ArrayBuffer(10));
  numbers.setBigUint64(0, kid);
  numbers.setUint16(8, CIPHER_SUITE);
  return join(new TextEncoder().encode(label), new Uint8Array(numbers.buffer));
}

/**
 * Section 4.3: four bits, and the bytes of a number that does not fit into them, as few as can be.
 * @param {bigint} value
 * @returns {[number, Uint8Array]}
 */
function encodeNumber(value) {
  if (value < LENGTH_FLAG) return [Number(value), new Uint8Array(0)];
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  const used = bytes.subarray(bytes.findIndex((byte) => byte !== 0));
  return [LENGTH_FLAG | used.length - 1, used];
}

/**
 * @param {number} bits
 * @param {Uint8Array} bytes
 * @param {number} start
 */
function decodeNumber(bits, bytes, start) {
  if ((bits & LENGTH_FLAG) === 0) return { value: BigInt(bits), end: start };
  const end = start + (bits & 7) + 1;
  if (end > bytes.length) return null;
  let value = 0n;
  for (const byte of bytes.subarray(start, end)) value = value << 8n | BigInt(byte);
  return { value, end };
}
