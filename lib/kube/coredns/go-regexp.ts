/**
 * Go's regular expressions (package regexp, syntax RE2): leftmost-first, in time linear in the text, whatever the pattern.
 *
 *   parse ─▶ Node ─▶ instructions ─▶ threads that step through the text together (a Pike VM)
 *
 * Not here: `\p{…}` classes; text is compared by UTF-16 units.
 * @module
 */

/** Bits of `(?flags)`. */
const I = 1,
  M = 2,
  S = 4,
  U = 8;

type Test = (c: number) => boolean;
type Node =
  | { op: 'test'; test: Test }
  | { op: 'empty' }
  | { op: 'assert'; kind: '^' | '$' | 'A' | 'z' | 'b' | 'B' }
  | { op: 'cat' | 'alt'; list: Node[] }
  | { op: 'repeat'; node: Node; min: number; max: number; lazy: boolean; counted: boolean }
  | { op: 'group'; node: Node; index: number };
type Inst =
  | { op: 'test'; test: Test }
  | { op: 'assert'; kind: string }
  | { op: 'split'; to: [number, number] }
  | { op: 'jump'; to: number }
  | { op: 'save'; slot: number }
  | { op: 'match' };

const PERL: Record<string, Test> = {
  d: (c) => c >= 48 && c <= 57,
  w: (c) => (c >= 48 && c <= 57) || (c >= 65 && c <= 90) || (c >= 97 && c <= 122) || c === 95,
  s: (c) => c === 32 || c === 9 || c === 10 || c === 12 || c === 13,
};
const POSIX: Record<string, RegExp> = {
  alnum: /[0-9A-Za-z]/, alpha: /[A-Za-z]/, ascii: /[\x00-\x7f]/, blank: /[\t ]/, cntrl: /[\x00-\x1f\x7f]/, digit: /[0-9]/,
  graph: /[!-~]/, lower: /[a-z]/, print: /[ -~]/, punct: /[!-/:-@[-`{-~]/, space: /[\t\n\v\f\r ]/, upper: /[A-Z]/,
  word: /[0-9A-Za-z_]/, xdigit: /[0-9A-Fa-f]/,
}; // prettier-ignore
const ESCAPES: Record<string, number> = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 };
const MAX_INSTRUCTIONS = 20000;
const MAX_REPEAT = 1000;

/** Why a pattern cannot be compiled, in Go's words. */
export class RegexpError extends Error {}

class Parser {
  private readonly s: string;
  private i = 0;
  private flags = 0;
  private depth = 0;
  readonly names: string[] = [''];

  constructor(pattern: string) {
    this.s = pattern;
  }
  fail(code: string, what: string): never {
    throw new RegexpError(`error parsing regexp: ${code}: \`${what}\``);
  }
  parse(): Node {
    const n = this.alternation();
    if (this.i < this.s.length) this.fail('unexpected )', this.s);
    return n;
  }
  private alternation(): Node {
    if (++this.depth > 200) this.fail('expression nests too deeply', this.s);
    const flags = this.flags;
    const list = [this.sequence()];
    while (this.s[this.i] === '|') {
      this.i++;
      list.push(this.sequence());
    }
    this.flags = flags;
    this.depth--;
    return list.length === 1 ? list[0]! : { op: 'alt', list };
  }
  private sequence(): Node {
    const list: Node[] = [];
    while (this.i < this.s.length && this.s[this.i] !== '|' && this.s[this.i] !== ')') {
      const start = this.i;
      let n = this.atom();
      let repeated = false;
      for (let r = this.repetition(); r !== null; r = this.repetition()) {
        if (n === null) this.fail('missing argument to repetition operator', this.s.slice(start, this.i));
        if (repeated) this.fail('invalid nested repetition operator', this.s.slice(r.at - 1, this.i));
        n = { op: 'repeat', node: n, min: r.min, max: r.max, lazy: r.lazy, counted: r.counted };
        if (r.counted && !fewCopies(n, MAX_REPEAT)) this.fail('invalid repeat count', this.s.slice(r.at, this.i));
        repeated = true;
      }
      if (n !== null) list.push(n);
    }
    return list.length === 1 ? list[0]! : list.length === 0 ? { op: 'empty' } : { op: 'cat', list };
  }
  private repetition(): { min: number; max: number; lazy: boolean; counted: boolean; at: number } | null {
    const at = this.i;
    const c = this.s[at];
    let min = 0;
    let max = Infinity;
    if (c === '*') this.i++;
    else if (c === '+') min = ++this.i > 0 ? 1 : 1;
    else if (c === '?') max = ++this.i > 0 ? 1 : 1;
    else {
      // Numbers that begin with a zero are none, and then the brace is a character.
      const m = c === '{' ? /^\{(0|[1-9]\d*)(,(0|[1-9]\d*|))?\}/.exec(this.s.slice(at)) : null;
      if (m === null) return null;
      this.i += m[0].length;
      min = Number(m[1]);
      max = m[2] === undefined ? min : m[3] === '' ? Infinity : Number(m[3]);
      if (min > MAX_REPEAT || (max !== Infinity && max > MAX_REPEAT) || max < min)
        this.fail('invalid repeat count', m[0]);
    }
    const swap = (this.flags & U) !== 0;
    const question = this.s[this.i] === '?';
    if (question) this.i++;
    return { min, max, lazy: question !== swap, counted: c === '{', at };
  }
  /** One thing that can be repeated; null: only flags were set. */
  private atom(): Node | null {
    const c = this.s[this.i++]!;
    if (c === '(') return this.group();
    if (c === '[') return { op: 'test', test: this.class() };
    if (c === '.') return { op: 'test', test: (this.flags & S) !== 0 ? () => true : (x) => x !== 10 };
    if (c === '^') return { op: 'assert', kind: (this.flags & M) !== 0 ? '^' : 'A' };
    if (c === '$') return { op: 'assert', kind: (this.flags & M) !== 0 ? '$' : 'z' };
    if (c === '*' || c === '+' || c === '?') this.fail('missing argument to repetition operator', c);
    if (c !== '\\') return this.char(c.charCodeAt(0));
    const e = this.s[this.i];
    if (e === 'A' || e === 'z' || e === 'b' || e === 'B') {
      this.i++;
      return { op: 'assert', kind: e };
    }
    if (e === 'Q') {
      const end = this.s.indexOf('\\E', this.i + 1);
      const text = this.s.slice(this.i + 1, end < 0 ? undefined : end);
      this.i = end < 0 ? this.s.length : end + 2;
      return { op: 'cat', list: Array.from(text, (x) => this.char(x.charCodeAt(0))) };
    }
    const perl = this.perl();
    return perl !== null ? { op: 'test', test: perl } : this.char(this.escape());
  }
  private char(code: number): Node {
    return { op: 'test', test: this.range(code, code) };
  }
  private range(from: number, to: number): Test {
    if ((this.flags & I) === 0) return (c) => c >= from && c <= to;
    const other = (c: number): number => (c >= 65 && c <= 90 ? c + 32 : c >= 97 && c <= 122 ? c - 32 : c);
    return (c) => (c >= from && c <= to) || (other(c) >= from && other(c) <= to);
  }
  private perl(): Test | null {
    const e = this.s[this.i]!;
    const t = e === undefined ? undefined : PERL[e.toLowerCase()];
    if (t === undefined) return null;
    this.i++;
    return e === e.toLowerCase() ? t : (c) => !t(c);
  }
  /** The character after a backslash. */
  private escape(): number {
    const rest = this.s.slice(this.i);
    if (rest === '') this.fail('trailing backslash at end of expression', '');
    const m = /^x([0-9a-fA-F]{2})|^x\{([0-9a-fA-F]{1,6})\}|^([0-7]{2,3}|0)/.exec(rest);
    if (m !== null) {
      this.i += m[0].length;
      return m[3] !== undefined ? Number.parseInt(m[3], 8) : Number.parseInt((m[1] ?? m[2])!, 16);
    }
    this.i++;
    const c = rest[0]!;
    if (ESCAPES[c] !== undefined) return ESCAPES[c];
    if (/[0-9A-Za-z]/.test(c)) this.fail('invalid escape sequence', `\\${c}`);
    return c.charCodeAt(0);
  }
  private group(): Node | null {
    const rest = this.s.slice(this.i);
    const named = /^\?P?<([^>]*)>/.exec(rest);
    const flags = /^\?([imsU]*)(?:-([imsU]+))?([:)])/.exec(rest);
    let index = -1;
    const before = this.flags;
    if (flags !== null) {
      this.i += flags[0].length;
      const bits = (t: string): number => [...t].reduce((a, x) => a | { i: I, m: M, s: S, U }[x]!, 0);
      this.flags = (this.flags | bits(flags[1]!)) & ~bits(flags[2] ?? '');
      if (flags[3] === ')') return null;
    } else if (named !== null) {
      if (!/^\w+$/.test(named[1]!)) this.fail('invalid named capture', `(${named[0]}`);
      if (this.names.includes(named[1]!)) this.fail('duplicate capture group name', named[1]!);
      this.i += named[0].length;
      index = this.names.push(named[1]!) - 1;
    } else if (rest.startsWith('?')) this.fail('invalid or unsupported Perl syntax', `(${rest.slice(0, 2)}`);
    else index = this.names.push('') - 1;
    const node = this.alternation();
    if (this.s[this.i] !== ')') this.fail('missing closing )', this.s);
    this.i++;
    this.flags = before;
    return index < 0 ? node : { op: 'group', node, index };
  }
  private class(): Test {
    const start = this.i - 1;
    const not = this.s[this.i] === '^';
    if (not) this.i++;
    const tests: Test[] = [];
    for (let first = true; first || this.s[this.i] !== ']'; first = false) {
      if (this.i >= this.s.length) this.fail('missing closing ]', this.s.slice(start));
      const posix = /^\[:(\^?)(\w+):\]/.exec(this.s.slice(this.i));
      if (posix !== null) {
        if (!Object.hasOwn(POSIX, posix[2]!)) this.fail('invalid character class range', posix[0]);
        const re = (this.flags & I) === 0 ? POSIX[posix[2]!]! : new RegExp(POSIX[posix[2]!]!, 'i');
        this.i += posix[0].length;
        tests.push((c) => re.test(String.fromCharCode(c)) !== (posix[1] === '^'));
        continue;
      }
      const escaped = this.s[this.i] === '\\';
      if (escaped) this.i++;
      const perl = escaped ? this.perl() : null;
      if (perl !== null) {
        tests.push(perl);
        continue;
      }
      const from = escaped ? this.escape() : this.single();
      let to = from;
      if (this.s[this.i] === '-' && this.s[this.i + 1] !== undefined && this.s[this.i + 1] !== ']') {
        this.i++;
        to = this.s[this.i] === '\\' ? (this.i++, this.escape()) : this.single();
        if (to < from) this.fail('invalid character class range', this.s.slice(start, this.i));
      }
      tests.push(this.range(from, to));
    }
    this.i++;
    return not ? (c) => !tests.some((t) => t(c)) : (c) => tests.some((t) => t(c));
  }
  private single(): number {
    return this.s.charCodeAt(this.i++);
  }
}

