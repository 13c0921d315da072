/**
 * A random Lab as parts that can be left out one by one, and its text.
 * @module
 */
import { Draw } from './draw.js';
import { rules } from './rules.js';
import { topology } from './topology.js';
import { servers, traffic } from './traffic.js';

export interface FuzzLab {
  name: string;
  /** Setup command lines. */
  setup: string[];
  /** Command lines of the one step. */
  steps: string[];
}

/** The Lab of a seed: the same seed, the same Lab. */
export function fuzzLab(seed: number): FuzzLab {
  const draw = new Draw(seed);
  const t = topology(draw);
  const r = rules(draw, t);
  const s = servers(draw, t);
  return { name: `fuzz-${seed}`, setup: [...t.setup, ...r, ...s], steps: traffic(draw, t) };
}

/** The Lab file's text. */
export function fuzzText(lab: FuzzLab): string {
  return [
    'kind: Lab',
    `metadata: { name: ${lab.name}, description: "Found by the fuzzer" }`,
    'spec:',
    '  setup: |',
    ...lab.setup.map((l) => `    ${l}`),
    '  steps:',
    '  - at: 0s',
    '    run: |',
    ...lab.steps.map((l) => `      ${l}`),
    '',
  ].join('\n');
}
