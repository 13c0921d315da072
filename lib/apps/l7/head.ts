/**
 * The heads of HTTP/1.1 messages: found in a stream of bytes, read, and what they say of the body.
 *
 * It takes what nginx and Go take: LF for CRLF, empty lines before a request, any character in a field's name that is not blank or
 * control. What one of them refuses beyond that is its controller's business. RFC 9112 2 to 6. Not here: HTTP/0.9, continued lines
 * (they are refused).
 * @module
 */
import type { Refusal } from './controller.js';
import {
  CHUNKED, type Field, type Framing, NO_BODY, ofLength, type RequestHead, type ResponseHead, TO_THE_END, textOf, valuesOf,
} from './message.js'; // prettier-ignore

const LF = 10;
const CR = 13;

export interface HeadLimits {
  readonly maxLine: number;
  readonly maxHead: number;
  readonly maxFields: number;
}

/** Gathers bytes until a head is whole. One for each message. */
export class HeadReader {
  private readonly limits: HeadLimits;
  private readonly parts: Uint8Array[] = [];
  private size = 0;
  /** Bytes of the line being read, and whether it is the first. */
  private line = 0;
  private first = true;
  /** Index after the head in the piece that was fed last; -1: not whole yet. */
  end = -1;
  /** Why no head can come of it. */
  refused: Refusal | null = null;

  constructor(limits: HeadLimits) {
    this.limits = limits;
  }

  /** Bytes have come that are no empty line. */
  get started(): boolean {
    return this.size > 0;
  }

  /** Takes bytes from `b` at `from`; true when the head is whole or refused. */
  feed(b: Uint8Array, from: number): boolean {
    let start = from;
    for (let i = from; i < b.length; i++) {
      const c = b[i]!;
      if (this.size + i - start === 0 && (c === CR || c === LF)) {
        start = i + 1;
        continue;
      }
      if (this.size + i + 1 - start > this.limits.maxHead) return this.refuse(this.first ? 'line-too-long' : 'head-too-long'); // prettier-ignore
      if (c !== LF) {
        if (++this.line > this.limits.maxLine) return this.refuse(this.first ? 'line-too-long' : 'head-too-long');
        if (this.first && c < 32 && c !== CR) return this.refuse('bad');
        continue;
      }
      const empty = this.line === 0 || (this.line === 1 && this.before(b, i, start) === CR);
      this.first = false;
      this.line = 0;
      if (!empty) continue;
      this.keep(b, start, i + 1);
      this.end = i + 1;
      return true;
    }
    this.keep(b, start, b.length);
    return false;
  }

  /** The head's lines without their ends and without the empty one. Once `feed` said true and nothing is refused. */
  lines(): string[] {
    const text = this.parts.map((p) => textOf(p)).join('');
    const out = text.split('\n').map((l) => (l.endsWith('\r') ? l.slice(0, -1) : l));
    return out.slice(0, -2);
  }

  private before(b: Uint8Array, i: number, start: number): number {
    if (i > start) return b[i - 1]!;
    const last = this.parts.at(-1);
    return last === undefined ? 0 : last[last.length - 1]!;
  }

  private keep(b: Uint8Array, from: number, to: number): void {
    if (to <= from) return;
    this.parts.push(b.slice(from, to));
    this.size += to - from;
  }

  private refuse(why: Refusal): true {
    this.refused = why;
    this.parts.length = 0;
    return true;
  }
}

const NAME = /^[^\x00-\x20\x7f:]+$/;
const blank = (c: number): boolean => c === 32 || c === 9;

/** The text from `from` on without the blanks around it, in time linear in it: a regular expression tries every run of blanks. */
function trimmed(s: string, from: number): string {
  let [start, end] = [from, s.length];
  while (start < end && blank(s.charCodeAt(start))) start++;
  while (end > start && blank(s.charCodeAt(end - 1))) end--;
  return s.slice(start, end);
}

/** The field lines; null when one is none. */
function fieldsOf(lines: readonly string[]): Field[] | null {
  const out: Field[] = [];
  for (const line of lines) {
    const at = line.indexOf(':');
    const [name, value] = [line.slice(0, Math.max(0, at)), trimmed(line, at + 1)];
    if (!NAME.test(name) || /[\0\r]/.test(value)) return null;
    out.push([name, value]);
  }
  return out;
}

const REQUEST = /^([A-Za-z0-9!#$%&'*+.^_`|~-]+) ([^\x00-\x20\x7f]+) HTTP\/(\d)\.(\d)$/;

/** A request's head, or why it is none. */
export function readRequest(lines: readonly string[], limits: HeadLimits): RequestHead | Refusal {
  const m = REQUEST.exec(lines[0] ?? '');
  if (m === null) return 'bad';
  if (m[3] !== '1') return 'version';
  if (lines.length - 1 > limits.maxFields) return 'head-too-long';
  const fields = fieldsOf(lines.slice(1));
  if (fields === null) return 'bad';
  return { method: m[1]!, target: m[2]!, minor: m[4] === '0' ? 0 : 1, fields };
}

const RESPONSE = /^HTTP\/1\.(\d) (\d{3})(?: (.*))?$/s;

/** A response's head, or null when it is none. */
export function readResponse(lines: readonly string[]): ResponseHead | null {
  const m = RESPONSE.exec(lines[0] ?? '');
  const fields = m === null ? null : fieldsOf(lines.slice(1));
  if (m === null || fields === null || Number(m[2]) < 100) return null;
  return { minor: m[1] === '0' ? 0 : 1, status: Number(m[2]), reason: m[3] ?? '', fields };
}

const codingsOf = (fields: readonly Field[]): string[] => valuesOf(fields, 'transfer-encoding');

/** The length that Content-Length gives; null: none, -1: one that is none, or several that differ. */
function lengthOf(fields: readonly Field[]): number | null {
  const all = valuesOf(fields, 'content-length');
  if (all.length === 0) return null;
  const text = all[0]!;
  return /^\d{1,15}$/.test(text) && all.every((v) => v === text) ? Number(text) : -1;
}

/** How a request's body comes, or why that cannot be told (RFC 9112 6.3). `both`: what Content-Length beside chunked means. */
export function requestFraming(h: RequestHead, both: 'bad' | 'chunked'): Framing | Refusal {
  const codings = codingsOf(h.fields);
  const length = lengthOf(h.fields);
  if (codings.length > 0) {
    if (h.minor === 0 || codings.length > 1) return 'bad-length';
    if (codings[0]!.toLowerCase() !== 'chunked') return 'unknown-coding';
    return length !== null && both === 'bad' ? 'bad-length' : CHUNKED;
  }
  if (length === null) return NO_BODY;
  return length < 0 ? 'bad-length' : ofLength(length);
}

/** How a response's body comes; null: that cannot be told. `method`: of the request. */
export function responseFraming(h: ResponseHead, method: string): Framing | null {
  if (h.status < 200 || h.status === 204 || h.status === 304 || method === 'HEAD') return NO_BODY;
  const codings = codingsOf(h.fields);
  if (codings.length > 0) {
    const last = codings.at(-1)!.toLowerCase().split(',').at(-1)!.trim();
    return last === 'chunked' ? CHUNKED : TO_THE_END;
  }
  const length = lengthOf(h.fields);
  if (length === null) return TO_THE_END;
  return length < 0 ? null : ofLength(length);
}
