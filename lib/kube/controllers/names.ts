/**
 * Names that the real controllers draw at random, drawn here from a hash: the same input gives the same names.
 *
 * Upstream: apiserver's names.SimpleNameGenerator (58 characters and a dash-less suffix of five), rand.SafeEncodeString. The
 * pod-template-hash of a real ReplicaSet is an FNV hash of the whole template as one Kubernetes version prints it; podwire's
 * is a hash of the Deployment's name, of the same length.
 * @module
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { EPOCH } from '../api/meta.js';
import type { ObjectMeta } from '../api/types.js';

const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

/** `n` characters of the alphabet of generated names, from a text. */
export const suffix = (text: string, n: number): string =>
  Array.from(sha256(new TextEncoder().encode(text)).subarray(0, n), (b) => ALPHABET[b % ALPHABET.length]).join('');

/** generateName: `base` cut to 58 characters and five more; `taken` (which it joins) makes it draw again. */
export function generateName(base: string, seed: string, taken: Set<string>): string {
  for (let i = 0; ; i++) {
    const name = base.slice(0, 58) + suffix(i === 0 ? seed : `${seed}/again${i}`, 5);
    if (taken.has(name)) continue;
    taken.add(name);
    return name;
  }
}

/** Metadata of an object that a controller makes. */
export const derivedMeta = (name: string, namespace: string, labels: Record<string, string>): ObjectMeta => ({
  name, namespace, uid: `${namespace}/${name}`, labels, annotations: {}, creationTimestamp: EPOCH, ownerReferences: [],
}); // prettier-ignore
