/**
 * Calico's NetworkPolicies and GlobalNetworkPolicies: YAML to objects, validated as Calico does.
 *
 * They come as projectcalico.org/v3, which Calico's API server or calicoctl takes, or as crd.projectcalico.org/v1, as the datastore
 * keeps them, without defaults. Upstream: libcalico-go/lib/validator/v3, lib/clientv3/networkpolicy.go, lib/names/policy.go.
 * Not here, and refused: other tiers than `default`, policies for host endpoints (doNotTrack, preDNAT), http (Dikastes), services,
 * performance hints.
 * @module
 */
import { networkOf } from '../networks.js';
import type { At } from './at.js';
import { GIVEN, parseSelector, SelectorError } from './calico-selector.js';
import { choice, failChild, forbidden, invalid, required, textOf, unsupported } from './field-error.js';
import { objectMeta } from './meta.js';
import { addressOfEither, dnsSubdomain, policyCidr } from './names.js';
import type { CalicoPolicy, CalicoPort, CalicoRule, EntityRule, IcmpFields, PolicyType } from './policy-types.js';

/** The group and version of what Calico's API server takes. */
export const V3 = 'projectcalico.org/v3';
export const CRD = 'crd.projectcalico.org/v1';

/** A selector's text; it parses. `global()` is one that `where` may not have. */
function selector(at: At | null, global: 'global' | 'no global'): string {
  const text = at?.text() ?? '';
  try {
    parseSelector(text, GIVEN);
  } catch (e) {
    if (!(e instanceof SelectorError)) throw e;
    return invalid(at!, `${e.message} at character ${e.offset + 1}`, text);
  }
  if (global === 'no global' && text.includes('global()'))
    invalid(at!, 'global() can only be used in an EntityRule namespaceSelector', text);
  return text;
}

function namespaceSelector(at: At | null): string {
  const text = selector(at, 'global');
  if (text.includes('global(') && parseSelector(text).op !== 'global')
    invalid(at!, 'global() cannot be combined with other selectors', text);
  return text;
}

const PORT_NAME = /^[a-zA-Z0-9_.-]{1,128}$/;

/** numorstring.Port: `80`, `8000:8080`, or the name of a container port. */
function port(at: At): CalicoPort {
  const v = at.plain();
  const text = String(v);
  const m = /^(\d+)(?::(\d+))?$/.exec(text);
  if (m === null && typeof v !== 'number')
    return PORT_NAME.test(text) ? { name: text } : invalid(at, 'invalid name for named port', v);
  const [first, last] = m === null ? [Number(v), Number(v)] : [Number(m[1]), Number(m[2] ?? m[1])];
  if (first < 1 || first > 65535 || last > 65535) invalid(at, 'port range invalid, port number must be between 1 and 65535', v); // prettier-ignore
  if (first > last) invalid(at, `minimum port number (${first}) is greater than maximum port number (${last}) in port range`, v); // prettier-ignore
  return { first, last };
}

const PROTOCOLS = ['TCP', 'UDP', 'ICMP', 'ICMPv6', 'SCTP', 'UDPLite'];

/** numorstring.Protocol: a number from 1, or a name. */
function protocol(at: At | null): number | string | null {
  if (at === null) return null;
  const v = at.plain();
  if (typeof v === 'number') return v >= 1 && v <= 255 ? v : invalid(at, 'protocol number invalid', v);
  return PROTOCOLS.includes(String(v)) ? String(v).toLowerCase() : unsupported(at, PROTOCOLS, v);
}

const hasPorts = (p: number | string | null): boolean => ['tcp', 'udp', 'sctp', 6, 17, 132].includes(p ?? '');

function icmp(at: At | null): IcmpFields | null {
  if (at === null) return null;
  const [type, code] = [at.opt('type'), at.opt('code')];
  const within = (x: At, max: number): number => {
    const v = Number(x.plain());
    return v >= 0 && v <= max ? v : invalid(x, `must be between 0 and ${max}, inclusive`, v);
  };
  if (type === null) return code === null ? null : invalid(code, 'ICMP code specified without an ICMP type');
  return { type: within(type, 254), code: code === null ? null : within(code, 255) };
}

