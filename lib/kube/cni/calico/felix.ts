/**
 * Felix's model of iptables and ipset, the marks, and the seam between the dataplane and policy.
 *
 * The dataplane owns the static chains, the dispatch chains and the chains of the endpoints; policy says, for the endpoints of one
 * node, which rules stand in an endpoint's two chains before its profiles, and which chains and ipsets these need.
 *
 *   cali-tw-IFACE | cali-fw-IFACE:  conntrack ─▶ clear marks ─▶ [from it: no encapsulation] ─▶ POLICY ─▶ profiles ─▶ drop
 *
 * Upstream: projectcalico/calico v3.31, felix/generictables, felix/iptables/{match_builder,actions}.go, felix/rules.
 * @module
 */

/** One rule. Its texts are those Felix renders, for the hash depends on them. */
export interface Rule {
  /** Matches in Felix's long form, in its order, joined by blanks: `-m mark --mark 0/0x20000`; empty: every packet. */
  readonly match: string;
  /** The target in Felix's long form: `--jump DROP`; empty: a rule that only counts. */
  readonly action: string;
  /** What is said beside the hash. */
  readonly comment: readonly string[];
}

export interface Chain {
  readonly name: string;
  readonly rules: readonly Rule[];
}

/** An IPv4 ipset that policy or the dataplane keeps. */
export interface FelixIpset {
  /** What `ipset list` calls it: see ipsetName(). */
  readonly name: string;
  readonly type: 'hash:net' | 'hash:ip' | 'hash:ip,port' | 'hash:net,net';
  /** As `ipset add` takes them, each once; the order is that of programming. */
  readonly members: readonly string[];
}

/** A pod with a network of its own, as Felix knows it (a WorkloadEndpoint). */
export interface Endpoint {
  readonly namespace: string;
  readonly name: string;
  /** `cali…` on its node. */
  readonly iface: string;
  readonly podIP: string;
}

/** What policy puts into the chains of one endpoint, before the profiles; no rules where no policy selects it. */
export interface EndpointPolicy {
  /** In cali-tw-IFACE. */
  readonly ingress: readonly Rule[];
  /** In cali-fw-IFACE. */
  readonly egress: readonly Rule[];
}

/** Policy on one node. */
export interface NodePolicy {
  /** By the interface of the endpoint; one that is missing has no policy. */
  readonly endpoints: ReadonlyMap<string, EndpointPolicy>;
  /** cali-pi-…, cali-po-…, cali-gi-…, cali-go-… of the table filter that the endpoints' rules refer to. */
  readonly chains: readonly Chain[];
  readonly ipsets: readonly FelixIpset[];
}

/** Computes the policy of a node for the endpoints that are there now; the dataplane asks whenever they change. */
export type PolicyOf = (node: string, endpoints: readonly Endpoint[]) => NodePolicy;

/** A cluster without policies. */
export const noPolicy: PolicyOf = () => ({ endpoints: new Map(), chains: [], ipsets: [] });

// The bits of FELIX_IPTABLESMARKMASK's default, 0xffff0000, as v3.30 and later share them out.
export const MARK_ACCEPT = 0x10000;
export const MARK_PASS = 0x20000;
export const MARK_DROP = 0x40000;
export const MARK_SCRATCH0 = 0x80000;
export const MARK_SCRATCH1 = 0x100000;
export const MARK_ENDPOINT = 0xffe00000;
/** allCalicoMarkBits. */
export const MARK_ALL = MARK_ACCEPT | MARK_PASS | MARK_SCRATCH0 | MARK_SCRATCH1;

const hex = (mark: number): string => `0x${(mark >>> 0).toString(16)}`;

/** A rule from its parts. */
export const rule = (match: string, action: string, ...comment: string[]): Rule => ({ match, action, comment });

// Matches.
export const markClear = (mark: number): string => `-m mark --mark 0/${hex(mark)}`;
export const markNotClear = (mark: number): string => `-m mark ! --mark 0/${hex(mark)}`;
export const markIs = (mark: number, mask = mark): string => `-m mark --mark ${hex(mark)}/${hex(mask)}`;
export const markIsNot = (mark: number, mask = mark): string => `-m mark ! --mark ${hex(mark)}/${hex(mask)}`;
export const inInterface = (name: string): string => `--in-interface ${name}`;
export const outInterface = (name: string): string => `--out-interface ${name}`;
export const ctState = (states: string): string => `-m conntrack --ctstate ${states}`;
export const notCtState = (states: string): string => `-m conntrack ! --ctstate ${states}`;
export const srcSet = (name: string): string => `-m set --match-set ${name} src`;
export const dstSet = (name: string): string => `-m set --match-set ${name} dst`;
export const notDstSet = (name: string): string => `-m set ! --match-set ${name} dst`;
/** All of several matches. */
export const all = (...matches: string[]): string => matches.filter((m) => m !== '').join(' ');

// Targets.
export const ACCEPT = '--jump ACCEPT';
export const DROP = '--jump DROP';
export const RETURN = '--jump RETURN';
export const NOTRACK = '--jump NOTRACK';
export const MASQUERADE = '--jump MASQUERADE --random-fully';
export const jump = (chain: string): string => `--jump ${chain}`;
export const goTo = (chain: string): string => `--goto ${chain}`;
export const setMark = (mark: number, mask = mark): string => `--jump MARK --set-mark ${hex(mark)}/${hex(mask)}`;
export const clearMark = (mark: number): string => `--jump MARK --set-mark 0/${hex(mark)}`;
