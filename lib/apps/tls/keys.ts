/**
 * Keys of TLS 1.3 with AES-GCM and ChaCha20-Poly1305: the schedule (RFC 8446 7.1), record protection (5.2), Finished (4.4.4).
 * @module
 */
import { gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { expand, extract } from '@noble/hashes/hkdf.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256, sha384 } from '@noble/hashes/sha2.js';
import { bytesOf, joined, put16 } from '../../../wire/bytes.js';
import {
  AES_128_GCM_SHA256,
  AES_256_GCM_SHA384,
  APPLICATION_DATA,
  CHACHA20_POLY1305_SHA256,
  RECORD_HLEN,
  TLS12,
  type TlsRecord,
  TlsWriter,
} from '../../../wire/tls.js';

const TAG_LEN = 16;
const NOTHING = new Uint8Array(0);

/** What a cipher suite stands for. */
export interface Suite {
  readonly id: number;
  readonly hash: typeof sha256 | typeof sha384;
  readonly aead: typeof gcm | typeof chacha20poly1305;
  /** Bytes of its key. */
  readonly keyLen: number;
}

/** The suites that every client of TLS 1.3 offers; a server takes those of its options. */
export const SUITES: readonly Suite[] = [
  { id: AES_128_GCM_SHA256, hash: sha256, aead: gcm, keyLen: 16 },
  { id: AES_256_GCM_SHA384, hash: sha384, aead: gcm, keyLen: 32 },
  { id: CHACHA20_POLY1305_SHA256, hash: sha256, aead: chacha20poly1305, keyLen: 32 },
];

/** HKDF-Expand-Label. */
export function expandLabel(
  s: Suite,
  secret: Uint8Array,
  label: string,
  context: Uint8Array,
  length: number,
): Uint8Array {
  const info = new TlsWriter()
    .uint(2, length)
    .vector(1, (w) => w.put(bytesOf(`tls13 ${label}`)))
    .vector(1, (w) => w.put(context))
    .bytes();
  return expand(s.hash, secret, info, length);
}

/** Derive-Secret, with the hash of the messages. */
export const deriveSecret = (s: Suite, secret: Uint8Array, label: string, hash: Uint8Array): Uint8Array =>
  expandLabel(s, secret, label, hash, s.hash.outputLen);

const zeros = (s: Suite): Uint8Array => new Uint8Array(s.hash.outputLen);
const derived = (s: Suite, secret: Uint8Array): Uint8Array => deriveSecret(s, secret, 'derived', s.hash(NOTHING));

/** The Handshake Secret, from the shared secret of the key exchange; no PSK. */
export const handshakeSecret = (s: Suite, shared: Uint8Array): Uint8Array =>
  extract(s.hash, shared, derived(s, extract(s.hash, zeros(s), zeros(s))));

export const masterSecret = (s: Suite, handshake: Uint8Array): Uint8Array =>
  extract(s.hash, zeros(s), derived(s, handshake));

/** verify_data of a Finished under the sender's handshake traffic secret. */
export const finishedMac = (s: Suite, traffic: Uint8Array, transcript: Uint8Array): Uint8Array =>
  hmac(s.hash, expandLabel(s, traffic, 'finished', NOTHING, s.hash.outputLen), transcript);

/** What a CertificateVerify signs (RFC 8446 4.4.3). */
export function signedContent(by: 'server' | 'client', transcript: Uint8Array): Uint8Array {
  return joined([bytesOf(`${' '.repeat(64)}TLS 1.3, ${by} CertificateVerify\0`), transcript]);
}

/** The running hash of the handshake's messages; until the suite is known, the messages themselves. */
export class Transcript {
  private held: Uint8Array[] = [];
  private sum: ReturnType<Suite['hash']['create']> | null = null;

  add(message: Uint8Array): void {
    if (this.sum === null) this.held.push(message);
    else this.sum.update(message);
  }

  /** The suite has been chosen. */
  choose(s: Suite): void {
    if (this.sum !== null) return;
    this.sum = s.hash.create();
    for (const m of this.held) this.sum.update(m);
    this.held = [];
  }

  /** The hash so far; `choose` must have been called. */
  get hash(): Uint8Array {
    return this.sum!.clone().digest();
  }

  /** A HelloRetryRequest comes: the ClientHello counts as the message_hash of itself (RFC 8446 4.4.1). */
  retry(s: Suite): void {
    const { hash } = this;
    this.sum = s.hash.create();
    this.sum.update(Uint8Array.of(254, 0, 0, hash.length));
    this.sum.update(hash);
  }
}

/** One direction under one secret. */
export class TrafficKeys {
  readonly secret: Uint8Array;
  private readonly suite: Suite;
  private readonly key: Uint8Array;
  private readonly iv: Uint8Array;
  private sequence = 0;

  constructor(suite: Suite, secret: Uint8Array) {
    this.suite = suite;
    this.secret = secret;
    this.key = expandLabel(suite, secret, 'key', NOTHING, suite.keyLen);
    this.iv = expandLabel(suite, secret, 'iv', NOTHING, 12);
  }

  /** The keys after a KeyUpdate. */
  next(): TrafficKeys {
    return new TrafficKeys(this.suite, deriveSecret(this.suite, this.secret, 'traffic upd', NOTHING));
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
    b.set(this.suite.aead(this.key, this.nonce(), b.slice(0, RECORD_HLEN)).encrypt(inner), RECORD_HLEN);
    return b;
  }

  /** TLSInnerPlaintext of a record, padding included; null when it is not what the peer sealed. */
  open(r: TlsRecord): Uint8Array | null {
    if (r.fragment.length < TAG_LEN) return null;
    try {
      return this.suite.aead(this.key, this.nonce(), r.header).decrypt(r.fragment);
    } catch {
      this.sequence--;
      return null;
    }
  }
}
