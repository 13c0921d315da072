/**
 * Captures on disk. Nothing half-written ever carries a final name: files and trees are built beside it and renamed.
 * @module
 */
import { closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Chunks } from '../../wire/chunks.js';
import { aton } from '../../wire/inet.js';
import { EN10MB, HLEN, SNAPLEN, writeHeader, writeRecord } from '../../wire/pcap.js';
import { PcapngWriter } from '../../wire/pcapng.js';
import { inOrder, type Tap } from './tap.js';

/** A name beside `path` that no other process uses. */
const beside = (path: string, what: string): string => `${path}.${what}-${process.pid}`;

function writeAll(fd: number, chunks: readonly Uint8Array[]): void {
  for (const c of chunks) for (let o = 0; o < c.length;) o += writeSync(fd, c, o);
}

/** Throws TypeError for what is no whole number, RangeError for one that is not in `0..most`. */
function whole(what: string, n: unknown, most: number): void {
  if (typeof n !== 'number' || !Number.isInteger(n)) throw new TypeError(`Cannot write a capture: ${what}: found ${String(n)}, expected a whole number`); // prettier-ignore
  if (n < 0 || n > most) throw new RangeError(`Cannot write a capture: ${what}: found ${n}, expected 0 to ${most}`);
}

/**
 * Writes one nanosecond pcap file (little-endian, snaplen 262144, as `tcpdump --nano`); it gets its name on `close`, until
 * then it is `PATH.part-PID`. Throws TypeError or RangeError for arguments that no pcap file can hold, and what the
 * file system throws.
 */
export class PcapWriter {
  readonly path: string;
  private readonly temp: string;
  private readonly out = new Chunks();
  private fd: number;

  /** Link type 1 (Ethernet) unless said otherwise. */
  constructor(path: string, options: { linktype?: number } = {}) {
    if (typeof path !== 'string' || path === '') throw new TypeError(`Cannot write a capture: path: found ${String(path)}, expected a file name`); // prettier-ignore
    const linktype = options.linktype ?? EN10MB;
    whole('linktype', linktype, 0xffff);
    this.path = path;
    this.temp = beside(path, 'part');
    this.fd = openSync(this.temp, 'w');
    const o = this.out.reserve(HLEN);
    writeHeader(this.out.cur, o, linktype);
  }

  /** Appends one frame of at most 262144 bytes, stamped `sec` seconds (since 1970) and `nsec` nanoseconds. */
  write(sec: number, nsec: number, bytes: Uint8Array): void {
    if (this.fd < 0) throw new Error(`${this.path} is closed`);
    whole('sec', sec, 0xffffffff);
    whole('nsec', nsec, 999_999_999);
    if (!(bytes instanceof Uint8Array)) throw new TypeError('Cannot write a capture: bytes: expected a Uint8Array');
    if (bytes.length > SNAPLEN) throw new RangeError(`Cannot write a capture: bytes: found ${bytes.length}, expected at most ${SNAPLEN}`); // prettier-ignore
    writeRecord(this.out, sec, nsec, bytes, 0, bytes.length);
    writeAll(this.fd, this.out.takeFull());
  }

  /** Writes what is left and gives the file its name. A second call does nothing. */
  close(): void {
    if (this.fd < 0) return;
    writeAll(this.fd, this.out.list());
    closeSync(this.fd);
    this.fd = -1;
    renameSync(this.temp, this.path);
  }
}

export interface CaptureOptions {
  /** More files for the same tree: path relative to it → content. */
  files?: Readonly<Record<string, string | Uint8Array>>;
  /** Comments for a frame of `all.pcapng` (0-based index within the tap). */
  comments?: (tap: Tap, index: number) => readonly string[];
  /** Comments of the pcapng section: scenario, seed. */
  about?: readonly string[];
  /** IPv4 address → its names, the best one first. */
  names?: ReadonlyMap<string, readonly string[]>;
  /** Lines of an NSS key log: in `all.pcapng` before the packets, and as `keys.log` beside it. */
  secrets?: readonly string[];
  /** What an interface is, in words. */
  describe?: (iface: string) => string | undefined;
}

