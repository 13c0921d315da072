/**
 * The names that Felix and Calico's CNI plugin derive by hashing: rules, chains, interfaces, ipsets.
 *
 * Upstream: projectcalico/calico v3.31, felix/generictables/rules.go, felix/hashutils/id.go, felix/ipsets/ipset_defs.go,
 * libcalico-go/lib/names (VethNameForWorkload).
 * @module
 */
import { sha1 } from '@noble/hashes/legacy.js';
import { sha224, sha256 } from '@noble/hashes/sha2.js';
import type { Chain, Rule } from './felix.js';

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const hex = (b: Uint8Array): string => Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('');

/** RFC 4648 section 5, without padding. */
export function base64url(b: Uint8Array): string {
  let out = '';
  for (let i = 0; i < b.length; i += 3) {
    const n = (b[i]! << 16) | ((b[i + 1] ?? 0) << 8) | (b[i + 2] ?? 0);
    const chars = [18, 12, 6, 0].map((s) => DIGITS[(n >> s) & 63]!).join('');
    out += chars.slice(0, Math.min(4, b.length - i + 1));
  }
  return out;
}

/** A rule as Felix writes it on the command line: `-A CHAIN`, the hash's place, comments, matches, target. */
export const renderRule = (head: string, hash: string, r: Rule): string =>
  [head, hash, ...r.comment.map((c) => `-m comment --comment "${comment(c)}"`), r.match, r.action]
    .filter((x) => x !== '')
    .join(' ');

/** escapeComment, and the length that xt_comment has room for. */
const comment = (text: string): string => text.replace(/[^\w @%+=:,./-]/g, '_').slice(0, 256);

/** Of every rule of a chain, what stands after `cali:` in its comment: each depends on the chain's name and the rules before it. */
export function ruleHashes(chain: Chain): string[] {
  let hash = sha224(utf8(chain.name));
  return chain.rules.map((r) => {
    const text = utf8(renderRule(`-A ${chain.name}`, 'HASH', r));
    const next = new Uint8Array(hash.length + text.length);
    next.set(hash);
    next.set(text, hash.length);
    hash = sha224(next);
    return base64url(hash.subarray(0, 12));
  });
}

/** What rules that Felix appends to a chain of the kernel are hashed under. */
export const appended = (chain: string): string => `${chain}*appends*`;

const MAX_CHAIN = 28;

/** The name of a chain: prefix and suffix, or `_` and a hash of the suffix where they are too long (GetLengthLimitedID). */
export function chainName(prefix: string, suffix: string): string {
  const n = prefix.length + suffix.length;
  if (n < MAX_CHAIN || (n === MAX_CHAIN && !suffix.startsWith('_'))) return prefix + suffix;
  return `${prefix}_${base64url(sha256(utf8(suffix)))}`.slice(0, MAX_CHAIN);
}

/** The host's end of a pod's veth. */
export const workloadInterface = (namespace: string, pod: string): string =>
  `cali${hex(sha1(utf8(`${namespace}.${pod}`))).slice(0, 11)}`;

/** The name of an IPv4 ipset of Felix by its id. */
export const ipsetName = (id: string): string => `cali40${id}`.slice(0, 31);

/** The MAC address of a node's vxlan.calico (vxlanMgr, hardwareAddrForNode). */
export const vtepMac = (node: string): string =>
  `66:${hex(sha1(utf8(node)).subarray(0, 5))
    .match(/../g)!
    .join(':')}`;
