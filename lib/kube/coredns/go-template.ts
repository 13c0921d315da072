/**
 * The part of Go's text/template that the `template` plugin is used with: text, `{{ }}` with trimming, fields, `index`,
 * `printf`, `parseInt`, `len`, comparisons, pipelines, `if`/`else`/`end`. Anything else is an error where it is read.
 * @module
 */

/** Why a template cannot be read. */
export class TemplateError extends Error {}
/** Why a template cannot be carried out: the plugin then answers SERVFAIL. */
export class ExecError extends Error {}

export type Value = string | number | bigint | boolean | Value[] | { [key: string]: Value };
type Expr =
  | { op: 'value'; value: Value }
  | { op: 'field'; of: Expr | null; path: string[] }
  | { op: 'call'; name: string; args: Expr[] };
type Node =
  { op: 'text'; text: string } | { op: 'out'; expr: Expr } | { op: 'if'; cond: Expr; then: Node[]; other: Node[] };

const FUNCTIONS = ['index', 'printf', 'print', 'parseInt', 'len', 'eq', 'ne', 'lt', 'gt', 'not', 'and', 'or'];

/** Parentheses within parentheses, which Go leaves to its stack. */
const MAX_DEPTH = 100;
/** Columns of a printf: no record is longer, and Go has 1e6 at the most. */
const MAX_WIDTH = 65535;
const ESCAPES: ReadonlyMap<string, string> = new Map(Object.entries({ n: '\n', t: '\t', r: '\r', '"': '"', '\\': '\\' })); // prettier-ignore

/** The text of a string in double quotes. */
function unquoted(w: string): string {
  if (w.length < 2 || !w.endsWith('"')) throw new TemplateError('unterminated quoted string');
  return w.slice(1, -1).replace(/\\(.)/g, (all, c: string) => {
    const text = ESCAPES.get(c);
    if (text === undefined) throw new TemplateError(`found ${all} in a string, expected one of \\n \\t \\r \\" \\\\`);
    return text;
  });
}

class Parser {
  private readonly words: string[];
  private i = 0;
  private depth = 0;
  constructor(text: string) {
    this.words = text.match(/"(?:[^"\\]|\\.)*"|`[^`]*`|[|()]|[^\s|()]+/g) ?? [];
  }
  /** A pipeline up to the end or a closing parenthesis. */
  pipeline(): Expr {
    if (++this.depth > MAX_DEPTH) throw new TemplateError(`found more than ${MAX_DEPTH} parentheses within each other`);
    let left = this.command(null);
    while (this.words[this.i] === '|') {
      this.i++;
      left = this.command(left);
    }
    this.depth--;
    return left;
  }
  end(): void {
    if (this.i < this.words.length) throw new TemplateError(`found '${this.words[this.i]}', expected the end`);
  }
  private command(last: Expr | null): Expr {
    const word = this.words[this.i];
    if (word === undefined) throw new TemplateError('missing value for command');
    if (!FUNCTIONS.includes(word)) {
      if (last !== null)
        throw new TemplateError(`found '${word}' in a pipeline, expected one of: ${FUNCTIONS.join(', ')}`);
      return this.operand();
    }
    this.i++;
    const args: Expr[] = [];
    for (let w = this.words[this.i]; w !== undefined && w !== '|' && w !== ')'; w = this.words[this.i])
      args.push(this.operand());
    if (last !== null) args.push(last);
    return { op: 'call', name: word, args };
  }
  private operand(): Expr {
    const w = this.words[this.i++]!;
    if (w === '(') {
      const inner = this.pipeline();
      if (this.words[this.i++] !== ')') throw new TemplateError('unclosed left paren');
      const field = this.words[this.i];
      if (field === undefined || !/^(\.\w+)+$/.test(field)) return inner;
      this.i++;
      return { op: 'field', of: inner, path: field.slice(1).split('.') };
    }
    if (w === '.') return { op: 'field', of: null, path: [] };
    if (/^(\.\w+)+$/.test(w)) return { op: 'field', of: null, path: w.slice(1).split('.') };
    if (/^"/.test(w)) return { op: 'value', value: unquoted(w) };
    if (/^`/.test(w)) {
      if (w.length < 2 || !w.endsWith('`')) throw new TemplateError('unterminated raw quoted string');
      return { op: 'value', value: w.slice(1, -1) };
    }
    if (/^-?\d+$/.test(w)) {
      if (!Number.isSafeInteger(Number(w))) throw new TemplateError(`found ${w}, expected a number within 2^53`);
      return { op: 'value', value: Number(w) };
    }
    if (w === 'true' || w === 'false') return { op: 'value', value: w === 'true' };
    throw new TemplateError(`function "${w}" not defined`);
  }
}

