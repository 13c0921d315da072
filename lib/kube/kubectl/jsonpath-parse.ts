/**
 * kubectl's JSONPath dialect, read: templates of text and `{actions}` (client-go, util/jsonpath, parser.go).
 *
 * Errors have client-go's words. The dialect's oddities are kept: a quote ends unless the character before it is a
 * backslash, keys in brackets are read as paths, `{` needs no `.` before a bracket.
 * @module
 */
import { isPrint } from './go-values.js';

export type Node =
  | { type: 'text'; text: string }
  | { type: 'list'; nodes: Node[] }
  | { type: 'field'; name: string }
  | { type: 'identifier'; name: string }
  | { type: 'int'; value: number }
  | { type: 'float'; value: number }
  | { type: 'bool'; value: boolean }
  | { type: 'wildcard' }
  | { type: 'recursive' }
  | { type: 'union'; nodes: Node[] }
  | { type: 'filter'; left: Node; right: Node; operator: string }
  | { type: 'array'; from: Bound; to: Bound; step: Bound };

/** A number of `[from:to:step]`; `derived`: of a lone index, one behind it. */
export interface Bound {
  value: number;
  known: boolean;
  derived: boolean;
}

/** What client-go says of a template it cannot use. */
export class JsonPathError extends Error {}

/** Nesting of filters and unions, which Go leaves to its stack. */
const MAX_DEPTH = 100;

const isDigit = (c: string): boolean => /^\p{Nd}$/u.test(c);
const isAlphaNumeric = (c: string): boolean => /^[\p{L}\p{Nd}_]$/u.test(c);
const isTerminator = (c: string): boolean => c === '' || ' \t\r\n.,[]$@{}'.includes(c);
const fail = (message: string): never => {
  throw new JsonPathError(message);
};

/** `%#U`. */
function unicode(c: string): string {
  const hex = c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
  return `U+${hex}${isPrint(c) ? ` '${c}'` : ''}`;
}

/** Reads a template. Throws JsonPathError. */
export function parseJsonPath(text: string): Node[] {
  return new Parser(text, 0).template();
}

/** The nodes of one action's text. */
function action(text: string, depth: number): Node[] {
  if (depth > MAX_DEPTH) fail('template is nested too deeply');
  const root = new Parser(`{${text}}`, depth).template();
  const first = root[0]!;
  return first.type === 'list' ? first.nodes : [];
}

class Parser {
  private readonly input: string;
  private readonly depth: number;
  private pos = 0;
  private start = 0;
  private readonly root: Node[] = [];

  constructor(input: string, depth: number) {
    this.input = input;
    this.depth = depth;
  }

  template(): Node[] {
    for (;;) {
      const open = this.input.indexOf('{', this.pos);
      this.pos = open < 0 ? this.input.length : open;
      if (this.pos > this.start) this.root.push({ type: 'text', text: this.take() });
      if (open < 0) return this.root;
      this.pos++;
      this.take();
      const nodes: Node[] = [];
      this.root.push({ type: 'list', nodes });
      while (this.inside(nodes));
    }
  }

  private take(): string {
    const v = this.input.slice(this.start, this.pos);
    this.start = this.pos;
    return v;
  }

  private peek(): string {
    const c = this.input.codePointAt(this.pos);
    return c === undefined ? '' : String.fromCodePoint(c);
  }

  private next(): string {
    const c = this.peek();
    this.pos += c.length;
    return c;
  }

  /** One part of an action; false at its end. */
  private inside(cur: Node[]): boolean {
    if (this.input.startsWith('}', this.pos)) {
      this.pos++;
      this.take();
      return false;
    }
    if (this.input.startsWith('[?(', this.pos)) this.filter(cur);
    else if (this.input.startsWith('..', this.pos)) this.recursive(cur);
    else this.single(cur);
    return true;
  }

  private single(cur: Node[]): void {
    const c = this.peek();
    if (c === '' || c === '\r' || c === '\n') fail('unclosed action');
    if (c === '+' || c === '-' || isDigit(c)) return this.number(cur);
    if (isAlphaNumeric(c)) return this.identifier(cur);
    this.next();
    if (c === ' ' || c === '@' || c === '$') this.take();
    else if (c === '[') this.array(cur);
    else if (c === '"' || c === "'") this.quoted(cur, c);
    else if (c === '.') this.field(cur);
    else fail(`unrecognized character in action: ${unicode(c)}`);
  }

  private identifier(cur: Node[]): void {
    while (!isTerminator(this.peek())) this.next();
    const name = this.take();
    if (name === 'true' || name === 'false') cur.push({ type: 'bool', value: name === 'true' });
    else cur.push({ type: 'identifier', name });
  }

  private recursive(cur: Node[]): void {
    if (cur.at(-1)?.type === 'recursive') fail('invalid multiple recursive descent');
    this.pos += 2;
    this.take();
    cur.push({ type: 'recursive' });
    if (isAlphaNumeric(this.peek())) this.field(cur);
  }

