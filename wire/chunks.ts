/**
 * A byte sink that never moves what it holds: records are appended to chunks that grow from 4 KiB to 1 MiB.
 *
 * Small first chunks keep thousands of quiet interfaces cheap; a record never straddles two chunks.
 * @module
 */
const FIRST = 4096;
const LARGEST = 1 << 20;

export class Chunks {
  /** The chunk being filled; write at the offset that `reserve` returned. */
  cur: Uint8Array = new Uint8Array(0);
  used = 0;
  /** Bytes in all chunks, also those already taken. */
  length = 0;
  private full: Uint8Array[] = [];
  private next = FIRST;

  /** Room for `n` bytes in `cur`, zeroed; returns its offset. */
  reserve(n: number): number {
    if (this.used + n > this.cur.length) this.grow(n);
    const at = this.used;
    this.used += n;
    this.length += n;
    return at;
  }

  private grow(n: number): void {
    if (this.used > 0) this.full.push(this.cur.subarray(0, this.used));
    this.cur = new Uint8Array(Math.max(n, this.next));
    this.used = 0;
    this.next = Math.min(this.next * 4, LARGEST);
  }

  /** Everything written so far, in order, as views. */
  list(): Uint8Array[] {
    return this.used > 0 ? [...this.full, this.cur.subarray(0, this.used)] : [...this.full];
  }

  /** Hands over the full chunks and forgets them: for writers that stream to a file. */
  takeFull(): Uint8Array[] {
    const out = this.full;
    this.full = [];
    return out;
  }

  /** One array with everything. */
  concat(): Uint8Array {
    const out = new Uint8Array(this.full.reduce((n, c) => n + c.length, this.used));
    let o = 0;
    for (const c of this.list()) {
      out.set(c, o);
      o += c.length;
    }
    return out;
  }
}

/** Copies `src[start, end)` to `dst` at `o`; up to 96 bytes without a temporary view. */
export function copyBytes(dst: Uint8Array, o: number, src: Uint8Array, start: number, end: number): void {
  if (end - start <= 96) for (let i = start; i < end; i++) dst[o++] = src[i]!;
  else dst.set(src.subarray(start, end), o);
}

/** Little-endian store of 16 bits. */
export function le16(b: Uint8Array, o: number, v: number): void {
  b[o] = v;
  b[o + 1] = v >> 8;
}

/** Little-endian store of 32 bits. */
export function le32(b: Uint8Array, o: number, v: number): void {
  b[o] = v;
  b[o + 1] = v >> 8;
  b[o + 2] = v >> 16;
  b[o + 3] = v >> 24;
}