/** Nodes up to `{{end}}` or `{{else}}`; returns what ended them. */
function parseList(parts: string[], at: { i: number }, depth: number): { list: Node[]; stop: string } {
  if (depth > 50) throw new TemplateError('found too many nested actions');
  const list: Node[] = [];
  while (at.i < parts.length) {
    const n = at.i++;
    const part = parts[n]!;
    if (n % 2 === 0) {
      let text = part;
      if (parts[n - 1]?.endsWith('-') === true) text = text.trimStart();
      if (parts[n + 1]?.startsWith('-') === true) text = text.trimEnd();
      if (text !== '') list.push({ op: 'text', text });
      continue;
    }
    const body = part.replace(/^-/, '').replace(/-$/, '').trim();
    if (/^\/\*.*\*\/$/s.test(body)) continue;
    if (body === 'end' || body === 'else' || body.startsWith('else ')) return { list, stop: body };
    const keyword = /^(range|with|define|template|block|break|continue)\b|^\$|:=/.exec(body);
    if (keyword !== null) throw new TemplateError(`'${keyword[0]}' is not emulated`);
    if (body.startsWith('if ')) list.push(parseIf(body.slice(3), parts, at, depth));
    else {
      const p = new Parser(body);
      const expr = p.pipeline();
      p.end();
      list.push({ op: 'out', expr });
    }
  }
  return { list, stop: '' };
}

function parseIf(text: string, parts: string[], at: { i: number }, depth: number): Node {
  const p = new Parser(text);
  const cond = p.pipeline();
  p.end();
  const { list, stop } = parseList(parts, at, depth + 1);
  if (stop === '') throw new TemplateError('unexpected EOF');
  if (stop === 'end') return { op: 'if', cond, then: list, other: [] };
  if (stop.startsWith('else if '))
    return { op: 'if', cond, then: list, other: [parseIf(stop.slice(8), parts, at, depth + 1)] };
  const other = parseList(parts, at, depth + 1);
  if (other.stop !== 'end') throw new TemplateError('unexpected EOF');
  return { op: 'if', cond, then: list, other: other.list };
}

/** A template that was read. Throws TemplateError. */
export class GoTemplate {
  private readonly nodes: Node[];
  constructor(text: string) {
    const parts: string[] = [];
    let i = 0;
    for (;;) {
      const open = text.indexOf('{{', i);
      parts.push(text.slice(i, open < 0 ? undefined : open));
      if (open < 0) break;
      const close = text.indexOf('}}', open);
      if (close < 0) throw new TemplateError('unclosed action');
      parts.push(text.slice(open + 2, close));
      i = close + 2;
    }
    const { list, stop } = parseList(parts, { i: 0 }, 0);
    if (stop !== '') throw new TemplateError(`unexpected {{${stop}}}`);
    this.nodes = list;
  }
  /** The text with these values. Throws ExecError. */
  execute(data: { [key: string]: Value }): string {
    return render(this.nodes, data);
  }
}

function render(nodes: Node[], data: { [key: string]: Value }): string {
  let out = '';
  for (const n of nodes) {
    if (n.op === 'text') out += n.text;
    else if (n.op === 'out') out += show(evaluate(n.expr, data));
    else out += render(truth(evaluate(n.cond, data)) ? n.then : n.other, data);
  }
  return out;
}

const truth = (v: Value): boolean =>
  Array.isArray(v) ? v.length > 0 : typeof v === 'object' ? Object.keys(v).length > 0 : Boolean(v);

/** A value as fmt.Print writes it. */
function show(v: Value): string {
  if (Array.isArray(v)) return `[${v.map(show).join(' ')}]`;
  if (typeof v !== 'object') return String(v);
  return `map[${Object.keys(v).sort().map((k) => `${k}:${show(v[k]!)}`).join(' ')}]`; // prettier-ignore
}

