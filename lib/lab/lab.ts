/**
 * The Lab format: plain Linux commands and timed steps in one YAML document, read strictly and printed back.
 * @module
 */
import { isMap, isPair, isScalar, isSeq, LineCounter, stringify, type Node, type YAMLMap } from 'yaml';
import { type Command, parseScript } from '../shell/script.js';
import { InputError } from '../sim/input-error.js';
import { cut, parseYaml } from './yaml.js';

/** What a step has to end with; `stdout` is a text its output contains. */
export interface Expect {
  exit?: number;
  stdout?: string;
}

/** Commands at a time, counted from the end of the setup. */
export interface LabStep {
  atNs: number;
  run: Command[];
  text: string;
  expect: Expect | null;
  line: number;
  /** The component of a cluster that runs these commands; absent: the user. */
  by?: string;
}

/** A Lab as read from its file. */
export interface Lab {
  name: string;
  description: string;
  seed: number;
  setup: Command[];
  setupText: string;
  /** The file's line of the first line of `setupText`. */
  setupLine: number;
  steps: LabStep[];
  untilNs: number | null;
  captures: string[] | null;
  /** Where each entry of `captures` stands. */
  capturePlaces: { line: number; column: number }[];
  file: string;
}

const UNITS: [string, number][] = [
  ['m', 60e9],
  ['s', 1e9],
  ['ms', 1e6],
  ['us', 1e3],
  ['ns', 1],
];

/** `1500ms` to nanoseconds, or null when it is no duration. */
export function parseDuration(text: string): number | null {
  const m = /^(\d+(?:\.\d+)?)(m|s|ms|us|ns)$/.exec(text);
  if (m === null) return null;
  const ns = Math.round(Number(m[1]) * UNITS.find((u) => u[0] === m[2])![1]);
  return Number.isSafeInteger(ns) ? ns : null;
}

/** Nanoseconds in the largest unit that prints them without a fraction. */
export function formatDuration(ns: number): string {
  if (ns === 0) return '0s';
  const [unit, size] = UNITS.find((u) => ns % u[1] === 0)!;
  return `${ns / size}${unit}`;
}

/** Reads a Lab; anything unknown, doubled or of the wrong type is an `InputError` at its place. */
export function parseLab(text: string, file: string): Lab {
  return new Reader(text, file).lab();
}

class Reader {
  private readonly text: string;
  private readonly file: string;
  private lines = new LineCounter();
  /** The text's lines, cut once: a Lab may have very many scripts. */
  private readonly source: readonly string[];

  constructor(text: string, file: string) {
    this.text = text;
    this.source = text.split('\n');
    this.file = file;
  }

