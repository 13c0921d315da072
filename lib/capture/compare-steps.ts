/**
 * Compares what the steps of two runs printed and how they ended, line by line, under the rules of step-equivalence.ts.
 * @module
 */
import type { Mappings } from './equivalence.js';
import { ORDER_RULES, STEP_RULES, type StepContext, type StepRule } from './step-equivalence.js';

/** An entry of steps.json. */
export interface StepOutput {
  at: number;
  command: string;
  /** Null: still running at the end. */
  exit: number | null;
  stdout: string;
  stderr: string;
}

export interface StepDifference {
  /** 1-based. */
  step: number;
  command: string;
  /** `exit`, `stdout line N`, `stderr line N`, `command` or `steps`. */
  field: string;
  expected: string;
  actual: string;
}

export interface StepComparison {
  differences: StepDifference[];
  steps: number;
  /** How often a rule was needed, by its name. */
  equivalences: Record<string, number>;
}

export interface StepOptions {
  /** The mappings of the frames' comparison, so that a printed port is the one on the wire. */
  maps: Mappings;
  natPorts?: boolean;
  /** The Lab's text: what stands there is never random. */
  text?: string;
}

/** The kernel has no kubectl: a golden does not hold these steps. */
const ours = (s: StepOutput): boolean => s.command.startsWith('kubectl ');

/** Compares `actual` with `expected`; at most one difference per step is reported, the first. */
export function compareSteps(
  expected: readonly StepOutput[],
  actual: readonly StepOutput[],
  options: StepOptions,
): StepComparison {
  const list = expected.some(ours) ? [...actual] : actual.filter((s) => !ours(s));
  const run = new StepComparer(options);
  const differences: StepDifference[] = [];
  if (expected.length !== list.length) {
    const text = (n: number): string => `${n} steps`;
    const d = { step: 0, command: '', field: 'steps' };
    differences.push({ ...d, expected: text(expected.length), actual: text(list.length) });
  }
  const n = Math.min(expected.length, list.length);
  for (let i = 0; i < n; i++) {
    const d = run.step(expected[i]!, list[i]!);
    if (d !== null) differences.push({ step: i + 1, command: expected[i]!.command, ...d });
  }
  return { differences, steps: n, equivalences: run.counts };
}

type Found = Pick<StepDifference, 'field' | 'expected' | 'actual'>;

class StepComparer {
  readonly counts: Record<string, number> = {};
  private readonly context: StepContext;

  constructor({ maps, natPorts, text }: StepOptions) {
    this.context = { maps, natPorts: natPorts === true, fixed: (t) => text !== undefined && text.includes(t) };
  }

  step(e: StepOutput, a: StepOutput): Found | null {
    if (e.command.trim() !== a.command.trim()) return { field: 'command', expected: e.command, actual: a.command };
    const out = this.text('stdout', e.stdout, a.stdout) ?? this.text('stderr', e.stderr, a.stderr);
    if (e.exit === a.exit) return out;
    const text = (x: number | null): string => (x === null ? 'still running' : String(x));
    const said = out === null ? '' : ` (${out.field}: expected ${out.expected}, actual ${out.actual})`;
    return { field: 'exit', expected: text(e.exit), actual: text(a.exit) + said };
  }

  private text(name: string, expected: string, actual: string): Found | null {
    const [e, a] = [toLines(expected), toLines(actual)];
    for (let i = 0; i < Math.max(e.length, a.length);) {
      const order = e[i] === undefined || a[i] === undefined ? -1 : orderOf(e[i]!, e, i);
      if (order < 0 || orderOf(a[i]!, a, i) !== order) {
        if (e[i] === undefined || a[i] === undefined || !this.line(e[i]!, a[i]!)) return at(name, i, e[i], a[i]);
        i++;
        continue;
      }
      const end = (l: string[]): number => {
        let k = i;
        while (k < l.length && orderOf(l[k]!, l, k) === order) k++;
        return k;
      };
      const missing = this.unordered(e.slice(i, end(e)), a.slice(i, end(a)));
      if (missing !== null) return at(name, i + missing.index, missing.e, missing.a);
      i = end(e);
    }
    return null;
  }

