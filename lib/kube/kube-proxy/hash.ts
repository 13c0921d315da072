/** Chain name hashes of pkg/proxy/iptables: SHA-256, base32 (RFC 4648), first 16 characters. @module */
import { sha256 } from '@noble/hashes/sha2.js';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** The first 16 base32 characters of the SHA-256 of `text` (portProtoHash, servicePortEndpointChainName). */
export function hash16(text: string): string {
  const digest = sha256(new TextEncoder().encode(text));
  let out = '',
    acc = 0,
    bits = 0;
  for (let i = 0; i < 10; i++) {
    acc = ((acc << 8) | digest[i]!) & 0xffff;
    for (bits += 8; bits >= 5; bits -= 5) out += ALPHABET[(acc >> (bits - 5)) & 31];
  }
  return out;
}

/** `KUBE-SVC-…` and its siblings for a service port string and a lower-case protocol. */
export const serviceChain = (prefix: 'SVC' | 'SVL' | 'EXT' | 'FW', name: string, proto: string): string =>
  `KUBE-${prefix}-${hash16(name + proto)}`;

/** `KUBE-SEP-…` for one endpoint (`ip:port`) of a service port. */
export const endpointChain = (name: string, proto: string, endpoint: string): string =>
  `KUBE-SEP-${hash16(name + proto + endpoint)}`;