  lab(): Lab {
    const { docs, lines } = parseYaml(this.text, this.file);
    this.lines = lines;
    if (docs.length !== 1)
      this.fail(this.at(docs[1]?.contents), `found ${docs.length} YAML documents, expected one Lab in one file`);
    const top = this.fields(docs[0]!.contents, 0, 'a Lab', ['kind', 'metadata', 'spec'], ['apiVersion']);
    const kind = this.string(top.get('kind')!, 'kind');
    if (kind !== 'Lab') this.fail(this.at(top.get('kind')), `found kind '${kind}', expected 'Lab'`);
    const meta = this.fields(top.get('metadata'), 0, 'metadata', ['name'], ['description']);
    const name = this.string(meta.get('name')!, 'name');
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) {
      this.fail(this.at(meta.get('name')), `found name '${name}', expected letters, digits, '-', '_' and '.'`);
    }
    const description = meta.has('description') ? this.string(meta.get('description')!, 'description') : '';
    const spec = this.fields(top.get('spec'), 0, 'spec', ['setup'], ['seed', 'steps', 'until', 'captures']);
    const setup = this.script(spec.get('setup')!, 'setup');
    const until = spec.get('until');
    return {
      name,
      description,
      seed: spec.has('seed') ? this.integer(spec.get('seed')!, 'seed') : 1,
      setup: setup.commands,
      setupText: setup.text,
      setupLine: setup.line,
      steps: spec.has('steps') ? this.items(spec.get('steps')!, 'steps').map((n) => this.step(n)) : [],
      untilNs: until === undefined ? null : this.duration(until, 'until'),
      captures: spec.has('captures') ? this.captures(spec.get('captures')!) : null,
      capturePlaces: spec.has('captures') ? this.places(spec.get('captures')!) : [],
      file: this.file,
    };
  }

  private step(node: Node): LabStep {
    const f = this.fields(node, 0, 'a step', ['at', 'run'], ['expect', 'by']);
    const run = this.script(f.get('run')!, 'run');
    if (run.commands.length === 0) this.fail(this.at(f.get('run')), 'found no command in run, expected one');
    let expect: Expect | null = null;
    if (f.has('expect')) {
      const e = this.fields(f.get('expect'), 0, 'expect', [], ['exit', 'stdout']);
      expect = {};
      if (e.has('exit')) expect.exit = this.integer(e.get('exit')!, 'exit');
      if (e.has('stdout')) expect.stdout = this.string(e.get('stdout')!, 'stdout');
    }
    return {
      atNs: this.duration(f.get('at')!, 'at'),
      run: run.commands,
      text: run.text,
      expect,
      line: this.line(node),
      ...(f.has('by') ? { by: this.string(f.get('by')!, 'by') } : {}),
    };
  }

  private captures(node: Node): string[] {
    const seen = new Set<string>();
    for (const n of this.items(node, 'captures')) {
      const iface = this.string(n, 'captures');
      if (!/^[^/\s]+\/[^/\s]+$/.test(iface)) this.fail(this.at(n), `found '${iface}', expected 'NETNS/DEVICE'`);
      if (seen.has(iface)) this.fail(this.at(n), `found '${iface}' twice, expected it once`);
      seen.add(iface);
    }
    return [...seen];
  }

  private places(list: Node): { line: number; column: number }[] {
    return this.items(list, 'captures').map((n) => {
      const { line, col } = this.lines.linePos(this.at(n));
      return { line, column: col };
    });
  }

  /** The text of a scalar and its commands. A block scalar begins on the line after its `|`, at its indentation. */
  private script(node: Node, name: string): { text: string; commands: Command[]; line: number } {
    const text = this.string(node, name);
    const offset = this.at(node);
    let { line, col } = this.lines.linePos(offset);
    if (isScalar(node) && (node.type === 'BLOCK_LITERAL' || node.type === 'BLOCK_FOLDED')) {
      if (node.type === 'BLOCK_FOLDED') this.fail(offset, `found '>', expected '|' so that the lines stay lines`);
      const { source } = this;
      const first = text.split('\n').find((l) => l.trim() !== '') ?? '';
      const skip = text.split('\n').indexOf(first);
      const header = source[line - 1]!;
      line++;
      col = Math.max(1, (source[line - 1 + skip] ?? header).replace(/\r$/, '').length - first.length + 1);
    } else if (isScalar(node) && node.type !== 'PLAIN') col++;
    return { text, commands: parseScript(text, this.file, line, col), line };
  }

  private fields(node: unknown, at: number, what: string, need: string[], may: string[]): Map<string, Node> {
    if (!isMap(node))
      this.fail(this.at(node) || at, `found ${kindOf(node)}, expected ${what} with ${[...need, ...may].join(', ')}`);
    const found = new Map<string, Node>();
    for (const pair of (node as YAMLMap).items) {
      if (!isPair(pair)) continue;
      const key = isScalar(pair.key) ? String(pair.key.value) : '';
      if (!need.includes(key) && !may.includes(key)) {
        this.fail(
          this.at(pair.key),
          `found unknown field '${key}' in ${what}, expected ${[...need, ...may].join(', ')}${cut(pair)}`,
        );
      }
      if (pair.value === null) this.fail(this.at(pair.key), `found no value of '${key}', expected one`);
      found.set(key, pair.value as Node);
    }
    const missing = need.find((k) => !found.has(k));
    if (missing !== undefined) this.fail(this.at(node), `found no field '${missing}' in ${what}, expected it`);
    return found;
  }

  private items(node: Node, name: string): Node[] {
    if (!isSeq(node)) this.fail(this.at(node), `found ${kindOf(node)} in ${name}, expected a list`);
    return node.items as Node[];
  }

  private string(node: Node, name: string): string {
    if (isScalar(node) && typeof node.value === 'string') return node.value;
    return this.fail(this.at(node), `found ${kindOf(node)} in ${name}, expected a text`);
  }

  private integer(node: Node, name: string): number {
    if (isScalar(node) && Number.isSafeInteger(node.value) && (node.value as number) >= 0) return node.value as number;
    return this.fail(this.at(node), `found ${kindOf(node)} in ${name}, expected a whole number, 0 or more`);
  }

  private duration(node: Node, name: string): number {
    const text = isScalar(node) ? String(node.value) : kindOf(node);
    const ns = parseDuration(text);
    return ns ?? this.fail(this.at(node), `found '${text}' in ${name}, expected a duration such as 0s, 1500ms or 1m`);
  }

  private at(node: unknown): number {
    return (node as Node | null | undefined)?.range?.[0] ?? 0;
  }

  private line(node: unknown): number {
    return this.lines.linePos(this.at(node)).line;
  }

  private fail(offset: number, message: string): never {
    const { line, col } = this.lines.linePos(offset);
    throw new InputError(this.file, line || 1, col || 1, message);
  }
}

function kindOf(node: unknown): string {
  if (isMap(node)) return 'a mapping';
  if (isSeq(node)) return 'a list';
  if (isScalar(node)) return node.value === null ? 'nothing' : `'${String(node.value)}'`;
  return 'nothing';
}

/** Prints a Lab as YAML that reads back equal; scripts of several lines become block scalars. */
export function formatLab(lab: Lab): string {
  const steps = lab.steps.map((s) => ({
    at: formatDuration(s.atNs),
    ...(s.by !== undefined && { by: s.by }),
    run: s.text,
    ...(s.expect && { expect: s.expect }),
  }));
  const spec = {
    seed: lab.seed,
    setup: lab.setupText,
    steps,
    ...(lab.untilNs !== null && { until: formatDuration(lab.untilNs) }),
    ...(lab.captures !== null && { captures: lab.captures }),
  };
  const metadata = { name: lab.name, ...(lab.description !== '' && { description: lab.description }) };
  return stringify({ kind: 'Lab', metadata, spec }, { lineWidth: 0, blockQuote: 'literal' });
}
