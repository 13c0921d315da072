/**
 * TLS records (RFC 8446 5) and the numbers of the protocol. Handshake messages: tls-handshake.ts, their extensions:
 * tls-extensions.ts.
 *
 *   0 type   1 legacy_version (03 03, in a first ClientHello 03 01)   3 length   5 fragment
 *
 * An encrypted record has type 23; the real type stands behind the plaintext, zeros may follow it.
 * @module
 */
import { put16, u16 } from './bytes.js';

export const RECORD_HLEN = 5;
/** Bytes of a record's plaintext, and what encryption may add to them (RFC 8446 5.1, 5.2). */
export const MAX_PLAIN = 1 << 14;
export const MAX_CIPHER = MAX_PLAIN + 256;

/** ContentType. */
export const CHANGE_CIPHER_SPEC = 20;
export const ALERT = 21;
export const HANDSHAKE = 22;
export const APPLICATION_DATA = 23;

/** Versions as they stand on the wire; a version 1.3 only in supported_versions. */
export const TLS10 = 0x0301;
export const TLS11 = 0x0302;
export const TLS12 = 0x0303;
export const TLS13 = 0x0304;

/** AlertLevel. */
export const WARNING = 1;
export const FATAL = 2;

/** AlertDescription (RFC 8446 6). */
export const CLOSE_NOTIFY = 0;
export const UNEXPECTED_MESSAGE = 10;
export const BAD_RECORD_MAC = 20;
export const RECORD_OVERFLOW = 22;
export const HANDSHAKE_FAILURE = 40;
export const BAD_CERTIFICATE = 42;
export const UNSUPPORTED_CERTIFICATE = 43;
export const CERTIFICATE_EXPIRED = 45;
export const CERTIFICATE_UNKNOWN = 46;
export const ILLEGAL_PARAMETER = 47;
export const UNKNOWN_CA = 48;
export const DECODE_ERROR = 50;
export const DECRYPT_ERROR = 51;
export const PROTOCOL_VERSION = 70;
export const INTERNAL_ERROR = 80;
export const USER_CANCELED = 90;
export const MISSING_EXTENSION = 109;
export const UNSUPPORTED_EXTENSION = 110;
export const UNRECOGNIZED_NAME = 112;
export const CERTIFICATE_REQUIRED = 116;
export const NO_APPLICATION_PROTOCOL = 120;

const ALERTS: Readonly<Record<number, string>> = {
  0: 'close_notify', 10: 'unexpected_message', 20: 'bad_record_mac', 22: 'record_overflow', 40: 'handshake_failure',
  42: 'bad_certificate', 43: 'unsupported_certificate', 44: 'certificate_revoked', 45: 'certificate_expired',
  46: 'certificate_unknown', 47: 'illegal_parameter', 48: 'unknown_ca', 49: 'access_denied', 50: 'decode_error',
  51: 'decrypt_error', 70: 'protocol_version', 71: 'insufficient_security', 80: 'internal_error',
  86: 'inappropriate_fallback', 90: 'user_canceled', 109: 'missing_extension', 110: 'unsupported_extension',
  112: 'unrecognized_name', 113: 'bad_certificate_status_response', 115: 'unknown_psk_identity',
  116: 'certificate_required', 120: 'no_application_protocol',
}; // prettier-ignore

/** RFC 8446's name of an alert. */
export const alertName = (n: number): string => ALERTS[n] ?? `alert ${n}`;

/** CipherSuite. */
export const AES_128_GCM_SHA256 = 0x1301;
export const AES_256_GCM_SHA384 = 0x1302;
export const CHACHA20_POLY1305_SHA256 = 0x1303;

/** NamedGroup. */
export const SECP256R1 = 0x0017;
export const X25519 = 0x001d;

/** SignatureScheme. */
export const RSA_PKCS1_SHA256 = 0x0401;
export const RSA_PKCS1_SHA384 = 0x0501;
export const RSA_PKCS1_SHA512 = 0x0601;
export const ECDSA_P256_SHA256 = 0x0403;
export const ECDSA_P384_SHA384 = 0x0503;
export const RSA_PSS_SHA256 = 0x0804;
export const RSA_PSS_SHA384 = 0x0805;
export const RSA_PSS_SHA512 = 0x0806;
export const ED25519 = 0x0807;

