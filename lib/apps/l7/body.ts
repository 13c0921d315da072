/**
 * The bodies of HTTP/1.1 messages: taken out of their framing, and put into one.
 *
 * Chunk extensions and trailers are read and dropped. RFC 9112 6 and 7.
 * @module
 */
import { bytesOf, type Framing, joined } from './message.js';

const LF = 10;
const CR = 13;
/** Bytes of a chunk's size line, and of all trailers. */
const MAX_LINE = 4096;
const MAX_TRAILERS = 65536;
const NOTHING = new Uint8Array(0);

/** What a piece of input held of a body. */
export interface BodyPart {
  readonly data: Uint8Array;
  /** Index after what was used of the input. */
  readonly used: number;
}

/** Reads one body. */
export class BodyReader {
  /** The body is whole. */
  done: boolean;
  /** It is not framed as it should be; nothing more can be read. */
  bad = false;
  private readonly framing: Framing;
  /** Bytes to come of the body, or of the chunk. */
  private left: number;
  private at: 'size' | 'extension' | 'data' | 'data-end' | 'trailer' = 'size';
  private digits = 0;
  private lineBytes = 0;
  private trailerBytes = 0;

  constructor(framing: Framing) {
    this.framing = framing;
    this.left = framing.kind === 'length' ? framing.length : 0;
    this.done = framing.kind === 'none' || (framing.kind === 'length' && framing.length === 0);
  }

  /** The part of the body in `b` from `from` on. */
  feed(b: Uint8Array, from: number): BodyPart {
    if (this.done || this.bad) return { data: NOTHING, used: from };
    if (this.framing.kind === 'chunked') return this.chunks(b, from);
    if (this.framing.kind === 'close') return { data: b.subarray(from), used: b.length };
    const used = Math.min(b.length, from + this.left);
    this.left -= used - from;
    this.done = this.left === 0;
    return { data: b.subarray(from, used), used };
  }

  /** The connection has ended: true when the body is whole by that. */
  eof(): boolean {
    if (this.framing.kind === 'close') this.done = true;
    return this.done;
  }

  private chunks(b: Uint8Array, from: number): BodyPart {
    const parts: Uint8Array[] = [];
    let i = from;
    while (i < b.length && !this.done && !this.bad) {
      if (this.at === 'data') {
        const n = Math.min(this.left, b.length - i);
        parts.push(b.subarray(i, i + n));
        i += n;
        this.left -= n;
        if (this.left === 0) this.at = 'data-end';
      } else this.octet(b[i++]!);
    }
    return { data: parts.length === 0 ? NOTHING : joined(parts), used: i };
  }

  /** One byte between the data of two chunks. */
  private octet(c: number): void {
    if (this.at === 'trailer') return this.trailer(c);
    if (++this.lineBytes > MAX_LINE) this.bad = true;
    else if (this.at === 'data-end') {
      if (c === LF) this.nextSize();
      else if (c !== CR || this.lineBytes > 1) this.bad = true;
    } else if (c === LF) this.sizeEnd();
    else if (this.at === 'extension') return;
    else if (this.digits > 0 && (c === CR || c === 0x3b || c === 32 || c === 9)) this.at = 'extension';
    else this.digit(c);
  }

  private digit(c: number): void {
    const v = c >= 48 && c <= 57 ? c - 48 : (c | 32) >= 97 && (c | 32) <= 102 ? (c | 32) - 87 : -1;
    if (v < 0 || this.digits === 12) {
      this.bad = true;
      return;
    }
    this.digits++;
    this.left = this.left * 16 + v;
  }

  private nextSize(): void {
    this.at = 'size';
    this.digits = this.lineBytes = this.left = 0;
  }

  private sizeEnd(): void {
    if (this.digits === 0) this.bad = true;
    this.at = this.left > 0 ? 'data' : 'trailer';
    this.lineBytes = 0;
  }

  private trailer(c: number): void {
    if (++this.trailerBytes > MAX_TRAILERS) this.bad = true;
    else if (c === LF) {
      this.done = this.lineBytes === 0;
      this.lineBytes = 0;
    } else if (c !== CR) this.lineBytes++;
  }
}

const CRLF = bytesOf('\r\n');

/** Data as one chunk. */
export const chunk = (data: Uint8Array): Uint8Array => joined([bytesOf(`${data.length.toString(16)}\r\n`), data, CRLF]);

/** The chunk that ends a body. */
export const LAST_CHUNK = bytesOf('0\r\n\r\n');
