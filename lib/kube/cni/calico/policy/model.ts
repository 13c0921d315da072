/**
 * Policies as Felix has them: selectors with the namespaces' and service accounts' labels folded in, each with its place in the order.
 *
 * Upstream: libcalico-go/lib/backend/model (Policy, Rule), lib/backend/syncersv1/updateprocessors.
 * @module
 */
import { parseSelector, selectorText, withPrefix } from '../../../api/calico-selector.js';
import type { CalicoPolicy, CalicoPort, CalicoRule, EntityRule, IcmpFields } from '../../../api/policy-types.js';

/** Labels that a pod has of its namespace and of its service account begin so. */
export const NAMESPACE_PREFIX = 'pcns.';
export const ACCOUNT_PREFIX = 'pcsa.';
export const NAMESPACE_LABEL = 'projectcalico.org/namespace';
export const ACCOUNT_LABEL = 'projectcalico.org/serviceaccount';
export const ORCHESTRATOR_LABEL = 'projectcalico.org/orchestrator';
export const NAME_LABEL = 'projectcalico.org/name';

/** One side of a rule; an empty selector says nothing. */
export interface RuleSide {
  nets: readonly string[];
  notNets: readonly string[];
  selector: string;
  notSelector: string;
  ports: readonly CalicoPort[];
  notPorts: readonly CalicoPort[];
}

export interface PolicyRule extends Pick<CalicoRule, 'ipVersion' | 'protocol' | 'notProtocol' | 'annotations'> {
  action: 'allow' | 'deny' | 'log' | 'pass';
  icmp: IcmpFields | null;
  notIcmp: IcmpFields | null;
  source: RuleSide;
  destination: RuleSide;
}

export interface Policy {
  tier: string;
  /** `NAMESPACE/NAME`, or the name of a global one. */
  name: string;
  /** Infinity: after all that have one. */
  order: number;
  selector: string;
  ingress: boolean;
  egress: boolean;
  inbound: readonly PolicyRule[];
  outbound: readonly PolicyRule[];
}

/** parseSelectorAttachPrefix: the canonical text with the prefix before every label. */
const prefixed = (text: string, prefix: string): string => selectorText(withPrefix(parseSelector(text), prefix));

/** prefixAndAppendSelector */
function and(own: string, more: string, prefix: string): string {
  if (more === '') return own;
  const text = prefixed(more, prefix);
  return own === '' ? text : `(${own}) && ${text}`;
}

/** parseServiceAccounts */
function accountSelector(a: EntityRule['serviceAccounts']): string {
  if (a === null) return '';
  const own = a.selector === '' ? '' : prefixed(a.selector, ACCOUNT_PREFIX);
  if (a.names.length === 0) return own;
  const named = selectorText(parseSelector(`${ACCOUNT_LABEL} in { '${a.names.join("', '")}' }`));
  return own === '' ? named : `(${own}) && (${named})`;
}

/** The selector that says which namespaces a side of a rule is about; '' for all and everything outside. */
function namespaces(text: string, own: string): string {
  if (text === '') return own === '' ? '' : `${NAMESPACE_LABEL} == '${own}'`;
  return prefixed(text, NAMESPACE_PREFIX)
    .replaceAll('all()', `has(${NAMESPACE_LABEL})`)
    .replaceAll('global()', `!has(${NAMESPACE_LABEL})`);
}

/** getEndpointSelector */
function sideSelector(e: EntityRule, namespace: string): string {
  const ns = namespaces(e.namespaceSelector, namespace);
  const own = [accountSelector(e.serviceAccounts), e.selector].filter((x) => x !== '');
  const selector = own.length > 1 ? `(${own.join(') && (')})` : (own[0] ?? '');
  if (ns === '' || (selector === '' && e.notSelector === '' && e.namespaceSelector === '')) return selector;
  return selector === '' ? ns : `(${ns}) && (${selector})`;
}

const side = (e: EntityRule, namespace: string): RuleSide => ({
  nets: e.nets,
  notNets: e.notNets,
  selector: sideSelector(e, namespace),
  notSelector: e.notSelector,
  ports: e.ports,
  notPorts: e.notPorts,
});

/** RuleAPIV3ToBackend, of a rule in a policy of a namespace; '' for a global one. */
export const policyRule = (r: CalicoRule, namespace: string): PolicyRule => ({
  action: r.action.toLowerCase() as PolicyRule['action'],
  ipVersion: r.ipVersion,
  protocol: r.protocol,
  notProtocol: r.notProtocol,
  icmp: r.icmp,
  notIcmp: r.notICMP,
  source: side(r.source, namespace),
  destination: side(r.destination, namespace),
  annotations: r.annotations,
});

/** The selector of the pods that a policy is for. */
function policySelector(p: CalicoPolicy): string {
  const { selector, namespaceSelector, serviceAccountSelector } = p.spec;
  const ns = p.metadata.namespace;
  if (ns !== '') {
    const own = `${NAMESPACE_LABEL} == '${ns}'`;
    return and(selector === '' ? own : `(${selector}) && ${own}`, serviceAccountSelector, ACCOUNT_PREFIX);
  }
  let text = and(selector, namespaceSelector, NAMESPACE_PREFIX);
  if (namespaceSelector !== '') text = text.replaceAll('all()', `has(${NAMESPACE_LABEL})`);
  text = and(text, serviceAccountSelector, ACCOUNT_PREFIX);
  return serviceAccountSelector === '' ? text : text.replaceAll('all()', `has(${ACCOUNT_LABEL})`);
}

/** ConvertNetworkPolicyV3ToV1Value, ConvertGlobalNetworkPolicyV3ToV1Value. */
export function policyOf(p: CalicoPolicy): Policy {
  const { namespace } = p.metadata;
  return {
    tier: 'default',
    name: namespace === '' ? p.storedName : `${namespace}/${p.storedName}`,
    order: p.spec.order ?? Infinity,
    selector: policySelector(p),
    ingress: p.spec.types.includes('Ingress'),
    egress: p.spec.types.includes('Egress'),
    inbound: p.spec.ingress.map((r) => policyRule(r, namespace)),
    outbound: p.spec.egress.map((r) => policyRule(r, namespace)),
  };
}
