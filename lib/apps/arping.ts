/**
 * `arping` as iputils 20221126 asks, answers and prints (a packet socket for ARP; the first request is a broadcast, after the
 * first reply they go to its sender).
 * @module
 */
import * as arp from '../../wire/arp.js';
import { equalAt } from '../../wire/bytes.js';
import * as eth from '../../wire/ethernet.js';
import { ntoa } from '../../wire/inet.js';
import { ARPHRD_LOOPBACK, type Netdev } from '../linux/core/netdev.js';
import { PACKET_HOST, PACKET_OTHERHOST } from '../linux/core/skb.js';
import { RTCF_BROADCAST } from '../linux/ipv4/dst.js';
import { Flow } from '../linux/ipv4/flow.js';
import {
  EACCES,
  inetAddrType,
  isErr,
  routeOutput,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_MULTICAST,
} from '../linux/ipv4/route.js';
import { PacketSock } from '../linux/packet/af-packet.js';
import { SEC, Timer } from '../sim/sim.js';
import { strerror } from './errno.js';
import { getopt, notWhole } from './getopt.js';
import { getaddrinfo } from './hosts.js';
import { inetAton } from './netdb.js';
import type { Proc, Program } from './program.js';

const USAGE = `
Usage:
  arping [options] <destination>

Options:
  -f            quit on first reply
  -q            be quiet
  -b            keep on broadcasting, do not unicast
  -D            duplicate address detection mode
  -U            unsolicited ARP mode, update your neighbours
  -A            ARP answer mode, update your neighbours
  -V            print version and exit
  -c <count>    how many packets to send
  -w <timeout>  how long to wait for a reply
  -i <interval> set interval between packets (default: 1 second)
  -I <device>   which ethernet device to use
  -s <source>   source ip address
  <destination> dns name or ip address

For more details see arping(8).
`;

interface Options {
  /** -1: without end. */
  count: number;
  timeout: number;
  interval: number;
  device: string;
  source: string | null;
  advert: boolean;
  broadcastOnly: boolean;
  dad: boolean;
  quiet: boolean;
  quitOnReply: boolean;
  unsolicited: boolean;
  target: string;
}

/** Why arping ends before it begins. */
interface Refusal {
  exit: number;
  out?: string;
  err?: string;
}

const refuse = (text: string, exit = 2): Refusal => ({ exit, err: `arping: ${text}\n` });

function parse(argv: readonly string[]): Options | Refusal {
  const o: Options = {
    count: -1, timeout: 0, interval: 1, device: '', source: null, advert: false, broadcastOnly: false, dad: false,
    quiet: false, quitOnReply: false, unsolicited: false, target: '',
  }; // prettier-ignore
  const { options, operands, error } = getopt(argv, 'h?bfDUAqc:w:i:s:I:V');
  for (const [c, v] of options) {
    if (c === 'h' || c === '?') return { exit: 2, err: USAGE };
    if (c === 'V') return { exit: 2, err: 'podwire: arping: option -V is not supported yet\n' };
    if (c === 'c' || c === 'w' || c === 'i') {
      const bad = notWhole('arping', v, c === 'c' ? 1 : 0, '2147483647');
      if (bad !== null) return { exit: 1, err: `${bad}\n` };
    }
    if (c === 'c') o.count = Number(v);
    else if (c === 'w') o.timeout = Number(v);
    else if (c === 'i') o.interval = Number(v);
    else if (c === 's') o.source = v;
    else if (c === 'I') o.device = v;
    else if (c === 'b') o.broadcastOnly = true;
    else if (c === 'q') o.quiet = true;
    else if (c === 'U') o.unsolicited = true;
    else if (c === 'A') o.unsolicited = o.advert = true;
    else {
      o.quitOnReply = true;
      if (c === 'D') o.dad = true;
    }
  }
  if (error !== null) return { exit: 2, err: `arping: ${error}\n${USAGE}` };
  if (operands.length !== 1) return { exit: 2, err: USAGE };
  o.target = operands[0]!;
  return o;
}

/** The device: the one named, or the one on the way to the target (guess_device, check_device). */
function chooseDevice(p: Proc, o: Options, target: number): Netdev | Refusal {
  let { device } = o;
  if (device === '') {
    const d = routeOutput(p.net, new Flow().to(target, 0));
    if (isErr(d)) return refuse('NETLINK_ROUTE unexpected iov element', 1);
    device = d.dev.name;
  }
  const dev = p.net.dev(device);
  if (dev === null) return refuse(`Device ${device} not available.`);
  if (!dev.up) return { exit: 2, out: o.quiet ? '' : `Interface "${device}" is down\n` };
  if (dev.noarp || dev.type === ARPHRD_LOOPBACK) {
    return { exit: o.dad ? 0 : 2, out: o.quiet ? '' : `Interface "${device}" is not ARPable\n` };
  }
  return dev;
}

