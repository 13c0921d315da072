/**
 * What EC2 hands out of a VPC's subnets: addresses and /28 prefixes.
 *
 * EC2 takes any free ones; podwire takes the lowest. Of each subnet the VPC keeps the first four addresses (the second is the
 * router's) and the last.
 * @module
 */
import { aton, ntoa } from '../../../../wire/inet.js';
import { networkOf } from '../../networks.js';
import type { Machine } from '../../scenario.js';

/** Addresses of a delegated prefix. */
export const PREFIX_SIZE = 16;

/** What the VPC keeps of a subnet, at its start. */
export const RESERVED = 4;

export class Subnet {
  /** `a.b.c.d/len`. */
  readonly text: string;
  readonly bits: number;
  private readonly net: number;
  private readonly size: number;
  /** Offsets that are nobody's any more. */
  private readonly used = new Set<number>();
  /** By block size: no block before this offset is free. Nothing is ever given back. */
  private readonly next = new Map<number, number>();

  constructor(text: string) {
    const { net, bits } = networkOf(text);
    this.text = text;
    this.bits = bits;
    this.net = net;
    this.size = 2 ** (32 - bits);
    for (let i = 0; i < RESERVED; i++) this.used.add(i);
    this.used.add(this.size - 1);
  }

  /** The subnet router's address. */
  get router(): string {
    return ntoa(this.net + 1);
  }

  /** How many addresses are nobody's. */
  get free(): number {
    return this.size - this.used.size;
  }

  private offset = (address: number): number => (address - this.net) >>> 0;

  has(address: number): boolean {
    return this.offset(address) < this.size;
  }

  /** True when `count` addresses from `first` on are nobody's. */
  isFree(first: number, count = 1): boolean {
    const from = this.offset(first);
    for (let i = from; i < from + count; i++) if (i >= this.size || this.used.has(i)) return false;
    return true;
  }

  take(first: number, count = 1): void {
    for (let i = 0; i < count; i++) this.used.add(this.offset(first) + i);
  }

  /** Takes the lowest free block of `count` addresses, at a multiple of it; null: there is none. */
  allocate(count = 1): number | null {
    let i = this.next.get(count) ?? 0;
    while (i < this.size && !this.isFree(this.net + i, count)) i += count;
    this.next.set(count, i);
    if (i >= this.size) return null;
    this.take(this.net + i, count);
    return (this.net + i) | 0;
  }
}

/** The subnets that the machines stand in, by their names; addresses of machines are taken. */
export function subnetsOf(machines: readonly Machine[]): Map<string, Subnet> {
  const byText = new Map<string, Subnet>();
  const out = new Map<string, Subnet>();
  for (const m of machines) {
    const { text } = networkOf(m.addresses[0]!);
    let subnet = byText.get(text);
    if (subnet === undefined) byText.set(text, (subnet = new Subnet(text)));
    for (const a of m.addresses) subnet.take(aton(a.split('/')[0]!)!);
    out.set(m.name, subnet);
  }
  return out;
}
