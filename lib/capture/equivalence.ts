/**
 * What may differ between two correct runs: a written list, each mapped one to one over the whole tree, never ignored.
 *
 * A mapping is a bijection within a key: once value E of the expected run stands for value A of the actual run, every
 * later E must be A and every later A must come from E. Equal values are recorded too.
 * @module
 */
import { TcpFlows } from './tcp-flows.js';

export interface Equivalence {
  name: string;
  reason: string;
}

export const EQUIVALENCES = [
  {
    name: 'mac',
    reason:
      "a device gets a random address unless the Lab sets one: mapped over the tree, in Ethernet, ARP and a tunnel's inner " +
      'frames, if both values are locally administered unicast addresses that do not stand in the Lab. A bridge without ' +
      'an address of its own takes the lowest of its ports, which no mapping repeats: set them where that matters',
  },
  {
    name: 'ip-id',
    reason:
      'Linux draws IP IDs from keyed per-boot generators; mapped per (protocol, total length); zero stays zero. In TCP the ' +
      "difference is one constant for each direction of a connection, so that the socket's steps of one are checked",
  },
  {
    name: 'port',
    reason:
      'client ports are random: mapped per protocol if both values are ephemeral (32768-60999; with natPorts ' +
      "1024-65535, the range of masquerade --random-fully), the frame's other port is equal, and the port was first " +
      'seen as a source port (of a packet that an error quotes, where the packet itself was never sent)',
  },
  {
    name: 'tcp-seq',
    reason:
      'initial sequence numbers are random: one constant difference for each direction of a connection, in sequence ' +
      'numbers, acknowledgements and SACK blocks; initial ones are mapped over the tree, zero in a lone RST stays zero',
  },
  {
    name: 'tcp-timestamp',
    reason:
      "time stamps are the machine's clock with a random offset: they must not fall behind an earlier one of their " +
      'direction, and an echo must be that of the frame which the expected run echoes; zero stays zero',
  },
  {
    name: 'icmp-echo-id',
    reason: "ping's identifier is random or a process id, or chosen by NAT; mapped over the tree",
  },
  {
    name: 'ip-timestamp',
    reason:
      "the timestamp option's milliseconds since midnight: one constant difference over the tree, give or take 2 s (the " +
      'clocks drift apart as steps start late); from hop to hop they never fall and are no further apart than 30 ms',
  },
  {
    name: 'ping-timestamp',
    reason: 'the first 16 bytes of an echo payload are the time of day; mapped per (id, sequence)',
  },
  {
    name: 'vxlan-port',
    reason:
      "the source port of a tunnel's datagram comes from a flow hash with a key drawn at boot, or from the sending " +
      'socket; mapped per direction of the inner flow, one to one, within 32768-60999',
  },
  { name: 'dns-id', reason: 'resolvers draw message ids at random; mapped per question, query and reply alike' },
  { name: 'dns-cookie', reason: 'dig sends a random 8-byte client cookie (RFC 7873); mapped over the tree' },
  {
    name: 'lo-partial-checksum',
    reason:
      'on lo the kernel leaves the folded pseudo-header sum (CHECKSUM_PARTIAL) in UDP and TCP, also when an error ' +
      'quotes it; the actual checksum must be the complete one; both are verified. NAT of such a quotation takes the sum ' +
      'for a complete one: it must then be as far from the actual one as in the packet that is quoted',
  },
  {
    name: 'checksum',
    reason:
      'a checksum over mapped bytes differs too; both are verified by recomputation over their own frame, in a fragment ' +
      'or a quotation by the difference that the mapped bytes make',
  },
] as const satisfies readonly Equivalence[];

export type EquivalenceName = (typeof EQUIVALENCES)[number]['name'];