/** The address to ask from: the one given, or the one that a socket bound to the device would have; -EXXX as `err`. */
function chooseSource(p: Proc, o: Options, dev: Netdev, target: number): number | Refusal {
  const given = o.source === null ? 0 : inetAton(o.source);
  if (given === null) return refuse(`invalid source ${o.source}`);
  if (o.dad && o.source === null) return 0;
  const source = o.unsolicited && !o.dad && o.source === null ? target : given;
  if (o.source !== null || source !== 0) {
    const type = inetAddrType(p.net, source);
    const mine = source === 0 || type === RTN_LOCAL || type === RTN_MULTICAST || type === RTN_BROADCAST;
    return mine ? source : refuse(`bind: ${strerror(99)}`);
  }
  const fl = new Flow().to(target, 0);
  fl.oif = dev;
  const d = routeOutput(p.net, fl);
  if (isErr(d)) return refuse(`connect: ${strerror(-d)}`);
  if ((d.flags & RTCF_BROADCAST) !== 0) return refuse(`connect: ${strerror(EACCES)}`);
  return fl.saddr;
}

export const arping: Program = (p) => {
  const end = (r: Refusal): void => {
    if (r.out !== undefined) p.out(r.out);
    if (r.err !== undefined) p.err(r.err);
    p.exit(r.exit);
  };
  const o = parse(p.argv);
  if ('exit' in o) return end(o);
  const begin = (target: number): void => {
    const dev = chooseDevice(p, o, target);
    if ('exit' in dev) return end(dev);
    const source = chooseSource(p, o, dev, target);
    if (typeof source !== 'number') return end(source);
    if (!o.quiet) p.out(`ARPING ${ntoa(target)} from ${ntoa(source)} ${dev.name}\n`);
    if (o.source === null && source === 0 && !o.dad) return end(refuse('no source address in not-DAD mode'));
    new Session(p, o, dev, source, target).start();
  };
  const target = inetAton(o.target);
  if (target !== null) return begin(target);
  getaddrinfo(p, o.target, true, (r) => (typeof r === 'string' ? end(refuse(`${o.target}: ${r}`)) : begin(r[0]!)));
};

const mac = (b: Uint8Array, o: number): string =>
  Array.from(b.subarray(o, o + 6), (x) => x.toString(16).toUpperCase().padStart(2, '0')).join(':');

class Session {
  private readonly p: Proc;
  private readonly o: Options;
  private readonly dev: Netdev;
  private readonly source: number;
  private readonly target: number;
  private readonly sock: PacketSock;
  /** Whom the next request goes to. */
  private readonly peer = eth.BROADCAST.slice();
  private readonly me: Uint8Array;
  private unicasting = false;
  private sentAt = 0;
  private sent = 0;
  private broadcasts = 0;
  private received = 0;
  private receivedBroadcasts = 0;
  private receivedRequests = 0;
  private ticks = 1;
  private code = 0;
  private readonly next = new Timer(() => this.tick());
  private readonly deadline = new Timer(() => this.finish());

  constructor(p: Proc, o: Options, dev: Netdev, source: number, target: number) {
    this.p = p;
    this.o = o;
    this.dev = dev;
    this.me = dev.mac.slice();
    this.source = source;
    this.target = target;
    this.sock = new PacketSock(p.net, eth.P_ARP);
  }

  start(): void {
    const { sim } = this.p.net.kernel;
    this.sock.onReady = () => this.receive();
    this.sock.bind(this.dev);
    this.p.onKill = () => this.close();
    if (this.o.interval > 0) sim.arm(this.next, sim.now + this.o.interval * SEC);
    if (this.o.timeout > 0) sim.arm(this.deadline, sim.now + this.o.timeout * SEC);
    this.send();
  }

  /** A request (or, with -A, a reply); what the device refuses is passed over (send_pack). */
  private send(): void {
    const b = new Uint8Array(arp.LEN);
    const { advert } = this.o;
    arp.write(b, 0, advert ? arp.REPLY : arp.REQUEST, this.me, this.source, advert ? this.me : this.peer, this.target);
    const { now } = this.p.net.kernel.sim;
    if (this.sock.send(b, this.peer) !== 0) return;
    this.sentAt = now;
    this.sent++;
    if (!this.unicasting) this.broadcasts++;
  }

