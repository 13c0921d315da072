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

/** Copies `src[start, end)` to `dst` at `o`; up to 160 bytes without a temporary view. */
export function copyBytes(dst: Uint8Array, o: number, src: Uint8Array, start: number, end: number): void {
  if (end - start > 160) {
    dst.set(src.subarray(start, end), o);
    return;
  }
  let i = start;
  for (; i + 3 < end; i += 4, o += 4) {
    dst[o] = src[i]!;
    dst[o + 1] = src[i + 1]!;
    dst[o + 2] = src[i + 2]!;
    dst[o + 3] = src[i + 3]!;
  }
  for (; i < end; i++) dst[o++] = src[i]!;
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
