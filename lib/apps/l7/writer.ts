/**
 * How a response's bytes are grouped into writes, which is what the segments on the wire are made of.
 * @module
 */
import { chunk, LAST_CHUNK } from './body.js';
import type { ClientRules } from './controller.js';
import type { Conn } from './io.js';
import { bytesOf, type Framing, joined, type ResponseHead, responseText } from './message.js';

/** Writes one response. */
export interface ResponseWriter {
  data(bytes: Uint8Array): void;
  end(): void;
  /** The event that brought the latest bytes is over. */
  flush(): void;
}

/** Writes a response with this head and framing as `how` says. */
export function responseWriter(
  conn: Conn,
  how: ClientRules['writes'],
  h: ResponseHead,
  framing: Framing,
): ResponseWriter {
  const head = bytesOf(responseText(h));
  const chunked = framing.kind === 'chunked';
  return how === 'go' ? new GoWriter(conn, head, chunked) : new JoinedWriter(conn, head, chunked, how === 'nginx');
}

/** What one event brought goes out in one write: writev(2) of all there is. */
class JoinedWriter implements ResponseWriter {
  private readonly conn: Conn;
  private readonly chunked: boolean;
  /** nginx sends the last chunk by a call of its own (ngx_http_send_special). */
  private readonly lastApart: boolean;
  private parts: Uint8Array[];

  constructor(conn: Conn, head: Uint8Array, chunked: boolean, lastApart: boolean) {
    this.conn = conn;
    this.chunked = chunked;
    this.lastApart = lastApart;
    this.parts = [head];
  }

  data(bytes: Uint8Array): void {
    if (bytes.length > 0) this.parts.push(this.chunked ? chunk(bytes) : bytes);
  }

  end(): void {
    if (!this.chunked) return;
    if (this.lastApart) this.flush();
    this.parts.push(LAST_CHUNK);
  }

  flush(): void {
    if (this.parts.length === 0) return;
    const all = joined(this.parts);
    this.parts = [];
    this.conn.send(all);
  }
}

/** bufio.Writer of Go: fills its buffer, then writes it; what is larger than an empty buffer is written directly. */
class BufioWriter {
  private readonly size: number;
  private readonly to: (bytes: Uint8Array) => void;
  private parts: Uint8Array[] = [];
  private n = 0;

  constructor(size: number, to: (bytes: Uint8Array) => void) {
    this.size = size;
    this.to = to;
  }

  write(bytes: Uint8Array): void {
    let b = bytes;
    while (b.length > this.size - this.n) {
      const room = this.size - this.n;
      if (this.n === 0) {
        this.to(b);
        return;
      }
      this.add(b.subarray(0, room));
      b = b.subarray(room);
      this.flush();
    }
    this.add(b);
  }

  flush(): void {
    if (this.n === 0) return;
    const all = joined(this.parts);
    this.parts = [];
    this.n = 0;
    this.to(all);
  }

  private add(b: Uint8Array): void {
    if (b.length === 0) return;
    this.parts.push(b);
    this.n += b.length;
  }
}

/** net/http's server (response, chunkWriter, conn.bufw) under httputil.ReverseProxy, which flushes chunked responses at once. */
class GoWriter implements ResponseWriter {
  private readonly chunked: boolean;
  private readonly bufw: BufioWriter;
  private readonly w: BufioWriter;
  private head: Uint8Array | null;

  constructor(conn: Conn, head: Uint8Array, chunked: boolean) {
    this.head = head;
    this.chunked = chunked;
    this.bufw = new BufioWriter(4096, (b) => conn.send(b));
    this.w = new BufioWriter(2048, (b) => this.chunkWrite(b));
    if (chunked) this.flushAll();
  }

  data(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.w.write(bytes);
    if (this.chunked) this.flushAll();
  }

  end(): void {
    this.w.flush();
    this.header();
    if (this.chunked) this.bufw.write(LAST_CHUNK);
    this.bufw.flush();
  }

  flush(): void {}

  private flushAll(): void {
    this.w.flush();
    this.header();
    this.bufw.flush();
  }

  private header(): void {
    if (this.head === null) return;
    this.bufw.write(this.head);
    this.head = null;
  }

  private chunkWrite(b: Uint8Array): void {
    this.header();
    this.bufw.write(this.chunked ? chunk(b) : b);
  }
}