const EMPTY: EntityRule = { nets: [], notNets: [], selector: '', notSelector: '', namespaceSelector: '', ports: [], notPorts: [], serviceAccounts: null }; // prettier-ignore

/** cnet.ParseCIDROrIP: the network without host bits. */
function net(at: At): string {
  const v = at.text();
  if (!v.includes('/')) return `${addressOfEither(at)}/${v.includes(':') ? 128 : 32}`;
  const text = policyCidr(at);
  return text.includes(':') ? text : networkOf(text).text;
}

function entity(at: At | null, supportsPorts: boolean): EntityRule {
  if (at === null) return EMPTY;
  at.opt('services')?.fail('rules about Services are not supported yet');
  const nets = (key: string): string[] => (at.opt(key)?.list() ?? []).map(net);
  const ports = (key: string): CalicoPort[] => {
    const list = at.opt(key)?.list() ?? [];
    if (list.length > 0 && !supportsPorts) invalid(at.req(key), 'rules that specify ports must set protocol to TCP or UDP or SCTP'); // prettier-ignore
    return list.map(port);
  };
  const notNets = nets('notNets');
  if (notNets.includes('0.0.0.0/0') || notNets.includes('::/0'))
    invalid(at.req('notNets'), 'catch-all CIDR in negation creates logical contradiction (matches no traffic)');
  const accounts = at.opt('serviceAccounts');
  return {
    nets: nets('nets'),
    notNets,
    selector: selector(at.opt('selector'), 'no global'),
    notSelector: selector(at.opt('notSelector'), 'global'),
    namespaceSelector: namespaceSelector(at.opt('namespaceSelector')),
    ports: ports('ports'),
    notPorts: ports('notPorts'),
    serviceAccounts:
      accounts === null
        ? null
        : { names: (accounts.opt('names')?.list() ?? []).map(dnsSubdomain), selector: selector(accounts.opt('selector'), 'global') }, // prettier-ignore
  };
}

/** One family of networks in a rule, and that of its ipVersion. */
function families(at: At, r: CalicoRule): void {
  const all = [r.source, r.destination].flatMap((e) => [...e.nets, ...e.notNets]);
  const v6 = all.some((n) => n.includes(':'));
  if (v6 && all.some((n) => !n.includes(':'))) invalid(at, 'rule contains both IPv4 and IPv6 CIDRs', null);
  if (r.ipVersion !== null && all.length > 0 && v6 !== (r.ipVersion === 6))
    invalid(at.req('ipVersion'), "rule IP version doesn't match CIDR version");
  for (const [name, version] of [['icmp', 4], ['icmpv6', 6]] as const)
    if ((r.protocol === name || r.notProtocol === name) && r.ipVersion !== null && r.ipVersion !== version)
      invalid(at.req('ipVersion'), `must set ipversion to '${version}' with protocol ${name}`);
} // prettier-ignore

function rule(at: At): CalicoRule {
  at.opt('http')?.fail('application layer policy is not supported yet');
  const action = at.opt('action');
  if (action === null) return required(at, 'action');
  const version = at.opt('ipVersion');
  const of = protocol(at.opt('protocol'));
  const fields = icmp(at.opt('icmp'));
  if (fields !== null && of !== 'icmp' && of !== 'icmpv6')
    invalid(at.req('icmp'), 'rules that specify ICMP fields must set protocol to ICMP');
  if (version !== null && ![4, 6].includes(Number(version.plain()))) unsupported(version, ['4', '6']);
  const r: CalicoRule = {
    action: choice(action, ['Allow', 'Deny', 'Log', 'Pass'], 'Allow'),
    ipVersion: version === null ? null : (Number(version.plain()) as 4 | 6),
    protocol: of,
    notProtocol: protocol(at.opt('notProtocol')),
    icmp: fields,
    notICMP: icmp(at.opt('notICMP')),
    source: entity(at.opt('source'), hasPorts(of)),
    destination: entity(at.opt('destination'), hasPorts(of)),
    annotations: at.opt('metadata')?.opt('annotations')?.strings() ?? {},
  };
  families(at, r);
  renderable(at, r);
  return r;
}

