/**
 * One client's connection to a DNS server over TCP: one query after the other, as Go's DNS library serves them.
 * @module
 */
import { DnsStream, frameDns } from '../../wire/dns-stream.js';
import { SEC } from '../sim/sim.js';

/** How long a connection may take for its first query, and for every other after an answer. */
const FIRST_READ = 3 * SEC;
const IDLE = 10 * SEC;
/** Bytes of queries that may wait for the answer of an earlier one. */
const MAX_WAITING = 1 << 18;

/** What a session needs of its connection. */
export interface DnsPeer {
  write(bytes: Uint8Array): void;
  close(): void;
  /** Calls `fire` once others have had their turn: an answer takes time. */
  next(fire: () => void): void;
  /** Calls `expired` in `ns` nanoseconds, in place of an earlier deadline; null: never. */
  deadline(ns: number | null): void;
}

export class DnsSession {
  private readonly stream = new DnsStream();
  private readonly handle: (query: Uint8Array, send: (reply: Uint8Array) => void) => void;
  private readonly peer: DnsPeer;
  private waiting = 0;
  private busy = false;
  private closed = false;

  constructor(handle: (query: Uint8Array, send: (reply: Uint8Array) => void) => void, peer: DnsPeer) {
    this.handle = handle;
    this.peer = peer;
    peer.deadline(FIRST_READ);
  }

  /** Bytes came. */
  data(bytes: Uint8Array): void {
    this.waiting += bytes.length;
    if (this.waiting > MAX_WAITING) return this.expired();
    this.stream.push(bytes);
    this.next();
  }

  /** The deadline has passed. */
  expired(): void {
    this.end();
    this.peer.close();
  }

  /** The connection is over: nothing more is written. */
  end(): void {
    this.closed = true;
    this.peer.deadline(null);
  }

  private next(): void {
    while (!this.busy && !this.closed) {
      const query = this.stream.take();
      if (query === null) return;
      this.waiting -= 2 + query.length;
      // What is no query is ignored without a word; the next read has a deadline of its own.
      if (query.length < 12 || (query[2]! & 0x80) !== 0) {
        this.peer.deadline(IDLE);
        continue;
      }
      this.busy = true;
      this.peer.deadline(null);
      this.handle(query, (reply) => this.answered(reply));
    }
  }

  private answered(reply: Uint8Array): void {
    if (this.closed) return;
    this.peer.write(frameDns(reply));
    this.peer.deadline(IDLE);
    this.peer.next(() => {
      this.busy = false;
      this.next();
    });
  }
}