/** Instructions of a node, appended to `out`. */
function compileNode(n: Node, out: Inst[]): void {
  if (out.length > MAX_INSTRUCTIONS) throw new RegexpError('error parsing regexp: expression too large');
  if (n.op === 'test' || n.op === 'assert') out.push(n);
  else if (n.op === 'cat') for (const x of n.list) compileNode(x, out);
  else if (n.op === 'group') {
    out.push({ op: 'save', slot: 2 * n.index });
    compileNode(n.node, out);
    out.push({ op: 'save', slot: 2 * n.index + 1 });
  } else if (n.op === 'alt') {
    const ends: { op: 'jump'; to: number }[] = [];
    n.list.forEach((x, i) => {
      if (i === n.list.length - 1) return compileNode(x, out);
      const split: Inst = { op: 'split', to: [out.length + 1, 0] };
      out.push(split);
      compileNode(x, out);
      const jump = { op: 'jump' as const, to: 0 };
      ends.push(jump);
      out.push(jump);
      split.to[1] = out.length;
    });
    for (const j of ends) j.to = out.length;
  } else if (n.op === 'repeat') repeat(n, out);
}

/** repeatIsValid: counts within counts come to `most` copies at the most. */
function fewCopies(n: Node, most: number): boolean {
  let left = most;
  if (n.op === 'repeat' && n.counted) {
    if (n.max === 0) return true;
    const copies = n.max === Infinity ? n.min : n.max;
    if (copies > most) return false;
    if (copies > 0) left = Math.floor(most / copies);
  }
  if (n.op === 'cat' || n.op === 'alt') return n.list.every((x) => fewCopies(x, left));
  return n.op !== 'repeat' && n.op !== 'group' ? true : fewCopies(n.node, left);
}

