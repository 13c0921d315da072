/**
 * A million hostile inputs: every truncation of good frames, messages and files, damaged ones, and noise, in every decoder.
 *
 * Nothing throws but a PcapError inside the file, nothing behind the end is read (what lies there is changed between two runs),
 * and what a decoder accepts is whole. Seeded: a failure names its seed and number, and `SEED=… ` repeats it.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as arp from './arp.js';
import { hex, unhex } from './bytes.js';
import { dissect } from './dissect.js';
import { addressRr, type DnsMessage, nameRr, optRr, packDns, soaRr, srvRr, txtRr } from './dns.js';
import { rdataText } from './dns-text.js';
import { unpackDns } from './dns-unpack.js';
import * as eth from './ethernet.js';
import * as icmp from './icmp.js';
import { aton, macBytes, macText, ntoa } from './inet.js';
import { aton6, ntoa6 } from './inet6.js';
import * as ipv4 from './ipv4.js';
import { PcapError, readPcap, writePcap } from './pcap.js';
import { PcapngWriter } from './pcapng.js';
import { readPcapng } from './pcapng-reader.js';
import { print } from './print.js';
import * as sctp from './sctp.js';
import * as tcp from './tcp.js';
import * as udp from './udp.js';
import * as vxlan from './vxlan.js';

const SEED = Number(process.env['SEED'] ?? 1);
const RUNS = { packets: 700_000, dns: 100_000, dissect: 60_000, files: 60_000, texts: 80_000 };
let count = 0;

/** A xorshift generator of whole numbers below `n`. */
function random(seed: number): (n: number) => number {
  let s = (seed * 0x9e3779b1) | 1;
  return (n) => {
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    return (s >>> 0) % n;
  };
}

/** First every truncation of every good input, then damage and noise, `runs` in all; a failure is named. */
function each(
  runs: number,
  good: readonly Uint8Array[],
  run: (b: Uint8Array, rand: (n: number) => number) => void,
): void {
  const rand = random(SEED);
  const cuts = good.flatMap((g) => Array.from({ length: g.length + 1 }, (_, n) => g.subarray(0, n)));
  const longest = Math.max(...good.map((g) => g.length));
  for (let i = 0; i < runs; i++) {
    const b = i < cuts.length ? cuts[i]!.slice() : rand(8) === 0 ? noise(rand, longest) : damaged(good, rand);
    try {
      run(b, rand);
    } catch (e) {
      throw new Error(`SEED=${SEED}, number ${i}, ${hex(b)}: ${(e as Error).message}`, { cause: e });
    }
    count++;
  }
}

function noise(rand: (n: number) => number, longest: number): Uint8Array {
  const b = new Uint8Array(rand(longest + 1));
  for (let i = 0; i < b.length; i++) b[i] = rand(256);
  return b;
}

/** A good input, perhaps cut, with up to four bytes changed, mostly to values that are limits. */
function damaged(good: readonly Uint8Array[], rand: (n: number) => number): Uint8Array {
  const g = good[rand(good.length)]!;
  const b = g.slice(0, rand(3) === 0 ? rand(g.length + 1) : g.length);
  if (b.length > 0) for (let n = 1 + rand(4); n > 0; n--) b[rand(b.length)] = [0, 1, 0x7f, 0xc0, 0xff, rand(256)][rand(6)]!;
  return b;
} // prettier-ignore

const A = aton('10.0.1.2')!;
const B = aton('10.96.0.10')!;
const MAC = unhex('020000000102');

/** An Ethernet frame around an IPv4 payload, whose header `write` fills. */
function frame(proto: number, length: number, write: (b: Uint8Array, o: number, end: number) => void): Uint8Array {
  const b = new Uint8Array(eth.HLEN + ipv4.HLEN + length).fill(0x41);
  eth.write(b, 0, MAC, MAC, eth.P_IP);
  ipv4.write(b, eth.HLEN, 0, ipv4.HLEN + length, 7, 0, 64, proto, A, B);
  write(b, eth.HLEN + ipv4.HLEN, b.length);
  return b;
}

const NAME = 'web.default.svc.cluster.local.';
const MESSAGES: DnsMessage[] = [
  {
    id: 1,
    flags: 0x0100,
    question: [{ name: NAME, type: 1, cls: 1 }],
    answer: [],
    authority: [],
    additional: [optRr(1232, 0, unhex('000a0008aabbccddeeff0011'))],
  },
  {
    id: 2,
    flags: 0x8580,
    question: [{ name: NAME, type: 255, cls: 1 }],
    answer: [
      addressRr(NAME, 30, unhex('0a600014')),
      addressRr(NAME, 30, new Uint8Array(16).fill(0xfd)),
      nameRr(NAME, 5, 30, 'b.example.'),
      srvRr(NAME, 30, 0, 100, 80, `a.${NAME}`),
      txtRr(NAME, 5, 'hello'),
    ],
    authority: [],
    additional: [],
  },
  {
    id: 3,
    flags: 0x8583,
    question: [{ name: 'x.y.', type: 28, cls: 1 }],
    answer: [],
    authority: [soaRr('y.', 30, 'ns.dns.y.', 'hostmaster.y.', [1, 7200, 1800, 86400, 30])],
    additional: [],
  },
];
const DNS = MESSAGES.flatMap((m) => [packDns(m, true), packDns(m, false)]);

