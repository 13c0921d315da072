/**
 * One RSA-2048 key that everybody knows, for the default certificates of controllers that make theirs with RSA (a prime of 1024
 * bits takes too long to find in JavaScript, and captures must not change). It protects nothing.
 * @module
 */
import { type PrivateKey, rsaKey } from './private-key.js';

const P = [
  'e5aa50321770e14eefa0be7d974819ced442ec0d8a2303358deb88b04fed66d5',
  'b1a9280d550ef40f43cfff0d617ce288d6fea12e0740c18ddd079cbbc99c7469',
  'a92c5d7f239e61feb245fb4494fa2fb80c7aa709136033144b25b910ce7897b0',
  '5a764482759df564336903cd57d158c5a0eb464550ee1ffe6a407475da2b5195',
].join('');
const Q = [
  'b7daac9c21367dbdb295fd2c9093e8bbe82baa0b0cc56a296b6d2ab40cd21c79',
  'a85e7552ec8b99d8cb922a4cd85d41f8789ec52a6476ec4b230f2d9d4eeee0dd',
  'ca12e93aac0f8561e21629d90830b62bc330416e191ecf14691b7e62182200f0',
  '78a6d7dd2d2c01f223b251c087629d313e1723ade995624f2a6941c621ec12b3',
].join('');

/** The inverse of `a` modulo `m`, which have no factor in common. */
function inverse(a: bigint, m: bigint): bigint {
  let [r0, r1, t0, t1] = [m, a % m, 0n, 1n];
  while (r1 > 0n) {
    const quotient = r0 / r1;
    [r0, r1] = [r1, r0 - quotient * r1];
    [t0, t1] = [t1, t0 - quotient * t1];
  }
  return ((t0 % m) + m) % m;
}

let made: PrivateKey | null = null;

/** The key, made once. */
export function testRsaKey(): PrivateKey {
  if (made !== null) return made;
  const [p, q, e] = [BigInt(`0x${P}`), BigInt(`0x${Q}`), 65537n];
  const d = inverse(e, (p - 1n) * (q - 1n));
  made = rsaKey({ n: p * q, e, size: 256, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qinv: inverse(q, p) });
  return made;
}
