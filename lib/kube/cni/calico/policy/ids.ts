/**
 * The identities of Felix's ipsets and of its groups of policies.
 *
 * Upstream: libcalico-go/lib/hash, felix/calc/rule_scanner.go (IPSetData.UniqueID), felix/rules/endpoints.go (PolicyGroup.UniqueID).
 * @module
 */
import { sha224 } from '@noble/hashes/sha2.js';
import { sha3_224 } from '@noble/hashes/sha3.js';
import { type Selector, selectorText } from '../../../api/calico-selector.js';
import { base64url } from '../hash.js';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** MakeUniqueID: a prefix, and a hash of it and a content. */
const uniqueId = (prefix: string, content: string): string =>
  `${prefix}:${base64url(sha224(utf8(`${prefix}:${content}`)))}`;

/** The ipset of the addresses that a selector chooses. */
export const selectorId = (s: Selector): string => uniqueId('s', selectorText(s));

/** The ipset of the addresses and ports that a selector and a port's name choose; `protocol` in lower case. */
export const namedPortId = (s: Selector, protocol: string, port: string): string =>
  uniqueId('n', `${selectorId(s)},${protocol},${port}`);

/** What follows `cali-gi-` or `cali-go-`: policies of one tier that have one selector and stand behind each other. */
export function groupId(tier: string, selector: string, direction: 'inbound' | 'outbound', policies: readonly string[]): string {
  const lines = [tier, selector, direction, String(policies.length), ...policies];
  return base64url(sha3_224(utf8(lines.map((l) => `${l}\n`).join('')))).slice(0, 28 - 'cali-gi-'.length);
} // prettier-ignore
