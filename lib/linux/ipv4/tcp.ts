/**
 * TCP sockets as a process sees them: connect, listen, accept, send, recv, shutdown, close. Nothing here waits: a call that
 * would block returns -EAGAIN or -EINPROGRESS, and `onReady` runs from the run queue when poll() would wake.
 *
 * Kernel counterpart: net/ipv4/tcp.c, af_inet.c. Not here: urgent data, SO_LINGER with a time, splice, zero copy.
 * @module
 */
import * as ipv4 from '../../../wire/ipv4.js';
import type { Runnable, Task, Tasklet } from '../../sim/sim.js';
import { type Cred, mayNotBind, ROOT } from '../core/cred.js';
import { jiffies } from '../core/jiffies.js';
import type { Netns } from '../core/netns.js';
import type { SkbOwner } from '../core/skb.js';
import { type Dst, dstMtu, dstValid } from './dst.js';
import { Flow } from './flow.js';
import { ehashRemove, getPort, listenerAdd, listenerRemove, putPort } from './inet-hashtables.js';
import { EACCES, inetAddrType, isErr, routeOutput, RTN_LOCAL } from './route.js';
import { tcpClose, tcpShutdown } from './tcp-close.js';
import { sndbufExpand } from './tcp-data.js';
import { mtuReduced, tcpV4Connect, tcpV4DoRcv } from './tcp-ipv4.js';
import * as T from './tcp-sock.js';
import * as timers from './tcp-timer.js';
import { EADDRINUSE, EADDRNOTAVAIL, EINVAL } from './udp.js';
import { recvmsg, sendmsg } from './tcp-msg.js';
import { currentMss, pushPending, tsqWrite } from './tcp-write.js';

export const EAGAIN = 11;
export const EINPROGRESS = 115;
export const ENOTCONN = 107;
export const EISCONN = 106;
export const EPIPE = 32;
const flow = new Flow();

const SOMAXCONN = 4096;
const MAX_RECV = 1 << 20;

/** A SOCK_STREAM socket. Addresses and ports are host-order numbers. Calls return 0 (or a count) or a negative errno. */
export class TcpSock extends T.TcpState implements Runnable, SkbOwner, Tasklet {
  /** Called from the run queue when the socket's state, data or room has changed. */
  onReady: (() => void) | null = null;
  queued = false;
  /** The process that opened the socket. */
  task: Task | null;

  constructor(net: Netns, cred: Cred | null = ROOT) {
    super(net, [
      () => timers.writeTimer(this),
      () => timers.delackTimer(this),
      () => timers.keepaliveTimer(this),
      () => timers.compressedAckTimer(this),
    ]);
    this.task = net.kernel.sim.current;
    this.cred = cred;
    this.uid = cred?.uid ?? 0;
  }

  run(): void {
    this.onReady?.();
  }

  /** tcp_wfree: a socket that was held back sends on once this softirq's frames are dealt with. */
  uncharge(truesize: number): void {
    this.wmemAlloc -= truesize;
    if (!this.tsqThrottled || this.tsqQueued) return;
    this.tsqThrottled = false;
    this.tsqQueued = true;
    this.net.kernel.sim.tasklet(this);
  }

  /** tcp_tasklet_func, tcp_tsq_handler. */
  tasklet(): void {
    this.tsqQueued = false;
    if (this.owned) this.tsqDeferred = true;
    else tsqWrite(this);
  }

  /** Wakes the process that polls this socket. */
  wake(): void {
    if (this.onReady !== null) this.net.kernel.sim.wake(this);
  }

  /** An integer of net.ipv4 in this namespace. */
  sysctl(name: string, fallback: number): number {
    return this.net.sysctl.get(`net.ipv4.${name}`) ?? fallback;
  }

  /** What this socket's packets ask of the routing tables. */
  flow(): Flow {
    const fl = flow.to(this.daddr, this.saddr).ports(ipv4.TCP, this.sport, this.dport);
    fl.tos = this.tos;
    fl.uid = this.uid;
    return fl;
  }

