/**
 * What the bench sends: datagrams, DNS queries and TCP streams between two namespaces, by the sockets that programs use.
 *
 * `known` packets belong to flows that everything on the way has seen in both directions; `fresh` ones are the first of their
 * flow. What a flow needs before its first packet (sockets, ports) is made by `prepare`, outside of what is measured.
 * @module
 */
import { packDns, RCODE, TYPE } from '../../../wire/dns.js';
import { unpackDns } from '../../../wire/dns-unpack.js';
import { ntoa } from '../../../wire/inet.js';
import type { Netns } from '../../linux/core/netns.js';
import { EAGAIN, EINPROGRESS, TcpSock } from '../../linux/ipv4/tcp.js';
import { UdpSock } from '../../linux/ipv4/udp.js';
import { SEC, type Sim } from '../../sim/sim.js';

export interface Traffic {
  /** Sends `n` packets (queries, segments) of known flows; returns how many arrived. */
  known(n: number): number;
  /** Gets ready for `n` flows. */
  prepare(n: number): void;
  /** Sends the first packets (a query, a short connection) of the flows that were prepared; returns how many arrived. */
  fresh(): number;
}

/** 64 bytes with the Ethernet, IPv4 and UDP headers. */
const DATA = new Uint8Array(22);
const FIRST_PORT = 1024;
const PORTS = 65536 - FIRST_PORT;
/** Longer than any UDP connection is remembered: ports can be used again. */
const FORGOTTEN = 200 * SEC;

/** What a call that must not fail returned. */
function ok(what: string, err: number): void {
  if (err < 0) throw new Error(`BUG: bench: ${what}: errno ${-err}`);
}

/** Source ports in turn, the clock moved on before one comes again. */
class Ports {
  private next = FIRST_PORT;
  private readonly sim: Sim;

  constructor(sim: Sim) {
    this.sim = sim;
  }

  /** The first of `n` ports in a row. */
  take(n: number): number {
    if (n > PORTS) throw new Error(`BUG: bench: ${n} flows, a client has ${PORTS} ports`);
    if (this.next + n > 65536) {
      this.next = FIRST_PORT;
      this.sim.runUntil(this.sim.now + FORGOTTEN);
    }
    const first = this.next;
    this.next += n;
    return first;
  }
}

/** Datagrams to a server that keeps quiet but for its first answer. */
export class UdpTraffic implements Traffic {
  private readonly client: Netns;
  private readonly to: readonly [addr: number, port: number];
  private readonly server: UdpSock;
  private readonly flow: UdpSock;
  private readonly sim: Sim;
  private readonly ports: Ports;
  private socks: UdpSock[] = [];

  /** `to` is what the client sends to, `port` what the server listens to. */
  constructor(client: Netns, server: Netns, to: readonly [addr: number, port: number], port: number) {
    this.client = client;
    this.to = to;
    this.sim = client.kernel.sim;
    this.ports = new Ports(this.sim);
    this.server = new UdpSock(server);
    ok('bind', this.server.bind(0, port));
    this.flow = this.open(FIRST_PORT - 1);
    ok('send', this.flow.send(DATA));
    this.sim.runUntil(this.sim.now + SEC);
    const d = this.server.recv();
    if (d === null) throw new Error(`BUG: bench: nothing arrives at ${server.name}`);
    ok('send', this.server.send(DATA, d.src, d.sport));
    this.sim.runUntil(this.sim.now + SEC);
    if (this.flow.recv() === null) throw new Error(`BUG: bench: no answer arrives at ${client.name}`);
  }

  private open(port: number): UdpSock {
    const s = new UdpSock(this.client);
    ok('bind', s.bind(0, port));
    ok('connect', s.connect(this.to[0], this.to[1]));
    return s;
  }

  known(n: number): number {
    let got = 0;
    for (let i = 0; i < n; i++) {
      ok('send', this.flow.send(DATA));
      while (this.server.recv() !== null) got++;
    }
    this.sim.settle();
    return got;
  }

  prepare(n: number): void {
    const first = this.ports.take(n);
    for (const s of this.socks) s.close();
    this.socks = Array.from({ length: n }, (_, i) => this.open(first + i));
  }

  fresh(): number {
    let got = 0;
    for (const s of this.socks) {
      ok('send', s.send(DATA));
      while (this.server.recv() !== null) got++;
    }
    this.sim.settle();
    return got;
  }
}

/** Queries for one name, each asked once the one before is answered. */
export class DnsTraffic implements Traffic {
  private readonly client: Netns;
  private readonly server: number;
  private readonly query: Uint8Array;
  private readonly flow: UdpSock;
  private readonly sim: Sim;
  private readonly ports: Ports;
  private socks: UdpSock[] = [];

