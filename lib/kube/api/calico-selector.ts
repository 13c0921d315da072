/**
 * Calico's selector language: `role == 'web' && !has(old) || tier in {'a', 'b'}`.
 *
 *   or ─▶ and { "||" and }     and ─▶ term { "&&" term }     term ─▶ { "!" } ( "(" or ")" | has(L) | all() | global() | L operator )
 *
 * Upstream: libcalico-go, lib/selector/{tokenizer,parser}. A selector has one canonical text, and is identified by it.
 * @module
 */
import { byBytes } from '../kubectl/go-values.js';

/** Operators that compare a label's value with one text, by their words in the canonical form. */
type Comparison = '==' | '!=' | 'contains' | 'starts with' | 'ends with';

export type Selector =
  | { op: Comparison; label: string; value: string }
  | { op: 'in' | 'not in'; label: string; values: readonly string[] }
  | { op: 'has'; label: string }
  | { op: 'all' | 'global' }
  | { op: 'not'; of: Selector }
  | { op: '&&' | '||'; of: readonly Selector[] };

/** A text that is no selector: what is wrong, and at which character of it (from 0). */
export class SelectorError extends Error {
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

type Kind = 'label' | 'string' | 'has' | 'all' | 'global' | 'operator' | 'end' | '(' | ')' | '{' | '}' | ',' | '!' | '&&' | '||'; // prettier-ignore

interface Token {
  kind: Kind;
  /** A label's name, a string's value, an operator. */
  text: string;
  at: number;
}

/** `label`: upstream's longest name; `depth`: podwire's own, for hostile text must not exhaust the stack. */
const LIMITS = { label: 512, depth: 200 };
/** What a manifest may have, so that the selectors that are made of it (prefixes, namespaces, negations) are within LIMITS too. */
export const GIVEN: typeof LIMITS = { label: 500, depth: 100 };

const SPACE = /[ \t]*/y;
const IDENTIFIER = /[\w./-]*/y;
const FIXED = /==|!=|&&|\|\||[(){},!]/y;
/** Operators of words: no identifier goes on behind them; `startswith`, `endswith` and `notin` are as good. */
const WORDS: readonly [RegExp, string][] = [
  [/contains(?![\w./-])/y, 'contains'],
  [/starts[ \t]*with(?![\w./-])/y, 'starts with'],
  [/ends[ \t]*with(?![\w./-])/y, 'ends with'],
  [/not[ \t]*in(?![\w./-])/y, 'not in'],
  [/in(?![\w./-])/y, 'in'],
];
const HALVES: Readonly<Record<string, string>> = { '=': '==', '&': '&&', '|': '||' };

class Tokenizer {
  private readonly text: string;
  private readonly limits: typeof LIMITS;
  private i = 0;

  constructor(text: string, limits: typeof LIMITS) {
    this.text = text;
    this.limits = limits;
  }

  private take(pattern: RegExp): string | null {
    pattern.lastIndex = this.i;
    const m = pattern.exec(this.text);
    if (m === null) return null;
    this.i += m[0].length;
    return m[0];
  }

  next(afterLabel: boolean): Token {
    this.take(SPACE);
    const at = this.i;
    const c = this.text[at];
    if (c === undefined) return { kind: 'end', text: '', at };
    const fixed = this.take(FIXED);
    if (fixed !== null)
      return fixed === '==' || fixed === '!='
        ? { kind: 'operator', text: fixed, at }
        : { kind: fixed as Kind, text: fixed, at };
    if (c === '"' || c === "'") return this.string(c, at);
    if (Object.hasOwn(HALVES, c)) throw new SelectorError(`expected ${HALVES[c]!}`, at);
    return afterLabel ? this.operator(at) : this.word(at);
  }

  private string(quote: string, at: number): Token {
    const end = this.text.indexOf(quote, at + 1);
    if (end < 0) throw new SelectorError('unterminated string', at);
    this.i = end + 1;
    return { kind: 'string', text: this.text.slice(at + 1, end), at };
  }

  private operator(at: number): Token {
    for (const [pattern, text] of WORDS) if (this.take(pattern) !== null) return { kind: 'operator', text, at };
    throw new SelectorError("expected an operator after a label: ==, !=, in, not in, contains, starts with or ends with", at); // prettier-ignore
  }

  private word(at: number): Token {
    const call = /^(has|all|global)\(/.exec(this.text.slice(at, at + 7));
    if (call === null) return { kind: 'label', text: this.identifier(), at };
    this.i += call[0].length;
    this.take(SPACE);
    const text = call[1] === 'has' ? this.identifier() : '';
    this.take(SPACE);
    if (this.take(/\)/y) === null) throw new SelectorError(`no closing ')' after ${call[0]}`, this.i);
    return { kind: call[1] as Kind, text, at };
  }

  private identifier(): string {
    const at = this.i;
    const name = this.take(IDENTIFIER)!;
    if (name === '') throw new SelectorError('expected identifier', at);
    const { label } = this.limits;
    if (name.length > label) throw new SelectorError(`label too long: more than ${label} characters`, at);
    return name;
  }
}

class Parser {
  private readonly tokens: Token[] = [];
  private i = 0;
  private readonly limits: typeof LIMITS;
  private depth = 0;

