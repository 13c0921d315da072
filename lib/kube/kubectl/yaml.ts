/**
 * YAML as kubectl writes it: sigs.k8s.io/yaml over go-yaml v2, block style, two blanks, lists not indented, lines
 * folded behind column 80.
 * @module
 */
import { type Json, type JsonMap, isMap, marshal } from './go-values.js';

const WIDTH = 80;
const MAX_SIMPLE_KEY = 128;
const bytes = (s: string): number => new TextEncoder().encode(s).length;

const isLetter = (c: string): boolean => /^\p{L}$/u.test(c);
const isDigit = (c: string): boolean => /^\p{Nd}$/u.test(c);

/** The run of digits at `i`, as a number, and where it ends. */
function digits(s: string[], i: number, start: bigint): { value: bigint; end: number } {
  let value = start;
  let end = i;
  for (; end < s.length && isDigit(s[end]!); end++)
    value = BigInt.asIntN(64, value * 10n + BigInt(s[end]!.codePointAt(0)! - 48));
  return { value, end };
}

/** keyList.Less: letters after everything else, digits as numbers. */
export function keyOrder(x: string, y: string): number {
  const a = [...x];
  const b = [...y];
  const n = Math.min(a.length, b.length);
  let i = 0;
  while (i < n && a[i] === b[i]) i++;
  if (i === n) return a.length - b.length;
  const byRune = a[i]!.codePointAt(0)! - b[i]!.codePointAt(0)!;
  const [al, bl] = [isLetter(a[i]!), isLetter(b[i]!)];
  if (al && bl) return byRune;
  if (al || bl) return bl ? -1 : 1;
  let start = 0n;
  if (a[i] === '0' || b[i] === '0') {
    for (let j = i - 1; j >= 0 && isDigit(a[j]!); j--) if (a[j] !== '0') start = 1n;
  }
  const p = digits(a, i, start);
  const q = digits(b, i, start);
  if (p.value !== q.value) return p.value < q.value ? -1 : 1;
  return p.end !== q.end ? p.end - q.end : byRune;
}

const WORDS = new Set('y Y yes Yes YES true True TRUE on On ON n N no No NO false False FALSE off Off OFF ~ null Null NULL .nan .NaN .NAN .inf .Inf .INF +.inf +.Inf +.INF -.inf -.Inf -.INF'.split(' ')); // prettier-ignore
const FLOAT = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;
const isFloat = (s: string): boolean => FLOAT.test(s) && Number.isFinite(Number(s));
const BASE60 = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/;
const DATE = /^\d{4}-(\d{1,2})-(\d{1,2})(?:([Tt ])(\d{1,2}):(\d{1,2}):(\d{1,2})([.,]\d+)?(Z|[+-]\d\d:\d\d)?)?$/;

