/**
 * Golden trees: where they are, who recorded them, comparing a run with them.
 * @module
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compare, type Comparison, differenceText } from '../capture/compare.js';
import { compareSteps, type StepComparison, stepDifferenceText, type StepOutput } from '../capture/compare-steps.js';
import { macsIn, Mappings } from '../capture/equivalence.js';
import { type Captures, readCaptures, readSteps } from '../capture/reader.js';
import type { Tap } from '../capture/tap.js';
import { parseYaml } from '../lab/yaml.js';
import { InputError } from '../sim/input-error.js';
import { macText } from '../../wire/inet.js';
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
  if (!existsSync(path)) return null;
  const doc = parseYaml(readFileSync(path, 'utf8'), path).docs[0];
  const o = (doc?.toJS() ?? null) as Partial<Origin> | null;
  const seed = o?.seed === undefined || (Number.isSafeInteger(o.seed) && o.seed >= 0);
  const by = o?.recordedBy === 'kernel' || o?.recordedBy === 'podwire';
  if (by && seed && typeof o?.digest === 'string') return o as Origin;
  throw new InputError(path, 1, 1, 'found no origin of a golden tree, expected recordedBy (kernel or podwire), digest and perhaps seed'); // prettier-ignore
}

/** The captures of a run as the comparison wants them, without going over the disk. */
export function capturesOf(taps: readonly Tap[]): Captures {
  return new Map(taps.filter((t) => t.frames > 0).map((t) => [t.iface, readPcap(Buffer.concat(t.pcap()))]));
}

/** Frames and outputs of a run against those of a golden tree. */
export interface GoldenComparison extends Comparison {
  /** Null: the tree has no steps.json. */
  steps: StepComparison | null;
}

/**
 * Compares a run with a golden tree, frames first, then what the steps printed; `text` is the Lab, whose rules say
 * whether NAT draws ports.
 */
export function compareWith(
  dir: string,
  run: { taps: readonly Tap[]; steps: readonly StepOutput[] },
  text: string,
): GoldenComparison {
  const maps = new Mappings();
  const natPorts = text.includes('--random');
  const frames = compare(readCaptures(dir), capturesOf(run.taps), { natPorts, fixedMacs: macsIn(text), maps });
  const golden = readSteps(dir);
  return { ...frames, steps: golden === null ? null : compareSteps(golden, run.steps, { maps, natPorts, text }) };
}

/** The differences in words, frames first; `name` is the scenario. */
export function problemsOf(name: string, c: GoldenComparison): string[] {
  const frames = c.differences.map((d) => differenceText(name, d));
  if (c.steps === null) return [...frames, `${name}: the golden has no steps.json: record it again`];
  return [...frames, ...c.steps.differences.map((d) => stepDifferenceText(name, d))];
}

/** Interfaces with frames whose MAC address the Lab leaves to chance. */
export function randomMacs(text: string, taps: readonly Tap[]): string[] {
  const fixed = macsIn(text);
  const free = (mac: Uint8Array): boolean => (mac[0]! & 3) === 2 && !fixed.has(macText(mac, 0));
  return taps.filter((t) => t.frames > 0 && t.mac !== undefined && free(t.mac)).map((t) => t.iface);
}
