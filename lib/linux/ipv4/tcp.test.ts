/** TCP between two namespaces: what one end's device sees, as lines. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as eth from '../../../wire/ethernet.js';
import { aton } from '../../../wire/inet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as tcp from '../../../wire/tcp.js';
import { SEC } from '../../sim/sim.js';
import type { Kernel } from '../core/kernel.js';
import { bootKernel, createNetns } from '../core/machine.js';
import type { Netdev } from '../core/netdev.js';
import { NF_ACCEPT, NF_DROP, PRE_ROUTING, registerHook } from '../core/nf-hook.js';
import { addVeth } from '../device/devices.js';
import { addAddress, devOpen } from './devinet.js';
import { EAGAIN, EINPROGRESS, TcpSock } from './tcp.js';
import * as T from './tcp-sock.js';

const ip = (t: string): number => aton(t)!;
const A = ip('10.0.0.1');
const B = ip('10.0.0.2');
const FLAGS = 'FSRPAU';
const o = new tcp.Options();

interface Host {
  k: Kernel;
  a: Netdev;
  b: Netdev;
  /** Segments on a's device: direction, flags, relative numbers, length, window, options of interest. */
  seen: string[];
  /** Drops the next packets that b receives for which this says so. */
  lose: (flags: number, len: number) => boolean;
}

function hosts(mtu = 1500): Host {
  const k = bootKernel(3);
  const [a, b] = addVeth(createNetns(k, 'a'), 'eth0', createNetns(k, 'b'), 'eth0');
  for (const [dev, addr] of [
    [a, A],
    [b, B],
  ] as const) {
    dev.mtu = mtu;
    devOpen(dev);
    addAddress(dev, addr, 24, null, 0);
  }
  const h: Host = { k, a, b, seen: [], lose: () => false };
  const base = new Map<number, number>();
  a.tap = {
    frame: (_now, dir, buf, start, end) => {
      const n = start + eth.HLEN;
      if (eth.type(buf, start) !== eth.P_IP) return;
      const t = n + 20;
      const from = ipv4.src(buf, n);
      const flags = tcp.flags(buf, t);
      if ((flags & tcp.SYN) !== 0 || !base.has(from)) base.set(from, tcp.seq(buf, t));
      const rel = (who: number, v: number): number => (v - (base.get(who) ?? v)) | 0;
      const len = end - t - tcp.headerLen(buf, t);
      tcp.parseOptions(buf, t, o);
      const text = [...FLAGS].filter((_, i) => (flags & (1 << i)) !== 0).join('');
      let line = `${dir === 1 ? '<' : '>'} ${text} ${rel(from, tcp.seq(buf, t))}`;
      if ((flags & tcp.ACK) !== 0) line += `/${rel(ipv4.dst(buf, n), tcp.ack(buf, t))}`;
      line += ` ${len} win ${tcp.window(buf, t)}`;
      for (let i = 0; i < o.sacks; i++) {
        line += ` sack ${rel(ipv4.dst(buf, n), o.sack[2 * i]!)}-${rel(ipv4.dst(buf, n), o.sack[2 * i + 1]!)}`;
      }
      h.seen.push(line);
    },
  };
  registerHook(b.net, PRE_ROUTING, 0, (_net, skb) => {
    const t = skb.net + 20;
    return h.lose(tcp.flags(skb.buf, t), skb.tail - t - tcp.headerLen(skb.buf, t)) ? NF_DROP : NF_ACCEPT;
  });
  k.sim.runUntil(SEC);
  return h;
}

/** A connection from a to b's port 80: both ends, the log empty. */
function connected(h: Host): { c: TcpSock; s: TcpSock; l: TcpSock } {
  const l = new TcpSock(h.b.net);
  assert.is(l.bind(0, 80), 0);
  assert.is(l.listen(5), 0);
  const c = new TcpSock(h.a.net);
  assert.is(c.connect(B, 80), -EINPROGRESS);
  h.k.sim.settle();
  assert.ok(c.connected);
  const s = l.accept()!;
  h.seen.length = 0;
  return { c, s, l };
}

