/**
 * Policy rules: which table a packet is looked up in.
 *
 * Kernel counterparts: net/core/fib_rules.c, net/ipv4/fib_rules.c. Not here: realms, tunnel ids, l3mdev.
 * @module
 */
import { maskOf } from '../../../wire/inet.js';
import type { Flow } from './flow.js';

/** FibRule.action besides a look-up (0) and the route types RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT. */
export const FR_ACT_GOTO = 2;
export const FR_ACT_NOP = 3;

export interface FibRule {
  priority: number;
  src: number;
  srcPrefix: number;
  dst: number;
  dstPrefix: number;
  mark: number;
  mask: number;
  iif: string;
  oif: string;
  tos: number;
  /** Protocol, 0: any. */
  ipProto: number;
  /** Ports and users, both ends in; a maximum of 0 (-1 for users): any. */
  sportMin: number;
  sportMax: number;
  dportMin: number;
  dportMax: number;
  uidMin: number;
  uidMax: number;
  not: boolean;
  /** Table to look up, 0 with an action. */
  table: number;
  /** 0 look up, FR_ACT_* or a route type that ends the search. */
  action: number;
  /** Priority that FR_ACT_GOTO goes on at. */
  target: number;
  /** A result with a prefix of this length or shorter does not count; -1: any does. */
  suppressPrefixlen: number;
  /** Who made it, as `ip -d rule` prints it. */
  proto: string;
}

/** A rule without selectors. */
export function rule(priority: number, table: number): FibRule {
  return {
    priority, src: 0, srcPrefix: 0, dst: 0, dstPrefix: 0, mark: 0, mask: 0, iif: '', oif: '', tos: 0,
    ipProto: 0, sportMin: 0, sportMax: 0, dportMin: 0, dportMax: 0, uidMin: 0, uidMax: -1, not: false, table, action: 0, target: 0, suppressPrefixlen: -1, proto: 'kernel',
  }; // prettier-ignore
}

/** fib_rule_match. */
export function ruleMatches(r: FibRule, fl: Flow): boolean {
  const hit =
    ((fl.saddr ^ r.src) & maskOf(r.srcPrefix)) === 0 &&
    ((fl.daddr ^ r.dst) & maskOf(r.dstPrefix)) === 0 &&
    ((fl.mark ^ r.mark) & r.mask) === 0 &&
    (r.tos === 0 || r.tos === fl.tos) &&
    (r.iif === '' || r.iif === (fl.iif === null ? 'lo' : fl.iif.name)) &&
    (r.oif === '' || (fl.oif !== null && r.oif === fl.oif.name)) &&
    (r.ipProto === 0 || r.ipProto === fl.proto) &&
    (r.sportMax === 0 || (fl.sport >= r.sportMin && fl.sport <= r.sportMax)) &&
    (r.dportMax === 0 || (fl.dport >= r.dportMin && fl.dport <= r.dportMax)) &&
    (r.uidMax < 0 || (fl.uid >= r.uidMin && fl.uid <= r.uidMax));
  return hit !== r.not;
}

/** True for a rule that asks what a received packet's transport header says (fib_rule_requires_fldissect). */
export const needsPorts = (r: FibRule): boolean =>
  r.iif !== 'lo' && (r.ipProto !== 0 || r.sportMax !== 0 || r.dportMax !== 0);

/** Everything but the action's own place is equal (rule_exists). */
export function sameRule(a: FibRule, b: FibRule): boolean {
  return (Object.keys(a) as (keyof FibRule)[]).every((k) => k === 'proto' || a[k] === b[k]);
}

/** Priority of a rule that was given none: one before the second rule (fib_default_rule_pref). */
export function defaultPriority(rules: readonly FibRule[]): number {
  const second = rules[1];
  return second !== undefined && second.priority !== 0 ? second.priority - 1 : 0;
}
