/**
 * kubectl's JSONPath dialect, applied to JSON values (client-go, util/jsonpath, jsonpath.go).
 *
 * Where Go walks a map in random order (`*` and `..`), the keys are in order here.
 * @module
 */
import { byBytes, GoFloat, type GoValue, isMap, type Json, marshal, marshalIndent, sortedKeys, sprint, typeName } from './go-values.js'; // prettier-ignore
import { type Bound, JsonPathError, type Node, parseJsonPath } from './jsonpath-parse.js';

export { JsonPathError } from './jsonpath-parse.js';

/** Nothing: the one value of a range over nothing, which is no value at all. */
const ABSENT = Symbol('absent');
type Value = GoValue | typeof ABSENT;

/** Values of one answer; `..` over nested ranges would otherwise be without bound. */
const MAX_VALUES = 1_000_000;

const fail = (message: string): never => {
  throw new JsonPathError(message);
};

export class JsonPath {
  private readonly nodes: Node[];
  private readonly allowMissing: boolean;
  private beginRange = 0;
  private inRange = 0;
  private endRange = 0;
  private lastEnd = -1;
  private values = 0;

  /** Throws JsonPathError for what is no template. */
  constructor(template: string, allowMissing: boolean) {
    this.nodes = parseJsonPath(template);
    this.allowMissing = allowMissing;
  }

  /** The results of every node of the template, in order. Throws JsonPathError. */
  find(data: Json): GoValue[][] {
    [this.beginRange, this.inRange, this.endRange, this.lastEnd, this.values] = [0, 0, 0, -1, 0];
    return this.from(0, data).map((r) => r.map((v) => (v === ABSENT ? null : v)));
  }

  /** What `-o jsonpath=` prints. Throws JsonPathError. */
  text(data: Json): string {
    const all = this.find(data);
    return all.map((r) => r.map((v) => (Array.isArray(v) || isMap(v) ? marshal(v) : v === null ? 'null' : sprint(v))).join(' ')).join(''); // prettier-ignore
  }

  /** What `-o jsonpath-as-json=` prints. Throws JsonPathError. */
  json(data: Json): string {
    return this.find(data)
      .map((r) => `${marshalIndent(r as Json)}\n`)
      .join('');
  }

  /** FindResults over the nodes from `start` on. */
  private from(start: number, data: Value): Value[][] {
    const out: Value[][] = [];
    for (let i = start; i < this.nodes.length; i++) {
      const results = this.walk([data], this.nodes[i]!);
      if (this.endRange > 0 && this.endRange <= this.inRange) {
        this.endRange--;
        this.lastEnd = i;
        break;
      }
      if (this.beginRange > 0) {
        this.beginRange--;
        this.inRange++;
        if (results.length === 0) this.from(i + 1, ABSENT);
        for (const v of results) for (const r of this.from(i + 1, v)) out.push(r);
        this.inRange--;
        if (this.lastEnd > i) i = this.lastEnd;
        continue;
      }
      this.values += results.length;
      if (this.values > MAX_VALUES) fail(`more than ${MAX_VALUES} results`);
      out.push(results);
    }
    return out;
  }

  private walk(input: Value[], n: Node): Value[] {
    switch (n.type) {
      case 'list':
        return n.nodes.reduce((cur, x) => this.walk(cur, x), input);
      case 'text':
        return [n.text];
      case 'field':
        return this.field(input, n.name);
      case 'array':
        return array(input, n);
      case 'filter':
        return this.filter(input, n);
      case 'int':
      case 'bool':
        return input.map(() => n.value);
      case 'float':
        return input.map(() => new GoFloat(n.value));
      case 'wildcard':
        return input.flatMap(children);
      case 'recursive':
        return this.recursive(input);
      case 'union':
        return n.nodes.flatMap((x) => this.walk(input, x));
      case 'identifier':
        return this.identifier(input, n.name);
    }
  }

  private identifier(input: Value[], name: string): Value[] {
    if (name === 'range') {
      this.beginRange++;
      return input;
    }
    if (name !== 'end') return fail(`unrecognized identifier ${name}`);
    if (this.inRange === 0) fail('not in range, nothing to end');
    this.endRange++;
    return [];
  }

  private field(input: Value[], name: string): Value[] {
    if (input.length === 0) return [];
    const out: Value[] = [];
    for (const v of input) if (isMap(v) && Object.hasOwn(v, name)) out.push(v[name]!);
    if (out.length === 0 && !this.allowMissing) fail(`${name} is not found`);
    return out;
  }

