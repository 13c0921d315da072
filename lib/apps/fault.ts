/**
 * `podwire fault conntrack-race drop|resolve|off`: what needs a second CPU, on a machine that has one.
 *
 * Only podwire knows it; the recorder refuses it. From then on, in this namespace, UDP packets of one new flow that come at
 * the same instant are looked up before any of them is confirmed, as on CPUs of their own: each gets an entry and NAT of its
 * own, the first wins, the others clash. `resolve` lets them clash as Linux 6.1 does (nf_ct_resolve_clash), `drop` as
 * kernels before 5.0, which dropped every loser that NAT had touched (kubernetes#56903).
 * @module
 */
import { conntrack, type ConntrackRace } from '../linux/netfilter/conntrack.js';
import type { Program } from './program.js';

const RACES: readonly string[] = ['off', 'resolve', 'drop'] satisfies ConntrackRace[];

export const fault: Program = (p) => {
  const [name, mode, more] = p.argv.slice(2);
  if (name !== 'conntrack-race' || !RACES.includes(mode ?? '') || more !== undefined) {
    p.err(`podwire: fault: found "${p.argv.slice(2).join(' ')}", expected conntrack-race drop|resolve|off\n`);
    return p.exit(2);
  }
  conntrack(p.net).race = mode as ConntrackRace;
  p.exit(0);
};
