/**
 * NetworkPolicies: YAML to objects, validated and defaulted as the API server does (pkg/apis/networking).
 * @module
 */
import { Address6 } from 'ip-address';
import { contains, networkOf } from '../networks.js';
import type { At } from './at.js';
import { choice, forbidden, invalid, required, textOf, unsupported } from './field-error.js';
import { objectMeta } from './meta.js';
import { dnsSubdomain, policyCidr, portName, portNumber } from './names.js';
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicyRule, PolicyType } from './policy-types.js'; // prettier-ignore
import { labelSelector } from './selector.js';

/** ValidateNetworkPolicyPort */
function port(at: At): NetworkPolicyPort {
  const protocol = choice(at.opt('protocol'), ['SCTP', 'TCP', 'UDP'], 'TCP');
  const own = at.opt('port');
  const last = at.opt('endPort');
  if (own === null) {
    if (last !== null) invalid(last, 'may not be specified when `port` is not specified');
    return { protocol, port: null, endPort: null };
  }
  if (own.jsonType === 'string') {
    if (last !== null) invalid(last, 'may not be specified when `port` is non-numeric');
    return { protocol, port: portName(own), endPort: null };
  }
  const first = portNumber(own);
  if (last === null) return { protocol, port: first, endPort: null };
  if (Number(last.plain()) < first) invalid(last, 'must be greater than or equal to `port`', first);
  return { protocol, port: first, endPort: portNumber(last) };
}

/** True when one network is a part of another, and not the whole. */
function within(part: string, whole: string): boolean {
  if (part.includes(':') !== whole.includes(':')) return false;
  if (!part.includes(':')) return networkOf(part).bits > networkOf(whole).bits && contains(whole, part);
  const [a, b] = [new Address6(part), new Address6(whole)];
  return a.subnetMask > b.subnetMask && a.isInSubnet(b);
}

/** ValidateIPBlock */
function ipBlock(at: At): { cidr: string; except: string[] } {
  if (textOf(at, 'cidr') === '') required(at, 'cidr');
  const cidr = policyCidr(at.req('cidr'));
  const except = (at.opt('except')?.list() ?? []).map((e) => {
    const v = policyCidr(e);
    return within(v, cidr) ? v : invalid(e, 'must be a strict subset of `cidr`', v);
  });
  return { cidr, except };
}

/** ValidateNetworkPolicyPeer */
function peer(at: At): NetworkPolicyPeer {
  const [pods, namespaces, block] = [at.opt('podSelector'), at.opt('namespaceSelector'), at.opt('ipBlock')];
  const out = {
    podSelector: pods === null ? null : labelSelector(pods),
    namespaceSelector: namespaces === null ? null : labelSelector(namespaces),
    ipBlock: block === null ? null : ipBlock(block),
  };
  if (pods === null && namespaces === null && block === null) at.fail('Required value: must specify a peer');
  if (block !== null && (pods !== null || namespaces !== null))
    forbidden(at, 'may not specify both ipBlock and another peer');
  return out;
}

const rules = (list: At[], peers: 'from' | 'to'): NetworkPolicyRule[] =>
  list.map((r) => ({
    ports: (r.opt('ports')?.list() ?? []).map(port),
    peers: (r.opt(peers)?.list() ?? []).map(peer),
  }));

/** Podwire's own: every peer of a rule is written with all of its ports, so that a short text can be many rules of iptables. */
const MAX_PAIRS = 100_000;

function bounded(at: At, rules: readonly NetworkPolicyRule[]): void {
  const pairs = rules.reduce((n, r) => n + r.peers.length * r.ports.length, 0);
  if (pairs > MAX_PAIRS) at.fail(`found ${pairs} pairs of a peer and a port in the policy's rules, expected at most ${MAX_PAIRS}`); // prettier-ignore
}

/** SetDefaults_NetworkPolicy: Ingress, and Egress where there are such rules. */
function policyTypes(at: At | null, egress: boolean): PolicyType[] {
  const list = at?.list() ?? [];
  if (list.length > 2) invalid(at!, 'may not specify more than two policyTypes');
  for (const t of list) if (!['Ingress', 'Egress'].includes(t.text())) unsupported(t.called(at!.path), ['Egress', 'Ingress'], t.text()); // prettier-ignore
  if (list.length === 0) return egress ? ['Ingress', 'Egress'] : ['Ingress'];
  return list.map((t) => t.str() as PolicyType);
}

/** Reads a NetworkPolicy. Throws InputError. */
export function networkPolicy(at: At): NetworkPolicy {
  const metadata = objectMeta(at, true, dnsSubdomain);
  const spec = at.opt('spec');
  const selector = spec?.opt('podSelector') ?? null;
  const podSelector = selector === null ? { matchLabels: {}, matchExpressions: [] } : labelSelector(selector);
  const ingress = rules(spec?.opt('ingress')?.list() ?? [], 'from');
  const egress = rules(spec?.opt('egress')?.list() ?? [], 'to');
  bounded(spec ?? at, [...ingress, ...egress]);
  return {
    kind: 'NetworkPolicy',
    metadata,
    spec: { podSelector, ingress, egress, policyTypes: policyTypes(spec?.opt('policyTypes') ?? null, egress.length > 0) }, // prettier-ignore
  };
}
