/**
 * One HTTP/1.1 connection as podwire's servers serve it: request bytes in, reply bytes out. The same code answers on the
 * engine's sockets and on the machine's own, so that both send the same bytes.
 * @module
 */
import { BodyReader } from './l7/body.js';
import { CHUNKED, type Framing, joined, NO_BODY, ofLength, textOf } from './l7/message.js';

const MAX_HEAD = 65536;

export interface HttpReply {
  /** Bytes to send, possibly none. */
  bytes: Uint8Array;
  /** Close after sending them. */
  close: boolean;
}

/** The head of a request. */
export interface Head {
  method: string;
  target: string;
  minor: number;
  /** Whether it has a Host. */
  host: boolean;
  close: boolean;
  /** How the body comes that is to be skipped. */
  body: Framing;
}

/** What a server says. */
export interface Site {
  /** To a request, after its body. `head` ends in an empty line; no body is sent to HEAD. */
  answer(h: Head): { head: string; body: Uint8Array; close: boolean };
  /** To what is no request of HTTP/1.x; `head` is what came in its place. The connection ends with it. */
  bad(head: string): string;
}

const NOTHING = new Uint8Array(0);

/** Every path answers 200 with the same body; connections stay open unless the request says otherwise (RFC 9112 9.3). */
export function plainSite(text: string): Site {
  const body = new TextEncoder().encode(text);
  return {
    answer: (h) => {
      const close = h.close ? 'Connection: close\r\n' : h.minor === 0 ? 'Connection: keep-alive\r\n' : '';
      const head = `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n${close}\r\n`;
      return { head, body, close: h.close };
    },
    bad: () => 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
  };
}

export class HttpSession {
  private readonly site: Site;
  private buf: Uint8Array = NOTHING;
  private body = new BodyReader(NO_BODY);
  private pending: Head | null = null;
  private over = false;

  constructor(site: Site) {
    this.site = site;
  }

  /** Takes bytes of the peer; the replies to all requests they complete. */
  data(input: Uint8Array): HttpReply {
    if (this.over) return { bytes: NOTHING, close: true };
    this.buf = joined([this.buf, input]);
    const out: Uint8Array[] = [];
    while (!this.over && this.step(out));
    return { bytes: joined(out), close: this.over };
  }

  /** One step forward; false when more bytes are needed. */
  private step(out: Uint8Array[]): boolean {
    if (this.pending !== null) {
      const { used } = this.body.feed(this.buf, 0);
      this.buf = this.buf.slice(used);
      if (this.body.bad) return this.bad('', out);
      if (!this.body.done) return false;
      this.reply(this.pending, out);
      this.pending = null;
      return true;
    }
    const text = textOf(this.buf, 0, Math.min(this.buf.length, MAX_HEAD));
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) return this.buf.length >= MAX_HEAD ? this.bad(text, out) : false;
    const head = parseHead(text.slice(0, end));
    this.buf = this.buf.slice(end + 4);
    if (head === null) return this.bad(text.slice(0, end), out);
    this.pending = head;
    this.body = new BodyReader(head.body);
    return true;
  }

  private bad(head: string, out: Uint8Array[]): boolean {
    out.push(new TextEncoder().encode(this.site.bad(head)));
    this.over = true;
    return false;
  }

  private reply(h: Head, out: Uint8Array[]): void {
    const { head, body, close } = this.site.answer(h);
    out.push(new TextEncoder().encode(head));
    if (h.method !== 'HEAD') out.push(body);
    this.over = close;
  }
}

/** The request's head, or null when it is not HTTP/1.x. */
function parseHead(text: string): Head | null {
  const [first = '', ...lines] = text.split('\r\n');
  const m = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP\/1\.([01])$/.exec(first);
  if (m === null) return null;
  const head: Head = {
    method: m[1]!,
    target: m[2]!,
    minor: Number(m[3]),
    host: false,
    close: m[3] === '0',
    body: NO_BODY,
  };
  for (const line of lines) {
    const at = line.indexOf(':');
    if (at < 1) return null;
    const name = line.slice(0, at).toLowerCase();
    const value = line.slice(at + 1).trim();
    if (name === 'host') head.host = true;
    else if (name === 'connection') {
      const words = value.toLowerCase().split(/\s*,\s*/);
      if (words.includes('close')) head.close = true;
      else if (words.includes('keep-alive')) head.close = false;
    } else if (name === 'content-length') {
      if (!/^\d{1,15}$/.test(value)) return null;
      head.body = ofLength(Number(value));
    } else if (name === 'transfer-encoding' && value.toLowerCase() === 'chunked') head.body = CHUNKED;
  }
  return head;
}