  /** The route to the peer: the kept one while it holds, else a new one, or a negative errno (__sk_dst_check, __sk_dst_set). */
  route(): Dst | number {
    if (dstValid(this.dst)) return this.dst;
    const d = routeOutput(this.net, this.flow());
    if (isErr(d)) return d;
    this.dst = d;
    // What was seen of the old route's neighbour does not count.
    this.dstConfirm = false;
    return d;
  }

  /** MTU of the kept route (dst_mtu), 0: there is none. */
  get dstMtu(): number {
    return this.dst === null ? 0 : dstMtu(this.dst);
  }

  /** Binds to a local address and port; address 0 is any, port 0 a free one. */
  bind(addr: number, port: number): number {
    if (this.state !== T.CLOSE || this.bindPort !== 0) return -EINVAL;
    if (addr !== 0 && inetAddrType(this.net, addr) !== RTN_LOCAL) return -EADDRNOTAVAIL;
    if (mayNotBind(this.net, this.cred, port)) return -EACCES;
    const err = getPort(this.net, this, addr, port);
    if (err !== 0) return err;
    this.bindAddr = this.saddr = addr;
    return 0;
  }

  /** Accepts connections from now on; up to `backlog` + 1 wait for accept(). */
  listen(backlog: number): number {
    if (this.state !== T.CLOSE && this.state !== T.LISTEN) return -EINVAL;
    this.maxAckBacklog = Math.min(backlog, this.net.sysctl.get('net.core.somaxconn') ?? SOMAXCONN);
    if (this.state === T.LISTEN) return 0;
    if (this.sport === 0) {
      const err = getPort(this.net, this, this.bindAddr, 0);
      if (err !== 0) return err;
    }
    for (const s of this.net.socks.tcp.listeners.get(this.sport) ?? []) {
      if (s.bindAddr === this.bindAddr || s.bindAddr === 0 || this.bindAddr === 0) return -EADDRINUSE;
    }
    this.state = T.LISTEN;
    listenerAdd(this.net, this);
    return 0;
  }

  /** The next connection, or null. */
  accept(): TcpSock | null {
    const c = this.acceptQueue.shift() ?? null;
    if (c === null) return null;
    c.parent = null;
    c.task = this.task;
    c.cred = this.cred;
    c.uid = this.uid;
    return c;
  }

  /** Starts to connect: -EINPROGRESS, or another negative errno. `connected` or an error tells the end. */
  connect(addr: number, port: number): number {
    if (this.state !== T.CLOSE) return this.state === T.SYN_SENT ? -EINPROGRESS : -EISCONN;
    this.lock();
    const err = tcpV4Connect(this, addr, port);
    this.release();
    return err === 0 ? -EINPROGRESS : err;
  }

  /** The handshake is complete. */
  get connected(): boolean {
    return this.state !== T.SYN_SENT && this.state !== T.SYN_RECV && this.state !== T.CLOSE && this.state !== T.LISTEN;
  }

  /** recv() would not return -EAGAIN (EPOLLIN). */
  get readable(): boolean {
    if (this.state === T.LISTEN) return this.acceptQueue.length > 0;
    return this.rcvHead !== null || (this.shutdown_ & T.RCV_SHUTDOWN) !== 0 || this.err !== 0;
  }

  /** send() would take something (EPOLLOUT); asking makes the socket tell when that changes. */
  get writable(): boolean {
    if (this.state === T.SYN_SENT || this.state === T.SYN_RECV) return false;
    if ((this.shutdown_ & T.SEND_SHUTDOWN) !== 0 || this.err !== 0) return true;
    const ok = isWriteable(this);
    if (!ok) this.noSpace = true;
    return ok;
  }

  /** The pending error, else the soft one, as a positive errno (SO_ERROR), cleared; 0: none. */
  takeError(): number {
    if (this.err !== 0) {
      const e = this.err;
      this.err = 0;
      return e;
    }
    const soft = this.errSoft;
    this.errSoft = 0;
    return soft;
  }