  constructor(client: Netns, server: number, name: string, answer: number) {
    this.client = client;
    this.server = server;
    this.sim = client.kernel.sim;
    this.ports = new Ports(this.sim);
    const question = [{ name, type: TYPE.A, cls: 1 }];
    this.query = packDns({ id: 1, flags: 0x100, question, answer: [], authority: [], additional: [] }, false);
    this.flow = this.open(FIRST_PORT - 1);
    const bytes = this.ask(this.flow);
    const r = bytes === null ? null : unpackDns(bytes);
    if (r === null || (r.flags & 15) !== RCODE.NOERROR || r.answer.length !== 1) {
      throw new Error(`BUG: bench: no answer of ${ntoa(server)} for ${name}`);
    }
    const data = r.answer[0]!.data[0];
    if (!(data instanceof Uint8Array) || ntoa(answer) !== data.join('.')) throw new Error('BUG: bench: wrong answer');
    this.sim.runUntil(this.sim.now + SEC);
  }

  private open(port: number): UdpSock {
    const s = new UdpSock(this.client);
    ok('bind', s.bind(0, port));
    ok('connect', s.connect(this.server, 53));
    return s;
  }

  private ask(s: UdpSock): Uint8Array | null {
    ok('send', s.send(this.query));
    this.sim.settle();
    let d = s.recv();
    // A first packet may wait for an address.
    for (let i = 0; d === null && i < 100 && this.sim.step(); i++) d = s.recv();
    return d === null ? null : d.data;
  }

  known(n: number): number {
    let got = 0;
    for (let i = 0; i < n; i++) if (this.ask(this.flow) !== null) got++;
    return got;
  }

  prepare(n: number): void {
    const first = this.ports.take(n);
    for (const s of this.socks) s.close();
    this.socks = Array.from({ length: n }, (_, i) => this.open(first + i));
  }

  fresh(): number {
    let got = 0;
    for (const s of this.socks) if (this.ask(s) !== null) got++;
    return got;
  }
}

/** Bytes of a segment between pods on two nodes, about: what `known(n)` counts with. */
const SEGMENT = 1398;
const CHUNK = new Uint8Array(65536);
const REQUEST = new Uint8Array(100);

/** A stream in one direction, or short connections: a request, and the end from both sides. */
export class TcpTraffic implements Traffic {
  private readonly client: Netns;
  private readonly to: readonly [addr: number, port: number];
  private readonly sim: Sim;
  private readonly flow: TcpSock;
  private readonly listener: TcpSock;
  private received = 0;
  private ended = 0;
  private wanted = 0;

  constructor(client: Netns, server: Netns, to: readonly [addr: number, port: number], port: number) {
    this.client = client;
    this.to = to;
    this.sim = client.kernel.sim;
    this.listener = new TcpSock(server);
    ok('bind', this.listener.bind(0, port));
    ok('listen', this.listener.listen(511));
    this.listener.onReady = () => {
      for (let c = this.listener.accept(); c !== null; c = this.listener.accept()) this.serve(c);
    };
    this.flow = this.open(() => {});
    this.sim.runUntil(this.sim.now + SEC);
    if (!this.flow.connected) throw new Error(`BUG: bench: no connection to ${server.name}`);
  }

  private open(ready: (s: TcpSock) => void): TcpSock {
    const s = new TcpSock(this.client);
    s.onReady = () => ready(s);
    const err = s.connect(this.to[0], this.to[1]);
    if (err !== -EINPROGRESS) ok('connect', err);
    return s;
  }

  private serve(c: TcpSock): void {
    const read = (): void => {
      for (;;) {
        const r = c.recv(65536);
        if (typeof r === 'number') {
          if (r === -EAGAIN) return;
          throw new Error(`BUG: bench: recv: errno ${-r}`);
        }
        if (r.length === 0) {
          this.ended++;
          c.close();
          return;
        }
        this.received += r.length;
      }
    };
    c.onReady = read;
    read();
  }

  /** Lets time pass until `done`, for `most` at the longest. */
  private until(done: () => boolean, most: number): void {
    const end = this.sim.now + most;
    this.sim.settle();
    while (!done() && this.sim.nextAt() <= end && this.sim.step());
  }

  known(n: number): number {
    let left = n * SEGMENT;
    const from = this.received;
    const write = (): void => {
      while (left > 0) {
        const r = this.flow.send(left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK);
        if (r === -EAGAIN) return;
        ok('send', r);
        left -= r;
      }
    };
    this.flow.onReady = () => void (this.flow.writable && write());
    write();
    this.until(() => left <= 0 && this.received - from === n * SEGMENT, 60 * SEC);
    return Math.floor((this.received - from) / SEGMENT);
  }

  prepare(n: number): void {
    this.wanted = n;
    // Ports and TIME-WAIT sockets of the ones before are given back.
    this.sim.runUntil(this.sim.now + 130 * SEC);
  }

  fresh(): number {
    const from = this.ended;
    for (let i = 0; i < this.wanted; i++) {
      const before = this.ended;
      this.open((s) => {
        if (!s.connected) return;
        ok('send', s.send(REQUEST));
        s.close();
      });
      this.until(() => this.ended > before, SEC);
    }
    return this.ended - from;
  }
}
