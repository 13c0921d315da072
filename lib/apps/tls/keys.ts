/**
 * Keys of TLS 1.3 with SHA-256 and AES-128-GCM: the schedule (RFC 8446 7.1), record protection (5.2), Finished (4.4.4).
 * @module
 */
import { gcm } from '@noble/ciphers/aes.js';
import { expand, extract } from '@noble/hashes/hkdf.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { equalAt, put16 } from '../../../wire/bytes.js';
import { APPLICATION_DATA, RECORD_HLEN, TLS12, type TlsRecord, TlsWriter } from '../../../wire/tls.js';

const HASH_LEN = 32;
const TAG_LEN = 16;
const ZERO = new Uint8Array(HASH_LEN);
const NOTHING = new Uint8Array(0);
const ascii = (s: string): Uint8Array => Uint8Array.from(s, (c) => c.charCodeAt(0));

/** HKDF-Expand-Label. */
export function expandLabel(secret: Uint8Array, label: string, context: Uint8Array, length: number): Uint8Array {
  const info = new TlsWriter()
    .uint(2, length)
    .vector(1, (w) => w.put(ascii(`tls13 ${label}`)))
    .vector(1, (w) => w.put(context))
    .bytes();
  return expand(sha256, secret, info, length);
}

/** Derive-Secret, with the hash of the messages. */
export const deriveSecret = (secret: Uint8Array, label: string, hash: Uint8Array): Uint8Array =>
  expandLabel(secret, label, hash, HASH_LEN);

const EMPTY_HASH = sha256(NOTHING);
const EARLY = extract(sha256, ZERO, ZERO);

/** The Handshake Secret, from the shared secret of the key exchange; no PSK. */
export const handshakeSecret = (shared: Uint8Array): Uint8Array =>
  extract(sha256, shared, deriveSecret(EARLY, 'derived', EMPTY_HASH));

export const masterSecret = (handshake: Uint8Array): Uint8Array =>
  extract(sha256, ZERO, deriveSecret(handshake, 'derived', EMPTY_HASH));

/** verify_data of a Finished under the sender's handshake traffic secret. */
export const finishedMac = (traffic: Uint8Array, transcript: Uint8Array): Uint8Array =>
  hmac(sha256, expandLabel(traffic, 'finished', NOTHING, HASH_LEN), transcript);

export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && equalAt(a, 0, b, 0, a.length);

/** What a CertificateVerify signs (RFC 8446 4.4.3). */
export function signedContent(by: 'server' | 'client', transcript: Uint8Array): Uint8Array {
  const text = ascii(`${' '.repeat(64)}TLS 1.3, ${by} CertificateVerify\0`);
  const b = new Uint8Array(text.length + transcript.length);
  b.set(text);
  b.set(transcript, text.length);
  return b;
}

/** The running hash of the handshake's messages. */
export class Transcript {
  private sum = sha256.create();

  add(message: Uint8Array): void {
    this.sum.update(message);
  }

  /** The hash so far. */
  get hash(): Uint8Array {
    return this.sum.clone().digest();
  }

  /** A HelloRetryRequest comes: the ClientHello counts as the message_hash of itself (RFC 8446 4.4.1). */
  retry(): void {
    const { hash } = this;
    this.sum = sha256.create();
    this.sum.update(Uint8Array.of(254, 0, 0, HASH_LEN));
    this.sum.update(hash);
  }
}

/** One direction under one secret. */
export class TrafficKeys {
  readonly secret: Uint8Array;
  private readonly key: Uint8Array;
  private readonly iv: Uint8Array;
  private sequence = 0;

  constructor(secret: Uint8Array) {
    this.secret = secret;
    this.key = expandLabel(secret, 'key', NOTHING, 16);
    this.iv = expandLabel(secret, 'iv', NOTHING, 12);
  }

  /** The keys after a KeyUpdate. */
  next(): TrafficKeys {
    return new TrafficKeys(expandLabel(this.secret, 'traffic upd', NOTHING, HASH_LEN));
  }

  private nonce(): Uint8Array {
    const n = this.iv.slice();
    let s = this.sequence++;
    for (let i = 11; s > 0; i--, s = Math.floor(s / 256)) n[i]! ^= s % 256;
    return n;
  }

  /** A whole record of `plain`. */
  seal(type: number, plain: Uint8Array): Uint8Array {
    const b = new Uint8Array(RECORD_HLEN + plain.length + 1 + TAG_LEN);
    b[0] = APPLICATION_DATA;
    put16(b, 1, TLS12);
    put16(b, 3, b.length - RECORD_HLEN);
    const inner = new Uint8Array(plain.length + 1);
    inner.set(plain);
    inner[plain.length] = type;
    b.set(gcm(this.key, this.nonce(), b.slice(0, RECORD_HLEN)).encrypt(inner), RECORD_HLEN);
    return b;
  }

  /** TLSInnerPlaintext of a record, padding included; null when it is not what the peer sealed. */
  open(r: TlsRecord): Uint8Array | null {
    if (r.fragment.length < TAG_LEN) return null;
    try {
      return gcm(this.key, this.nonce(), r.header).decrypt(r.fragment);
    } catch {
      this.sequence--;
      return null;
    }
  }
}
