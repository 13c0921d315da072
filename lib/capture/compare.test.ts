import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { put16, put32, unhex } from '../../wire/bytes.js';
import { fill, pseudo } from '../../wire/checksum.js';
import * as ethernet from '../../wire/ethernet.js';
import * as icmp from '../../wire/icmp.js';
import { aton } from '../../wire/inet.js';
import * as ipv4 from '../../wire/ipv4.js';
import * as tcp from '../../wire/tcp.js';
import * as udp from '../../wire/udp.js';
import { compare, differenceText, type CompareOptions } from './compare.js';
import type { Captures } from './reader.js';

const A = aton('10.0.1.2')!;
const B = aton('10.96.0.10')!;
const MAC = unhex('02000a000102');

interface Udp {
  id?: number;
  sport?: number;
  dport?: number;
  data?: string;
  back?: boolean;
}

function udpFrame(p: Udp): Uint8Array {
  const data = unhex(p.data ?? '01020304');
  const b = new Uint8Array(42 + data.length);
  const [s, d] = p.back ? [B, A] : [A, B];
  b.set(data, 42);
  ethernet.write(b, 0, MAC, MAC, ethernet.P_IP);
  udp.write(b, 34, b.length, p.sport ?? 40000, p.dport ?? 53, s, d);
  ipv4.write(b, 14, 0, b.length - 14, p.id ?? 0, ipv4.DF, 64, ipv4.UDP, s, d);
  return b;
}

function echoFrame(id: number, payload: string, type = icmp.ECHO): Uint8Array {
  const data = unhex(payload);
  const b = new Uint8Array(42 + data.length);
  b.set(data, 42);
  ethernet.write(b, 0, MAC, MAC, ethernet.P_IP);
  icmp.write(b, 34, b.length, type, 0, (id << 16) | 1);
  ipv4.write(b, 14, 0, b.length - 14, 0, ipv4.DF, 64, ipv4.ICMP, A, B);
  return b;
}

/** An ICMP error around the IP packet of `frame`. */
function errorFrame(frame: Uint8Array): Uint8Array {
  const b = new Uint8Array(42 + frame.length - 14);
  b.set(frame.subarray(14), 42);
  ethernet.write(b, 0, MAC, MAC, ethernet.P_IP);
  icmp.write(b, 34, b.length, icmp.DEST_UNREACH, icmp.PORT_UNREACH, 0);
  ipv4.write(b, 14, 0xc0, b.length - 14, 0, 0, 64, ipv4.ICMP, B, A);
  return b;
}

function tree(frames: Uint8Array[], iface = 'client/eth0'): Captures {
  const list = frames.map((data, i) => ({ sec: i, nsec: 0, data, origLen: data.length }));
  return new Map([[iface, { linktype: 1, frames: list }]]);
}

/** `field@frame` of the first difference, or '' with the equivalences that were used. */
function run(e: Uint8Array[], a: Uint8Array[], options: CompareOptions = {}, iface = 'client/eth0'): string {
  const r = compare(tree(e, iface), tree(a, iface), options);
  const d = r.differences[0];
  return d === undefined ? Object.keys(r.equivalences).sort().join(' ') : `${d.field}@${d.frame}`;
}

function flip(b: Uint8Array, at: number): Uint8Array {
  return Uint8Array.from(b, (v, i) => (i === at ? v ^ 1 : v));
}

