/**
 * `podwire app flood`: first packets of many connections from clients that need not exist, for Labs that watch how something
 * spreads them. UDP datagrams without data or TCP SYNs, sent through a raw socket with their whole IPv4 header; from the same
 * seed always the same packets, here and on the kernel (lib/lab/kernel-flood.ts does the same in Perl).
 * @module
 */
import { put16 } from '../../wire/bytes.js';
import { fill, pseudo } from '../../wire/checksum.js';
import { aton } from '../../wire/inet.js';
import * as ipv4 from '../../wire/ipv4.js';
import * as tcp from '../../wire/tcp.js';
import * as udp from '../../wire/udp.js';
import { rawSendHdrinc } from '../linux/ipv4/raw.js';
import { MS } from '../sim/sim.js';
import { strerror } from './errno.js';
import type { Proc, Program } from './program.js';

/** After so many packets it pauses for so long, for whoever captures them. */
export const BURST = 100;
export const PAUSE = 10 * MS;
const MAX_COUNT = 1e6;
const USAGE = '--udp|--syn --count N --seed N --from PREFIX --to PREFIX:PORT [--fin N]';

export interface FloodOptions {
  syn: boolean;
  count: number;
  seed: number;
  from: Prefix;
  to: Prefix;
  port: number;
  /** After every so many SYNs one earlier connection gets a FIN; 0: none. */
  fin: number;
}

interface Prefix {
  base: number;
  /** How many addresses, from `base` on, are drawn from. */
  size: number;
}

/** `10.1.0.0/16`: its hosts; `10.1.0.1`: that one. Null when it is neither. */
function prefix(text: string | undefined): Prefix | null {
  const m = /^([\d.]+?)(?:\/(\d+))?$/.exec(text ?? '');
  const addr = m === null ? null : aton(m[1]!);
  const bits = Number(m?.[2] ?? 32);
  if (addr === null || bits < 8 || bits > 32) return null;
  if (bits > 30) return { base: addr, size: 1 };
  const size = 2 ** (32 - bits);
  return { base: (addr & -size) + 1, size: size - 2 };
}

/** The options of a command line from the word after `flood`, or null. */
export function floodArgs(args: readonly string[]): FloodOptions | null {
  const o = new Map<string, string>();
  let syn: boolean | null = null;
  for (let i = 0; i < args.length; i++) {
    const a = args[i]!;
    if (a === '--udp' || a === '--syn') {
      if (syn !== null) return null;
      syn = a === '--syn';
    } else if (['--count', '--seed', '--from', '--to', '--fin'].includes(a) && i + 1 < args.length && !o.has(a)) o.set(a, args[++i]!);
    else return null;
  }
  const number = (name: string, byDefault: string, max: number): number => {
    const text = o.get(name) ?? byDefault;
    return /^\d{1,10}$/.test(text) && Number(text) <= max ? Number(text) : -1;
  };
  const [, to, p] = /^(.*):(\d{1,5})$/.exec(o.get('--to') ?? '') ?? [];
  const [from, dest] = [prefix(o.get('--from')), prefix(to)];
  const count = number('--count', '', MAX_COUNT);
  const seed = number('--seed', '', 0xffffffff);
  const fin = number('--fin', '0', MAX_COUNT);
  const port = Number(p);
  if (syn === null || from === null || dest === null || !(port > 0 && port < 65536) || count < 1 || seed < 1 || fin < 0) return null;
  return { syn, count, seed, from, to: dest, port, fin };
} // prettier-ignore

/** Marsaglia's xorshift32. */
class Draw {
  private s: number;

  constructor(seed: number) {
    this.s = seed;
  }

  below(n: number): number {
    let { s } = this;
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    this.s = s;
    return (s >>> 0) % n;
  }
}

/** What a connection is known by. */
interface Client {
  addr: number;
  port: number;
  dest: number;
}

class Flood {
  private readonly p: Proc;
  private readonly o: FloodOptions;
  private readonly draw: Draw;
  private readonly clients: Client[] = [];
  private readonly packet: Uint8Array;
  private sent = 0;

  constructor(p: Proc, o: FloodOptions) {
    this.p = p;
    this.o = o;
    this.draw = new Draw(o.seed);
    this.packet = new Uint8Array(ipv4.HLEN + (o.syn ? tcp.HLEN : udp.HLEN));
  }

  /** One burst, then a pause, until all are sent. */
  run(): void {
    const { o, p } = this;
    for (let n = 0; n < BURST && this.clients.length < o.count; n++) {
      const c = {
        addr: (o.from.base + this.draw.below(o.from.size)) | 0,
        port: 1024 + this.draw.below(64512),
        dest: (o.to.base + this.draw.below(o.to.size)) | 0,
      };
      this.clients.push(c);
      let err = this.send(c, tcp.SYN);
      if (err === 0 && o.fin > 0 && this.clients.length % o.fin === 0) {
        err = this.send(this.clients[this.draw.below(this.clients.length)]!, tcp.FIN | tcp.ACK);
      }
      if (err !== 0) {
        p.err(`flood: send: ${strerror(-err)}\n`);
        return p.exit(1);
      }
    }
    const { sim } = p.net.kernel;
    if (this.clients.length < o.count) sim.after(PAUSE, () => this.run());
    else p.exit(0);
  }

  /** 0 or a negative errno. */
  private send(c: Client, flags: number): number {
    const b = this.packet;
    const proto = this.o.syn ? ipv4.TCP : ipv4.UDP;
    const l4 = ipv4.HLEN;
    b.fill(0);
    put16(b, l4, c.port);
    put16(b, l4 + 2, this.o.port);
    if (this.o.syn) {
      put16(b, l4 + tcp.SEQ + 2, 1);
      if ((flags & tcp.ACK) !== 0) put16(b, l4 + tcp.ACKNO + 2, 1);
      b[l4 + tcp.DOFF] = 5 << 4;
      b[l4 + tcp.FLAGS] = flags;
      put16(b, l4 + tcp.WINDOW, 0xffff);
    } else put16(b, l4 + udp.LEN, udp.HLEN);
    const csum = l4 + (this.o.syn ? tcp.CSUM : udp.CSUM);
    fill(b, l4, b.length, csum, pseudo(c.addr, c.dest, proto, b.length - l4));
    if (!this.o.syn && b[csum] === 0 && b[csum + 1] === 0) put16(b, csum, 0xffff);
    ipv4.write(b, 0, 0, b.length, (this.sent++ % 65535) + 1, 0, 64, proto, c.addr, c.dest);
    return rawSendHdrinc(this.p.net, b, c.dest);
  }
}

export const flood: Program = (p) => {
  const o = floodArgs(p.argv.slice(3));
  if (o === null) {
    p.err(`podwire: app flood: found "${p.argv.slice(3).join(' ')}", expected ${USAGE}\n`);
    return p.exit(2);
  }
  new Flood(p, o).run();
};
