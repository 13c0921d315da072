/**
 * The client's end of DNS over TCP: a connection, queries with their lengths in one write, messages as they come.
 * @module
 */
import { DnsStream, frameAll } from '../../wire/dns-stream.js';
import { EAGAIN, EINPROGRESS, TcpSock } from '../linux/ipv4/tcp.js';
import type { Cred } from '../linux/core/cred.js';
import type { Netns } from '../linux/core/netns.js';

const CHUNK = 65536;

export interface DnsTcpEvents {
  connected(): void;
  message(m: Uint8Array): void;
  /** The connection failed with this errno, or the peer has ended it (0). */
  ended(errno: number): void;
}

export class DnsTcpClient {
  /** connect() has been called. */
  started = false;
  private readonly sock: TcpSock;
  private readonly events: DnsTcpEvents;
  /** True: reads the length, then the message, as glibc does; false: whatever there is. */
  private readonly exact: boolean;
  private readonly stream = new DnsStream();
  private out: Uint8Array = new Uint8Array(0);
  private up = false;
  /** Closed, by whoever it was. */
  over = false;

  constructor(net: Netns, cred: Cred, exact: boolean, events: DnsTcpEvents) {
    this.sock = new TcpSock(net, cred);
    this.events = events;
    this.exact = exact;
  }

  /** The longest segment, TCP_MAXSEG. */
  maxseg(bytes: number): void {
    this.sock.setMaxseg(bytes);
  }

  /** Binds before the connection is made: 0 or a negative errno. */
  bind(address: number, port: number): number {
    return this.sock.bind(address, port);
  }

  /** Starts to connect: 0 or a negative errno, after which there is nothing to close. */
  connect(address: number, port: number): number {
    this.started = true;
    this.sock.onReady = () => this.ready();
    const e = this.sock.connect(address, port);
    if (e === -EINPROGRESS) return 0;
    this.close();
    return e;
  }

  send(messages: readonly Uint8Array[]): void {
    const all = frameAll(messages);
    const b = new Uint8Array(this.out.length + all.length);
    b.set(this.out);
    b.set(all, this.out.length);
    this.out = b;
    this.flush();
  }

  close(): void {
    if (this.over) return;
    this.over = true;
    this.sock.close();
  }

  private flush(): void {
    if (this.out.length === 0 || this.over) return;
    const n = this.sock.send(this.out);
    if (n > 0) this.out = this.out.subarray(n);
    else if (n !== -EAGAIN) this.fail(-n);
  }

  private fail(errno: number): void {
    this.close();
    this.events.ended(errno);
  }

  private ready(): void {
    if (!this.up) {
      const e = this.sock.takeError();
      if (e !== 0) return this.fail(e);
      if (!this.sock.connected) return;
      this.up = true;
      this.events.connected();
    }
    this.flush();
    while (!this.over && this.sock.readable) this.read();
  }

  private read(): void {
    const r = this.sock.recv(this.exact ? this.stream.missing : CHUNK);
    if (typeof r === 'number') {
      if (r !== -EAGAIN) this.fail(-r);
      return;
    }
    if (r.length === 0) return this.fail(0);
    this.stream.push(r);
    for (let m = this.stream.take(); m !== null && !this.over; m = this.stream.take()) this.events.message(m);
  }
}
