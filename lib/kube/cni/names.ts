/**
 * What the kernel and the plugins draw at random on a node, derived from names here, and the names that are derived there too.
 * @module
 */
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import type { Sandbox } from './plugin.js';

/** The network's name in the conflist of most plugins. */
const NETWORK = 'cbr0';

const hexOf = (b: Uint8Array): string => Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('');
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const colons = (h: string): string => h.match(/../g)!.join(':');

/** 0a:58 and the four bytes of the address, the convention of older plugins. */
export const macFor = (ip: string): string => colons(`0a58${hexOf(Uint8Array.from(ip.split('.'), Number))}`);

/** Of a VXLAN device whose address is the first of a node's podCIDR. */
export const vtepMac = (ip: string): string => colons(`02f1${hexOf(Uint8Array.from(ip.split('.'), Number))}`);

/** The host's end of a pod's veth: name and MAC address. */
export function hostVeth(pod: Sandbox): { name: string; mac: string } {
  const h = hexOf(sha256(bytes(pod.netns)));
  return { name: `veth${h.slice(0, 8)}`, mac: `02:${colons(h.slice(8, 18))}` };
}

/** utils.FormatChainName: 28 characters, the prefix among them; `network` is the conflist's name. */
export const chainOf = (pod: Sandbox, prefix = '', network = NETWORK): string =>
  `CNI-${prefix}${hexOf(sha512(bytes(`${network}${pod.containerId}`)))}`.slice(0, 28);

/** utils.FormatComment, quoted for iptables-restore; `what` stands before it. */
export const commentOf = (pod: Sandbox, what = '', network = NETWORK): string =>
  `-m comment --comment "${what}name: \\"${network}\\" id: \\"${pod.containerId}\\""`;
