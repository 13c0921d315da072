/**
 * A place in a YAML document: typed reads that fail with file:line:column, what was found and what was expected.
 * @module
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node as YamlNode, parseAllDocuments } from 'yaml';
import { InputError } from '../../sim/input-error.js';

export class At {
  private readonly file: string;
  private readonly lines: LineCounter;
  readonly path: string;
  private readonly node: unknown;
  private readonly offset: number;

  constructor(file: string, lines: LineCounter, path: string, node: unknown, offset: number) {
    this.file = file;
    this.lines = lines;
    this.path = path;
    this.node = node;
    const range = (node as YamlNode | null)?.range;
    this.offset = range?.[0] ?? offset;
  }

  fail(message: string): never {
    const { line, col } = this.lines.linePos(this.offset);
    throw new InputError(this.file, line, col, this.path === '' ? message : `${this.path}: ${message}`);
  }

  private found(): string {
    if (isMap(this.node)) return 'a map';
    if (isSeq(this.node)) return 'a list';
    return isScalar(this.node) ? JSON.stringify(this.node.value) : 'nothing';
  }

  get isNull(): boolean {
    return this.node === null || this.node === undefined || (isScalar(this.node) && this.node.value === null);
  }

  get isScalar(): boolean {
    return isScalar(this.node);
  }

  private pair(key: string): { key: unknown; value: unknown } | null {
    if (!isMap(this.node)) this.fail(`found ${this.found()}, expected a map`);
    for (const p of this.node.items) if (isScalar(p.key) && p.key.value === key) return p;
    return null;
  }

  /** The child, or null when absent or null. */
  opt(key: string): At | null {
    if (this.isNull) return null;
    const p = this.pair(key);
    if (p === null) return null;
    const at = new At(this.file, this.lines, this.path === '' ? key : `${this.path}.${key}`, p.value, this.offset);
    return at.isNull ? null : at;
  }

  /** The child; absent is an error. */
  req(key: string): At {
    return this.opt(key) ?? this.fail(`missing "${key}"`);
  }

  /** Refuses keys that are neither known nor listed. */
  only(...keys: string[]): this {
    if (this.isNull) return this;
    if (!isMap(this.node)) this.fail(`found ${this.found()}, expected a map`);
    for (const p of this.node.items) {
      const k = isScalar(p.key) ? String(p.key.value) : '?';
      if (!keys.includes(k)) {
        new At(this.file, this.lines, this.path, p.key, this.offset).fail(
          `found unknown field "${k}", expected one of: ${keys.join(', ')}`,
        );
      }
    }
    return this;
  }

  str(): string {
    if (!isScalar(this.node) || typeof this.node.value === 'object')
      this.fail(`found ${this.found()}, expected a string`);
    if (typeof this.node.value !== 'string') this.fail(`found ${this.found()}, expected a string`);
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
    if (!(values as string[]).includes(v)) this.fail(`found "${v}", expected one of: ${values.join(', ')}`);
    return v as T;
  }

  intOrStr(): number | string {
    return isScalar(this.node) && typeof this.node.value === 'number' ? this.int(1, 65535) : this.str();
  }

  list(): At[] {
    if (!isSeq(this.node)) this.fail(`found ${this.found()}, expected a list`);
    return this.node.items.map((n, i) => new At(this.file, this.lines, `${this.path}[${i}]`, n, this.offset));
  }

  keys(): string[] {
    if (!isMap(this.node)) this.fail(`found ${this.found()}, expected a map`);
    return this.node.items.map((p) => String(isScalar(p.key) ? p.key.value : ''));
  }

  strings(): Record<string, string> {
    const out: Record<string, string> = {};
    for (const k of this.keys()) out[k] = this.opt(k)?.str() ?? '';
    return out;
  }

  /** The plain value, for parts that another module checks. */
  plain(): unknown {
    return (this.node as { toJSON?: () => unknown } | null)?.toJSON?.() ?? null;
  }

  get hasAlias(): boolean {
    return isAlias(this.node);
  }
}

/** Every document of a YAML text. Syntax errors and duplicate keys become InputErrors; aliases are refused (bounded size). */
export function documents(text: string, file: string): At[] {
  const lines = new LineCounter();
  const out: At[] = [];
  for (const doc of parseAllDocuments(text, { lineCounter: lines, uniqueKeys: true })) {
    if (!('errors' in doc)) continue;
    const e = doc.errors[0];
    if (e !== undefined) {
      const { line, col } = lines.linePos(e.pos[0]);
      throw new InputError(file, line, col, `wrong YAML: ${e.message.split('\n')[0]!.replace(/ at line \d+.*$/, '')}`);
    }
    const at = new At(file, lines, '', doc.contents, 0);
    if (!at.isNull) out.push(at);
  }
  return out;
}