  private tick(): void {
    const { sim } = this.p.net.kernel;
    this.ticks++;
    if (this.o.count > 0 && this.ticks > this.o.count) return this.finish();
    sim.arm(this.next, sim.now + this.o.interval * SEC);
    this.send();
  }

  private receive(): void {
    const err = this.sock.takeError();
    if (err !== 0) {
      this.p.err(`arping: recvfrom: ${strerror(err)}\n`);
      if (err === ENETDOWN) this.code = 2;
    }
    for (let m = this.sock.recv(); m !== null; m = this.sock.recv()) {
      if (m.pktType < PACKET_OTHERHOST && this.isAnswer(m.data) && this.answer(m.data, m.pktType === PACKET_HOST)) {
        return this.finish();
      }
    }
  }

  /** Whether a message is about the address in question. */
  private isAnswer(b: Uint8Array): boolean {
    if (arp.check(b, 0, b.length) < 0) return false;
    const op = arp.op(b, 0);
    if ((op !== arp.REQUEST && op !== arp.REPLY) || arp.sip(b, 0) !== this.target) return false;
    if (this.o.dad) return !equalAt(b, arp.SHA, this.me, 0, 6) && (this.source === 0 || this.source === arp.tip(b, 0));
    return arp.tip(b, 0) === this.source && equalAt(b, arp.THA, this.me, 0, 6);
  }

  /** Prints and counts an answer (recv_pack). True when it was the last one that was waited for. */
  private answer(b: Uint8Array, toMe: boolean): boolean {
    const { o } = this;
    if (!o.quiet) this.p.out(this.line(b, toMe));
    this.received++;
    if (o.timeout > 0 && this.received === o.count) return true;
    if (!toMe) this.receivedBroadcasts++;
    if (arp.op(b, 0) === arp.REQUEST) this.receivedRequests++;
    if (o.quitOnReply) return true;
    if (!o.broadcastOnly) {
      this.peer.set(b.subarray(arp.SHA, arp.SHA + 6));
      this.unicasting = true;
    }
    return false;
  }

  private line(b: Uint8Array, toMe: boolean): string {
    const kind = `${toMe ? 'Unicast' : 'Broadcast'} ${arp.op(b, 0) === arp.REPLY ? 'reply' : 'request'}`;
    const tip = arp.tip(b, 0);
    let whom = tip === this.source ? '' : `for ${ntoa(tip)} `;
    if (!equalAt(b, arp.THA, this.me, 0, 6)) whom += `${whom === '' ? 'for ' : ''}[${mac(b, arp.THA)}]`;
    // arping rounds to milliseconds and prints what that left, moved up by half a millisecond, as the fraction.
    const us = Math.floor((this.p.net.kernel.sim.now - this.sentAt + 500) / 1000);
    const ms = Math.floor((us + 500) / 1000);
    const time = `${ms}.${String(us - ms * 1000 + 500).padStart(3, '0')}ms`;
    return `${kind} from ${ntoa(arp.sip(b, 0))} [${mac(b, arp.SHA)}] ${whom} ${time}\n`;
  }

  private close(): void {
    const { sim } = this.p.net.kernel;
    sim.cancel(this.next);
    sim.cancel(this.deadline);
    this.sock.close();
  }

  private finish(): void {
    this.close();
    const { o } = this;
    if (!o.quiet) {
      const also: string[] = [];
      if (this.receivedRequests > 0) also.push(`${this.receivedRequests} request(s)`);
      if (this.receivedBroadcasts > 0) also.push(`${this.receivedBroadcasts} broadcast(s)`);
      const more = also.length > 0 ? ` (${also.join(', ')})` : '';
      this.p.out(
        `Sent ${this.sent} probes (${this.broadcasts} broadcast(s))\nReceived ${this.received} response(s)${more}\n`,
      );
    }
    this.p.exit(this.code | this.verdict());
  }

  /** 0 where every probe was answered, nothing was asked, or the address is free (event_loop, finish). */
  private verdict(): number {
    const { o } = this;
    if (o.unsolicited && !o.dad) return 0;
    const first = o.dad ? this.received > 0 : this.received === 0;
    let second: boolean;
    if (o.unsolicited) second = false;
    else if (o.dad) second = this.broadcasts === this.received;
    else if (o.timeout > 0 && o.count <= 0) second = this.received === 0;
    else second = this.sent !== this.received;
    return first || second ? 1 : 0;
  }
}

const ENETDOWN = 100;
