/**
 * IPv4 networks as text `a.b.c.d/len`: containment and overlap.
 * @module
 */
import { aton, maskOf, ntoa } from '../../wire/inet.js';

/** The network of an address with its prefix length, and its parts. */
export function networkOf(a: string): { text: string; net: number; mask: number; bits: number } {
  const [ip, len] = a.split('/') as [string, string];
  const bits = Number(len);
  const mask = maskOf(bits);
  const net = aton(ip)! & mask;
  return { text: `${ntoa(net)}/${bits}`, net, mask, bits };
}

/** True when an address (a prefix length may follow) lies in a network. */
export function contains(network: string, address: string): boolean {
  const n = networkOf(network);
  return (aton(address.split('/')[0]!)! & n.mask) === n.net;
}

/** True when two networks share an address. */
export const overlap = (a: string, b: string): boolean =>
  networkOf(a).bits <= networkOf(b).bits ? contains(a, b) : contains(b, a);
