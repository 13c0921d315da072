/**
 * Network policy as Felix enforces it: from the objects of the cluster to the chains and ipsets of a node.
 *
 *   NetworkPolicy ─kubernetes▶ Calico's ─model▶ selectors ─parse▶ ipsets ─render▶ cali-pi-…, cali-po-… ─tiers▶ rules of cali-tw-…, cali-fw-…
 *
 * A policy is active on a node where its selector chooses a pod; its ipsets then have the pods of all nodes. Chains that no pod of
 * the node is sent through are not programmed. Upstream: felix/calc, felix/dataplane/linux/policy_mgr.go.
 * Not here: tiers other than `default`, host endpoints, network sets, named ports of init containers.
 * @module
 */
import { parseSelector, type Selector, selectorText } from '../../../api/calico-selector.js';
import type { CalicoPolicy, NetworkPolicy } from '../../../api/policy-types.js';
import { byBytes } from '../../../kubectl/go-values.js';
import type { PolicyObjects, Sandbox } from '../../plugin.js';
import type { Chain, Endpoint, EndpointPolicy, FelixIpset, NodePolicy } from '../felix.js';
import { noPolicy } from '../felix.js';
import { ipsetName } from '../hash.js';
import { chooses, endpointOf, membersOf, type PolicyEndpoint } from './endpoints.js';
import { fromKubernetes } from './kubernetes.js';
import { type Policy, policyOf } from './model.js';
import { type IpsetOf, type ParsedRule, parseRule } from './parse.js';
import { renderRules } from './render.js';
import { type Direction, policyChain, type TierPolicy, tierRules } from './tiers.js';

/** A policy with its ipsets and chains, which do not depend on the pods. */
interface Compiled extends TierPolicy {
  order: number;
  chosen: Selector;
  ingress: boolean;
  egress: boolean;
  ipsets: readonly IpsetOf[];
  chains: Readonly<Record<Direction, Chain>>;
}

function compile(p: Policy): Compiled {
  const chosen = parseSelector(p.selector);
  const ipsets: IpsetOf[] = [];
  const parse = (rules: Policy['inbound']): ParsedRule[] => rules.map((r) => parseRule(r, ipsets));
  const [inbound, outbound] = [parse(p.inbound), parse(p.outbound)];
  const of = { tier: p.tier, name: p.name, selector: selectorText(chosen) };
  const chain = (d: Direction, rules: readonly ParsedRule[], word: string): Chain => ({
    name: policyChain(of, d),
    rules: renderRules(rules, `Policy ${p.name} ${word}`),
  });
  const chains = { inbound: chain('inbound', inbound, 'ingress'), outbound: chain('outbound', outbound, 'egress') };
  return { ...of, order: p.order, chosen, ingress: p.ingress, egress: p.egress, ipsets, chains };
}

/** PolKVLess */
const before = (a: Compiled, b: Compiled): number =>
  a.order === b.order ? byBytes(a.name, b.name) : a.order - b.order;

interface World {
  /** In their order. */
  policies: readonly Compiled[];
  /** By `NAMESPACE/NAME`. */
  endpoints: ReadonlyMap<string, PolicyEndpoint>;
  members: Map<string, readonly string[]>;
}

const keyOf = (p: { namespace: string; name: string }): string => `${p.namespace}/${p.name}`;

/** The policies of a cluster and the pods that have a network. */
export class Policies {
  private objects: () => PolicyObjects = () => ({ pods: [], namespaces: [], accounts: [], policies: [] });
  /** Addresses of the pods that have one, by `NAMESPACE/NAME`. */
  private readonly addresses = new Map<string, string>();
  private readonly compiled = new WeakMap<object, Compiled>();
  private world: World | null = null;

  /** `objects` is asked for what is there whenever something may have changed. */
  watch(objects: () => PolicyObjects): void {
    this.objects = objects;
    this.world = null;
  }

  /** Something of the objects has changed. */
  changed(): void {
    this.world = null;
  }

  /** A pod has got its address. */
  add(pod: Sandbox): void {
    this.addresses.set(keyOf(pod), pod.podIP);
    this.world = null;
  }

  /** A pod has lost it. */
  remove(pod: Sandbox): void {
    this.addresses.delete(keyOf(pod));
    this.world = null;
  }

  /** Whether there is any. */
  get some(): boolean {
    return this.objects().policies.length > 0;
  }

  /** Policy on a node with these pods (PolicyOf). */
  of(node: string, pods: readonly Endpoint[]): NodePolicy {
    const world = (this.world ??= this.look());
    if (world.policies.length === 0) return noPolicy(node, pods);
    const chains = new Map<string, Chain>();
    const ipsets = new Map<string, FelixIpset>();
    const endpoints = new Map<string, EndpointPolicy>();
    for (const pod of pods) {
      const e = world.endpoints.get(keyOf(pod));
      const mine = e === undefined ? [] : world.policies.filter((p) => chooses(p.chosen, e));
      if (mine.length === 0) continue;
      for (const p of mine) for (const s of p.ipsets) ipsets.set(s.id, this.ipset(world, s));
      const rules = (d: Direction, on: 'ingress' | 'egress') => {
        const own = mine.filter((p) => p[on]);
        for (const p of own) chains.set(p.chains[d].name, p.chains[d]);
        return tierRules(own, d, chains);
      };
      endpoints.set(pod.iface, { ingress: rules('inbound', 'ingress'), egress: rules('outbound', 'egress') });
    }
    return { endpoints, chains: [...chains.values()], ipsets: [...ipsets.values()] };
  }

  private ipset(world: World, s: IpsetOf): FelixIpset {
    let members = world.members.get(s.id);
    if (members === undefined) world.members.set(s.id, (members = membersOf(s, world.endpoints.values())));
    return { name: ipsetName(s.id), type: s.port === null ? 'hash:net' : 'hash:ip,port', members };
  }

  private look(): World {
    const o = this.objects();
    if (o.policies.length === 0) return { policies: [], endpoints: new Map(), members: new Map() };
    const parents = {
      namespaces: new Map(o.namespaces.map((n) => [n.metadata.name, n])),
      accounts: new Map(o.accounts.map((a) => [keyOf(a.metadata), a])),
    };
    const endpoints = new Map<string, PolicyEndpoint>();
    for (const p of o.pods) {
      const ip = this.addresses.get(keyOf(p.metadata));
      if (ip !== undefined) endpoints.set(keyOf(p.metadata), endpointOf(p, ip, parents));
    }
    const policies = o.policies.map((p) => this.compile(p)).sort(before);
    return { policies, endpoints, members: new Map() };
  }

  private compile(p: NetworkPolicy | CalicoPolicy): Compiled {
    let c = this.compiled.get(p);
    if (c === undefined) {
      c = compile(policyOf(p.kind === 'NetworkPolicy' ? fromKubernetes(p) : p));
      this.compiled.set(p, c);
    }
    return c;
  }
}