/** `netns/dev` as a file path; names that would leave the tree are a bug of the caller. */
function fileOf(iface: string): string {
  const parts = iface.split('/');
  if (parts.length !== 2 || parts.some((p) => p === '' || p === '.' || p === '..' || p.includes('\0'))) {
    throw new Error(`BUG: interface "${iface}", expected netns/dev`);
  }
  return `${iface}.pcap`;
}

/** Wireshark shows the last name of a record: the best one goes there. */
function record(ip: string, names: readonly string[]): { addr: Uint8Array; names: readonly string[] }[] {
  const a = aton(ip);
  return a === null ? [] : [{ addr: Uint8Array.of(a >>> 24, a >>> 16, a >>> 8, a), names: [...names].reverse() }];
}

/** Writes `all.pcapng`: every interface with a frame, all frames in time order. */
export function writePcapng(path: string, taps: readonly Tap[], options: CaptureOptions = {}): void {
  const png = new PcapngWriter({ application: 'podwire', comments: options.about ?? [] });
  for (const t of taps) {
    const description = options.describe?.(t.iface);
    png.addInterface({
      name: t.iface,
      linktype: t.linktype,
      ...(t.mac === undefined ? {} : { mac: t.mac }),
      ...(description === undefined ? {} : { description }),
    });
  }
  png.names([...(options.names ?? [])].flatMap(([ip, names]) => record(ip, names)));
  png.secrets(options.secrets ?? []);
  const fd = openSync(path, 'w');
  try {
    inOrder(taps, (k, c) => {
      const { tap, index: i } = c;
      const comments = options.comments?.(tap, i) ?? [];
      const [dir, id] = [tap.directionOf(i), tap.packetIdOf(i)];
      png.packet(k, tap.stampOf(i), dir, id, c.chunk, c.start, c.end, comments, c.origLen);
      const full = png.out.takeFull();
      if (full.length > 0) writeAll(fd, full);
    });
    writeAll(fd, png.out.list());
  } finally {
    closeSync(fd);
  }
}

/**
 * Writes `dir/<netns>/<dev>.pcap` for every tap with a frame, `dir/all.pcapng` and `options.files`. An existing
 * directory is replaced as a whole: the new tree is complete before the old one is moved away.
 */
export function writeCaptures(dir: string, taps: readonly Tap[], options: CaptureOptions = {}): void {
  const temp = beside(dir, 'new');
  const old = beside(dir, 'old');
  const used = taps.filter((t) => t.frames > 0).sort((a, b) => (a.iface < b.iface ? -1 : a.iface > b.iface ? 1 : 0));
  rmSync(temp, { recursive: true, force: true });
  mkdirSync(temp, { recursive: true });
  try {
    for (const t of used) {
      const path = join(temp, fileOf(t.iface));
      mkdirSync(dirname(path), { recursive: true });
      const fd = openSync(path, 'wx');
      try {
        writeAll(fd, t.pcap());
      } finally {
        closeSync(fd);
      }
    }
    writePcapng(join(temp, 'all.pcapng'), used, options);
    const { files = {}, secrets = [] } = options;
    const log = secrets.length === 0 ? {} : { 'keys.log': `${secrets.join('\n')}\n` };
    for (const [name, content] of Object.entries({ ...log, ...files })) {
      mkdirSync(dirname(join(temp, name)), { recursive: true });
      writeFileSync(join(temp, name), content);
    }
    rmSync(old, { recursive: true, force: true });
    const replaced = existsSync(dir);
    if (replaced) renameSync(dir, old);
    try {
      renameSync(temp, dir);
    } catch (e) {
      if (replaced) renameSync(old, dir);
      throw e;
    }
    rmSync(old, { recursive: true, force: true });
  } catch (e) {
    rmSync(temp, { recursive: true, force: true });
    throw e;
  }
}