const Compare = suite('lib/capture/compare');
Compare('compare() names the field of a flipped byte', () => {
  const f = udpFrame({ id: 7 });
  const fields: [number, string][] = [
    [3, 'eth.dst'],
    [22, 'ip.ttl'],
    [25, 'ip.csum'],
    [29, 'ip.src'],
    [35, 'udp.sport'],
    [41, 'udp.csum'],
    [44, 'udp.data'],
  ];
  const g = udpFrame({ id: 7, dport: 8080, sport: 1000 });
  for (const [at, name] of fields) assert.is(run([g], [flip(g, at)]), `${name}@1`);
  assert.is(run([f], [f]), '');
  const d = compare(tree([f]), tree([flip(f, 22)])).differences[0]!;
  const text = differenceText('demo', d).split('\n');
  assert.is(text[0], 'demo: client/eth0 frame 1: ip.ttl: expected 64 (0x40), actual 65 (0x41)');
  assert.is(text.length, 9);
});
Compare('compare() reports missing interfaces, frames and other lengths', () => {
  const f = udpFrame({});
  assert.is(run([f, f], [f]), 'frames@2');
  assert.is(run([f], [udpFrame({ data: '0102' })]), 'frame.length@1');
  assert.is(compare(tree([f]), new Map()).differences[0]!.field, 'interface');
  assert.is(compare(tree([f]), tree([f], 'x/y')).differences.length, 2);
  assert.is(compare(tree([f]), tree([f], 'x/y'), { lone: true }).differences.length, 0);
  assert.is(compare(new Map(), tree([f])).differences[0]!.actual, '1 frames');
});
Compare('ip-id: one to one, zero stays zero, checksums verified', () => {
  const u = (id: number): Uint8Array => udpFrame({ id });
  assert.is(run([u(5), u(6), u(5)], [u(9), u(8), u(9)]), 'checksum ip-id');
  assert.is(run([u(5), u(5)], [u(9), u(8)]), 'ip.id@2');
  assert.is(run([u(5), u(6)], [u(9), u(9)]), 'ip.id@2');
  assert.is(run([u(5)], [u(0)]), 'ip.id@1');
  assert.is(run([u(0)], [u(5)]), 'ip.id@1');
  assert.is(run([u(5)], [flip(u(9), 25)]), 'ip.csum@1');
});
Compare('port: client ports only, introduced as a source', () => {
  const q = (sport: number, dport = 8080): Uint8Array => udpFrame({ sport, dport });
  const r = (dport: number): Uint8Array => udpFrame({ sport: 8080, dport, back: true });
  assert.is(run([q(40000), r(40000)], [q(50000), r(50000)]), 'checksum port');
  assert.is(run([q(40000), r(40000)], [q(50000), r(50001)]), 'udp.dport@2');
  assert.is(run([q(40000), q(40001)], [q(50000), q(50000)]), 'udp.sport@2');
  assert.is(run([q(40000, 8080)], [q(40000, 9090)]), 'udp.dport@1');
  assert.is(run([q(40000, 40001)], [q(40000, 40002)]), 'udp.dport@1');
  assert.is(run([q(40000, 8080)], [q(50000, 9090)]), 'udp.sport@1');
  assert.is(run([q(2000)], [q(50000)]), 'udp.sport@1');
  assert.is(run([q(2000)], [q(50000)], { natPorts: true }), 'checksum port');
  assert.is(run([q(40000)], [flip(q(50000), 41)]), 'udp.csum@1');
});
Compare('errors quote what was mapped', () => {
  const q = (id: number, sport: number): Uint8Array => udpFrame({ id, sport, dport: 9 });
  const pair = (id: number, sport: number): Uint8Array[] => [q(id, sport), errorFrame(q(id, sport))];
  assert.is(run(pair(5, 40000), pair(6, 50000)), 'checksum ip-id port');
  assert.is(run(pair(5, 40000), [q(6, 50000), errorFrame(q(7, 50000))]), 'icmp.ip.id@2');
  assert.is(run(pair(5, 40000), [q(6, 50000), errorFrame(q(6, 50001))]), 'icmp.udp.sport@2');
});
Compare('errors quote a translated packet with the checksum of before: wrong in both by as much', () => {
  const q = (sport: number, by = 0): Uint8Array => {
    const b = udpFrame({ id: 5, sport, dport: 5000 });
    put16(b, 36, 80 + by);
    return errorFrame(b);
  };
  const seen = (sport: number): Uint8Array => udpFrame({ id: 5, sport, dport: 5000 });
  assert.is(run([seen(40000), q(40000)], [seen(50000), q(50000)]), 'checksum port');
  assert.is(run([seen(40000), q(40000)], [seen(50000), flip(q(50000), 69)]), 'icmp.udp.csum@2');
  assert.is(run([seen(40000), q(40000)], [seen(50000), q(50000, 1)]), 'icmp.udp.sport@2');
});
Compare('ping: id and time of day, the same in the reply', () => {
  const t = (x: string, tail = 'aa'): string => x.repeat(16) + tail;
  const both = (id: number, x: string): Uint8Array[] => [echoFrame(id, t(x)), echoFrame(id, t(x), icmp.ECHOREPLY)];
  assert.is(run(both(1, '11'), both(2, '22')), 'checksum icmp-echo-id ping-timestamp');
  assert.is(run(both(1, '11'), [both(2, '22')[0]!, both(3, '22')[1]!]), 'icmp.id@2');
  assert.is(run(both(1, '11'), [both(2, '22')[0]!, both(2, '23')[1]!]), 'icmp.data@2');
  assert.is(run([echoFrame(1, t('11'))], [echoFrame(1, t('11', 'ab'))]), 'icmp.data@1');
  assert.is(run([echoFrame(1, '11223344')], [echoFrame(1, '11223345')]), 'icmp.data@1');
});
Compare('dns: id and cookie, query and reply alike', () => {
  const q = (id: string, cookie: string): string =>
    `${id}012000010000000000010161000001000100002904d000000000000c000a0008${cookie}`;
  const query = (id: string, c: string): Uint8Array => udpFrame({ data: q(id, c) });
  const reply = (id: string, c: string): Uint8Array =>
    udpFrame({ data: q(id, c), sport: 53, dport: 40000, back: true });
  const [c1, c2] = ['0102030405060708', '1112131415161718'];
  const e = [query('aaaa', c1), reply('aaaa', c1)];
  assert.is(run(e, [query('bbbb', c2), reply('bbbb', c2)]), 'checksum dns-cookie dns-id');
  assert.is(run(e, [query('bbbb', c2), reply('bbbc', c2)]), 'dns.id@2');
  assert.is(run(e, [query('bbbb', c2), reply('bbbb', c1)]), 'dns.data@2');
});
Compare('dns over tcp: ids of messages, not of what goes on in the middle of one', () => {
  const segment = (data: string): Uint8Array => {
    const d = unhex(data);
    const b = new Uint8Array(54 + d.length);
    b.set(d, 54);
    ethernet.write(b, 0, MAC, MAC, ethernet.P_IP);
    tcp.write(b, 34, 53, 40000, 1, 1, 20, tcp.ACK, 500);
    fill(b, 34, b.length, 50, pseudo(B, A, ipv4.TCP, b.length - 34));
    ipv4.write(b, 14, 0, b.length - 14, 0, ipv4.DF, 64, ipv4.TCP, B, A);
    return b;
  };
  const message = (id: string): Uint8Array => segment(`0013${id}01200001000000000000016100000100 01`.replace(' ', ''));
  const middle = (id: string): Uint8Array => segment(`0013${id}01200000000000000000016100000100 01`.replace(' ', ''));
  assert.is(run([message('aaaa')], [message('bbbb')]), 'checksum dns-id');
  assert.is(run([middle('aaaa')], [middle('bbbb')]), 'tcp.data@1');
});
/** An echo request with a timestamp option of these times. */
function timedFrame(times: number[]): Uint8Array {
  const opt = 4 + times.length * 4;
  const b = new Uint8Array(14 + 20 + opt + 8);
  ethernet.write(b, 0, MAC, MAC, ethernet.P_IP);
  icmp.write(b, 34 + opt, b.length, icmp.ECHO, 0, 1);
  ipv4.write(b, 14, 0, b.length - 14, 0, ipv4.DF, 64, ipv4.ICMP, A, B);
  b[14] = 0x45 + opt / 4;
  b.set([68, opt, opt + 1, 0], 34);
  times.forEach((t, i) => put32(b, 38 + i * 4, t));
  fill(b, 14, 34 + opt, 14 + ipv4.CSUM);
  return b;
}
Compare('ip-timestamp: one difference over the tree, never falling', () => {
  const e = [timedFrame([1000, 1000]), timedFrame([5000, 5001])];
  const field = (a: number[][]): string | undefined => compare(tree(e), tree(a.map(timedFrame))).differences[0]?.field;
  assert.is(field([[7000, 7003], [11100, 11100]]), undefined); // prettier-ignore
  assert.is(field([[7000, 7003], [15000, 15000]]), 'ip.options', 'four seconds off'); // prettier-ignore
  assert.is(field([[7000, 6999], [11000, 11000]]), 'ip.options', 'falls'); // prettier-ignore
  assert.is(field([[7000, 0], [11000, 11000]]), 'ip.options', 'not recorded'); // prettier-ignore
  assert.is(field([[7000, 7031], [11000, 11000]]), 'ip.options', 'a hop of 31 ms'); // prettier-ignore
  assert.is(field([[86399000, 86399030], [3000, 3001]]), undefined, 'midnight'); // prettier-ignore
});
Compare('lo: the partial sum stands for the complete one, only there and only exactly', () => {
  const full = udpFrame({});
  const partial = full.slice();
  put16(partial, 40, pseudo(A, B, ipv4.UDP, 12));
  assert.is(run([partial], [full], {}, 'node1/lo'), 'lo-partial-checksum');
  assert.is(run([partial], [full]), 'udp.csum@1');
  assert.is(run([partial], [flip(full, 41)], {}, 'node1/lo'), 'udp.csum@1');
  assert.is(run([flip(partial, 41)], [full], {}, 'node1/lo'), 'udp.csum@1');
  assert.is(run([errorFrame(partial)], [errorFrame(full)]), 'checksum lo-partial-checksum');
});
Compare.run();
