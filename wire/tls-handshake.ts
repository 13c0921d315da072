/**
 * Handshake messages of TLS 1.3 (RFC 8446 4): type(1) length(3) body. Each has `read…` (null: not of this form, the alert is
 * decode_error) and `write…` (the whole message).
 * @module
 */
import { type Extension, readExtensions, writeExtensions } from './tls-extensions.js';
import { hex, unhex } from './bytes.js';
import { ByteQueue, TlsReader, TlsWriter } from './tls.js';

/** HandshakeType. */
export const CLIENT_HELLO = 1;
export const SERVER_HELLO = 2;
export const NEW_SESSION_TICKET = 4;
export const END_OF_EARLY_DATA = 5;
export const ENCRYPTED_EXTENSIONS = 8;
export const CERTIFICATE = 11;
export const CERTIFICATE_REQUEST = 13;
export const CERTIFICATE_VERIFY = 15;
export const FINISHED = 20;
export const KEY_UPDATE = 24;
export const MESSAGE_HASH = 254;

export const HANDSHAKE_HLEN = 4;
/** The longest message that anyone sends us; OpenSSL takes 100 KiB of certificates (SSL_MAX_CERT_LIST_DEFAULT). */
export const MAX_HANDSHAKE = 102400;

/** The random of a ServerHello that is a HelloRetryRequest: SHA-256 of "HelloRetryRequest". */
const RETRY = unhex('cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c');

export interface ClientHello {
  version: number;
  random: Uint8Array;
  sessionId: Uint8Array;
  suites: number[];
  compression: Uint8Array;
  extensions: Extension[];
}

export interface ServerHello {
  version: number;
  random: Uint8Array;
  sessionId: Uint8Array;
  suite: number;
  compression: number;
  extensions: Extension[];
}

export interface CertificateEntry {
  der: Uint8Array;
  extensions: Extension[];
}

export interface Certificate {
  context: Uint8Array;
  entries: CertificateEntry[];
}

export interface CertificateRequest {
  context: Uint8Array;
  extensions: Extension[];
}

export interface CertificateVerify {
  scheme: number;
  signature: Uint8Array;
}

export interface NewSessionTicket {
  /** Seconds, at most 604800. */
  lifetime: number;
  ageAdd: number;
  nonce: Uint8Array;
  ticket: Uint8Array;
  extensions: Extension[];
}

/** A message of a type around its body. */
export function message(type: number, body: Uint8Array | ((w: TlsWriter) => unknown)): Uint8Array {
  const w = new TlsWriter().uint(1, type);
  return w.vector(3, () => (body instanceof Uint8Array ? w.put(body) : body(w))).bytes();
}

export const isRetry = (h: ServerHello): boolean => hex(h.random) === hex(RETRY);
export const RETRY_RANDOM: Uint8Array = RETRY;

const done = <T>(r: TlsReader, v: T): T | null => (r.done ? v : null);

export function readClientHello(body: Uint8Array): ClientHello | null {
  const r = new TlsReader(body);
  const version = r.uint(2);
  const random = r.take(32);
  const sessionId = r.vector(1, 0, 32);
  const suites = r.vector(2, 2, 0xfffe);
  if (suites.length % 2 !== 0) r.ok = false;
  const compression = r.vector(1, 1);
  // Before TLS 1.3 a hello might end here.
  const extensions = r.left === 0 ? [] : readExtensions(r);
  const list = Array.from({ length: suites.length >> 1 }, (_, i) => (suites[2 * i]! << 8) | suites[2 * i + 1]!);
  return done(r, { version, random, sessionId, suites: list, compression, extensions });
}

export function writeClientHello(h: ClientHello): Uint8Array {
  return message(CLIENT_HELLO, (w) => {
    w.uint(2, h.version).put(h.random);
    w.vector(1, () => w.put(h.sessionId));
    w.vector(2, () => h.suites.forEach((s) => w.uint(2, s)));
    w.vector(1, () => w.put(h.compression));
    writeExtensions(w, h.extensions);
  });
}