  constructor(text: string, limits: typeof LIMITS) {
    this.limits = limits;
    const t = new Tokenizer(text, limits);
    let last: Token | null = null;
    do this.tokens.push((last = t.next(last?.kind === 'label')));
    while (last.kind !== 'end');
  }

  root(): Selector {
    if (this.tokens[0]!.kind === 'end') return { op: 'all' };
    const s = this.list('||');
    this.expect('end', 'found more after the end of the selector');
    return s;
  }

  private accept(kind: Kind): Token | null {
    return this.tokens[this.i]!.kind === kind ? this.tokens[this.i++]! : null;
  }

  private expect(kind: Kind, message: string): Token {
    return this.accept(kind) ?? this.fail(message);
  }

  private fail(message: string): never {
    throw new SelectorError(message, this.tokens[this.i]!.at);
  }

  /** Operands of one precedence; a single one stands for itself. */
  private list(op: '&&' | '||'): Selector {
    const of: Selector[] = [];
    do of.push(op === '||' ? this.list('&&') : this.term());
    while (this.accept(op) !== null);
    return of.length === 1 ? of[0]! : { op, of };
  }

  private term(): Selector {
    let negated = false;
    while (this.accept('!') !== null) negated = !negated;
    const s = this.operand();
    return negated ? { op: 'not', of: s } : s;
  }

  private operand(): Selector {
    const has = this.accept('has');
    if (has !== null) return { op: 'has', label: has.text };
    if (this.accept('all') !== null) return { op: 'all' };
    if (this.accept('global') !== null) return { op: 'global' };
    const label = this.accept('label');
    if (label !== null) return this.comparison(label.text);
    if (this.accept('(') === null) this.fail('unexpected token');
    const { depth } = this.limits;
    if (++this.depth > depth) this.fail(`found more than ${depth} parentheses within each other`);
    const s = this.list('||');
    this.expect(')', 'expected )');
    this.depth--;
    return s;
  }

  private comparison(label: string): Selector {
    const op = this.expect('operator', 'expected an operator after a label').text;
    if (op !== 'in' && op !== 'not in')
      return { op: op as Comparison, label, value: this.expect('string', 'expected string').text };
    this.expect('{', 'expected set literal');
    const values = new Set<string>();
    for (let v = this.accept('string'); v !== null; v = this.accept(',') === null ? null : this.accept('string'))
      values.add(v.text);
    this.expect('}', 'expected }');
    return { op, label, values: [...values].sort(byBytes) };
  }
}

/** Parses a selector; an empty text selects everything. Throws SelectorError. */
export const parseSelector = (text: string, limits = LIMITS): Selector => new Parser(text, limits).root();

const quoted = (v: string): string => (v.includes('"') ? `'${v}'` : `"${v}"`);

/** The canonical text of a selector. */
export function selectorText(s: Selector): string {
  switch (s.op) {
    case 'has':
      return `has(${s.label})`;
    case 'all':
    case 'global':
      return `${s.op}()`;
    case 'not':
      return `!${selectorText(s.of)}`;
    case '&&':
    case '||':
      return `(${s.of.map(selectorText).join(` ${s.op} `)})`;
    case 'in':
    case 'not in':
      return `${s.label} ${s.op} {${s.values.map(quoted).join(', ')}}`;
    default:
      return `${s.label} ${s.op} ${quoted(s.value)}`;
  }
}

/** Whether labels meet a selector; `label` gives a value, or null where the label is absent. */
export function matches(s: Selector, label: (name: string) => string | null): boolean {
  switch (s.op) {
    case 'all':
    case 'global':
      return true;
    case 'not':
      return !matches(s.of, label);
    case '&&':
      for (const x of s.of) if (!matches(x, label)) return false;
      return true;
    case '||':
      for (const x of s.of) if (matches(x, label)) return true;
      return false;
    default:
      return meets(s, label(s.label));
  }
}

type OfLabel = Extract<Selector, { label: string }>;

/** An absent label meets `!=` and `not in` only. */
function meets(s: OfLabel, v: string | null): boolean {
  switch (s.op) {
    case 'has':
      return v !== null;
    case '==':
      return v === s.value;
    case '!=':
      return v !== s.value;
    case 'in':
      return v !== null && s.values.includes(v);
    case 'not in':
      return v === null || !s.values.includes(v);
    case 'contains':
      return v !== null && v.includes(s.value);
    case 'starts with':
      return v !== null && v.startsWith(s.value);
    case 'ends with':
      return v !== null && v.endsWith(s.value);
  }
}

/** The selector with a prefix before every label's name (PrefixVisitor): labels of namespaces and of service accounts. */
export function withPrefix(s: Selector, prefix: string): Selector {
  if ('label' in s) return { ...s, label: prefix + s.label };
  if (s.op === 'not') return { op: 'not', of: withPrefix(s.of, prefix) };
  if (s.op === '&&' || s.op === '||') return { op: s.op, of: s.of.map((x) => withPrefix(x, prefix)) };
  return s;
}