const dns = (o: number, b: Uint8Array): void => {
  b.set(DNS[0]!, o);
};
const segment = (b: Uint8Array, o: number, end: number): void => {
  const at = tcp.putSynOptions(b, o + tcp.HLEN, 1460, true, true, 1, 2, 7);
  tcp.write(b, o, 40000, 80, 1, 2, at - o, tcp.SYN, 64240);
  tcp.fillCsum(b, o, end, A, B);
};
const sack = (b: Uint8Array, o: number): void => {
  const at = tcp.putSack(b, tcp.putTstamp(b, o + tcp.HLEN, 7, 8), Int32Array.of(1, 2, 3, 4), 2);
  tcp.write(b, o, 40000, 80, 1, 2, at - o, tcp.ACK, 64240);
};
const UDP = frame(ipv4.UDP, 8 + DNS[0]!.length, (b, o, end) => {
  dns(o + 8, b);
  udp.write(b, o, end, 40000, 53, A, B);
});
const ARP = new Uint8Array(42);
eth.write(ARP, 0, MAC, eth.BROADCAST, eth.P_ARP);
arp.write(ARP, 14, arp.REQUEST, MAC, A, new Uint8Array(6), B);
const FRAMES = [
  ARP,
  UDP,
  frame(ipv4.TCP, 40, segment),
  frame(ipv4.TCP, 60, sack),
  frame(ipv4.ICMP, 8 + 28, (b, o, end) => {
    ipv4.write(b, o + 8, 0, 28, 9, 0, 63, ipv4.UDP, B, A);
    icmp.write(b, o, end, icmp.DEST_UNREACH, icmp.PORT_UNREACH, 0);
  }),
  frame(132, 12 + 20, (b, o, end) => {
    b.set([1, 0, 0, 20], o + 12);
    sctp.fillCsum(b, o, end);
  }),
  frame(4, UDP.length - eth.HLEN, (b, o) => b.set(UDP.subarray(eth.HLEN), o)),
  frame(ipv4.UDP, 16 + UDP.length, (b, o, end) => {
    vxlan.write(b, o + 8, 1);
    b.set(UDP, o + 16);
    udp.write(b, o, end, 40000, 8472, A, B);
  }),
];

const OPTIONS = new tcp.Options();

/** A digest of everything that the readers say of a frame that ends at `end`; -1 of a part that `check` refuses. */
function digest(b: Uint8Array, end: number): number {
  let h = 0;
  const say = (...values: number[]): void => {
    for (const v of values) h = (Math.imul(h, 31) + v) | 0;
  };
  const ip = (o: number, limit: number, depth: number): void => {
    const n = ipv4.check(b, o, limit);
    say(n);
    if (n < 0) return;
    assert.ok(n >= ipv4.headerLen(b, o) && o + n <= limit, 'the packet is inside the frame');
    say(ipv4.src(b, o), ipv4.dst(b, o), ipv4.ttl(b, o), ipv4.frag(b, o), Number(ipv4.csumOk(b, o)));
    above(ipv4.proto(b, o), o + ipv4.headerLen(b, o), o + n, depth);
  };
  const above = (proto: number, o: number, limit: number, depth: number): void => {
    if (proto === 4 && depth < 4) ip(o, limit, depth + 1);
    if (proto === ipv4.UDP) {
      const n = udp.check(b, o, limit);
      say(n);
      if (n < 0) return;
      assert.ok(n >= udp.HLEN && o + n <= limit, 'the datagram is inside the packet');
      say(udp.dport(b, o), Number(udp.csumOk(b, o, o + n, A, B)));
      if (udp.dport(b, o) === 8472 && vxlan.check(b, o + 8, o + n) >= 0) ethernet(o + 16, o + n, depth + 1);
    } else if (proto === ipv4.TCP) {
      const n = tcp.check(b, o, limit);
      say(n);
      if (n < 0) return;
      assert.ok(n >= tcp.HLEN && o + n <= limit, 'the header is inside the packet');
      tcp.parseOptions(b, o, OPTIONS);
      say(OPTIONS.mss, OPTIONS.wscale, OPTIONS.sacks, OPTIONS.tsval, Number(tcp.csumOk(b, o, limit, A, B)));
      for (let i = 0; i < 2 * OPTIONS.sacks; i++) say(OPTIONS.sack[i]!);
    } else if (proto === ipv4.ICMP && limit - o >= icmp.HLEN) {
      say(icmp.type(b, o), icmp.code(b, o), icmp.id(b, o), Number(icmp.csumOk(b, o, limit)));
      if (icmp.isError(icmp.type(b, o))) ip(o + icmp.HLEN, limit, depth + 1);
    } else if (proto === 132 && limit - o >= sctp.HLEN) {
      say(Number(sctp.csumOk(b, o, limit)));
      say(Number(sctp.chunks(b, o, limit, (type, at) => (say(type, at), true))));
    }
  };
  const ethernet = (o: number, limit: number, depth: number): void => {
    if (limit - o < eth.HLEN || depth > 4) return;
    const type = eth.type(b, o);
    say(type, Number(eth.isGroup(b, o)));
    if (type === eth.P_ARP) {
      const n = arp.check(b, o + eth.HLEN, limit);
      say(n, ...(n < 0 ? [] : [arp.op(b, o + eth.HLEN), arp.sip(b, o + eth.HLEN), arp.tip(b, o + eth.HLEN)]));
    } else if (type === eth.P_IP) ip(o + eth.HLEN, limit, depth);
  };
  ethernet(0, end, 0);
  return h;
}