const bytes = (n: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => i);
const later = (h: Host, seconds: number): void => h.k.sim.runUntil(h.k.sim.now + seconds * SEC);

function readAll(s: TcpSock): number {
  let n = 0;
  for (;;) {
    const r = s.recv();
    if (typeof r === 'number' || r.length === 0) return n;
    n += r.length;
  }
}

const Tcp = suite('lib/linux/ipv4/tcp');

Tcp('the handshake has the windows of Linux for each MTU', () => {
  for (const [mtu, syn, synack, ack] of [
    [1500, 64240, 65160, 502],
    [1480, 64800, 64260, 507],
    [1450, 64860, 64308, 507],
    [8951, 62377, 62293, 488],
  ] as const) {
    const h = hosts(mtu);
    const l = new TcpSock(h.b.net);
    l.bind(0, 80);
    l.listen(1);
    const c = new TcpSock(h.a.net);
    c.connect(B, 80);
    h.k.sim.settle();
    assert.equal(h.seen, [`> S 0 0 win ${syn}`, `< SA 0/1 0 win ${synack}`, `> A 1/1 0 win ${ack}`]);
    assert.is(c.mssCache, mtu - 52);
  }
});

Tcp('data is acknowledged at once, then the answer; the closing side keeps TIME_WAIT', () => {
  const h = hosts();
  const { c, s, l } = connected(h);
  assert.is(c.send(bytes(27)), 27);
  assert.is(readAll(s), 27);
  s.send(bytes(200));
  s.close();
  assert.is(readAll(c), 200);
  c.close();
  assert.equal(h.seen, [
    '> PA 1/1 27 win 502',
    '< A 1/28 0 win 509',
    '< PA 1/28 200 win 509',
    '> A 28/201 0 win 501',
    '< FA 201/28 0 win 509',
    '> FA 28/202 0 win 501',
    '< A 202/29 0 win 509',
  ]);
  assert.is(s.state, T.CLOSE);
  assert.is(c.state, T.CLOSE);
  assert.is(h.b.net.socks.tcp.ehash.size, 1);
  later(h, 61);
  assert.is(h.b.net.socks.tcp.ehash.size, 0);
  l.close();
  assert.is(h.k.skbs.live, 0);
  assert.is(h.b.net.socks.tcp.bhash.size + h.a.net.socks.tcp.bhash.size, 0);
});

Tcp('a closed port answers every flag form as RFC 9293 says', () => {
  const h = hosts();
  const c = new TcpSock(h.a.net);
  c.connect(B, 81);
  h.k.sim.settle();
  assert.is(c.takeError(), 111);
  assert.equal(h.seen, ['> S 0 0 win 64240', '< RA 0/1 0 win 0']);
});

Tcp('unread data at close resets the connection', () => {
  const h = hosts();
  const { c, s } = connected(h);
  c.send(bytes(5));
  s.close();
  assert.equal(h.seen.slice(-1), ['< RA 1/6 0 win 510']);
  assert.is(c.takeError(), 104);
});

Tcp('both sides close at once: CLOSING, then TIME_WAIT on both', () => {
  const h = hosts();
  const { c, s } = connected(h);
  c.lock();
  s.close();
  c.owned = false;
  c.backlogTail = null;
  const fin = c.backlogHead!;
  c.backlogHead = null;
  c.close();
  assert.is(h.seen.at(-1), '< A 2/2 0 win 510');
  h.k.skbs.free(fin);
  assert.is(h.a.net.socks.tcp.ehash.size, 1);
});