export function readServerHello(body: Uint8Array): ServerHello | null {
  const r = new TlsReader(body);
  const version = r.uint(2);
  const random = r.take(32);
  const sessionId = r.vector(1, 0, 32);
  const suite = r.uint(2);
  const compression = r.uint(1);
  const extensions = r.left === 0 ? [] : readExtensions(r);
  return done(r, { version, random, sessionId, suite, compression, extensions });
}

export function writeServerHello(h: ServerHello): Uint8Array {
  return message(SERVER_HELLO, (w) => {
    w.uint(2, h.version).put(h.random);
    w.vector(1, () => w.put(h.sessionId));
    w.uint(2, h.suite).uint(1, h.compression);
    writeExtensions(w, h.extensions);
  });
}

export function readEncryptedExtensions(body: Uint8Array): Extension[] | null {
  const r = new TlsReader(body);
  return done(r, readExtensions(r));
}

export const writeEncryptedExtensions = (list: readonly Extension[]): Uint8Array =>
  message(ENCRYPTED_EXTENSIONS, (w) => writeExtensions(w, list));

export function readCertificateRequest(body: Uint8Array): CertificateRequest | null {
  const r = new TlsReader(body);
  const context = r.vector(1);
  return done(r, { context, extensions: readExtensions(r) });
}

export const writeCertificateRequest = (c: CertificateRequest): Uint8Array =>
  message(CERTIFICATE_REQUEST, (w) => {
    w.vector(1, () => w.put(c.context));
    writeExtensions(w, c.extensions);
  });

export function readCertificate(body: Uint8Array): Certificate | null {
  const r = new TlsReader(body);
  const context = r.vector(1);
  const list = new TlsReader(r.vector(3));
  const entries: CertificateEntry[] = [];
  while (list.ok && list.left > 0) entries.push({ der: list.vector(3, 1), extensions: readExtensions(list) });
  if (!list.ok) r.ok = false;
  return done(r, { context, entries });
}

export const writeCertificate = (c: Certificate): Uint8Array =>
  message(CERTIFICATE, (w) => {
    w.vector(1, () => w.put(c.context));
    w.vector(3, () => {
      for (const e of c.entries) {
        w.vector(3, () => w.put(e.der));
        writeExtensions(w, e.extensions);
      }
    });
  });

export function readCertificateVerify(body: Uint8Array): CertificateVerify | null {
  const r = new TlsReader(body);
  return done(r, { scheme: r.uint(2), signature: r.vector(2) });
}

export const writeCertificateVerify = (c: CertificateVerify): Uint8Array =>
  message(CERTIFICATE_VERIFY, (w) => w.uint(2, c.scheme).vector(2, () => w.put(c.signature)));

export function readNewSessionTicket(body: Uint8Array): NewSessionTicket | null {
  const r = new TlsReader(body);
  const lifetime = r.uint(4);
  const ageAdd = r.uint(4);
  const nonce = r.vector(1);
  const ticket = r.vector(2, 1);
  return done(r, { lifetime, ageAdd, nonce, ticket, extensions: readExtensions(r) });
}

/** KeyUpdate's request_update: 0 or 1. */
export function readKeyUpdate(body: Uint8Array): number | null {
  const r = new TlsReader(body);
  return done(r, r.uint(1));
}

/** One message of a stream. */
export interface HandshakeMessage {
  type: number;
  body: Uint8Array;
  /** With its header: what the transcript hashes. */
  raw: Uint8Array;
}

/** Puts handshake messages together from the fragments of records. */
export class HandshakeStream {
  private readonly queue = new ByteQueue();

  push(fragment: Uint8Array): void {
    this.queue.push(fragment);
  }

  /** A message has begun and has not ended: no key may change now (RFC 8446 5.1). */
  get partial(): boolean {
    return this.queue.length > 0;
  }

  /** The length that the message which has begun claims; 0 while that is not known. */
  get claimed(): number {
    const q = this.queue;
    return q.length < HANDSHAKE_HLEN ? 0 : (q.at(1) << 16) | (q.at(2) << 8) | q.at(3);
  }

  /** The next whole message, or null. */
  next(): HandshakeMessage | null {
    const n = HANDSHAKE_HLEN + this.claimed;
    if (this.queue.length < n) return null;
    const raw = this.queue.take(n);
    return { type: raw[0]!, body: raw.subarray(HANDSHAKE_HLEN), raw };
  }
}
