/**
 * A place in a YAML document: typed reads that fail with file:line:column, what was found and what was expected.
 *
 * Bounded on hostile input: see lab/yaml.ts; aliases are followed 2,000 times a document, so an alias bomb ends in an error.
 * @module
 */
import { isAlias, isMap, isScalar, isSeq, type LineCounter, type Node as YamlNode } from 'yaml';
import { cut, parseYaml } from '../../lab/yaml.js';
import { InputError } from '../../sim/input-error.js';

const MAX_ALIASES = 2000;

interface Source {
  file: string;
  text: string;
  lines: LineCounter;
  /** What each alias stands for. */
  anchors: Map<unknown, unknown>;
  aliasesLeft: number;
}

/** A text as messages show it: quoted, at most 80 characters. */
export const quote = (v: string): string => JSON.stringify(v.length > 80 ? `${v.slice(0, 77)}...` : v);

export class At {
  readonly path: string;
  private readonly source: Source;
  private readonly node: unknown;
  private readonly offset: number;

  constructor(source: Source, path: string, node: unknown, offset: number) {
    this.source = source;
    this.path = path;
    this.offset = (node as YamlNode | null)?.range?.[0] ?? offset;
    while (isAlias(node)) {
      if (--source.aliasesLeft < 0) this.fail(`found too many aliases, expected at most ${MAX_ALIASES} uses`);
      node = source.anchors.get(node);
    }
    this.node = node;
  }

  /** Throws the InputError of this place. */
  fail(message: string): never {
    const { line, col } = this.source.lines.linePos(this.offset);
    throw new InputError(this.source.file, line, col, this.path === '' ? message : `${this.path}: ${message}`);
  }

  /** The same place under another path: the API server calls some fields by other names than they have. */
  called(path: string): At {
    return new At(this.source, path, this.node, this.offset);
  }

  /** The text of a list's item; null is '', as in Go's decoder. */
  text(): string {
    return this.isNull ? '' : this.str();
  }

  /** As fail(), of a child that is not there. */
  failAbsent(key: string, message: string): never {
    return this.child(key, null).fail(message);
  }

  /** As fail(), without the path before the message. */
  failPlain(message: string): never {
    const { line, col } = this.source.lines.linePos(this.offset);
    throw new InputError(this.source.file, line, col, message);
  }

  /** What stands here, in JSON's words. */
  get jsonType(): 'null' | 'string' | 'number' | 'bool' | 'array' | 'object' {
    if (isMap(this.node)) return 'object';
    if (isSeq(this.node)) return 'array';
    const v = isScalar(this.node) ? this.node.value : null;
    if (typeof v === 'string') return 'string';
    if (typeof v === 'boolean') return 'bool';
    return typeof v === 'number' || typeof v === 'bigint' ? 'number' : 'null';
  }

  /** The file's name, as messages name it. */
  get file(): string {
    return this.source.file;
  }

  /** Line and column of the place, 1-based. */
  get position(): { line: number; column: number } {
    const { line, col } = this.source.lines.linePos(this.offset);
    return { line, column: col };
  }

  /** A script: its text, and the place of its first character. `>` is refused, because it joins lines. */
  script(): { text: string; line: number; column: number } {
    const text = this.str();
    const { line, column } = this.position;
    const type = isScalar(this.node) ? this.node.type : undefined;
    if (type === 'BLOCK_FOLDED') this.fail("found '>', expected '|' so that the lines stay lines");
    if (type !== 'BLOCK_LITERAL') return { text, line, column: type === 'PLAIN' ? column : column + 1 };
    const lines = text.split('\n');
    const first = lines.findIndex((l) => l.trim() !== '');
    const start = this.source.lines.lineStarts[line + Math.max(0, first)] ?? 0;
    const end = this.source.text.indexOf('\n', start);
    const source = this.source.text.slice(start, end < 0 ? undefined : end).replace(/\r$/, '');
    return { text, line: line + 1, column: Math.max(1, source.length - (lines[first] ?? '').length + 1) };
  }

  private found(): string {
    if (isMap(this.node)) return 'a map';
    if (isSeq(this.node)) return 'a list';
    if (!isScalar(this.node)) return 'nothing';
    const v = this.node.value;
    return typeof v === 'string' ? quote(v) : String(JSON.stringify(v) ?? v);
  }

  get isNull(): boolean {
    return this.node === null || this.node === undefined || (isScalar(this.node) && this.node.value === null);
  }

  private pair(key: string): { key: unknown; value: unknown } | null {
    if (!isMap(this.node)) this.fail(`found ${this.found()}, expected a map`);
    for (const p of this.node.items) if (isScalar(p.key) && p.key.value === key) return p;
    return null;
  }

  private child(key: string, node: unknown): At {
    return new At(this.source, this.path === '' ? key : `${this.path}.${key}`, node, this.offset);
  }

  /** True when the key stands here, even without a value. */
  has(key: string): boolean {
    return !this.isNull && this.pair(key) !== null;
  }

