/**
 * Makes a failing Lab small: leaves out namespaces, command lines and steps as long as it keeps failing.
 * @module
 */
import type { FuzzLab } from './fuzz-lab.js';

/** True for each Lab that still shows the failure. A Lab that cannot run does not. */
export type StillFails = (labs: FuzzLab[]) => Promise<boolean[]>;

/** Candidates tried in one go. */
const BATCH = 12;

/** The smallest Lab found; every Lab on the way was confirmed by `fails`. */
export async function shrink(lab: FuzzLab, fails: StillFails): Promise<FuzzLab> {
  let best = lab;
  for (;;) {
    const smaller = await firstFailing(candidates(best), fails);
    if (smaller === null) return best;
    best = smaller;
  }
}

async function firstFailing(all: FuzzLab[], fails: StillFails): Promise<FuzzLab | null> {
  for (let i = 0; i < all.length; i += BATCH) {
    const batch = all.slice(i, i + BATCH);
    const verdicts = await fails(batch);
    const k = verdicts.indexOf(true);
    if (k >= 0) return batch[k]!;
  }
  return null;
}

/** Smaller Labs, the boldest cuts first: halves, whole namespaces, then single lines. */
export function candidates(lab: FuzzLab): FuzzLab[] {
  const out: FuzzLab[] = [];
  const push = (setup: string[], steps: string[]): void => {
    if (steps.length > 0 && setup.length + steps.length < lab.setup.length + lab.steps.length)
      out.push({ ...lab, setup, steps });
  };
  const half = Math.ceil(lab.steps.length / 2);
  if (lab.steps.length > 1) {
    push(lab.setup, lab.steps.slice(0, half));
    push(lab.setup, lab.steps.slice(half));
  }
  for (const n of namespaces(lab)) {
    const mentions = (text: string): boolean => text.split(/[\s/]+/).includes(n);
    push(lab.setup.filter((l) => !mentions(l)), lab.steps.filter((s) => !mentions(s))); // prettier-ignore
  }
  for (const tool of ['iptables', 'sysctl', 'ipvsadm', 'ipset', 'nc']) {
    push(lab.setup.filter((l) => !l.split(' ').includes(tool)), lab.steps); // prettier-ignore
  }
  lab.steps.forEach((_, i) => push(lab.setup, lab.steps.filter((__, k) => k !== i))); // prettier-ignore
  for (let i = lab.setup.length - 1; i >= 0; i--) push(lab.setup.filter((__, k) => k !== i), lab.steps); // prettier-ignore
  return out;
}

function namespaces(lab: FuzzLab): string[] {
  return lab.setup.flatMap((l) => {
    const m = /^ip netns add (\S+)$/.exec(l);
    return m === null ? [] : [m[1]!];
  });
}
