/**
 * What Calico makes of a Kubernetes NetworkPolicy: a policy `knp.default.NAME` of order 1000 whose rules all allow.
 *
 * Upstream: libcalico-go/lib/backend/k8s/conversion/conversion.go (K8sNetworkPolicyToCalico).
 * @module
 */
import type { CalicoPolicy, CalicoPort, CalicoRule, EntityRule, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicyRule } from '../../../api/policy-types.js'; // prettier-ignore
import type { LabelSelector } from '../../../api/types.js';
import { byBytes, sortedKeys } from '../../../kubectl/go-values.js';
import { networkOf } from '../../../networks.js';
import { ORCHESTRATOR_LABEL } from './model.js';

/** The order that every Kubernetes NetworkPolicy has among Calico's. */
const ORDER = 1000;

/** The terms of k8sSelectorToCalico, as Calico writes them; they are not canonical yet. */
function terms(s: LabelSelector): string[] {
  const set = (values: readonly string[]): string => `{ '${values.join("', '")}' }`;
  return [
    ...sortedKeys(s.matchLabels).map((k) => `${k} == '${s.matchLabels[k]!}'`),
    ...s.matchExpressions.map((e) => {
      if (e.operator === 'In') return `${e.key} in ${set(e.values)}`;
      if (e.operator === 'NotIn') return `${e.key} not in ${set(e.values)}`;
      return e.operator === 'Exists' ? `has(${e.key})` : `! has(${e.key})`;
    }),
  ];
}

/** Pods of Kubernetes only. */
const podSelector = (s: LabelSelector | null): string =>
  [`${ORCHESTRATOR_LABEL} == 'k8s'`, ...(s === null ? [] : terms(s))].join(' && ');

/** An empty selector is all namespaces; none is the policy's own. */
const namespaceSelector = (s: LabelSelector | null): string => (s === null ? '' : terms(s).join(' && ') || 'all()');

const NOTHING: EntityRule = { nets: [], notNets: [], selector: '', notSelector: '', namespaceSelector: '', ports: [], notPorts: [], serviceAccounts: null }; // prettier-ignore
const network = (v: string): string => (v.includes(':') ? v : networkOf(v).text);

/** k8sPeerToCalicoFields; null: everybody. */
function peer(p: NetworkPolicyPeer | null): EntityRule {
  if (p === null) return NOTHING;
  if (p.ipBlock !== null)
    return { ...NOTHING, nets: [network(p.ipBlock.cidr)], notNets: p.ipBlock.except.map(network) };
  return { ...NOTHING, selector: podSelector(p.podSelector), namespaceSelector: namespaceSelector(p.namespaceSelector) };
} // prettier-ignore

/** SimplifyPorts: names first, then numbers in as few ranges as they make. */
export function simplifyPorts(ports: readonly CalicoPort[]): readonly CalicoPort[] {
  const ranges = ports.filter((p) => 'first' in p);
  if (ports.length <= 1 || (ranges.length === 1 && ranges[0]!.first === ranges[0]!.last)) return ports;
  const out: CalicoPort[] = ports.filter((p) => 'name' in p);
  let last: { first: number; last: number } | null = null;
  for (const r of [...ranges].sort((a, b) => a.first - b.first)) {
    if (last !== null && r.first <= last.last + 1) last.last = Math.max(last.last, r.last);
    else out.push((last = { ...r }));
  }
  return out;
}

/** The ports of each protocol, by its name; null: all of them. A port of no protocol and number is all traffic. */
function portsByProtocol(ports: readonly NetworkPolicyPort[]): [protocol: string | null, ports: readonly CalicoPort[]][] {
  if (ports.length === 0) return [[null, []]];
  const all = new Map<string, CalicoPort[] | null>();
  for (const p of ports) {
    const known = all.get(p.protocol);
    if (p.port === null) all.set(p.protocol, null);
    else if (known !== null) {
      const own = typeof p.port === 'string' ? { name: p.port } : { first: p.port, last: p.endPort ?? p.port };
      all.set(p.protocol, [...(known ?? []), own]);
    }
  }
  return [...all].sort(([a], [b]) => byBytes(a, b)).map(([k, v]) => [k.toLowerCase(), simplifyPorts(v ?? [])]);
} // prettier-ignore

/** k8sRuleToCalico: one rule for each protocol and peer. */
function rules(r: NetworkPolicyRule, direction: 'ingress' | 'egress'): CalicoRule[] {
  const peers = r.peers.length === 0 ? [null] : r.peers;
  return portsByProtocol(r.ports).flatMap(([protocol, ports]) =>
    peers.map((p): CalicoRule => {
      const other = peer(p);
      return {
        action: 'Allow',
        ipVersion: null,
        protocol,
        notProtocol: null,
        icmp: null,
        notICMP: null,
        source: direction === 'ingress' ? other : NOTHING,
        destination: { ...(direction === 'ingress' ? NOTHING : other), ports: [...ports] },
        annotations: {},
      };
    }),
  );
}

/** A Kubernetes NetworkPolicy as Calico's. */
export const fromKubernetes = (p: NetworkPolicy): CalicoPolicy => ({
  kind: 'NetworkPolicy.projectcalico.org',
  metadata: p.metadata,
  storedName: `knp.default.${p.metadata.name}`,
  spec: {
    order: ORDER,
    selector: podSelector(p.spec.podSelector),
    namespaceSelector: '',
    serviceAccountSelector: '',
    types: [...new Set(p.spec.policyTypes)],
    ingress: p.spec.ingress.flatMap((r) => rules(r, 'ingress')),
    egress: p.spec.egress.flatMap((r) => rules(r, 'egress')),
  },
});