/** Whether a node can match nothing (frag.nullable). */
function nullable(n: Node): boolean {
  if (n.op === 'cat') return n.list.every(nullable);
  if (n.op === 'alt') return n.list.some(nullable);
  if (n.op === 'group') return nullable(n.node);
  return n.op === 'repeat' ? n.min === 0 || nullable(n.node) : n.op !== 'test';
}

/** x{n,} is n - 1 copies and x+; x* is (x+)? where x can match nothing, which then goes before another round. */
function repeat(n: Node & { op: 'repeat' }, out: Inst[]): void {
  const way = (stay: number, leave: number): [number, number] => (n.lazy ? [leave, stay] : [stay, leave]);
  const splits: { s: Inst & { op: 'split' }; body: number }[] = [];
  const split = (): void => {
    const s = { op: 'split' as const, to: [0, 0] as [number, number] };
    splits.push({ s, body: out.length + 1 });
    out.push(s);
  };
  const endless = n.max === Infinity;
  for (let i = endless ? 1 : 0; i < n.min; i++) compileNode(n.node, out);
  if (endless && n.min === 0 && !nullable(n.node)) {
    const start = out.length;
    split();
    compileNode(n.node, out);
    out.push({ op: 'jump', to: start });
  } else if (endless) {
    if (n.min === 0) split();
    const start = out.length;
    compileNode(n.node, out);
    out.push({ op: 'split', to: way(start, out.length + 1) });
  } else
    for (let i = n.min; i < n.max; i++) {
      split();
      compileNode(n.node, out);
    }
  for (const { s, body } of splits) s.to = way(body, out.length);
}