function evaluate(e: Expr, data: { [key: string]: Value }): Value {
  if (e.op === 'value') return e.value;
  if (e.op === 'call') return call(e.name, e.args.map((a) => evaluate(a, data))); // prettier-ignore
  let v: Value = e.of === null ? data : evaluate(e.of, data);
  for (const [i, key] of e.path.entries()) {
    if (typeof v !== 'object' || Array.isArray(v)) throw new ExecError(`can't evaluate field ${key}`);
    if (Object.hasOwn(v, key)) v = v[key]!;
    else if (e.of === null && i === 0) throw new ExecError(`can't evaluate field ${key}`);
    else return '<no value>';
  }
  return v;
}

function call(name: string, a: Value[]): Value {
  const [x, y] = a;
  if (name === 'index') return a.slice(1).reduce<Value>(indexOf, a[0] ?? '');
  if (name === 'len') {
    if (typeof x === 'string') return new TextEncoder().encode(x).length;
    if (Array.isArray(x)) return x.length;
    if (typeof x === 'object') return Object.keys(x).length;
  } else if (name === 'printf' && typeof x === 'string') return printf(x, a.slice(1));
  else if (name === 'print') return a.map(show).join('');
  else if (name === 'parseInt') return parseUint(a);
  else if (name === 'eq' && a.length > 1) return a.slice(1).some((v) => equal(v, x!));
  else if (name === 'ne' && a.length === 2) return !equal(x!, y!);
  else if (name === 'lt' && a.length === 2) return x! < y!;
  else if (name === 'gt' && a.length === 2) return x! > y!;
  else if (name === 'not' && a.length === 1) return !truth(x!);
  else if (name === 'and' && a.length > 0) return a.find((v) => !truth(v)) ?? a.at(-1)!;
  else if (name === 'or' && a.length > 0) return a.find(truth) ?? a.at(-1)!;
  throw new ExecError(`error calling ${name}`);
}

/** Signed and unsigned integers are compared by what they count. */
const equal = (a: Value, b: Value): boolean =>
  typeof a === 'bigint' && typeof b === 'number' ? a === BigInt(b) : typeof a === 'number' && typeof b === 'bigint' ? BigInt(a) === b : a === b; // prettier-ignore

function indexOf(v: Value, key: Value): Value {
  if (Array.isArray(v) && typeof key === 'number') {
    const found = v[key];
    if (found === undefined) throw new ExecError(`error calling index: index out of range: ${key}`);
    return found;
  }
  if (typeof v === 'object' && !Array.isArray(v) && typeof key === 'string')
    return Object.hasOwn(v, key) ? v[key]! : '';
  if (typeof v === 'string' && typeof key === 'number' && key < v.length) return v.charCodeAt(key);
  throw new ExecError('error calling index');
}

/** strconv.ParseUint(text, base, bits). */
function parseUint([text, base, bits]: Value[]): Value {
  if (typeof text !== 'string' || typeof base !== 'number' || typeof bits !== 'number' || base < 2 || base > 36)
    throw new ExecError('error calling parseInt');
  if (bits < 0 || bits > 64) throw new ExecError(`parsing "${text}": invalid bit size ${bits}`);
  const digits = [...text.toLowerCase()].map((c) => Number.parseInt(c, 36));
  if (digits.length === 0 || digits.some((d) => !(d < base))) throw new ExecError(`parsing "${text}": invalid syntax`);
  const n = digits.reduce((sum, d) => sum * BigInt(base) + BigInt(d), 0n);
  if (n >= 1n << BigInt(bits === 0 ? 64 : bits)) throw new ExecError(`parsing "${text}": value out of range`);
  return n;
}

/** The verbs s, v, d, x, X with flags 0 and a width. */
function printf(format: string, args: Value[]): string {
  let i = 0;
  return format.replace(/%(0?)(\d*)([a-zA-Z%])/g, (whole, zero: string, width: string, verb: string) => {
    if (verb === '%') return '%';
    const v = args[i++];
    const n = typeof v === 'number' || typeof v === 'bigint' ? v : null;
    let text: string;
    if (v !== undefined && (verb === 's' || verb === 'v') && (verb === 'v' || n === null)) text = show(v);
    else if (n !== null && verb === 'd') text = n.toString();
    else if (n !== null && (verb === 'x' || verb === 'X')) text = n.toString(16);
    else throw new ExecError(`found '${whole}', expected %s, %v, %d or %x with a value of its kind`);
    if (verb === 'X') text = text.toUpperCase();
    if (Number(width) > MAX_WIDTH)
      throw new ExecError(`found '${whole}', expected a width of ${MAX_WIDTH} at the most`);
    return text.padStart(Number(width || 0), zero === '0' && n !== null ? '0' : ' ');
  });
}