  /** Queues as much of `data` as the send buffer takes and sends what may go: bytes taken or a negative errno. */
  send(data: Uint8Array): number {
    this.lock();
    const n = sendmsg(this, data);
    this.release();
    return n;
  }

  /** Up to `max` bytes in order; length 0 is the end of the stream. A negative errno when there is none (-EAGAIN). */
  recv(max = 65536): Uint8Array | number {
    this.lock();
    const r = recvmsg(this, Math.min(max, MAX_RECV));
    this.release();
    return r;
  }

  /** TCP_NODELAY: small segments go out at once. */
  setNodelay(): void {
    this.nonagle = T.NAGLE_OFF;
    this.lock();
    if (this.writeQueue.head !== null) pushPending(this, currentMss(this), this.nonagle | T.NAGLE_PUSH);
    this.release();
  }

  /** SO_KEEPALIVE with TCP_KEEPIDLE and TCP_KEEPINTVL in seconds, before connect(). */
  setKeepalive(idle: number, interval: number): void {
    this.keepidle = idle;
    this.keepintvl = interval;
  }

  /** TCP_MAXSEG before connect(): the MSS that is offered, and the longest segment that is sent. */
  setMaxseg(mss: number): void {
    this.userMss = mss;
  }

  /** SO_LINGER of 0 s: close() ends the connection with a RST, whatever is unsent or unread. */
  setLinger(): void {
    this.linger0 = true;
  }

  /** shutdown(SHUT_WR): sends FIN after what is queued. */
  shutdown(): number {
    if (this.state === T.CLOSE) return -ENOTCONN;
    this.lock();
    this.shutdown_ |= T.SEND_SHUTDOWN;
    tcpShutdown(this);
    this.release();
    return 0;
  }

  /** Ends the process's hold; the connection ends in its own time. */
  close(): void {
    this.onReady = null;
    this.lock();
    tcpClose(this);
    this.release();
  }

  /** lock_sock: packets wait in the backlog. */
  lock(): void {
    this.owned = true;
  }

  /** Handles what came in while the socket was held (__release_sock). */
  flushBacklog(): void {
    for (let s = this.backlogHead; s !== null; s = this.backlogHead) {
      this.backlogHead = s.next;
      if (s.next === null) this.backlogTail = null;
      s.next = null;
      tcpV4DoRcv(this, s);
    }
  }

  /** release_sock: the backlog is handled, then softirqs and processes that preempt the caller have their turn. */
  release(): void {
    this.flushBacklog();
    this.owned = false;
    if (this.tsqDeferred) {
      this.tsqDeferred = false;
      tsqWrite(this);
    }
    if (this.mtuInfo !== 0) {
      const mtu = this.mtuInfo;
      this.mtuInfo = 0;
      mtuReduced(this, mtu);
    }
    this.net.kernel.sim.drain();
    this.net.kernel.sim.preempt();
  }
}

/** Room for another write: a third of the buffer is free (__sk_stream_is_writeable). */
const isWriteable = (sk: TcpSock): boolean =>
  sk.sndBuf - sk.wmemQueued >= sk.wmemQueued >> 1 && sk.wmemQueued < sk.sndBuf;

/** Wakes a writer that found no room (tcp_check_space). */
export function checkSpace(sk: TcpSock): void {
  if (!sk.noSpace || sk.dead) return;
  if (T.packetsInFlight(sk) < sk.cwnd) {
    sndbufExpand(sk);
    sk.cwndStampJ = jiffies(sk.net.kernel.sim);
  }
  if (!isWriteable(sk)) return;
  sk.noSpace = false;
  sk.wake();
}

/** Changes the state; CLOSE leaves the tables (tcp_set_state). */
export function setState(sk: TcpSock, state: number): void {
  if (state === T.CLOSE) {
    if (sk.state === T.LISTEN) listenerRemove(sk.net, sk);
    ehashRemove(sk.net, sk);
    if (sk.bindPort === 0) putPort(sk.net, sk.sport, sk);
  }
  sk.state = state;
}
