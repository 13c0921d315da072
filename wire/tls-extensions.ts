/**
 * Extensions of TLS handshake messages (RFC 8446 4.2, RFC 6066, RFC 7301): type(2) length(2) data.
 *
 * A list keeps its order and what it does not know. Readers of one extension's data give null for data of another form.
 * @module
 */
import { bytesOf, textOf } from './bytes.js';
import { TlsReader, TlsWriter } from './tls.js';

export const SERVER_NAME = 0;
export const STATUS_REQUEST = 5;
export const SUPPORTED_GROUPS = 10;
export const EC_POINT_FORMATS = 11;
export const SIGNATURE_ALGORITHMS = 13;
export const ALPN = 16;
export const PADDING = 21;
export const ENCRYPT_THEN_MAC = 22;
export const EXTENDED_MASTER_SECRET = 23;
export const SESSION_TICKET = 35;
export const PRE_SHARED_KEY = 41;
export const EARLY_DATA = 42;
export const SUPPORTED_VERSIONS = 43;
export const COOKIE = 44;
export const PSK_KEY_EXCHANGE_MODES = 45;
export const CERTIFICATE_AUTHORITIES = 47;
export const POST_HANDSHAKE_AUTH = 49;
export const SIGNATURE_ALGORITHMS_CERT = 50;
export const KEY_SHARE = 51;
export const RENEGOTIATION_INFO = 0xff01;

export interface Extension {
  type: number;
  data: Uint8Array;
}

export interface KeyShare {
  group: number;
  key: Uint8Array;
}

export const find = (list: readonly Extension[], type: number): Uint8Array | null =>
  list.find((e) => e.type === type)?.data ?? null;

/** True when an extension stands twice in a list, which no message may have (RFC 8446 4.2). */
export const repeated = (list: readonly Extension[]): boolean => new Set(list.map((e) => e.type)).size < list.length;

/** Reads a list with its length before it. */
export function readExtensions(r: TlsReader): Extension[] {
  const inner = new TlsReader(r.vector(2));
  const list: Extension[] = [];
  while (inner.ok && inner.left > 0) list.push({ type: inner.uint(2), data: inner.vector(2) });
  if (!inner.ok) r.ok = false;
  return list;
}

export function writeExtensions(w: TlsWriter, list: readonly Extension[]): void {
  w.vector(2, () => {
    for (const e of list) w.uint(2, e.type).vector(2, () => w.put(e.data));
  });
}

/** `data` read by `f`, which must take all of it. */
function whole<T>(data: Uint8Array, f: (r: TlsReader) => T): T | null {
  const r = new TlsReader(data);
  const v = f(r);
  return r.done ? v : null;
}

/** Integers of two bytes in a vector with a length of `n` bytes. */
function uint16s(data: Uint8Array, n: number): number[] | null {
  return whole(data, (r) => {
    const v = r.vector(n, 2);
    if (v.length % 2 !== 0) r.ok = false;
    return Array.from({ length: v.length >> 1 }, (_, i) => (v[2 * i]! << 8) | v[2 * i + 1]!);
  });
}

/** The host name of a ClientHello's server_name (RFC 6066 3); a name with a NUL or of no length is none. */
export function readServerName(data: Uint8Array): string | null {
  return whole(data, (r) => {
    const list = new TlsReader(r.vector(2, 1));
    let name = '';
    while (list.ok && list.left > 0) {
      const type = list.uint(1);
      const v = list.vector(2, 1, 255);
      if (type !== 0 || name !== '' || v.includes(0)) list.ok = false;
      name = textOf(v);
    }
    if (!list.ok) r.ok = false;
    return name;
  });
}

/** ALPN's names as text, a byte a character (RFC 7301 3.1). */
export function readAlpn(data: Uint8Array): string[] | null {
  return whole(data, (r) => {
    const list = new TlsReader(r.vector(2, 2));
    const names: string[] = [];
    while (list.ok && list.left > 0) names.push(textOf(list.vector(1, 1)));
    if (!list.ok) r.ok = false;
    return names;
  });
}

/** supported_groups, signature_algorithms, signature_algorithms_cert. */
export const readList = (data: Uint8Array): number[] | null => uint16s(data, 2);
/** supported_versions of a ClientHello. */
export const readVersions = (data: Uint8Array): number[] | null => uint16s(data, 1);
/** supported_versions of a ServerHello; the group of a HelloRetryRequest's key_share. */
export const readUint16 = (data: Uint8Array): number | null => whole(data, (r) => r.uint(2));

/** key_share of a ClientHello; a list may be empty (RFC 8446 4.2.8). */
export function readKeyShares(data: Uint8Array): KeyShare[] | null {
  return whole(data, (r) => {
    const list = new TlsReader(r.vector(2));
    const shares: KeyShare[] = [];
    while (list.ok && list.left > 0) shares.push({ group: list.uint(2), key: list.vector(2, 1) });
    if (!list.ok) r.ok = false;
    return shares;
  });
}

/** key_share of a ServerHello. */
export const readKeyShare = (data: Uint8Array): KeyShare | null =>
  whole(data, (r) => ({ group: r.uint(2), key: r.vector(2, 1) }));

/** cookie of a HelloRetryRequest. */
export const readCookie = (data: Uint8Array): Uint8Array | null => whole(data, (r) => r.vector(2, 1));

const extension = (type: number, body: (w: TlsWriter) => unknown): Extension => {
  const w = new TlsWriter();
  body(w);
  return { type, data: w.bytes() };
};

export const serverName = (name: string): Extension =>
  extension(SERVER_NAME, (w) => w.vector(2, () => w.uint(1, 0).vector(2, () => w.put(bytesOf(name)))));

export const alpn = (names: readonly string[]): Extension =>
  extension(ALPN, (w) =>
    w.vector(2, () => {
      for (const n of names) w.vector(1, () => w.put(bytesOf(n)));
    }),
  );

/** A list of two-byte numbers: supported_groups, signature_algorithms. */
export const list = (type: number, values: readonly number[]): Extension =>
  extension(type, (w) =>
    w.vector(2, () => {
      for (const v of values) w.uint(2, v);
    }),
  );

/** supported_versions of a ClientHello. */
export const versions = (values: readonly number[]): Extension =>
  extension(SUPPORTED_VERSIONS, (w) =>
    w.vector(1, () => {
      for (const v of values) w.uint(2, v);
    }),
  );

/** An extension that is one number of two bytes. */
export const uint16 = (type: number, v: number): Extension => extension(type, (w) => w.uint(2, v));

export const keyShares = (shares: readonly KeyShare[]): Extension =>
  extension(KEY_SHARE, (w) =>
    w.vector(2, () => {
      for (const s of shares) w.uint(2, s.group).vector(2, () => w.put(s.key));
    }),
  );

export const keyShare = (s: KeyShare): Extension =>
  extension(KEY_SHARE, (w) => w.uint(2, s.group).vector(2, () => w.put(s.key)));

export const cookie = (value: Uint8Array): Extension => extension(COOKIE, (w) => w.vector(2, () => w.put(value)));
export const empty = (type: number): Extension => ({ type, data: new Uint8Array(0) });
