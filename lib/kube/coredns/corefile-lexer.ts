/**
 * The text of a Corefile as directives with their places (Caddy's caddyfile/lexer.go, parse.go, dispenser.go), snippets
 * and imported files put in where `import` names them. Not here: environment variables (`{$NAME}`), globs.
 * @module
 */
import { addressBytes } from '../../../wire/inet6.js';
import { InputError } from '../../sim/input-error.js';

/** A word of the Corefile and where it stands (1-based). */
export interface Token {
  text: string;
  line: number;
  column: number;
  /** Absent: the Corefile itself. */
  file?: string;
}
/** One line of a block: its words, and the lines of the block it opens (null: none). */
export interface Directive {
  words: Token[];
  block: Directive[] | null;
}

/** Error reporting at a token, in CoreDNS's words where it has some. */
export class Place {
  private readonly file: string;
  private readonly prefix: string;
  /** `plugin`: its messages begin with its name; empty: none. */
  constructor(file: string, plugin = '') {
    this.file = file;
    this.prefix = plugin === '' ? '' : `plugin/${plugin}: `;
  }
  fail(t: Token, message: string): never {
    throw new InputError(t.file ?? this.file, t.line, t.column, this.prefix + message);
  }
  /** The same file, for one plugin. */
  of(plugin: string): Place {
    return new Place(this.file, plugin);
  }
  /** `ArgErr` at the last word of a directive. */
  argErr(d: Directive): never {
    const t = d.words.at(-1)!;
    return this.fail(t, `Wrong argument count or unexpected line ending after '${t.text}'`);
  }
  /** The arguments of a directive, at least `min` and at most `max` of them. */
  args(d: Directive, min: number, max: number): Token[] {
    const n = d.words.length - 1;
    return n < min || n > max ? this.argErr(d) : d.words.slice(1);
  }
  /** A whole number within bounds (Go's strconv.Atoi, then a range). */
  int(t: Token, min: number, max: number, otherwise?: string): number {
    if (!/^[+-]?\d+$/.test(t.text)) this.fail(t, `strconv.Atoi: parsing "${t.text}": invalid syntax`);
    const n = Number(t.text);
    if (!(n >= min && n <= max))
      this.fail(t, otherwise ?? `found '${t.text}', expected a number from ${min} to ${max}`);
    return n;
  }
  /** A Go duration in nanoseconds. */
  duration(t: Token, negative?: string): number {
    const units: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };
    const text = t.text.replace(/^[+-]/, '');
    if (text === '0') return 0;
    if (/^\d+(\.\d+)?$/.test(text)) this.fail(t, `time: missing unit in duration "${t.text}"`);
    if (!/^((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+$/.test(text)) this.fail(t, `time: invalid duration "${t.text}"`);
    if (t.text.startsWith('-')) this.fail(t, negative ?? `found '${t.text}', expected no negative duration`);
    let sum = 0;
    for (const m of text.matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g)) sum += Number(m[1]) * units[m[2]!]!;
    return Math.floor(sum);
  }
  /** A duration after which something is done again and again: 0, or at least a millisecond. */
  period(t: Token, negative?: string): number {
    const ns = this.duration(t, negative);
    if (ns > 0 && ns < 1e6) this.fail(t, `found '${t.text}', expected 0s or at least 1ms`);
    return ns;
  }
  /** Lower-case zones of names and networks. */
  zones(list: Token[]): string[] {
    return list.flatMap((t) => {
      const name = t.text.replace(/^dns:\/\//, '').replace(/:\d+$/, '');
      if (!name.includes('/')) return [fqdn(name)];
      const [text, bits, more] = name.split('/');
      const b = addressBytes(text!);
      const n = /^\d{1,3}$/.test(bits!) ? Number(bits) : NaN;
      if (b === null || more !== undefined || !(n >= 1 && n <= b.length * 8))
        return this.fail(t, `found zone '${t.text}', expected a name or a network like 10.96.0.0/12`);
      return reverseZones(b, n);
    });
  }
}

/** The reverse zones that make up a network: as many as its bits need to end with a whole label (plugin/pkg/cidr). */
function reverseZones(b: Uint8Array, bits: number): string[] {
  const v4 = b.length === 4;
  const digits = v4 ? Array.from(b) : Array.from(b, (x) => [x >> 4, x & 15]).flat();
  const width = v4 ? 8 : 4;
  const whole = Math.ceil(bits / width);
  const many = 2 ** (whole * width - bits);
  const first = digits[whole - 1]! - (digits[whole - 1]! % many);
  return Array.from({ length: many }, (_, i) => {
    const labels = [...digits.slice(0, whole - 1), first + i].reverse().map((x) => x.toString(v4 ? 10 : 16));
    return `${labels.join('.')}.${v4 ? 'in-addr' : 'ip6'}.arpa.`;
  });
}

/** A name in lower case with its final dot (plugin.Name.Normalize). */
export const fqdn = (name: string): string => (/(^|[^\\])(\\\\)*\.$/.test(name) ? name : name + '.').toLowerCase();

/** Words as Caddy's lexer cuts them: quotes with `\"`, `#` up to the end of the line. */
function lex(text: string, place: Place, file?: string): Token[] {
  const out: Token[] = [];
  let line = 1;
  let lineStart = 0;
  let i = text.charCodeAt(0) === 0xfeff ? 1 : 0;
  const at = (): Token => ({ text: '', line, column: i - lineStart + 1, ...(file === undefined ? {} : { file }) });
  const newline = (): void => {
    line++;
    lineStart = i + 1;
  };
  while (i < text.length) {
    const c = text[i]!;
    if (c === '\n') newline();
    if (/\s/.test(c)) i++;
    else if (c === '#') while (i < text.length && text[i] !== '\n') i++;
    else if (c === '"') {
      const t = at();
      for (i++; text[i] !== '"'; i++) {
        if (i >= text.length) place.fail(t, 'found no end of the quotation');
        if (text[i] === '\\' && text[i + 1] === '"') i++;
        if (text[i] === '\n') newline();
        t.text += text[i];
      }
      i++;
      out.push(t);
    } else {
      const t = at();
      for (; i < text.length && !/[\s#]/.test(text[i]!); i++) t.text += text[i];
      out.push(t);
    }
  }
  return out;
}

/** The words of a Corefile with their lines as one text, for comparing; null: it cannot be read. */
export function corefileWords(text: string): string | null {
  try {
    return JSON.stringify(lex(text, new Place('Corefile')).map((t) => [t.line, t.text]));
  } catch (e) {
    if (e instanceof InputError) return null;
    throw e;
  }
}

/** Words that follow each other on one line (Dispenser.isNewLine). */
function linesOf(tokens: Token[]): Token[][] {
  const lines: Token[][] = [];
  let last: Token | null = null;
  for (const t of tokens) {
    const same = last !== null && last.file === t.file && last.line + last.text.split('\n').length - 1 >= t.line;
    if (same) lines.at(-1)!.push(t);
    else lines.push([t]);
    last = t;
  }
  return lines;
}

export type ReadFile = (path: string) => string | null;

/** Lines that imports may bring in all together: each of eight levels multiplies them. */
const MAX_IMPORTED = 100_000;

/** The server blocks of a Corefile, each as a directive whose words are its addresses. */
export function corefileBlocks(text: string, file: string, place: Place, readFile: ReadFile): Directive[] {
  const snippets = new Map<string, Directive[]>();
  const top: Directive[] = [];
  for (const d of nest(joinAddresses(linesOf(lex(text, place))), place)) {
    const name = d.words.length === 1 ? /^\((.+)\)$/.exec(d.words[0]!.text) : null;
    if (name === null) top.push(d);
    else if (snippets.has(name[1]!)) place.fail(d.words[0]!, `redeclaration of previously declared snippet ${name[1]}`);
    else snippets.set(name[1]!, d.block ?? []);
  }
  let imported = 0;
  const put = (list: Directive[], depth: number): Directive[] =>
    list.flatMap((d) => {
      const [head, what, more] = d.words as [Token, Token?, Token?];
      if (depth > 0 && ++imported > MAX_IMPORTED) place.fail(head, `found more than ${MAX_IMPORTED} lines by imports`);
      if (head.text !== 'import') return [d.block === null ? d : { ...d, block: put(d.block, depth) }];
      if (depth > 8) return place.fail(head, 'found imports within imports, expected at most 8');
      if (what === undefined) return place.argErr(d);
      if (more !== undefined) return place.fail(more, 'Import takes only one argument (glob pattern or file)');
      const known = snippets.get(what.text);
      if (known !== undefined) return put(known, depth + 1);
      if (/[*?[]/.test(what.text)) return place.fail(what, `found '${what.text}' (a glob pattern), expected a path`);
      const path = what.text.startsWith('/') ? what.text : file.replace(/[^/]*$/, '') + what.text;
      const content = readFile(path);
      if (content === null) return place.fail(what, `File to import not found: ${what.text}`);
      return put(nest(linesOf(lex(content, place, path)), place), depth + 1);
    });
  return put(top, 0);
}

/** A line that ends in a comma goes on, and `{` may stand alone below the addresses. */
function joinAddresses(lines: Token[][]): Token[][] {
  const out: Token[][] = [];
  let depth = 0;
  for (const l of lines) {
    const before = out.at(-1);
    const goesOn = depth === 0 && before !== undefined && (before.at(-1)!.text.endsWith(',') || l[0]!.text === '{');
    if (goesOn) before.push(...l);
    else out.push(l);
    for (const t of l) depth += t.text === '{' ? 1 : t.text === '}' ? -1 : 0;
  }
  return out;
}

/** Lines to nested directives. */
function nest(lines: Token[][], place: Place): Directive[] {
  const top: Directive[] = [];
  const stack: Directive[][] = [];
  for (const words of lines) {
    const list = stack.at(-1) ?? top;
    for (const w of words)
      if (/\{[$%]/.test(w.text)) place.fail(w, `found '${w.text}' (an environment variable), expected plain text`);
    const last = words.at(-1)!;
    if (words[0]!.text === '}') {
      if (words.length > 1) place.fail(words[1]!, `found '${words[1]!.text}' after '}', expected a new line`);
      if (stack.pop() === undefined) place.fail(words[0]!, "Unexpected '}' because no matching opening brace");
    } else if (last.text === '{') {
      if (words.length === 1) place.fail(last, "found '{' alone, expected a name before it");
      const d: Directive = { words: words.slice(0, -1), block: [] };
      list.push(d);
      stack.push(d.block!);
    } else {
      const brace = words.find((w) => w.text === '{' || w.text === '}');
      if (brace !== undefined) place.fail(brace, `found '${brace.text}' within a line, expected it at the end of one`);
      list.push({ words, block: null });
    }
  }
  if (stack.length > 0) place.fail(lines.at(-1)!.at(-1)!, 'Unexpected EOF');
  return top;
}