export interface EquivalenceOptions {
  /** Ports that NAT chose at random (1024-65535) may be mapped, not only ephemeral ones. */
  natPorts?: boolean;
  /** MAC addresses (`aa:bb:…`) that the Lab sets; others may be mapped. Absent: none may. */
  fixedMacs?: ReadonlySet<string>;
  /** UDP ports that carry DNS. Default: 53. */
  dnsPorts?: readonly number[];
}

/** Milliseconds. */
const DAY = 86400000;

/** All mappings of one comparison and how often each was needed. */
export class Mappings {
  readonly counts: Partial<Record<EquivalenceName, number>> = {};
  /** Why the latest mapping was refused, for the message. */
  note = '';
  /** What is known of each TCP connection. */
  readonly tcp: TcpFlows;
  /** `E A` of the outer source ports of tunnels that the frames show. */
  readonly tunnelPorts: Set<string>;
  /** How far apart (ones' complement) the partial and the complete sum of a packet on lo were, by protocol, destination and ports. */
  readonly partialSums: Map<string, number>;
  /** The actual time of day less the expected one, ms; null: none seen. */
  readonly clock: { ahead: number | null };
  private readonly forward = new Map<string, string | number>();
  private readonly backward = new Map<string, string | number>();
  private readonly base: Mappings | null;

  constructor(base: Mappings | null = null) {
    this.base = base;
    this.tcp = base === null ? new TcpFlows() : base.tcp;
    this.clock = base === null ? { ahead: null } : base.clock;
    this.tunnelPorts = base === null ? new Set() : base.tunnelPorts;
    this.partialSums = base === null ? new Map() : base.partialSums;
  }

  /** A copy for a guess; `adopt` takes over what it found. */
  fork(): Mappings {
    return new Mappings(this);
  }

  /** Pairs that a fork found. */
  get added(): number {
    return this.forward.size;
  }

  /** Takes over the pairs of a fork, without its statistics. */
  adopt(fork: Mappings): void {
    for (const [k, v] of fork.forward) this.forward.set(k, v);
    for (const [k, v] of fork.backward) this.backward.set(k, v);
  }

  private standsFor(key: string): string | number | undefined {
    return this.forward.get(key) ?? this.base?.standsFor(key);
  }

  private comesFrom(key: string): string | number | undefined {
    return this.backward.get(key) ?? this.base?.comesFrom(key);
  }

  /** Adds one use to the statistics. */
  used(name: EquivalenceName): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }

  /** True when both values are known as a pair already. */
  known(name: EquivalenceName, key: string, e: string | number, a: string | number): boolean {
    return this.standsFor(`${name} ${key} ${e}`) === a && this.comesFrom(`${name} ${key} ${a}`) === e;
  }

  /** Whether two times of day, ms since midnight, are as far apart as the first two were, give or take 2 s. */
  sameTime(e: number, a: number): boolean {
    const ahead = (a - e + DAY) % DAY;
    this.clock.ahead ??= ahead;
    const drift = (ahead - this.clock.ahead + DAY) % DAY;
    return drift <= 2000 || drift >= DAY - 2000;
  }

  /** Records that `e` stands for `a`; false (with `note`) when one of them already stands for something else. */
  pair(name: EquivalenceName, key: string, e: string | number, a: string | number): boolean {
    const fk = `${name} ${key} ${e}`;
    const bk = `${name} ${key} ${a}`;
    const f = this.standsFor(fk);
    const b = this.comesFrom(bk);
    if (f === undefined && b === undefined) {
      this.forward.set(fk, a);
      this.backward.set(bk, e);
    } else if (f !== a || b !== e) {
      this.note = `${name}: ${f !== undefined ? `${e} already stands for ${f}` : `${a} already stands for ${b}`}`;
      return false;
    }
    if (e !== a) this.used(name);
    return true;
  }
}

/** The MAC addresses that a text contains, as `aa:bb:cc:dd:ee:ff`. */
export const macsIn = (text: string): ReadonlySet<string> =>
  new Set(text.toLowerCase().match(/(?<![0-9a-f:])(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?![0-9a-f:])/g) ?? []);
