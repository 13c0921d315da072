/**
 * A capture point that writes its pcap file while the frames come: what it holds in memory is one block, whatever the
 * length of the capture. The file is the one that `writeCaptures` writes for a `Tap` that has seen the same frames.
 * @module
 */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { EPOCH_SEC, HLEN, putRecord, recordLen, writeHeader } from '../../wire/pcap.js';
import type { CaptureClock } from './tap.js';

const BLOCK = 1 << 18;

export class FileTap {
  readonly path: string;
  /** Frames seen so far. */
  frames = 0;
  private readonly clock: CaptureClock;
  private readonly fd: number;
  private block = new Uint8Array(BLOCK);
  private used = HLEN;

  /** Creates `path` and the folder it is in. Throws what the file system throws. */
  constructor(clock: CaptureClock, path: string, linktype: number) {
    this.clock = clock;
    this.path = path;
    mkdirSync(dirname(path), { recursive: true });
    this.fd = openSync(path, 'w');
    writeHeader(this.block, 0, linktype);
  }

  /** Records `buf[start, end)`, seen `now` (virtual ns); direction and packet id have no place in a pcap file. */
  frame(now: number, _direction: 1 | 2, buf: Uint8Array, start: number, end: number, _packetId: number): void {
    const need = recordLen(end - start);
    if (this.used + need > this.block.length) this.flush(need);
    const t = this.clock.stamp(now);
    this.clock.seq++;
    const sec = Math.floor(t / 1e9);
    putRecord(this.block, this.used, EPOCH_SEC + sec, t - sec * 1e9, buf, start, end);
    this.used += need;
    this.frames++;
  }

  /** Writes what is complete; `need` bytes fit afterwards. */
  private flush(need: number): void {
    for (let o = 0; o < this.used;) o += writeSync(this.fd, this.block, o, this.used - o);
    this.used = 0;
    if (need > this.block.length) this.block = new Uint8Array(need);
  }

  /** Writes the rest and closes the file; no frame may follow. */
  close(): void {
    this.flush(0);
    closeSync(this.fd);
  }
}