  /** Pairs lines in any order: what is equal or known first, so that it is not taken by a guess. */
  private unordered(e: string[], a: string[]): { index: number; e: string | undefined; a: string | undefined } | null {
    const left = [...a];
    const take = (test: (y: string) => boolean): boolean => {
      const k = left.findIndex(test);
      if (k > 0) this.used('order');
      if (k >= 0) left.splice(k, 1);
      return k >= 0;
    };
    let open = e.map((x, index) => ({ x, index }));
    open = open.filter(({ x }) => !take((y) => this.line(x, y, true)));
    open = open.filter(({ x }) => !take((y) => x === y && this.line(x, y)));
    const lost = open.find(({ x }) => !take((y) => this.line(x, y)));
    if (lost !== undefined) return { index: lost.index, e: lost.x, a: left[0] };
    return left.length > 0 ? { index: e.length, e: undefined, a: left[0] } : null;
  }

  private used(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }

  /** True when the lines are equal under the rules. `certain`: without a new pair of random values. */
  private line(e: string, a: string, certain = false): boolean {
    const [x, y] = [partsOf(e), partsOf(a)];
    if (x.rest.length !== y.rest.length || x.rest.some((t, i) => t !== y.rest[i])) return false;
    if (x.parts.some((p, i) => p.rule.name !== y.parts[i]!.rule.name)) return false;
    const maps = this.context.maps.fork();
    const context = { ...this.context, maps };
    if (!x.parts.every((p, i) => p.rule.judge(p.text, y.parts[i]!.text, context, e))) return false;
    if (certain && maps.added > 0) return false;
    this.context.maps.adopt(maps);
    x.parts.forEach((p, i) => p.text !== y.parts[i]!.text && this.used(p.rule.name));
    return true;
  }
}

interface Part {
  rule: StepRule;
  text: string;
}

/** The parts of a line that a rule speaks about, and the text between them. A part belongs to the first rule. */
function partsOf(line: string): { parts: Part[]; rest: string[] } {
  const found: (Part & { from: number; to: number })[] = [];
  for (const rule of STEP_RULES) {
    if (!rule.line.test(line)) continue;
    for (const m of line.matchAll(rule.part)) {
      const [from, to] = m.indices![1]!;
      if (!found.some((f) => from < f.to && f.from < to)) found.push({ rule, text: m[1]!, from, to });
    }
  }
  found.sort((x, y) => x.from - y.from);
  const rest: string[] = [];
  let at = 0;
  for (const f of found) {
    rest.push(line.slice(at, f.from));
    at = f.to;
  }
  rest.push(line.slice(at));
  return { parts: found, rest };
}

/** curl draws its progress meter once a second of real time, with rates in it: rows between carriage returns. */
const METER = /^ +% Total +% Received % Xferd .*\n +Dload +Upload .*\n(?:.*\r)*.*\n?/gm;

/** Lines of an output; an end without a newline is shown as such. */
function toLines(text: string): string[] {
  const lines = text.replace(METER, '').split('\n');
  if (lines.at(-1) === '') lines.pop();
  else lines.push('\\ no newline at the end');
  return lines;
}

/** Number of the order rule of a line, or -1. Members of hash sets need what stands before them. */
function orderOf(line: string, lines: readonly string[], i: number): number {
  const rule = ORDER_RULES.findIndex((r) => r.line.test(line));
  return rule >= 0 ? rule : isMember(line, lines, i) ? ORDER_RULES.length : -1;
}

/** `add NAME …` behind `create NAME hash:…`, or a line behind `Members:` of a hash: set: random order (their initval). */
function isMember(line: string, lines: readonly string[], i: number): boolean {
  const add = /^add (\S+) /.exec(line);
  if (add !== null) return lines.slice(0, i).some((l) => l.startsWith(`create ${add[1]} hash:`));
  let k = i - 1;
  while (k >= 0 && lines[k] !== '' && lines[k] !== 'Members:') k--;
  if (k < 0 || lines[k] !== 'Members:' || line === '') return false;
  while (k >= 0 && lines[k] !== '' && !lines[k]!.startsWith('Type: ')) k--;
  return k >= 0 && lines[k]!.startsWith('Type: hash:');
}

function at(name: string, index: number, e: string | undefined, a: string | undefined): Found {
  const text = (l: string | undefined): string => (l === undefined ? 'no line' : `"${l}"`);
  return { field: `${name} line ${index + 1}`, expected: text(e), actual: text(a) };
}

/** `SCENARIO: step N (COMMAND): FIELD: expected X, actual Y`. */
export function stepDifferenceText(scenario: string, d: StepDifference): string {
  const first = d.command.trim().split('\n')[0]!;
  const short = first.length > 70 ? `${first.slice(0, 69)}…` : first;
  const where = d.step > 0 ? `step ${d.step} (${short})` : 'steps.json';
  return `${scenario}: ${where}: ${d.field}: expected ${d.expected}, actual ${d.actual}`;
}