  /** The child, or null when absent or null. */
  opt(key: string): At | null {
    if (this.isNull) return null;
    const p = this.pair(key);
    if (p === null) return null;
    const at = this.child(key, p.value);
    return at.isNull ? null : at;
  }

  /** The child; absent is an error. */
  req(key: string): At {
    return this.opt(key) ?? this.fail(`missing "${key}"`);
  }

  /** The deepest place that exists on a dotted path such as `spec.ports[0].port`. */
  deep(path: string): At {
    let at: At = this;
    for (const step of path.split(/[.[\]]+/).filter((x) => x !== '')) {
      const next: At | undefined | null = isSeq(at.node)
        ? at.list()[Number(step)]
        : isMap(at.node)
          ? at.opt(step)
          : null;
      if (next === undefined || next === null) return at;
      at = next;
    }
    return at;
  }

  /** Refuses keys that are neither known nor listed. */
  only(...keys: string[]): this {
    if (this.isNull) return this;
    if (!isMap(this.node)) this.fail(`found ${this.found()}, expected a map`);
    for (const p of this.node.items) {
      const k = isScalar(p.key) ? String(p.key.value) : '?';
      if (!keys.includes(k)) {
        new At(this.source, this.path, p.key, this.offset).fail(
          `found unknown field ${quote(k)}, expected one of: ${keys.join(', ')}${cut(p)}`,
        );
      }
    }
    return this;
  }

  str(): string {
    if (!isScalar(this.node) || typeof this.node.value !== 'string')
      this.fail(`found ${this.found()}, expected a string`);
    return this.node.value;
  }

  int(min: number, max: number): number {
    const v = isScalar(this.node) ? this.node.value : null;
    if (typeof v !== 'number' || !Number.isInteger(v) || v < min || v > max) {
      this.fail(`found ${this.found()}, expected a whole number from ${min} to ${max}`);
    }
    return v;
  }

  bool(): boolean {
    const v = isScalar(this.node) ? this.node.value : null;
    if (typeof v !== 'boolean') this.fail(`found ${this.found()}, expected true or false`);
    return v;
  }

  oneOf<T extends string>(...values: T[]): T {
    const v = this.str();
    if (!(values as string[]).includes(v)) this.fail(`found ${quote(v)}, expected one of: ${values.join(', ')}`);
    return v as T;
  }

  list(): At[] {
    if (!isSeq(this.node)) this.fail(`found ${this.found()}, expected a list`);
    return this.node.items.map((n, i) => new At(this.source, `${this.path}[${i}]`, n, this.offset));
  }

  /** The map's keys and their places. */
  entries(): { key: string; keyAt: At; at: At }[] {
    if (!isMap(this.node)) this.fail(`found ${this.found()}, expected a map`);
    return this.node.items.map((p) => {
      const key = String(isScalar(p.key) ? p.key.value : '');
      return { key, keyAt: new At(this.source, this.path, p.key, this.offset), at: this.child(key, p.value) };
    });
  }

  /** A map of strings; a null value is the empty string, as in Go's decoder. */
  strings(): Record<string, string> {
    const out: [string, string][] = [];
    for (const { key, at } of this.entries()) out.push([key, at.isNull ? '' : at.str()]);
    return Object.fromEntries(out);
  }

  /** The plain value, for parts that another module checks. */
  plain(): unknown {
    if (isMap(this.node)) return Object.fromEntries(this.entries().map((e) => [e.key, e.at.plain()]));
    if (isSeq(this.node)) return this.list().map((x) => x.plain());
    return isScalar(this.node) ? this.node.value : null;
  }
}

/** Every document of a YAML text that is not empty. Throws InputError for what is not YAML or out of bounds. */
export function documents(text: string, file: string): At[] {
  const { docs, lines } = parseYaml(text, file);
  const out: At[] = [];
  for (const doc of docs) {
    const source: Source = { file, text, lines, anchors: new Map(), aliasesLeft: MAX_ALIASES };
    bind(doc.contents, source, new Map());
    const at = new At(source, '', doc.contents, 0);
    if (!at.isNull) out.push(at);
  }
  return out;
}

/** Binds each alias to the last anchor of its name before it. */
function bind(node: unknown, source: Source, known: Map<string, unknown>): void {
  if (isAlias(node)) {
    const target = known.get(node.source);
    if (target === undefined) new At(source, '', { range: node.range }, 0).fail(`wrong YAML: found an unknown alias *${node.source.slice(0, 80)}`); // prettier-ignore
    source.anchors.set(node, target);
    return;
  }
  const anchor = isScalar(node) || isMap(node) || isSeq(node) ? node.anchor : undefined;
  if (anchor !== undefined) known.set(anchor, node);
  if (isSeq(node)) for (const n of node.items) bind(n, source, known);
  if (isMap(node)) for (const p of node.items) bind(p.value, source, known);
}
