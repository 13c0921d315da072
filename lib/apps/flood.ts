/**
 * `podwire app flood`: first packets of many connections from clients that need not exist, for Labs that watch how something
 * spreads them. UDP datagrams without data, TCP SYNs or SCTP INITs, sent through a raw socket with their whole IPv4 header; from the same
 * seed always the same packets, here and on the kernel (lib/lab/kernel-flood.ts does the same in Perl).
 * @module
 */
import { put16 } from '../../wire/bytes.js';
import { fill, pseudo } from '../../wire/checksum.js';
import { aton } from '../../wire/inet.js';
import * as ipv4 from '../../wire/ipv4.js';
import * as sctp from '../../wire/sctp.js';
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
const USAGE = '--udp|--syn|--init --count N --seed N --from PREFIX --to PREFIX:PORT... [--fin N]';
const KINDS = { '--udp': ipv4.UDP, '--syn': ipv4.TCP, '--init': ipv4.SCTP };
const MAX_TO = 1000;
const EPERM = 1;
/** An INIT chunk: type, length, tag 1, a window of 65535, one stream each way, TSN 1 (RFC 9260 3.3.2). */
const INIT = [1, 0, 0, 20, 0, 0, 0, 1, 0, 0, 255, 255, 0, 1, 0, 1, 0, 0, 0, 1];

export interface FloodOptions {
  /** Their protocol: ipv4.UDP, TCP or SCTP. */
  proto: number;
  count: number;
  seed: number;
  from: Prefix;
  /** Where they go, in turn. */
  to: Target[];
  /** After every so many SYNs one earlier connection gets a FIN; 0: none. */
  fin: number;
}

interface Target {
  prefix: Prefix;
  port: number;
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

function target(text: string): Target | null {
  const m = /^(.*):(\d{1,5})$/.exec(text);
  const to = prefix(m?.[1]);
  const port = Number(m?.[2] ?? 0);
  return to === null || !(port > 0 && port < 65536) ? null : { prefix: to, port };
}

/** The options of a command line from the word after `flood`, or null. */
export function floodArgs(args: readonly string[]): FloodOptions | null {
  const o = new Map<string, string>();
  const to: Target[] = [];
  let proto = 0;
  for (let i = 0; i < args.length; i++) {
    const a = args[i]!;
    const more = i + 1 < args.length;
    if (Object.hasOwn(KINDS, a)) {
      if (proto !== 0) return null;
      proto = KINDS[a as keyof typeof KINDS];
    } else if (a === '--to' && more) {
      const t = target(args[++i]!);
      if (t === null || to.push(t) > MAX_TO) return null;
    } else if (['--count', '--seed', '--from', '--fin'].includes(a) && more && !o.has(a)) o.set(a, args[++i]!);
    else return null;
  }
  const number = (name: string, byDefault: string, max: number): number => {
    const text = o.get(name) ?? byDefault;
    return /^\d{1,10}$/.test(text) && Number(text) <= max ? Number(text) : -1;
  };
  const from = prefix(o.get('--from'));
  const count = number('--count', '', MAX_COUNT);
  const seed = number('--seed', '', 0xffffffff);
  const fin = number('--fin', '0', MAX_COUNT);
  if (proto === 0 || from === null || to.length === 0 || count < 1 || seed < 1 || fin < 0) return null;
  return { proto, count, seed, from, to, fin };
}

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
  dport: number;
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
    const l4 = o.proto === ipv4.TCP ? tcp.HLEN : o.proto === ipv4.UDP ? udp.HLEN : sctp.HLEN + INIT.length;
    this.packet = new Uint8Array(ipv4.HLEN + l4);
  }

  /** One burst, then a pause, until all are sent. */
  run(): void {
    const { o, p } = this;
    for (let n = 0; n < BURST && this.clients.length < o.count; n++) {
      const to = o.to[this.clients.length % o.to.length]!;
      const c = {
        addr: (o.from.base + this.draw.below(o.from.size)) | 0,
        port: 1024 + this.draw.below(64512),
        dest: (to.prefix.base + this.draw.below(to.prefix.size)) | 0,
        dport: to.port,
      };
      this.clients.push(c);
      let err = this.send(c, tcp.SYN);
      if (o.fin > 0 && this.clients.length % o.fin === 0) {
        err = this.send(this.clients[this.draw.below(this.clients.length)]!, tcp.FIN | tcp.ACK);
      }
      // EPERM: a rule dropped or rejected it.
      if (err !== 0 && err !== -EPERM) {
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
    const { proto } = this.o;
    const l4 = ipv4.HLEN;
    b.fill(0);
    put16(b, l4, c.port);
    put16(b, l4 + 2, c.dport);
    if (proto === ipv4.TCP) tcpHeader(b, l4, flags);
    else if (proto === ipv4.UDP) put16(b, l4 + udp.LEN, udp.HLEN);
    else b.set(INIT, l4 + sctp.HLEN);
    if (proto === ipv4.SCTP) sctp.fillCsum(b, l4, b.length);
    else {
      const csum = l4 + (proto === ipv4.TCP ? tcp.CSUM : udp.CSUM);
      fill(b, l4, b.length, csum, pseudo(c.addr, c.dest, proto, b.length - l4));
      if (proto === ipv4.UDP && b[csum] === 0 && b[csum + 1] === 0) put16(b, csum, 0xffff);
    }
    ipv4.write(b, 0, 0, b.length, (this.sent++ % 65535) + 1, 0, 64, proto, c.addr, c.dest);
    return rawSendHdrinc(this.p.net, b, c.dest);
  }
}

function tcpHeader(b: Uint8Array, l4: number, flags: number): void {
  put16(b, l4 + tcp.SEQ + 2, 1);
  if ((flags & tcp.ACK) !== 0) put16(b, l4 + tcp.ACKNO + 2, 1);
  b[l4 + tcp.DOFF] = 5 << 4;
  b[l4 + tcp.FLAGS] = flags;
  put16(b, l4 + tcp.WINDOW, 0xffff);
}

export const flood: Program = (p) => {
  const o = floodArgs(p.argv.slice(3));
  if (o === null) {
    p.err(`podwire: app flood: found "${p.argv.slice(3).join(' ')}", expected ${USAGE}\n`);
    return p.exit(2);
  }
  new Flood(p, o).run();
};
