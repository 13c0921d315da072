/**
 * CoreDNS's cache plugin on the caller's clock (plugin/cache, plugin/pkg/cache, plugin/pkg/response).
 *
 * Entries live in 256 shards by the low byte of an FNV-1 hash; a full shard loses one entry. Which one is Go's random map
 * order in CoreDNS; here it is the oldest.
 * @module
 */
import { AA, AD, CD, type DnsMessage, QR, RA, RD, type Rr, TC, TYPE } from '../../../wire/dns.js';
import type { CacheConfig, StoreConfig } from './corefile-cache.js';
import { type Kind, kindOf } from './reply-kind.js';
import { longestZone } from './zones.js';

const SHARDS = 256;
const MINIMAL_TTL = 5;
const MAXIMAL_TTL = 3600;

export interface Item {
  name: string;
  flags: number;
  answer: Rr[];
  authority: Rr[];
  additional: Rr[];
  ttl: number;
  /** Nanoseconds. */
  stored: number;
  /** When it was asked for last, and how often without a long pause (for prefetch). */
  last: number;
  hits: number;
}
const noOpt = (r: Rr): boolean => r.type !== TYPE.OPT;
const withTtl = (list: Rr[], ttl: number): Rr[] => list.filter(noOpt).map((r) => ({ ...r, ttl }));

class Store {
  private readonly shards: Map<string, Item>[] = Array.from({ length: SHARDS }, () => new Map());
  private readonly size: number;
  constructor(c: StoreConfig) {
    this.size = Math.max(4, Math.floor(c.capacity / SHARDS));
  }
  private shard(key: string): Map<string, Item> {
    let h = 0x25;
    for (let i = 0; i < key.length; i++) h = ((h * 0xb3) & 255) ^ (key.charCodeAt(i) & 255);
    return this.shards[h]!;
  }
  get(key: string): Item | undefined {
    return this.shard(key).get(key);
  }
  add(key: string, item: Item): void {
    const s = this.shard(key);
    if (s.size >= this.size && !s.has(key)) s.delete(s.keys().next().value!);
    s.set(key, item);
  }
  remove(key: string): void {
    this.shard(key).delete(key);
  }
  count(): number {
    return this.shards.reduce((n, s) => n + s.size, 0);
  }
}

export class CachePlugin {
  private readonly config: CacheConfig;
  private readonly success: Store;
  private readonly denial: Store;
  private readonly now: () => number;

  /** `now`: nanoseconds. */
  constructor(config: CacheConfig, now: () => number) {
    this.config = config;
    this.success = new Store(config.success);
    this.denial = new Store(config.denial);
    this.now = now;
  }

  /** Entries held: [positive, negative]. */
  sizes(): [number, number] {
    return [this.success.count(), this.denial.count()];
  }

  /** Whether queries for this name pass through the cache. */
  covers(name: string): boolean {
    return longestZone(this.config.zones, name) !== null;
  }

  private key(q: DnsMessage, dnssec: boolean): string {
    const { name, type } = q.question[0]!;
    const bit = (on: boolean): string => (on ? '1' : '0');
    return bit(dnssec) + bit((q.flags & CD) !== 0) + String.fromCharCode(type >> 8, type & 255) + name.toLowerCase();
  }

  /** The entry for a query, also one that has just ended if stale ones are served; null: none. */
  find(q: DnsMessage, dnssec: boolean): Item | null {
    const key = this.key(q, dnssec);
    const stale = this.config.stale?.seconds ?? 0;
    for (const store of [this.denial, this.success]) {
      const i = store.get(key);
      if (i === undefined) continue;
      const left = this.left(i);
      if (left > 0 || (stale > 0 && -left < stale)) return i;
    }
    return null;
  }

  /** Seconds an entry still lives; negative: it is stale. */
  left(i: Item): number {
    return i.ttl - Math.floor((this.now() - i.stored) / 1e9);
  }

  get verifiesStale(): boolean {
    return this.config.stale?.verify ?? false;
  }

  /** Counts the hit (plugin/cache/freq); true: the entry is popular and about to end. */
  wantsPrefetch(i: Item): boolean {
    const { prefetch } = this.config;
    if (prefetch === null) return false;
    const now = this.now();
    i.hits = i.last < now - prefetch.window ? 1 : i.hits + 1;
    i.last = now;
    return i.hits >= prefetch.hits && this.left(i) <= Math.ceil((prefetch.share / 100) * i.ttl);
  }

