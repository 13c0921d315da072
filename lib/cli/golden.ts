/**
 * Golden trees: where they are, who recorded them, comparing a run with them.
 * @module
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { compare, type Comparison } from '../capture/compare.js';
import { type Captures, readCaptures } from '../capture/reader.js';
import type { Tap } from '../capture/tap.js';
import { readPcap } from '../../wire/pcap.js';

export const GOLDEN = 'golden';

/** golden/NAME/origin.yaml. */
export interface Origin {
  /** `kernel` or `podwire`. */
  recordedBy: string;
  kernel?: string;
  tools?: Record<string, string>;
  /** `digest` of the Lab the tree was recorded from. */
  digest: string;
  /** Seed under which podwire's random choices are those the kernel made; absent: the input's own. */
  seed?: number;
  equivalences?: Record<string, number>;
}

/** SHA-256 of a Lab's text without its seed: a seed only picks podwire's own draws. */
export const digest = (text: string): string =>
  createHash('sha256')
    .update(text.replace(/^ {2}seed: \d+\n/m, ''))
    .digest('hex');

/** The origin of a golden tree, or null when there is none. */
export function readOrigin(dir: string): Origin | null {
  const path = join(dir, 'origin.yaml');
  return existsSync(path) ? (parse(readFileSync(path, 'utf8')) as Origin) : null;
}

/** The captures of a run as the comparison wants them, without going over the disk. */
export function capturesOf(taps: readonly Tap[]): Captures {
  return new Map(taps.filter((t) => t.frames > 0).map((t) => [t.iface, readPcap(Buffer.concat(t.pcap()))]));
}

export type { Comparison };

/** Compares a run with a golden tree; `text` is the Lab, whose rules say whether NAT draws ports. */
export function compareWith(dir: string, taps: readonly Tap[], text: string): Comparison {
  return compare(readCaptures(dir), capturesOf(taps), { natPorts: text.includes('--random') });
}