interface Thread {
  pc: number;
  saved: number[];
}

/** A compiled pattern. Throws RegexpError. */
export class GoRegexp {
  readonly source: string;
  /** Names of the groups, '' for those without; the first is the whole match. */
  readonly names: string[];
  private readonly code: Inst[] = [];

  constructor(pattern: string) {
    this.source = pattern;
    const p = new Parser(pattern);
    const node = p.parse();
    this.names = p.names;
    compileNode({ op: 'group', node, index: 0 }, this.code);
    this.code.push({ op: 'match' });
  }

  /** The leftmost match and its groups ('' for those that took no part), or null (FindStringSubmatch). */
  match(s: string): string[] | null {
    let found: number[] | null = null;
    let list: Thread[] = [];
    for (let at = 0; at <= s.length; at++) {
      const seen = new Set<number>(list.map((t) => t.pc));
      if (found === null) this.follow({ pc: 0, saved: [] }, s, at, seen, list);
      if (list.length === 0 && found !== null) break;
      const next: Thread[] = [];
      const marked = new Set<number>();
      for (const t of list) {
        const inst = this.code[t.pc]!;
        if (inst.op === 'match') {
          found = t.saved;
          break; // threads after this one matter less
        }
        if (inst.op === 'test' && at < s.length && inst.test(s.charCodeAt(at)))
          this.follow({ pc: t.pc + 1, saved: t.saved }, s, at + 1, marked, next);
      }
      list = next;
    }
    if (found === null) return null;
    const f = found;
    return this.names.map((_, i) => (f[2 * i + 1] === undefined ? '' : s.slice(f[2 * i], f[2 * i + 1])));
  }

  /** Adds what a thread reaches without reading a character. */
  private follow(start: Thread, s: string, at: number, seen: Set<number>, list: Thread[]): void {
    const stack = [start];
    for (let t = stack.pop(); t !== undefined; t = stack.pop()) {
      const inst = this.code[t.pc]!;
      if (seen.has(t.pc)) continue;
      seen.add(t.pc);
      if (inst.op === 'jump') stack.push({ pc: inst.to, saved: t.saved });
      else if (inst.op === 'split') stack.push({ pc: inst.to[1], saved: t.saved }, { pc: inst.to[0], saved: t.saved });
      else if (inst.op === 'save') {
        const saved = t.saved.slice();
        saved[inst.slot] = at;
        stack.push({ pc: t.pc + 1, saved });
      } else if (inst.op === 'assert') {
        if (holds(inst.kind, s, at)) stack.push({ pc: t.pc + 1, saved: t.saved });
      } else list.push(t);
    }
  }
}

function holds(kind: string, s: string, at: number): boolean {
  if (kind === 'A') return at === 0;
  if (kind === 'z') return at === s.length;
  if (kind === '^') return at === 0 || s[at - 1] === '\n';
  if (kind === '$') return at === s.length || s[at] === '\n';
  const word = (i: number): boolean => i >= 0 && i < s.length && PERL['w']!(s.charCodeAt(i));
  return (word(at - 1) !== word(at)) === (kind === 'b');
}