  private recursive(input: Value[]): Value[] {
    const out: Value[] = [];
    for (const v of input) {
      const below = children(v);
      if (below.length === 0) continue;
      out.push(v);
      for (const x of this.recursive(below)) out.push(x);
      this.values += below.length;
      if (this.values > MAX_VALUES) fail(`more than ${MAX_VALUES} results`);
    }
    return out;
  }

  private filter(input: Value[], n: Node & { type: 'filter' }): Value[] {
    const out: Value[] = [];
    for (const list of input) {
      if (!Array.isArray(list))
        return fail(`${list === ABSENT ? '<invalid reflect.Value>' : sprint(list)} is not array or slice and cannot be filtered`); // prettier-ignore
      for (const v of list) {
        if (n.operator === 'exists' ? this.exists(v, n.left) : this.passes(v, n)) out.push(v);
      }
    }
    return out;
  }

  private exists(v: Json, left: Node): boolean {
    try {
      return this.walk([v], left).length > 0;
    } catch (e) {
      // What a failed walk has found so far counts; a missing field has found nothing.
      if (e instanceof JsonPathError) return !e.message.endsWith('is not found');
      throw e;
    }
  }

  private passes(v: Json, n: Node & { type: 'filter' }): boolean {
    const side = (x: Node): Value[] => {
      const found = this.walk([v], x);
      return found.length > 1 ? fail('can only compare one element at a time') : found;
    };
    const [left] = side(n.left);
    if (left === undefined) return false;
    const [right] = side(n.right);
    return right !== undefined && compare(n.operator, left, right);
  }
}

/** The parts of a map, a list, or a string (its bytes). */
function children(v: Value): Value[] {
  if (typeof v === 'string') return [...new TextEncoder().encode(v)];
  if (Array.isArray(v)) return v;
  return isMap(v) ? sortedKeys(v).map((k) => v[k]!) : [];
}

function array(input: Value[], n: { from: Bound; to: Bound; step: Bound }): Value[] {
  const out: Value[] = [];
  for (const v of input) {
    if (v === null || v === ABSENT) continue;
    if (!Array.isArray(v)) return fail(`${typeName(v)} is not array or slice`);
    const from = n.from.known ? n.from.value + (n.from.value < 0 ? v.length : 0) : 0;
    const last = n.to.value;
    const to = !n.to.known ? v.length : last < 0 || (last === 0 && n.to.derived) ? last + v.length : last;
    if (from === to) return out;
    if (from >= v.length || from < 0) fail(`array index out of bounds: index ${from}, length ${v.length}`);
    if (to > v.length || to < 0) fail(`array index out of bounds: index ${to - 1}, length ${v.length}`);
    if (from > to) fail(`starting index ${from} is greater than ending index ${to}`);
    if (n.step.known && n.step.value <= 0) fail('step must be > 0');
    for (let i = from; i < to; i += n.step.known ? n.step.value : 1) out.push(v[i]!);
  }
  return out;
}

type Basic = { kind: 'bool' | 'int' | 'float' | 'string'; value: boolean | number | string };

function basic(v: Value): Basic {
  if (v instanceof GoFloat) return { kind: 'float', value: v.value };
  if (typeof v === 'number') return { kind: Number.isInteger(v) ? 'int' : 'float', value: v };
  if (typeof v === 'boolean') return { kind: 'bool', value: v };
  return typeof v === 'string' ? { kind: 'string', value: v } : fail('invalid type for comparison');
}

/** text/template's comparisons. */
function compare(operator: string, left: Value, right: Value): boolean {
  if (!['<', '>', '==', '!=', '<=', '>='].includes(operator)) fail(`unrecognized filter operator ${operator}`);
  const a = basic(left);
  const b = basic(right);
  if (a.kind !== b.kind) fail('incompatible types for comparison');
  if (operator === '==' || operator === '!=') return (a.value === b.value) === (operator === '==');
  if (a.kind === 'bool') fail('invalid type for comparison');
  const order = a.kind === 'string' ? byBytes(a.value as string, b.value as string) : Number(a.value) - Number(b.value);
  return operator === '<' ? order < 0 : operator === '>' ? order > 0 : operator === '<=' ? order <= 0 : order >= 0;
}