/** Calico takes these rules too; its Felix then fails to program them, for good. */
function renderable(at: At, r: CalicoRule): void {
  if (r.protocol !== null && r.notProtocol !== null)
    at.req('notProtocol').fail('found notProtocol beside protocol, expected one of them: Felix writes -p twice, and iptables refuses that'); // prettier-ignore
  if (r.notICMP !== null && !['icmp', 'icmpv6', 1, 58].includes(r.protocol ?? ''))
    at.req('notICMP').fail('found notICMP without protocol ICMP: Felix writes -m icmp without -p icmp, and iptables refuses that'); // prettier-ignore
}

/** defaultPolicyTypesField, by which a v3 policy is stored; a CRD that says nothing is about both directions. */
function types(at: At | null, api: string, ingress: boolean, egress: boolean): PolicyType[] {
  const list = (at?.list() ?? []).map((t) => choice(t, ['Ingress', 'Egress'], 'Ingress'));
  if (new Set(list).size < list.length) invalid(at!, `'${list[0]}' type specified more than once`);
  if (list.length > 0) return list;
  if (api === CRD || (egress && ingress)) return ['Ingress', 'Egress'];
  return egress ? ['Egress'] : ['Ingress'];
}

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const NAME = new RegExp(`^(${LABEL}\\.)?${LABEL}$`);

/** The policy's name in the datastore, of the tier `default`. */
function storedName(at: At, name: string, api: string): string {
  if (!NAME.test(name)) invalid(at.req('metadata').req('name'), `name must consist of lower case alphanumeric characters or '-' (regex: ${LABEL})`, name); // prettier-ignore
  const tier = at.opt('spec')?.opt('tier') ?? null;
  if (tier !== null && tier.text() !== '' && tier.text() !== 'default') tier.fail('tiers other than default are not supported yet'); // prettier-ignore
  if (name.includes('.') && !name.startsWith('default.')) invalid(at.req('metadata').req('name'), `Incorrectly formatted policy name ${name}`, name); // prettier-ignore
  return api === CRD || name.includes('.') ? name : `default.${name}`;
}

const HOST_ONLY = ['doNotTrack', 'preDNAT'];

/** Reads a policy of either kind and version. Throws InputError. */
export function calicoPolicy(at: At): CalicoPolicy {
  const api = at.req('apiVersion').str();
  const global = at.req('kind').str() === 'GlobalNetworkPolicy';
  const metadata = objectMeta(at, !global, dnsSubdomain);
  const spec = at.opt('spec');
  for (const k of HOST_ONLY) if (spec?.opt(k)?.bool() === true) forbidden(spec.req(k), 'policies for host endpoints are not supported yet'); // prettier-ignore
  if ((spec?.opt('performanceHints')?.list() ?? []).length > 0)
    failChild(spec!, 'performanceHints', 'performance hints are not supported yet');
  const rules = (key: string): CalicoRule[] => (spec?.opt(key)?.list() ?? []).map(rule);
  const [ingress, egress] = [rules('ingress'), rules('egress')];
  const order = spec?.opt('order') ?? null;
  const text = (key: string): string => selector(spec?.opt(key) ?? null, 'no global');
  if (!global && spec !== null && textOf(spec, 'namespaceSelector') !== '') forbidden(spec.req('namespaceSelector'), 'not a field of a NetworkPolicy'); // prettier-ignore
  return {
    kind: global ? 'GlobalNetworkPolicy' : 'NetworkPolicy.projectcalico.org',
    metadata,
    storedName: storedName(at, metadata.name, api),
    spec: {
      order: order === null ? null : Number(order.plain()),
      selector: text('selector'),
      namespaceSelector: text('namespaceSelector'),
      serviceAccountSelector: text('serviceAccountSelector'),
      types: types(spec?.opt('types') ?? null, api, ingress.length > 0, egress.length > 0),
      ingress,
      egress,
    },
  };
}
