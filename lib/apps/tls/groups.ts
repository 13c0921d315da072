/** Key exchange: X25519 (RFC 7748) and ECDHE on P-256, their private keys from the session's random source. @module */
import { x25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import type { KeyShare } from '../../../wire/tls-extensions.js';
import { SECP256R1, X25519 } from '../../../wire/tls.js';
import type { RandomSource } from './types.js';

/** In the order of preference. */
export const GROUPS: readonly number[] = [X25519, SECP256R1];

export interface OwnShare {
  secret: Uint8Array;
  share: KeyShare;
}

export function newShare(group: number, random: RandomSource): OwnShare {
  if (group === X25519) {
    const secret = random(32);
    return { secret, share: { group, key: x25519.getPublicKey(secret) } };
  }
  let secret = random(32);
  while (!p256.utils.isValidSecretKey(secret)) secret = random(32);
  return { secret, share: { group, key: p256.getPublicKey(secret, false) } };
}

/** The shared secret; null when the peer's key is none (wrong length, not on the curve, of low order). */
export function exchange(own: OwnShare, key: Uint8Array): Uint8Array | null {
  try {
    if (own.share.group === X25519) return key.length === 32 ? x25519.getSharedSecret(own.secret, key) : null;
    return key.length === 65 && key[0] === 4 ? p256.getSharedSecret(own.secret, key, true).slice(1) : null;
  } catch {
    return null;
  }
}
