/** HTTP over TLS as podwire's plain servers speak it: a session of HTTP inside one of TLS, with the interface of the former. @module */
import { joined } from '../../../wire/bytes.js';
import type { HttpReply, HttpSession } from '../http-session.js';
import type { TlsServer } from './server.js';

const encoder = new TextEncoder();

/** What nginx says to plain HTTP on a port for TLS, without its page. */
const PLAIN = 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';

export class HttpsSession {
  private readonly tls: TlsServer;
  private readonly http: HttpSession;

  constructor(tls: TlsServer, http: HttpSession) {
    this.tls = tls;
    this.http = http;
  }

  /** Takes bytes of the peer; records with the replies to all requests they complete. */
  data(input: Uint8Array): HttpReply {
    const { wire, plain } = this.tls.feed(input);
    const out = [...wire];
    const asked = this.tls.failure?.plain;
    if (asked !== undefined) return { bytes: looksLikeHttp(asked) ? encoder.encode(PLAIN) : joined(out), close: true };
    let close = this.tls.state === 'closed';
    if (plain.length > 0) {
      const r = this.http.data(plain);
      out.push(this.tls.write(r.bytes));
      close ||= r.close;
    }
    close ||= this.tls.eof;
    if (close) out.push(this.tls.close());
    return { bytes: joined(out), close };
  }
}

const looksLikeHttp = (b: Uint8Array): boolean => /^[A-Z]{3,7} /.test(String.fromCharCode(...b.subarray(0, 8)));