/** One record around `fragment`, which must not be longer than `MAX_CIPHER`. */
export function record(type: number, fragment: Uint8Array, version = TLS12): Uint8Array {
  const b = new Uint8Array(RECORD_HLEN + fragment.length);
  b[0] = type;
  put16(b, 1, version);
  put16(b, 3, fragment.length);
  b.set(fragment, RECORD_HLEN);
  return b;
}

export const alert = (level: number, description: number): Uint8Array => Uint8Array.of(level, description);

/** Bytes that come at one end and go at the other; both ends cost what they carry, however small the pieces. */
export class ByteQueue {
  private bytes = new Uint8Array(0);
  private start = 0;
  private end = 0;

  get length(): number {
    return this.end - this.start;
  }

  push(piece: Uint8Array): void {
    if (this.end + piece.length > this.bytes.length) {
      const b = new Uint8Array(2 * (this.length + piece.length));
      b.set(this.bytes.subarray(this.start, this.end));
      this.bytes = b;
      this.end -= this.start;
      this.start = 0;
    }
    this.bytes.set(piece, this.end);
    this.end += piece.length;
  }

  /** The byte at `i`, which must be there. */
  at(i: number): number {
    return this.bytes[this.start + i]!;
  }

  /** A copy of the first `n` bytes, or of what there is. */
  peek(n: number): Uint8Array {
    return this.bytes.slice(this.start, Math.min(this.end, this.start + n));
  }

  take(n: number): Uint8Array {
    const b = this.peek(n);
    this.start += b.length;
    if (this.start === this.end) {
      this.start = this.end = 0;
      if (this.bytes.length > 1 << 16) this.bytes = new Uint8Array(0);
    }
    return b;
  }
}

/** A record as it came. */
export interface TlsRecord {
  type: number;
  version: number;
  /** The five bytes of the header: what encryption authenticates. */
  header: Uint8Array;
  fragment: Uint8Array;
}

/**
 * Takes a stream of records apart. What it holds is less than one record once `next` has said null: the longest is 16645
 * bytes, and one that claims more is an error before it is read.
 */
export class RecordStream {
  readonly queue = new ByteQueue();

  push(bytes: Uint8Array): void {
    this.queue.push(bytes);
  }

  /** The next record, null while it is not whole, or `RECORD_OVERFLOW`. */
  next(): TlsRecord | null | typeof RECORD_OVERFLOW {
    const q = this.queue;
    if (q.length < RECORD_HLEN) return null;
    const length = (q.at(3) << 8) | q.at(4);
    if (length > MAX_CIPHER) return RECORD_OVERFLOW;
    if (q.length < RECORD_HLEN + length) return null;
    const header = q.take(RECORD_HLEN);
    return { type: header[0]!, version: u16(header, 1), header, fragment: q.take(length) };
  }
}

/** A cursor over a TLS structure. It never reads outside; after the first thing that is not there `ok` is false for good. */
export class TlsReader {
  readonly bytes: Uint8Array;
  ok = true;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  /** Everything has been read, and all of it was there. */
  get done(): boolean {
    return this.ok && this.left === 0;
  }

  /** An unsigned integer of `n` bytes, 0 when they are not there. */
  uint(n: number): number {
    let v = 0;
    for (const x of this.take(n)) v = v * 256 + x;
    return v;
  }

  take(n: number): Uint8Array {
    if (n > this.left) this.ok = false;
    if (!this.ok) return this.bytes.subarray(0, 0);
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }

  /** opaque<min..max> with a length of `n` bytes before it. */
  vector(n: number, min = 0, max = Infinity): Uint8Array {
    const length = this.uint(n);
    if (length < min || length > max) this.ok = false;
    return this.take(length);
  }
}

/** Writes TLS structures. */
export class TlsWriter {
  private readonly parts: number[] = [];

  uint(n: number, v: number): this {
    for (let k = n - 1; k >= 0; k--) this.parts.push(Math.floor(v / 256 ** k) & 255);
    return this;
  }

  put(bytes: Uint8Array): this {
    for (let i = 0; i < bytes.length; i++) this.parts.push(bytes[i]!);
    return this;
  }

  /** What `body` writes, with its length in `n` bytes before it. */
  vector(n: number, body: (w: this) => unknown): this {
    const start = this.parts.length;
    this.uint(n, 0);
    body(this);
    const length = this.parts.length - start - n;
    for (let k = 0; k < n; k++) this.parts[start + k] = Math.floor(length / 256 ** (n - 1 - k)) & 255;
    return this;
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.parts);
  }
}
