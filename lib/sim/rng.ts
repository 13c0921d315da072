/**
 * Seeded generators, one per purpose, so that a draw added for one purpose does not shift the others.
 * @module
 */

/** A small fast counter generator (sfc32); every draw is 32 random bits. */
export class Rng {
  private a = 0;
  private b = 0;
  private c = 0;
  private d = 1;

  /** The stream of `purpose` under `seed`: the same two always give the same draws. */
  constructor(seed: number, purpose: string) {
    this.a = seed | 0;
    this.b = Math.floor(seed / 0x100000000) | 0;
    this.c = fnv1a(purpose);
    for (let i = 0; i < 16; i++) this.u32();
  }

  /** 32 random bits as an unsigned number. */
  u32(): number {
    const t = (((this.a + this.b) | 0) + this.d) | 0;
    this.d = (this.d + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (this.c << 21) | (this.c >>> 11);
    this.c = (this.c + t) | 0;
    return t >>> 0;
  }

  /** 16 random bits. */
  u16(): number {
    return this.u32() >>> 16;
  }

  /** An integer in [0, n), n at most 2^32 (the kernel's `prandom_u32_max` multiplication). */
  below(n: number): number {
    return Math.floor((this.u32() / 0x100000000) * n);
  }
}

/** FNV-1a over the UTF-16 code units, as int32. */
export function fnv1a(text: string): number {
  let h = 0x811c9dc5 | 0;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h;
}