const Decoders = suite('wire/decoders');

Decoders(`${RUNS.packets} frames: headers and options stay inside, and nothing behind the end is read`, () => {
  const zeros = new Uint8Array(1024);
  const ones = new Uint8Array(1024);
  each(RUNS.packets, FRAMES, (b) => {
    zeros.fill(0, b.length, b.length + 128).set(b);
    ones.fill(0xff, b.length, b.length + 128).set(b);
    assert.is(digest(ones, b.length), digest(zeros, b.length), 'what lies behind the end matters');
  });
});

Decoders(`${RUNS.dns} DNS messages: refused, or read and written again to the same`, () => {
  const text = (m: DnsMessage): string => JSON.stringify(m);
  let read = 0;
  each(RUNS.dns, DNS, (b) => {
    const m = unpackDns(b);
    if (m === null) return;
    for (const r of [...m.answer, ...m.authority, ...m.additional]) assert.type(rdataText(r), 'string');
    const again = unpackDns(packDns(m, false));
    assert.is(again === null ? null : text(again), text(m));
    read++;
  });
  assert.ok(read > RUNS.dns / 20, `${read} were read`);
});

Decoders(`${RUNS.dissect} frames: dissected to the last byte, printed on one line`, () => {
  each(RUNS.dissect, FRAMES, (b, rand) => {
    const linktype = [1, 1, 101, 7][rand(4)]!;
    assert.not.match(print(b, linktype), /[\0-\x1f\x7f]/);
    const covered = new Uint8Array(b.length);
    for (const f of dissect(b, linktype)) covered.fill(1, f.offset, f.offset + f.length);
    assert.is(covered.indexOf(0), -1, 'every byte belongs to a field');
  });
});

/** Frames of a file, or -1: it was refused at a byte of it. */
function frames(b: Uint8Array): number {
  try {
    const files = b[0] === 0x0a ? readPcapng(b) : [readPcap(b)];
    for (const f of files.flatMap((x) => x.frames)) assert.ok(f.data.length <= b.length);
    return files.reduce((n, f) => n + f.frames.length, 0);
  } catch (e) {
    if (!(e instanceof PcapError)) throw e;
    assert.ok(e.offset >= 0 && e.offset <= b.length, `offset ${e.offset}`);
    return -1;
  }
}

Decoders(`${RUNS.files} capture files: read, or refused at a byte`, () => {
  const frame = (data: Uint8Array): object => ({ sec: 0x65920000, nsec: 1, data, origLen: data.length });
  const classic = writePcap({ linktype: 1, frames: [frame(ARP), frame(UDP)] as never });
  const w = new PcapngWriter({ application: 'test', comments: ['c'] });
  w.addInterface({ name: 'a/eth0', linktype: 1, mac: MAC });
  w.names([{ addr: Uint8Array.of(10, 0, 1, 2), names: ['x'] }]);
  w.packet(0, 5, 1, 7, ARP, 0, ARP.length, ['why']);
  assert.equal([frames(classic), frames(w.out.concat())], [2, 1]);
  each(RUNS.files, [classic, w.out.concat()], frames);
});

Decoders(`${RUNS.texts} addresses: refused, or written back as they were read`, () => {
  const good = ['10.0.1.2', '255.255.255.255', '02:00:00:00:0a:0b', 'fd00::1', '2001:db8:0:0:1::2', '::ffff:10.0.0.1'];
  const bytes = good.map((t) => Uint8Array.from(t, (c) => c.charCodeAt(0)));
  each(RUNS.texts, bytes, (b) => {
    const text = String.fromCharCode(...b);
    const v4 = aton(text);
    if (v4 !== null) assert.is(ntoa(v4), text);
    const v6 = aton6(text);
    if (v6 !== null) assert.equal(aton6(ntoa6(v6)), v6);
    const mac = macBytes(text);
    if (mac !== null) assert.equal(macBytes(macText(mac)), mac);
  });
});

Decoders('a million inputs in all', () => {
  console.log(`wire/decoders: ${count} inputs`);
  assert.ok(count >= 1_000_000);
});
Decoders.run();
