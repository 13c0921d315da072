/**
 * Policy rules: which table a packet is looked up in.
 *
 * Kernel counterparts: net/core/fib_rules.c, net/ipv4/fib_rules.c. Not here: realms, tunnel ids, l3mdev, user ids, protocol
 * and ports of the packet.
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
    priority, src: 0, srcPrefix: 0, dst: 0, dstPrefix: 0, mark: 0, mask: 0, iif: '', oif: '', tos: 0, not: false, table, action: 0,
    target: 0, suppressPrefixlen: -1, proto: 'kernel',
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
    (r.oif === '' || (fl.oif !== null && r.oif === fl.oif.name));
  return hit !== r.not;
}

/** Everything but the action's own place is equal (rule_exists). */
export function sameRule(a: FibRule, b: FibRule): boolean {
  return (Object.keys(a) as (keyof FibRule)[]).every((k) => k === 'proto' || a[k] === b[k]);
}

/** Priority of a rule that was given none: one before the second rule (fib_default_rule_pref). */
export function defaultPriority(rules: readonly FibRule[]): number {
  const second = rules[1];
  return second !== undefined && second.priority !== 0 ? second.priority - 1 : 0;
}