  private number(cur: Node[]): void {
    this.next();
    while (this.peek() === '.' || isDigit(this.peek())) this.next();
    const text = this.take();
    if (/^[+-]?[0-9]+$/.test(text)) cur.push({ type: 'int', value: Number(text) });
    else if (/^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$/.test(text)) cur.push({ type: 'float', value: Number(text) });
    else fail(`cannot parse number ${text}`);
  }

  private array(cur: Node[]): void {
    for (;;) {
      const c = this.next();
      if (c === '' || c === '\n') fail('unterminated array');
      if (c === ']') break;
    }
    const taken = this.take().slice(1, -1);
    const text = taken === '*' ? ':' : taken;
    const parts = text.split(',');
    if (parts.length > 1) {
      const nodes = parts.map((p): Node => ({ type: 'list', nodes: action(`[${p.replace(/^ +| +$/g, '')}]`, this.depth + 1) })); // prettier-ignore
      cur.push({ type: 'union', nodes });
      return;
    }
    const key = /^'([^']*)'$/.exec(text);
    if (key !== null) cur.push(...action(`.${key[1]}`, this.depth + 1));
    else cur.push(slice(text));
  }

  private filter(cur: Node[]): void {
    this.pos += 3;
    this.take();
    this.filterEnd();
    if (this.next() !== ']') fail('unclosed array expect ]');
    const text = this.take().slice(0, -2);
    const m = /^([^!<>=]+)([!<>=]+)([^\n]+)$/.exec(text);
    const list = (t: string): Node => ({ type: 'list', nodes: action(t, this.depth + 1) });
    if (m === null)
      cur.push({ type: 'filter', left: list(text), right: { type: 'list', nodes: [] }, operator: 'exists' }); // prettier-ignore
    else cur.push({ type: 'filter', left: list(m[1]!), right: list(m[3]!), operator: m[2]! });
  }

  /** To the parenthesis that ends a filter: the first one outside of the one pair of quotes. */
  private filterEnd(): void {
    let begin = '';
    let end = false;
    for (;;) {
      const c = this.next();
      if (c === '' || c === '\n') fail('unterminated filter');
      if (c === '"' || c === "'") {
        if (begin === '') begin = c;
        else if (this.input[this.pos - 2] !== '\\' && c === begin) end = true;
      } else if (c === ')' && (begin !== '') === end) return;
    }
  }

  private quoted(cur: Node[], quote: string): void {
    for (;;) {
      const c = this.next();
      if (c === '' || c === '\n') fail('unterminated quoted string');
      if (c === quote && this.input[this.pos - 2] !== '\\') break;
    }
    const value = this.take();
    const text = unquote(value);
    if (text === null) fail(`unquote string ${value} error invalid syntax`);
    cur.push({ type: 'text', text: text! });
  }

  private field(cur: Node[]): void {
    this.take();
    for (;;) {
      const c = this.peek();
      if (c !== '\\' && isTerminator(c)) break;
      this.next();
      if (c === '\\') this.next();
    }
    const value = this.take();
    cur.push(value === '*' ? { type: 'wildcard' } : { type: 'field', name: value.replaceAll('\\', '') });
  }
}

/** `[a]`, `[a:b]`, `[a:b:c]`. */
function slice(text: string): Node {
  const m = /^(-?\d*)(:-?\d*)?(:-?\d*)?$/.exec(text);
  if (m === null) return fail(`invalid array index ${text}`);
  const bounds: Bound[] = [];
  for (let i = 0; i < 3; i++) {
    const part = m[i + 1] ?? '';
    const digits = i > 0 ? part.slice(1) : part;
    if (digits !== '') {
      if (!/^-?\d+$/.test(digits)) fail(`array index ${digits} is not a number`);
      bounds.push({ value: Number(digits), known: true, derived: false });
    } else if (i === 1 && part === '') bounds.push({ value: bounds[0]!.value + 1, known: true, derived: true });
    else bounds.push({ value: 0, known: false, derived: false });
  }
  return { type: 'array', from: bounds[0]!, to: bounds[1]!, step: bounds[2]! };
}

const SIMPLE: Record<string, string> = { a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v', '\\': '\\' };

/** UnquoteExtend: strconv.Unquote, for single quotes too. Null: invalid syntax. */
function unquote(quoted: string): string | null {
  const quote = quoted[0]!;
  if (quoted.length < 2 || quoted.at(-1) !== quote) return null;
  const s = quoted.slice(1, -1);
  let out = '';
  for (let i = 0; i < s.length;) {
    const c = s[i]!;
    if (c === quote) return null;
    if (c !== '\\') {
      out += c;
      i++;
      continue;
    }
    const e = s[i + 1] ?? '';
    if (Object.hasOwn(SIMPLE, e) || e === quote) {
      out += e === quote ? quote : SIMPLE[e];
      i += 2;
      continue;
    }
    const m = /^(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))/.exec(s.slice(i + 1, i + 10));
    if (m === null) return null;
    const n = m[4] === undefined ? Number.parseInt(m[1] ?? m[2] ?? m[3]!, 16) : Number.parseInt(m[4], 8);
    if (n > 0x10ffff || (n >= 0xd800 && n < 0xe000) || (m[4] !== undefined && n > 255)) return null;
    out += String.fromCodePoint(n);
    i += 1 + m[0].length;
  }
  return out;
}
