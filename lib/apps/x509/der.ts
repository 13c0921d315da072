/**
 * DER (X.690) as certificates and keys need it: a writer, and a strict reader for hostile bytes.
 *
 *   tag(1)   length: below 128 one byte, else 0x80+n and n bytes, as short as possible   content
 * @module
 */
import { bytesOf, hex, joined } from '../../../wire/bytes.js';

export const BOOLEAN = 0x01;
export const INTEGER = 0x02;
export const BIT_STRING = 0x03;
export const OCTET_STRING = 0x04;
export const NULL = 0x05;
export const OID = 0x06;
export const UTF8_STRING = 0x0c;
export const PRINTABLE_STRING = 0x13;
export const IA5_STRING = 0x16;
export const UTC_TIME = 0x17;
export const GENERALIZED_TIME = 0x18;
export const SEQUENCE = 0x30;
export const SET = 0x31;
/** [n] constructed, [n] primitive. */
export const context = (n: number): number => 0xa0 | n;
export const implicit = (n: number): number => 0x80 | n;

/** An element around its content. */
export function element(tag: number, ...content: readonly Uint8Array[]): Uint8Array {
  const body = joined(content);
  const length: number[] = [];
  for (let n = body.length; n > 0; n = Math.floor(n / 256)) length.unshift(n % 256);
  const head = body.length < 128 ? [tag, body.length] : [tag, 0x80 | length.length, ...length];
  return joined([Uint8Array.from(head), body]);
}

export const sequence = (...content: readonly Uint8Array[]): Uint8Array => element(SEQUENCE, ...content);
/** SET OF: its elements in DER's order. */
export const set = (...content: readonly Uint8Array[]): Uint8Array =>
  element(SET, ...[...content].sort((a, b) => (hex(a) < hex(b) ? -1 : 1)));
export const octets = (b: Uint8Array): Uint8Array => element(OCTET_STRING, b);
/** A BIT STRING of whole bytes. */
export const bits = (b: Uint8Array, unused = 0): Uint8Array => element(BIT_STRING, Uint8Array.of(unused), b);
export const utf8 = (s: string): Uint8Array => element(UTF8_STRING, new TextEncoder().encode(s));
export const printable = (s: string): Uint8Array => element(PRINTABLE_STRING, bytesOf(s));
export const TRUE: Uint8Array = element(BOOLEAN, Uint8Array.of(0xff));
export const nothing: Uint8Array = element(NULL);

/** A non-negative INTEGER of big-endian bytes. */
export function unsigned(bytes: Uint8Array): Uint8Array {
  let at = 0;
  while (at < bytes.length - 1 && bytes[at] === 0) at++;
  const b = bytes.length === 0 ? Uint8Array.of(0) : bytes.subarray(at);
  return b[0]! >= 128 ? element(INTEGER, Uint8Array.of(0), b) : element(INTEGER, b);
}

export const small = (n: number): Uint8Array => unsigned(Uint8Array.of(n));

/** An OBJECT IDENTIFIER from its dotted text. */
export function oid(text: string): Uint8Array {
  const [a, b, ...rest] = text.split('.').map(Number) as [number, number, ...number[]];
  const out: number[] = [];
  for (const v of [a * 40 + b, ...rest]) {
    const group = [v % 128];
    for (let n = Math.floor(v / 128); n > 0; n = Math.floor(n / 128)) group.unshift(0x80 | (n % 128));
    out.push(...group);
  }
  return element(OID, Uint8Array.from(out));
}

/** An element that has been read. */
export interface Element {
  tag: number;
  content: Uint8Array;
  /** With tag and length. */
  raw: Uint8Array;
}

/** Reads elements one after the other; after the first that is not there, or not in DER, `ok` is false for good. */
export class DerReader {
  private readonly b: Uint8Array;
  private at = 0;
  ok = true;

  constructor(b: Uint8Array) {
    this.b = b;
  }

  get more(): boolean {
    return this.ok && this.at < this.b.length;
  }

  /** All has been read, and all of it was good. */
  get done(): boolean {
    return this.ok && this.at === this.b.length;
  }

  /** The next element's tag; -1: none. */
  get tag(): number {
    return this.more ? this.b[this.at]! : -1;
  }

  /** The next element, whatever it is. */
  any(): Element {
    const { b, at } = this;
    const first = b[at + 1] ?? -1;
    let length = first;
    let head = 2;
    if (first > 0x80) {
      const n = first & 0x7f;
      head = 2 + n;
      length = 0;
      for (let i = 0; i < n; i++) length = length * 256 + (b[at + 2 + i] ?? 0);
      if (n > 4 || length < 128 || b[at + 2] === 0) return this.bad();
    } else if (first === 0x80) return this.bad();
    // Tags above 30 take more bytes; nothing here has one.
    if (!this.ok || first < 0 || (b[at]! & 0x1f) === 0x1f || at + head + length > b.length) return this.bad();
    this.at = at + head + length;
    return { tag: b[at]!, content: b.subarray(at + head, this.at), raw: b.subarray(at, this.at) };
  }

  private bad(): Element {
    this.ok = false;
    return { tag: -1, content: new Uint8Array(0), raw: new Uint8Array(0) };
  }

  /** The content of the next element, which must have this tag. */
  take(tag: number): Uint8Array {
    if (this.tag !== tag) return this.bad().content;
    return this.any().content;
  }

  /** A reader of the next element's inside. */
  inside(tag: number): DerReader {
    const r = new DerReader(this.take(tag));
    r.ok = this.ok;
    return r;
  }

  /** The content of the next element if it has this tag. */
  maybe(tag: number): Uint8Array | null {
    return this.tag === tag ? this.take(tag) : null;
  }

  /** Magnitude of a non-negative INTEGER, without leading zeros. */
  unsigned(): Uint8Array {
    const v = this.take(INTEGER);
    if (v.length === 0 || v[0]! >= 128 || (v.length > 1 && v[0] === 0 && v[1]! < 128)) return this.bad().content;
    return v[0] === 0 && v.length > 1 ? v.subarray(1) : v;
  }

  /** A small INTEGER, or -1. */
  small(): number {
    const v = this.unsigned();
    return this.ok && v.length <= 4 ? v.reduce((n, x) => n * 256 + x, 0) : -1;
  }

  /** Dotted text of an OBJECT IDENTIFIER; empty when it is none. */
  oid(): string {
    const v = this.take(OID);
    if (v.length === 0 || v.length > 64 || v[v.length - 1]! >= 128) {
      this.ok = false;
      return '';
    }
    const parts: number[] = [];
    let n = 0;
    for (const x of v) {
      n = n * 128 + (x & 127);
      if (x >= 128) continue;
      parts.push(n);
      n = 0;
    }
    const first = Math.min(2, Math.floor(parts[0]! / 40));
    return [first, parts[0]! - 40 * first, ...parts.slice(1)].join('.');
  }

  /** The bytes of a BIT STRING without unused bits. */
  bits(): Uint8Array {
    const v = this.take(BIT_STRING);
    if (v.length === 0 || v[0] !== 0) return this.bad().content;
    return v.subarray(1);
  }
}
