/**
 * weave-npc, Weave's policy controller, in a cluster without NetworkPolicies: its chains, and for every namespace the sets of pods that
 * no policy isolates.
 *
 * Upstream: weaveworks/weave, prog/weave-npc/main.go, npc/namespace.go, npc/shortname.go. Namespaces come in the order of their names.
 * Not here: NetworkPolicies.
 * @module
 */
import { sha1 } from '@noble/hashes/legacy.js';
import { hex } from '../../../../wire/bytes.js';

const SYMBOLS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789(){}[]+=_$%^!*|/?.;:@#~';

/** shortName: SHA-1 as a number, its digits to the base of 85 with the lowest first. */
export function shortName(text: string): string {
  let n = BigInt(`0x${hex(sha1(new TextEncoder().encode(text)))}`);
  let s = '';
  for (; n > 0n; n /= 85n) s += SYMBOLS[Number(n % 85n)];
  return s;
}

/** The sets of a namespace: pods that may be reached, pods that may send, all pods. */
export const setsOf = (namespace: string): readonly [string, string, string] => [
  `weave-${shortName(`ingress-default-allow:${namespace}`)}`,
  `weave-${shortName(`egress-default-allow:${namespace}`)}`,
  `weave-${shortName(`${namespace}:`)}`,
];

/** What `iptables-restore --noflush` reads in the table filter for chains that are new: resetIPTables, createBaseRules. */
export const BASE_RULES: readonly string[] = [
  ...['INGRESS', 'DEFAULT', 'EGRESS-ACCEPT', 'EGRESS-CUSTOM', 'EGRESS-DEFAULT'].map((c) => `:WEAVE-NPC-${c} - [0:0]`),
  '-A WEAVE-NPC -m state --state RELATED,ESTABLISHED -j ACCEPT',
  '-A WEAVE-NPC -d 224.0.0.0/4 -j ACCEPT',
  '-A WEAVE-NPC -m physdev --physdev-is-bridged --physdev-out vethwe-bridge -j ACCEPT',
  '-A WEAVE-NPC -m state --state NEW -j WEAVE-NPC-DEFAULT',
  '-A WEAVE-NPC -m state --state NEW -j WEAVE-NPC-INGRESS',
  '-A WEAVE-NPC-EGRESS-ACCEPT -j MARK --set-xmark 0x40000/0x40000',
  '-A WEAVE-NPC-EGRESS -m state --state RELATED,ESTABLISHED -j ACCEPT',
  '-A WEAVE-NPC-EGRESS -m physdev --physdev-is-bridged --physdev-in vethwe-bridge -j RETURN',
  '-A WEAVE-NPC-EGRESS -m addrtype --dst-type LOCAL -j RETURN',
  '-A WEAVE-NPC-EGRESS -d 224.0.0.0/4 -j RETURN',
  '-A WEAVE-NPC-EGRESS -m state --state NEW -j WEAVE-NPC-EGRESS-DEFAULT',
  '-A WEAVE-NPC-EGRESS -m state --state NEW -m mark ! --mark 0x40000/0x40000 -j WEAVE-NPC-EGRESS-CUSTOM',
];

/** newNS and ensureBypassRules, on one node. */
export function namespaceAdd(node: string, namespace: string): string[] {
  const sets = setsOf(namespace);
  const [ingress, egress] = sets;
  const comment = (way: string): string => `-m comment --comment "DefaultAllow ${way} isolation for namespace: ${namespace}"`;
  return [
    ...sets.map((s) => `ip netns exec ${node} ipset create '${s}' hash:ip comment`),
    [
      `ip netns exec ${node} iptables-restore --noflush <<'EOF'`,
      '*filter',
      `-A WEAVE-NPC-DEFAULT -m set --match-set "${ingress}" dst -j ACCEPT ${comment('ingress')}`,
      `-A WEAVE-NPC-EGRESS-DEFAULT -m set --match-set "${egress}" src -j WEAVE-NPC-EGRESS-ACCEPT ${comment('egress')}`,
      `-A WEAVE-NPC-EGRESS-DEFAULT -m set --match-set "${egress}" src -j RETURN ${comment('egress')}`,
      'COMMIT',
      'EOF',
    ].join('\n'),
  ];
} // prettier-ignore

/** addPod: an address joins all three sets, the set of all pods first. */
export function podEntries(node: string, namespace: string, pod: string, ip: string): string[] {
  const [ingress, egress, all] = setsOf(namespace);
  return [all, ingress, egress].map((s) => `ip netns exec ${node} ipset add '${s}' ${ip} comment "namespace: ${namespace}, pod: ${pod}"`); // prettier-ignore
}

/** deletePod. */
export function podGone(node: string, namespace: string, ip: string): string[] {
  const [ingress, egress, all] = setsOf(namespace);
  return [ingress, egress, all].map((s) => `ip netns exec ${node} ipset del '${s}' ${ip}`);
}
