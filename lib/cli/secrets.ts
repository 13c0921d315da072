/** Randomness of the machine for TLS, and the key log as other programs write it. */
import { randomBytes } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import type { RandomSource } from '../apps/tls/types.js';

/** Bytes that nobody can repeat. */
export const secureRandom: RandomSource = (n) => new Uint8Array(randomBytes(n));

let complained = false;

/** Appends a line to the file that SSLKEYLOGFILE names, if any; a file that cannot be written is told of once and ends nothing. */
export function logSecret(line: string): void {
  const file = process.env['SSLKEYLOGFILE'];
  if (file === undefined || file === '') return;
  try {
    appendFileSync(file, `${line}\n`);
  } catch (e) {
    if (!complained) process.stderr.write(`podwire: SSLKEYLOGFILE: ${(e as Error).message}\n`);
    complained = true;
  }
}