  /** An entry fitted to the query. */
  message(q: DnsMessage, dnssec: boolean, i: Item): DnsMessage {
    const ttl = this.config.keepTtl ? i.ttl : Math.max(0, this.left(i));
    const asked = q.flags & (((q.flags >> 11) & 15) === 0 ? 0x7800 | RD | CD : 0x7800);
    return {
      id: q.id,
      flags: QR | AA | asked | (i.flags & (RA | 15)) | (wantsAd(q, dnssec) ? i.flags & AD : 0),
      question: [q.question[0]!],
      answer: withTtl(i.answer, ttl),
      authority: withTtl(i.authority, ttl),
      additional: withTtl(i.additional, ttl),
    };
  }

  /** A stored reply fitted to the query, or null. */
  hit(q: DnsMessage, dnssec: boolean): DnsMessage | null {
    const i = this.find(q, dnssec);
    return i === null ? null : this.message(q, dnssec, i);
  }

  /** A reply that was asked for to renew `old`: stored, with the hits counted so far. */
  refreshed(q: DnsMessage, dnssec: boolean, m: DnsMessage, old: Item): void {
    this.pass(q, dnssec, m);
    const key = this.key(q, dnssec);
    const kind = kindOf(m);
    if ((kind === 'success' || kind === 'delegation') && this.success.get(key) !== old) this.denial.remove(key);
    const i = this.denial.get(key) ?? this.success.get(key);
    if (i === undefined) return;
    i.last = this.now();
    i.hits = old.hits;
  }

  /** A reply on its way to the client: stored if it may be, every TTL set to the one it is stored with, OPT removed. */
  pass(q: DnsMessage, dnssec: boolean, m: DnsMessage): DnsMessage {
    const kind = kindOf(m);
    const { servfail, success, denial } = this.config;
    const of = kind === 'denial' ? denial : success;
    const low = kind === 'success' || kind === 'denial' ? minimalTtl(m) : MINIMAL_TTL;
    const ttl = kind === 'servfail' ? servfail : Math.min(of.max, Math.max(of.min, low));
    if (kind !== 'none' && (m.flags & TC) === 0 && ttl > 0 && matches(q, m)) this.store(q, dnssec, m, kind, ttl);
    const whole = Math.floor(ttl);
    return {
      ...m,
      flags: wantsAd(q, dnssec) ? m.flags : m.flags & ~AD,
      answer: withTtl(m.answer, whole),
      authority: withTtl(m.authority, whole),
      additional: withTtl(m.additional, whole),
    };
  }

  private store(q: DnsMessage, dnssec: boolean, m: DnsMessage, kind: Kind, ttl: number): void {
    const negative = kind === 'denial' || kind === 'servfail';
    const { name } = m.question[0]!;
    if (longestZone((negative ? this.config.denial : this.config.success).except, name) !== null) return;
    (negative ? this.denial : this.success).add(this.key(q, dnssec), {
      name,
      flags: m.flags,
      answer: m.answer,
      authority: m.authority,
      additional: m.additional.filter(noOpt),
      ttl: Math.floor(ttl),
      stored: this.now(),
      last: -Infinity,
      hits: 0,
    });
  }
}

const wantsAd = (q: DnsMessage, dnssec: boolean): boolean => dnssec || (q.flags & AD) !== 0;

/** The smallest TTL of a message, at most an hour; five seconds when it has no record (dnsutil.MinimalTTL). */
function minimalTtl(m: DnsMessage): number {
  const extra = m.additional.filter(noOpt);
  if (
    m.answer.length + m.authority.length === 0 &&
    (m.additional.length === 0 || (m.additional.length === 1 && extra.length === 0))
  )
    return MINIMAL_TTL;
  return [...m.answer, ...m.authority, ...extra].reduce((low, r) => Math.min(low, r.ttl), MAXIMAL_TTL);
}

/** Whether `m` answers `q` (request.Match). */
export function matches(q: DnsMessage, m: DnsMessage): boolean {
  const [a] = q.question;
  const [b, second] = m.question;
  if (a === undefined || b === undefined || second !== undefined || (m.flags & QR) === 0) return false;
  return a.name.toLowerCase() === b.name.toLowerCase() && a.type === b.type;
}
