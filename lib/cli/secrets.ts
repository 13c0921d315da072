/** Randomness of the machine for TLS, and the key log as other programs write it. */
import { randomBytes } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import type { RandomSource } from '../apps/tls/types.js';

/** Bytes that nobody can repeat. */
export const secureRandom: RandomSource = (n) => new Uint8Array(randomBytes(n));

/** Appends a line to the file that SSLKEYLOGFILE names, if any. */
export function logSecret(line: string): void {
  const file = process.env['SSLKEYLOGFILE'];
  if (file !== undefined && file !== '') appendFileSync(file, `${line}\n`);
}
