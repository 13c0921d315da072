/**
 * The PROXY protocol, versions 1 and 2: whom a connection is made for, said in front of its first bytes.
 *
 * HAProxy's doc/proxy-protocol.txt, read as nginx reads it (ngx_proxy_protocol.c): both versions by their first bytes, TLVs
 * skipped, LOCAL and UNKNOWN leave the addresses of the connection. Not here: IPv6 and Unix addresses (they count as unknown).
 * @module
 */
import { aton, ntoa } from '../../../wire/inet.js';
import { i32, put16, put32, u16 } from '../../../wire/bytes.js';
import type { Conn, ConnHandler, Endpoint, Layer } from './io.js';
import { bytesOf, joined, textOf } from './message.js';

const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
/** The longest header of version 1, CRLF included. */
export const V1_MAX = 107;
/** The longest header of version 2 that is read; nginx's buffer has 4096 bytes. */
export const V2_MAX = 4096;
const V2_HEAD = 16;
const PROXY = 0x21;
const TCP4 = 0x11;

export interface ProxyHeader {
  /** Null: unknown, or the sender's own connection (LOCAL). */
  readonly source: Endpoint | null;
  readonly destination: Endpoint | null;
}

/** `PROXY TCP4 …` with its CRLF; of an unknown client when `h` has no addresses. */
export function writeV1(h: ProxyHeader): Uint8Array {
  const { source: s, destination: d } = h;
  if (s === null || d === null) return bytesOf('PROXY UNKNOWN\r\n');
  return bytesOf(`PROXY TCP4 ${ntoa(s.address)} ${ntoa(d.address)} ${s.port} ${d.port}\r\n`);
}

/** The binary header, TLVs behind the addresses; LOCAL when `h` has no addresses. */
export function writeV2(h: ProxyHeader, tlvs: Uint8Array = new Uint8Array(0)): Uint8Array {
  const { source: s, destination: d } = h;
  const known = s !== null && d !== null;
  const b = new Uint8Array(V2_HEAD + (known ? 12 : 0) + tlvs.length);
  b.set(SIGNATURE);
  b[12] = known ? PROXY : 0x20;
  b[13] = known ? TCP4 : 0;
  put16(b, 14, b.length - V2_HEAD);
  if (known) {
    put32(b, 16, s.address);
    put32(b, 20, d.address);
    put16(b, 24, s.port);
    put16(b, 26, d.port);
  }
  b.set(tlvs, b.length - tlvs.length);
  return b;
}

/** A header at the beginning of `b`: what it says and its length; `more`: not whole yet; `bad`: none. */
export function readProxyHeader(b: Uint8Array): { header: ProxyHeader; length: number } | 'more' | 'bad' {
  if (b.length === 0) return 'more';
  return b[0] === SIGNATURE[0] ? readV2(b) : readV1(b);
}

const UNKNOWN: ProxyHeader = { source: null, destination: null };
const V1 = /^PROXY TCP4 (\S+) (\S+) (\d{1,5}) (\d{1,5})$/;

function readV1(b: Uint8Array): ReturnType<typeof readProxyHeader> {
  const text = textOf(b, 0, Math.min(b.length, V1_MAX));
  const end = text.indexOf('\r\n');
  const start = 'PROXY ';
  if (!start.startsWith(text.slice(0, start.length))) return 'bad';
  if (end < 0) return b.length >= V1_MAX ? 'bad' : 'more';
  const line = text.slice(0, end);
  const length = end + 2;
  if (/^PROXY (UNKNOWN|TCP6 )/.test(line)) return { header: UNKNOWN, length };
  const m = V1.exec(line);
  if (m === null) return 'bad';
  const [from, to] = [aton(m[1]!), aton(m[2]!)];
  const [sport, dport] = [Number(m[3]), Number(m[4])];
  if (from === null || to === null || sport > 65535 || dport > 65535) return 'bad';
  return { header: { source: { address: from, port: sport }, destination: { address: to, port: dport } }, length };
}

function readV2(b: Uint8Array): ReturnType<typeof readProxyHeader> {
  for (let i = 0; i < Math.min(b.length, SIGNATURE.length); i++) if (b[i] !== SIGNATURE[i]) return 'bad';
  if (b.length < V2_HEAD) return 'more';
  const [command, family, rest] = [b[12]!, b[13]!, u16(b, 14)];
  if (command >> 4 !== 2 || (command & 15) > 1) return 'bad';
  const length = V2_HEAD + rest;
  if (length > V2_MAX) return 'bad';
  if (b.length < length) return 'more';
  if (command !== PROXY || family !== TCP4) return { header: UNKNOWN, length };
  if (rest < 12) return 'bad';
  const source = { address: i32(b, 16), port: u16(b, 24) };
  return { header: { source, destination: { address: i32(b, 20), port: u16(b, 26) } }, length };
}

/** A connection with the addresses of its PROXY header. */
class Proxied implements Conn {
  readonly tls = null;
  private readonly below: Conn;
  private readonly header: ProxyHeader;

  constructor(below: Conn, header: ProxyHeader) {
    this.below = below;
    this.header = header;
  }

  get local(): Endpoint {
    return this.header.destination ?? this.below.local;
  }

  get peer(): Endpoint {
    return this.header.source ?? this.below.peer;
  }

  get pending(): number {
    return this.below.pending;
  }

  originalDst = (): Endpoint => this.below.originalDst();
  send = (bytes: Uint8Array): void => this.below.send(bytes);
  end = (): void => this.below.end();
  close = (): void => this.below.close();
  reset = (): void => this.below.reset();
  pause = (): void => this.below.pause();
  resume = (): void => this.below.resume();
}

/** The layer of a server that expects a PROXY header on every connection: what brings none is closed (nginx, `proxy_protocol`). */
export const proxyProtocol: Layer = (below, above) => {
  let got: Uint8Array[] = [];
  let inner: ConnHandler | null = null;
  return {
    data: (bytes) => {
      if (inner !== null) return inner.data(bytes);
      got.push(bytes);
      const all = joined(got);
      got = [all];
      const r = readProxyHeader(all);
      if (r === 'more') return;
      if (r === 'bad') return below.close();
      inner = above(new Proxied(below, r.header));
      got = [];
      if (all.length > r.length) inner.data(all.subarray(r.length));
    },
    eof: () => (inner === null ? below.close() : inner.eof()),
    closed: (errno) => inner?.closed(errno),
    drained: () => inner?.drained?.(),
  };
};