/** An integer as strconv.ParseInt or ParseUint with base 0 takes it, or go-yaml's `0b` forms. */
function isInteger(s: string): boolean {
  const m = /^([+-]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0b[+-][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)$/.exec(s);
  if (m === null) return false;
  const body = m[2]!.toLowerCase().replace(/[+-]/, '');
  const value = BigInt(/^0[0-7]/.test(body) ? `0o${body.slice(1)}` : body);
  if (m[1] === '-') return value <= 1n << 63n;
  return value < 1n << (m[1] === '+' ? 63n : 64n);
}

/** parseTimestamp: time.Parse with go-yaml's four layouts. */
function isTimestamp(s: string): boolean {
  const m = DATE.exec(s);
  if (m === null) return false;
  const [month, day] = [Number(m[1]), Number(m[2])];
  const leap = Number(s.slice(0, 4)) % 4 === 0 && (Number(s.slice(0, 4)) % 100 !== 0 || Number(s.slice(0, 4)) % 400 === 0); // prettier-ignore
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  if (month < 1 || month > 12 || day < 1 || day > days[month - 1]!) return false;
  if (m[3] === undefined) return true;
  if (Number(m[4]) > 23 || Number(m[5]) > 59 || Number(m[6]) > 59) return false;
  if (m[3] === ' ') return m[8] === undefined;
  if (m[8] === undefined) return false;
  return m[8] === 'Z' || (Number(m[8].slice(1, 3)) <= 24 && Number(m[8].slice(4)) < 60);
}

/** True for a text that read without quotes would be no string. */
function resolvesElsewhere(s: string): boolean {
  if (s === '' || WORDS.has(s)) return true;
  const c = s[0]!;
  if (c === '.') return isFloat(s);
  if (!/[0-9+-]/.test(c)) return false;
  const plain = s.replaceAll('_', '');
  return isTimestamp(s) || isInteger(plain) || isFloat(plain) || BASE60.test(s);
}

const BREAK = /[\r\n\x85\u2028\u2029]/;
const PRINTABLE = /^[\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]*$/;

interface Scalar {
  plain: boolean;
  single: boolean;
  block: boolean;
  multiline: boolean;
}

/** yaml_emitter_analyze_scalar, for block context. */
function analyze(s: string): Scalar {
  if (s === '') return { plain: true, single: true, block: false, multiline: false };
  const multiline = BREAK.test(s);
  const special = !PRINTABLE.test(s) || / [\r\n\x85\u2028\u2029]/.test(s);
  const breakSpace = /[\r\n\x85\u2028\u2029] /.test(s);
  const edges = /^[ \r\n\x85\u2028\u2029]|[ \r\n\x85\u2028\u2029]$/.test(s);
  const indicators =
    /^(---|\.\.\.|[#,[\]{}&*!|>'"%@`])|^[?:-]([ \t\r\n\x85\u2028\u2029]|$)|:([ \t\r\n\x85\u2028\u2029]|$)|[ \t\r\n\x85\u2028\u2029]#/.test(s);
  return {
    plain: !(multiline || special || breakSpace || edges || indicators),
    single: !(special || breakSpace),
    block: !(special || s.endsWith(' ')),
    multiline,
  };
} // prettier-ignore

const ESCAPES: Record<string, string> = { '\0': '0', '\x07': 'a', '\b': 'b', '\t': 't', '\n': 'n', '\v': 'v', '\f': 'f', '\r': 'r', '\x1b': 'e', '"': '"', '\\': '\\', '\x85': 'N', '\xa0': '_', '\u2028': 'L', '\u2029': 'P' }; // prettier-ignore

function escape(c: string): string {
  if (Object.hasOwn(ESCAPES, c)) return `\\${ESCAPES[c]}`;
  const n = c.codePointAt(0)!;
  const [mark, width] = n <= 0xff ? ['x', 2] : n <= 0xffff ? ['u', 4] : ['U', 8];
  return `\\${mark}${n
    .toString(16)
    .toUpperCase()
    .padStart(width as number, '0')}`;
}

class Emitter {
  out = '';
  private column = 0;

  private put(text: string): void {
    this.out += text;
    const cut = text.lastIndexOf('\n');
    for (const _ of cut < 0 ? text : text.slice(cut + 1)) this.column++;
    if (cut >= 0) this.column = [...text.slice(cut + 1)].length;
  }

  /** A new line, at a column. */
  private line(indent: number): void {
    if (this.out !== '') this.put('\n');
    this.put(' '.repeat(indent));
  }

  /** A value behind its key or dash, whose block begins at `indent`. */
  node(v: Json, indent: number, inMap: boolean): void {
    if (Array.isArray(v)) this.list(v, indent, inMap);
    else if (isMap(v)) this.map(v, indent, inMap);
    else if (typeof v === 'string') this.string(v, indent, false);
    else this.put(`${this.blank()}${typeof v === 'number' ? goNumber(v) : marshal(v)}`);
  }

  private blank(): string {
    return this.out === '' || this.out.endsWith(' ') || this.out.endsWith('\n') ? '' : ' ';
  }

  /** Items stand at the column of the key they belong to; inside of a list they go on behind the dash. */
  private list(v: Json[], indent: number, inMap: boolean): void {
    if (v.length === 0) return this.put(`${this.blank()}[]`);
    const at = inMap ? indent - 2 : indent;
    v.forEach((x, i) => {
      if (i > 0 || inMap) this.line(at);
      this.put('- ');
      this.node(x, at + 2, false);
    });
  }

  private map(v: JsonMap, indent: number, inMap: boolean): void {
    const keys = Object.keys(v).sort(keyOrder);
    if (keys.length === 0) return this.put(`${this.blank()}{}`);
    keys.forEach((k, i) => {
      if (i > 0 || inMap) this.line(indent);
      if (bytes(k) > MAX_SIMPLE_KEY || BREAK.test(k)) {
        this.put('? ');
        this.string(k, indent + 2, false);
        this.line(indent);
        this.put(': ');
        this.node(v[k]!, indent + 2, false);
        return;
      }
      this.string(k, indent, true);
      this.put(':');
      this.node(v[k]!, indent + 2, true);
    });
  }

  private string(s: string, indent: number, key: boolean): void {
    const a = analyze(s);
    if (BREAK.test(s) && s.includes('\n') && a.block && !key) return this.literal(s, indent);
    if (s.includes('\n') || resolvesElsewhere(s) || !(a.plain || a.single)) return this.double(s, indent, key);
    this.put(this.blank());
    if (a.plain) this.fold(s, indent, key, '');
    else this.single(s, indent, key);
  }

  private single(s: string, indent: number, key: boolean): void {
    this.put("'");
    this.fold(s.replaceAll("'", "''"), indent, key, s);
    this.put("'");
  }

  /** Writes a text; a lone blank behind column 80 becomes a line break. `quoted`: not the first or last character. */
  private fold(s: string, indent: number, key: boolean, quoted: string): void {
    const chars = [...s];
    let spaces = false;
    let word = '';
    const flush = (): void => {
      this.put(word);
      word = '';
    };
    chars.forEach((c, i) => {
      if (c !== ' ') {
        word += c;
        spaces = false;
        return;
      }
      flush();
      const inner = quoted === '' || (i > 0 && i < chars.length - 1);
      if (!key && !spaces && this.column > WIDTH && chars[i + 1] !== ' ' && inner) this.line(indent);
      else this.put(' ');
      spaces = true;
    });
    flush();
  }

  private double(s: string, indent: number, key: boolean): void {
    this.put(`${this.blank()}"`);
    const chars = [...s];
    const bom = chars[0] === '\ufeff';
    let spaces = false;
    chars.forEach((c, i) => {
      // go-yaml asks whether the text, not the character, is a byte order mark.
      if (bom || c === '"' || c === '\\' || BREAK.test(c) || !PRINTABLE.test(c)) {
        this.put(escape(c));
        spaces = false;
      } else if (c !== ' ') {
        this.put(c);
        spaces = false;
      } else {
        if (!key && !spaces && this.column > WIDTH && i > 0 && i < chars.length - 1) {
          this.line(indent);
          if (chars[i + 1] === ' ') this.put('\\');
        } else this.put(' ');
        spaces = true;
      }
    });
    this.put('"');
  }

  private literal(s: string, indent: number): void {
    const hint = /^[ \r\n\x85\u2028\u2029]/.test(s) ? '2' : '';
    const chomp = !BREAK.test(s.at(-1)!) ? '-' : s.length === 1 || BREAK.test(s.at(-2)!) ? '+' : '';
    this.put(`${this.blank()}|${hint}${chomp}`);
    const lines = s.split('\n');
    if (lines.at(-1) === '') lines.pop();
    for (const l of lines) {
      this.put('\n');
      if (l !== '') this.put(' '.repeat(indent) + l);
    }
  }
}

/** strconv.FormatFloat(v, 'g', -1, 64) for fractions; whole numbers are integers. */
function goNumber(v: number): string {
  if (Number.isSafeInteger(v)) return String(v);
  const abs = Math.abs(v);
  return abs >= 1e-4 && abs < 1e21 ? String(v) : v.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
}

/** The document of a value, with a newline at its end. */
export function toYaml(v: Json): string {
  const e = new Emitter();
  e.node(v, 0, false);
  return `${e.out}\n`;
}
