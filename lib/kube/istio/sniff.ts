/**
 * Envoy's listener filters: what a connection is by its first bytes, before anybody reads them (tls_inspector, http_inspector).
 * @module
 */
import { u16 } from '../../../wire/bytes.js';
import { HANDSHAKE } from '../../../wire/tls.js';
import { ALPN, find, readAlpn } from '../../../wire/tls-extensions.js';
import { CLIENT_HELLO, readClientHello } from '../../../wire/tls-handshake.js';
import type { Conn, ConnHandler } from '../../apps/l7/io.js';
import { joined, textOf } from '../../apps/l7/message.js';

/** What the first bytes are. */
export type Transport = { readonly kind: 'raw' } | { readonly kind: 'tls'; readonly alpn: readonly string[] };

export interface Sniffed {
  readonly transport: Transport;
  /** HTTP/1 in plain text. */
  readonly http: boolean;
}

/** What is looked for; `tls` first. */
export interface Inspectors {
  readonly tls: boolean;
  readonly http: boolean;
}

/** The longest ClientHello or request line that is waited for. */
const MAX_HELLO = 16384;
const MAX_LINE = 8192;

const RAW: Transport = { kind: 'raw' };

/** A ClientHello's ALPN; null: more bytes are needed. */
export function tlsHello(b: Uint8Array): Transport | null {
  if (b.length > 0 && b[0] !== HANDSHAKE) return RAW;
  if (b.length > 1 && b[1] !== 3) return RAW;
  if (b.length < 9) return null;
  if (b[5] !== CLIENT_HELLO) return RAW;
  const hello = handshake(b);
  if (hello === null) return b.length > MAX_HELLO ? RAW : null;
  return { kind: 'tls', alpn: alpnOf(hello) };
}

/** The body of the first handshake message, out of one record or several; null: it is not whole. */
function handshake(b: Uint8Array): Uint8Array | null {
  const want = 4 + ((b[6]! << 16) | u16(b, 7));
  const parts: Uint8Array[] = [];
  let n = 0;
  for (let o = 0; n < want;) {
    if (o + 5 > b.length || b[o] !== HANDSHAKE) return null;
    const end = o + 5 + u16(b, o + 3);
    if (end > b.length) return null;
    parts.push(b.subarray(o + 5, end));
    n += end - o - 5;
    if (end === o + 5) return null;
    o = end;
  }
  return joined(parts).subarray(4, want);
}

/** The names in the ALPN extension; none where the hello or the extension is malformed. */
function alpnOf(hello: Uint8Array): string[] {
  const data = find(readClientHello(hello)?.extensions ?? [], ALPN);
  return (data === null ? null : readAlpn(data)) ?? [];
}

/** Whether the first line is a request of HTTP/1; null: more bytes are needed. */
export function httpRequest(b: Uint8Array): boolean | null {
  const line = textOf(b, 0, Math.min(b.length, MAX_LINE)).split('\n', 1)[0]!;
  const whole = line.length < Math.min(b.length, MAX_LINE);
  if (whole) return /^[!#$%&'*+.^_`|~0-9A-Za-z-]+ \S+ HTTP\/1\.[01]\r?$/.test(line);
  if (b.length >= MAX_LINE) return false;
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]*( \S*( (H(T(T(P(\/(1(\.([01]\r?)?)?)?)?)?)?)?)?)?)?$/.test(line) ? null : false;
}

/** Waits for what `inspect` needs, then hands the connection on with all that has come; `choose` null: it is reset. */
export class Sniffer implements ConnHandler {
  private readonly conn: Conn;
  private readonly inspect: Inspectors;
  private readonly choose: (s: Sniffed) => ConnHandler | null;
  private held: Uint8Array[] = [];
  private next: ConnHandler | null = null;
  private over = false;

  constructor(conn: Conn, inspect: Inspectors, choose: (s: Sniffed) => ConnHandler | null) {
    this.conn = conn;
    this.inspect = inspect;
    this.choose = choose;
    if (!inspect.tls && !inspect.http) this.decide({ transport: RAW, http: false });
  }

  data(bytes: Uint8Array): void {
    if (this.next !== null) return this.next.data(bytes);
    if (this.over) return;
    this.held.push(bytes);
    const found = this.look(joined(this.held));
    if (found !== null) this.decide(found);
  }

  /** The peer ends before it has said enough: Envoy closes. */
  eof(): void {
    if (this.next !== null) return this.next.eof();
    this.over = true;
    this.conn.close();
  }

  closed(errno: number): void {
    this.over = true;
    this.next?.closed(errno);
  }

  drained(): void {
    this.next?.drained?.();
  }

  private look(b: Uint8Array): Sniffed | null {
    const transport = this.inspect.tls ? tlsHello(b) : RAW;
    if (transport === null) return null;
    if (!this.inspect.http || transport.kind === 'tls') return { transport, http: false };
    const http = httpRequest(b);
    return http === null ? null : { transport, http };
  }

  private decide(found: Sniffed): void {
    this.next = this.choose(found);
    const held = this.held;
    this.held = [];
    if (this.next === null) {
      this.over = true;
      return this.conn.reset();
    }
    if (held.length > 0) this.next.data(joined(held));
  }
}
