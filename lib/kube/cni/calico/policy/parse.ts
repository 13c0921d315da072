/**
 * Rules with ipsets in place of selectors and of named ports.
 *
 * Upstream: felix/calc/rule_scanner.go (ruleToParsedRule), rule_convert.go.
 * @module
 */
import { parseSelector, type Selector } from '../../../api/calico-selector.js';
import type { IcmpFields } from '../../../api/policy-types.js';
import { namedPortId, selectorId } from './ids.js';
import type { PolicyRule, RuleSide } from './model.js';

export interface PortRange {
  first: number;
  last: number;
}

/** The addresses of the pods that a selector chooses, or with `port` their container ports of that name. */
export interface IpsetOf {
  id: string;
  selector: Selector;
  /** Protocol in lower case. */
  port: { protocol: string; name: string } | null;
}

/** What one side of a packet must and must not be; ipsets by their ids. */
export interface ParsedSide {
  nets: readonly string[];
  sets: readonly string[];
  ports: readonly PortRange[];
  namedPorts: readonly string[];
  notNets: readonly string[];
  notSets: readonly string[];
  notPorts: readonly PortRange[];
  notNamedPorts: readonly string[];
}

export interface ParsedRule extends Pick<PolicyRule, 'action' | 'protocol' | 'notProtocol' | 'annotations'> {
  /** Null: of both families. */
  ipVersion: 4 | 6 | null;
  icmp: IcmpFields | null;
  notIcmp: IcmpFields | null;
  source: ParsedSide;
  destination: ParsedSide;
}

/** The protocol of named ports in a rule: TCP unless it is about UDP or SCTP. */
function portProtocol(p: number | string | null): string {
  if (p === 'udp' || p === 17) return 'udp';
  return p === 'sctp' || p === 132 ? 'sctp' : 'tcp';
}

const ALL: Selector = { op: 'all' };

function parseSide(s: RuleSide, protocol: string, ipsets: IpsetOf[]): ParsedSide {
  // A negated selector narrows a positive one down; alone it is also about addresses of no pod.
  const positive = s.selector !== '' && s.notSelector !== '' ? `(${s.selector}) && (!(${s.notSelector}))` : s.selector;
  const selector = positive === '' ? null : parseSelector(positive);
  const add = (set: IpsetOf): string => {
    if (!ipsets.some((x) => x.id === set.id)) ipsets.push(set);
    return set.id;
  };
  const chosen = (x: Selector): string => add({ id: selectorId(x), selector: x, port: null });
  const named = (ports: RuleSide['ports']): string[] =>
    ports
      .filter((p) => 'name' in p)
      .map(({ name }) => add({ id: namedPortId(selector ?? ALL, protocol, name), selector: selector ?? ALL, port: { protocol, name } })); // prettier-ignore
  const ranges = (ports: RuleSide['ports']): PortRange[] => ports.filter((p) => 'first' in p);
  const [namedPorts, ports] = [named(s.ports), ranges(s.ports)];
  const notNamedPorts = named(s.notPorts);
  return {
    nets: s.nets,
    // Ports by name alone are chosen by the selector already.
    sets: selector !== null && (ports.length > 0 || namedPorts.length === 0) ? [chosen(selector)] : [],
    ports,
    namedPorts,
    notNets: s.notNets,
    notSets: s.selector === '' && s.notSelector !== '' ? [chosen(parseSelector(s.notSelector))] : [],
    notPorts: ranges(s.notPorts),
    notNamedPorts,
  };
}

function versionOf(r: PolicyRule): 4 | 6 | null {
  if (r.ipVersion !== null) return r.ipVersion;
  return r.protocol === 'icmp' ? 4 : r.protocol === 'icmpv6' ? 6 : null;
}

/** A rule and, in `ipsets`, what it needs. */
export function parseRule(r: PolicyRule, ipsets: IpsetOf[]): ParsedRule {
  const protocol = portProtocol(r.protocol);
  return {
    action: r.action,
    ipVersion: versionOf(r),
    protocol: r.protocol,
    notProtocol: r.notProtocol,
    annotations: r.annotations,
    icmp: r.icmp,
    notIcmp: r.notIcmp,
    source: parseSide(r.source, protocol, ipsets),
    destination: parseSide(r.destination, protocol, ipsets),
  };
}
