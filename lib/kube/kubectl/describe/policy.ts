/**
 * `kubectl describe` of NetworkPolicies.
 * @module
 */
import { at, int, type JsonMap, list, map, str, strings } from '../json.js';
import { selectorOf } from '../text.js';
import type { Writer } from '../writer.js';

/** time.Time's own form of an RFC 3339 time in UTC. */
const goTime = (time: string): string => `${time.slice(0, 10)} ${time.slice(11, 19)} +0000 UTC`;

interface Words {
  peers: 'from' | 'to';
  peer: string;
  /** What an absent list of peers does not restrict. */
  end: string;
  none: string;
}

const INGRESS: Words = { peers: 'from', peer: 'From', end: 'source', none: 'ingress' };
const EGRESS: Words = { peers: 'to', peer: 'To', end: 'destination', none: 'egress' };

function describePort(p: JsonMap): string {
  const protocol = str(p, 'protocol') || 'TCP';
  const port = at(p, 'port') === undefined ? '<nil>' : String(at(p, 'port'));
  return int(p, 'endPort') === 0 ? `To Port: ${port}/${protocol}` : `To Port Range: ${port}-${int(p, 'endPort')}/${protocol}`; // prettier-ignore
}

function describePeer(w: Writer, p: JsonMap, peer: string): void {
  w.line(2, `${peer}:`);
  if (at(p, 'namespaceSelector') !== undefined)
    w.line(3, `NamespaceSelector: ${selectorOf(map(p, 'namespaceSelector'))}`);
  if (at(p, 'podSelector') !== undefined) w.line(3, `PodSelector: ${selectorOf(map(p, 'podSelector'))}`);
  if (at(p, 'ipBlock') === undefined) return;
  w.line(3, 'IPBlock:');
  w.line(4, `CIDR: ${str(p, 'ipBlock.cidr')}`);
  w.line(4, `Except: ${strings(p, 'ipBlock.except').join(', ')}`);
}

/** printNetworkPolicySpecIngressFrom, printNetworkPolicySpecEgressTo. */
function rules(w: Writer, all: JsonMap[], words: Words): void {
  if (all.length === 0) w.line(2, `<none> (Selected pods are isolated for ${words.none} connectivity)`);
  all.forEach((r, i) => {
    if (i > 0) w.line(2, '----------');
    const ports = list(r, 'ports');
    if (ports.length === 0) w.line(2, 'To Port: <any> (traffic allowed to all ports)');
    for (const p of ports) w.line(2, describePort(p));
    const peers = list(r, words.peers);
    if (peers.length === 0) w.line(2, `${words.peer}: <any> (traffic not restricted by ${words.end})`);
    for (const p of peers) describePeer(w, p, words.peer);
  });
}

/** describeNetworkPolicy */
export function describeNetworkPolicy(w: Writer, o: JsonMap): void {
  w.line(0, 'Name:', str(o, 'metadata.name'));
  w.line(0, 'Namespace:', str(o, 'metadata.namespace'));
  w.line(0, 'Created on:', goTime(str(o, 'metadata.creationTimestamp')));
  w.labels('Labels', map(o, 'metadata.labels'));
  w.annotations('Annotations', map(o, 'metadata.annotations'));
  w.line(0, 'Spec:');
  const selector = selectorOf(map(o, 'spec.podSelector'));
  const all = selector === '<none>' ? ' (Allowing the specific traffic to all pods in this namespace)' : '';
  w.line(1, `PodSelector:     ${selector}${all}`);
  const types = strings(o, 'spec.policyTypes');
  for (const [type, words, path] of [['Ingress', INGRESS, 'spec.ingress'], ['Egress', EGRESS, 'spec.egress']] as const) {
    if (!types.includes(type)) w.line(1, `Not affecting ${words.none} traffic`);
    else {
      w.line(1, `Allowing ${words.none} traffic:`);
      rules(w, list(o, path), words);
    }
  } // prettier-ignore
  w.line(1, `Policy Types: ${types.join(', ')}`);
}