Tcp('a lost segment is probed after about 200 ms and then sent again by the RTO', () => {
  const h = hosts();
  const { c, s } = connected(h);
  let lost = 0;
  h.lose = (_f, len) => len > 0 && lost++ < 3;
  const t0 = h.k.sim.now;
  c.send(bytes(100));
  later(h, 3);
  assert.is(h.seen.filter((l) => l.startsWith('> PA 1/1 100')).length, 4);
  assert.is(readAll(s), 100);
  assert.is(h.seen.at(-1), '< A 1/101 0 win 509');
  assert.ok(h.k.sim.now > t0);
  assert.is(c.caState, T.CA_OPEN);
});

Tcp('a hole is reported by SACK and filled by fast retransmission', () => {
  const h = hosts();
  const { c, s } = connected(h);
  let n = 0;
  h.lose = (_f, len) => len > 0 && ++n === 2;
  c.send(bytes(8 * 1448));
  h.k.sim.settle();
  later(h, 0.15);
  assert.is(readAll(s), 8 * 1448);
  assert.ok(h.seen.includes('< A 1/1449 0 win 501 sack 2897-4345'), h.seen.join('\n'));
  assert.is(h.seen.filter((l) => /^> P?A 1449\//.test(l)).length, 2);
  assert.is(c.sndUna, c.writeSeq);
});

Tcp('a SYN without answer is sent again after 1, 2, 4 … s and ends in ETIMEDOUT', () => {
  const h = hosts();
  h.lose = () => true;
  const c = new TcpSock(h.a.net);
  c.connect(B, 80);
  later(h, 140);
  assert.is(h.seen.length, 7);
  assert.ok(h.seen.every((l) => l === '> S 0 0 win 64240'));
  assert.is(c.takeError(), 110);
  assert.is(h.k.skbs.live, 0);
});

Tcp('a SYN-ACK without answer is sent again five times', () => {
  const h = hosts();
  const l = new TcpSock(h.b.net);
  l.bind(0, 80);
  l.listen(5);
  h.lose = (f) => (f & tcp.ACK) !== 0;
  const c = new TcpSock(h.a.net);
  c.connect(B, 80);
  later(h, 70);
  assert.is(h.seen.filter((x) => x === '< SA 0/1 0 win 65160').length, 6);
  assert.is(l.requests.size, 0);
  assert.is(l.accept(), null);
});

Tcp('a full accept queue drops the last ACK and further SYNs', () => {
  const h = hosts();
  const l = new TcpSock(h.b.net);
  l.bind(0, 80);
  l.listen(0);
  const first = new TcpSock(h.a.net);
  first.connect(B, 80);
  h.k.sim.settle();
  const second = new TcpSock(h.a.net);
  h.seen.length = 0;
  second.connect(B, 80);
  h.k.sim.settle();
  assert.equal(h.seen, ['> S 0 0 win 64240'], 'one connection waits: the SYN is dropped');
  assert.ok(l.accept() !== null);
  later(h, 1.5);
  assert.ok(second.connected);
});

Tcp('a shut window is probed, and opens when the reader reads', () => {
  const h = hosts();
  const { c, s } = connected(h);
  let sent = 0;
  for (let i = 0; i < 200; i++) {
    const n = c.send(bytes(16384));
    if (n > 0) sent += n;
    later(h, 0.05);
  }
  assert.ok(
    h.seen.some((l) => l.endsWith('win 0')),
    'the window has closed',
  );
  h.seen.length = 0;
  later(h, 5);
  assert.ok(h.seen.length > 0 && h.seen.every((l) => /^[<>] A \d+\/\d+ 0 /.test(l)), h.seen.join('\n'));
  let got = 0;
  for (let i = 0; i < 400 && got < sent; i++) {
    got += readAll(s);
    later(h, 0.5);
  }
  assert.is(got, sent);
  c.close();
  s.close();
  later(h, 70);
  assert.is(h.k.skbs.live, 0);
});

Tcp('an RST inside the window but not at its edge is challenged, once in half a second', () => {
  const h = hosts();
  const { c, s } = connected(h);
  s.sndNxt = (s.sndNxt + 10) | 0;
  const forge = (): void => {
    const skb = h.k.skbs.alloc();
    tcp.write(skb.buf, skb.head, 80, c.sport, (c.rcvNxt + 100) | 0, c.sndNxt, 20, tcp.RST, 0);
    skb.tail = skb.head + 20;
    tcp.fillCsum(skb.buf, skb.head, skb.tail, B, A);
    skb.push(20);
    ipv4.write(skb.buf, skb.head, 0, 40, 0, ipv4.DF, 64, ipv4.TCP, B, A);
    skb.push(14);
    eth.write(skb.buf, skb.head, h.a.mac, h.b.mac, eth.P_IP);
    h.b.xmit(skb);
    h.k.sim.settle();
  };
  forge();
  forge();
  assert.is(h.seen.filter((l) => l === '> A 1/1 0 win 502').length, 1);
  assert.ok(c.connected);
});

Tcp('sequential connections use even ports that rise by 2 to 16', () => {
  const h = hosts();
  const l = new TcpSock(h.b.net);
  l.bind(0, 80);
  l.listen(50);
  let last = -1;
  for (let i = 0; i < 20; i++) {
    const c = new TcpSock(h.a.net);
    c.connect(B, 80);
    h.k.sim.settle();
    assert.is(c.sport % 2, 0);
    if (last > 0 && c.sport > last) assert.ok(c.sport - last <= 16, `${last} ${c.sport}`);
    last = c.sport;
  }
});

Tcp('keepalive probes a silent peer and gives up on one that does not answer', () => {
  const h = hosts();
  h.a.net.sysctl.set('net.ipv4.tcp_keepalive_probes', 2);
  const l = new TcpSock(h.b.net);
  l.bind(0, 80);
  l.listen(5);
  const c = new TcpSock(h.a.net);
  c.setKeepalive(10, 3);
  c.connect(B, 80);
  h.k.sim.settle();
  h.seen.length = 0;
  later(h, 12);
  assert.equal(h.seen, ['> A 0/1 0 win 502', '< A 1/1 0 win 510']);
  h.lose = () => true;
  later(h, 13);
  assert.equal(h.seen.slice(2), ['> A 0/1 0 win 502', '> A 0/1 0 win 502']);
  assert.is(c.state, T.ESTABLISHED);
  later(h, 3);
  assert.equal(h.seen.slice(4), ['> RA 1/1 0 win 502']);
  assert.is(c.takeError(), 110);
});

Tcp('a socket without SO_KEEPALIVE is silent for ever', () => {
  const h = hosts();
  connected(h);
  later(h, 3 * 7200);
  assert.equal(h.seen, []);
});

Tcp('setMaxseg() bounds what is offered and what is sent', () => {
  const h = hosts();
  const l = new TcpSock(h.b.net);
  l.bind(0, 80);
  l.listen(5);
  const c = new TcpSock(h.a.net);
  c.setMaxseg(1220);
  c.connect(B, 80);
  h.k.sim.settle();
  assert.is(h.seen[0], '> S 0 0 win 64660');
  h.seen.length = 0;
  c.send(bytes(1300));
  assert.equal(
    h.seen.filter((x) => x.startsWith('>')),
    ['> A 1/1 1208 win 506', '> PA 1209/1 92 win 506'],
  );
  assert.is(l.accept()!.mssCache, 1208);
});

Tcp('calls on a socket without a connection return errors, none throws', () => {
  const h = hosts();
  const c = new TcpSock(h.a.net);
  assert.ok((c.send(bytes(1)) as number) < 0);
  assert.ok((c.recv() as number) < 0);
  assert.ok(c.shutdown() < 0);
  assert.is(c.bind(ip('9.9.9.9'), 0), -99);
  assert.is(c.connect(ip('99.0.0.1'), 80), -101);
  const { s } = connected(h);
  assert.is(s.recv(), -EAGAIN);
  const l = new TcpSock(h.b.net);
  assert.is(l.bind(0, 80), -98);
});

Tcp.run();
