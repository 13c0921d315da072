/**
 * Shell text to commands: comments, line continuation, quotes, heredocs, here-strings, pipelines, `&`, redirection
 * from and to a file.
 *
 * What bash would expand (variables, globs, braces, substitutions) is an error with its place, never taken literally: the
 * kernel's side of a Lab runs the very same text under bash. Not here: `&&`, `||`, loops, functions, `2>&1`.
 * @module
 */
import { InputError } from '../sim/input-error.js';

/** One simple command; the last of a pipeline carries the earlier ones in `pipeFrom`. */
export interface Command {
  argv: string[];
  file: string;
  /** Place of the first word in the file, 1-based; line 0: nowhere in it. */
  line: number;
  column: number;
  /** Text of a heredoc or here-string, null when none was given. */
  stdin: string | null;
  /** The file's line of the heredoc's first line, 0 without one. */
  stdinLine: number;
  /** The file of `< FILE`. */
  input: string | null;
  redirect: { path: string; append: boolean } | null;
  /** `2>/dev/null` was given. */
  quiet: boolean;
  /** The line ended in `&`. */
  background: boolean;
  pipeFrom: Command | null;
  /** The source, heredoc bodies included; a pipeline's last command has the text of all. */
  text: string;
}

interface Heredoc {
  cmd: Command;
  word: string;
  raw: boolean;
  tabs: boolean;
  at: number;
}

const RESERVED = new Set(
  'if then elif else fi for while until do done case esac function select time coproc { } ! [['.split(' '),
);
const EXPANDS = new Map([
  ['$', 'a variable or substitution'],
  ['`', 'a command substitution'],
  ['*', 'a glob pattern'],
  ['?', 'a glob pattern'],
  ['[', 'a glob pattern'],
  ['{', 'a group or brace expansion'],
  ['(', 'a subshell'],
  [')', 'a subshell'],
]);

/** Parses a script. `line0`, `column0` are the file's place of its first character; later lines start at `column0` too. */
export function parseScript(text: string, file: string, line0 = 1, column0 = 1): Command[] {
  return new Parser(text, file, line0, column0).parse();
}

class Parser {
  private readonly s: string;
  private readonly file: string;
  private readonly line0: number;
  private readonly column0: number;
  private pos = 0;
  private readonly out: Command[] = [];
  private readonly heredocs: Heredoc[] = [];
  private cmd: Command | null = null;
  private pipe: Command | null = null;
  private start = 0;
  private end = 0;
  /** The line that `place` was asked for last, and where it begins: scripts are long, and are read forwards. */
  private line = 0;
  private lineStart = 0;

  constructor(s: string, file: string, line0: number, column0: number) {
    this.s = s;
    this.file = file;
    this.line0 = line0;
    this.column0 = column0;
  }

  parse(): Command[] {
    for (;;) {
      this.blanks();
      const c = this.s[this.pos];
      if (c === undefined) break;
      if (c === '#') while (this.pos < this.s.length && this.s[this.pos] !== '\n') this.pos++;
      else if (c === '\n') {
        this.pos++;
        if (this.cmd === null && this.pipe !== null) continue; // `A |` goes on in the next line
        this.finish(false);
        this.bodies();
      } else if (c === ';') {
        if (this.cmd === null) this.fail(this.pos, `found ';', expected a command`);
        this.pos++;
        this.finish(false);
      } else if (c === '&') this.ampersand();
      else if (c === '|') this.bar();
      else if (c === '<') this.input();
      else if (c === '>') this.output();
      else this.plain();
    }
    this.finish(false);
    this.bodies();
    return this.out;
  }

  private fail(at: number, message: string): never {
    const [line, column] = this.place(at);
    throw new InputError(this.file, line, column, message);
  }

  private place(at: number): [number, number] {
    if (at < this.lineStart) [this.line, this.lineStart] = [0, 0];
    for (;;) {
      const next = this.s.indexOf('\n', this.lineStart);
      if (next < 0 || next >= at) break;
      this.line++;
      this.lineStart = next + 1;
    }
    return [this.line0 + this.line, this.column0 + at - this.lineStart];
  }

  private blanks(): void {
    for (;;) {
      const c = this.s[this.pos];
      if (c === ' ' || c === '\t') this.pos++;
      else if (c === '\\' && this.s[this.pos + 1] === '\n') this.pos += 2;
      else return;
    }
  }

  private current(at: number): Command {
    if (this.cmd !== null) return this.cmd;
    const [line, column] = this.place(at);
    if (this.pipe === null) this.start = at;
    this.cmd = {
      argv: [], line, column, stdin: null, stdinLine: 0, input: null, file: this.file, redirect: null, quiet: false, background: false, pipeFrom: this.pipe, text: '',
    }; // prettier-ignore
    return this.cmd;
  }

  private finish(background: boolean): void {
    const cmd = this.cmd;
    if (cmd === null) {
      if (this.pipe !== null) this.fail(this.pos, `found the end of the line after '|', expected a command`);
      return;
    }
    this.close(cmd);
    cmd.background = background;
    this.out.push(cmd);
    this.cmd = null;
    this.pipe = null;
  }

  private close(cmd: Command): void {
    if (cmd.argv.length === 0) {
      throw new InputError(this.file, cmd.line, cmd.column, 'found a redirection alone, expected a command');
    }
    cmd.text = this.s.slice(this.start, this.end);
  }

  private ampersand(): void {
    if (this.s[this.pos + 1] === '&') this.fail(this.pos, `found '&&', expected one command a line`);
    if (this.s[this.pos + 1] === '>') this.fail(this.pos, `found '&>', expected '> FILE'`);
    if (this.cmd === null) this.fail(this.pos, `found '&', expected a command before it`);
    this.end = ++this.pos;
    this.finish(true);
  }

  private bar(): void {
    const next = this.s[this.pos + 1];
    if (next === '|' || next === '&') this.fail(this.pos, `found '|${next}', expected one command a line`);
    if (this.cmd === null) this.fail(this.pos, `found '|', expected a command before it`);
    this.close(this.cmd);
    this.pipe = this.cmd;
    this.cmd = null;
    this.pos++;
  }

  private input(): void {
    const at = this.pos;
    const cmd = this.current(at);
    if (cmd.stdin !== null || cmd.input !== null || this.heredocs.some((h) => h.cmd === cmd))
      this.fail(at, 'found a second input, expected one');
    if (cmd.pipeFrom !== null) this.fail(at, `found an input after '|', expected one input`);
    if (!this.s.startsWith('<<', at)) {
      const next = this.s[at + 1] ?? '';
      if ('&>('.includes(next) && next !== '')
        this.fail(at, `found '<${next}', expected '< FILE', '<<EOF' or '<<< WORD'`);
      this.pos++;
      cmd.input = this.operand('<').value;
      return;
    }
    if (this.s.startsWith('<<<', at)) {
      this.pos += 3;
      cmd.stdin = `${this.operand('<<<').value}\n`;
      return;
    }
    const tabs = this.s[at + 2] === '-';
    this.pos += tabs ? 3 : 2;
    const { value, quoted } = this.operand('<<');
    this.heredocs.push({ cmd, word: value, raw: quoted, tabs, at });
  }

  private output(): void {
    const at = this.pos;
    const append = this.s[at + 1] === '>';
    this.pos += append ? 2 : 1;
    if (this.s[this.pos] === '&' || this.s[this.pos] === '|' || this.s[this.pos] === '(') {
      this.fail(at, `found '>${this.s[this.pos]}', expected '> FILE' or '>> FILE'`);
    }
    const cmd = this.current(at);
    if (cmd.redirect !== null) this.fail(at, 'found a second redirection of the output, expected one');
    cmd.redirect = { path: this.operand(append ? '>>' : '>').value, append };
  }

  private operand(after: string): { value: string; quoted: boolean } {
    this.blanks();
    const c = this.s[this.pos];
    if (c === undefined || '\n;&|<>#'.includes(c)) this.fail(this.pos, `found no word after '${after}', expected one`);
    const word = this.word();
    this.end = this.pos;
    return word;
  }

  private plain(): void {
    const at = this.pos;
    const m = /^([0-9]+)([<>].?)/.exec(this.s.slice(at, at + 12));
    if (m !== null) {
      const dev = /^2>[ \t]*\/dev\/null(?![^\s;&|])/.exec(this.s.slice(at));
      if (dev === null) this.fail(at, `found a redirection '${m[0]}', expected '2>/dev/null'`);
      this.current(at).quiet = true;
      this.end = this.pos = at + dev[0].length;
      return;
    }
    const first = this.cmd === null || this.cmd.argv.length === 0;
    const { value, quoted } = this.word();
    if (first && !quoted) {
      if (RESERVED.has(value)) this.fail(at, `found '${value}', expected a command (no loops or conditions)`);
      if (/^[A-Za-z_]\w*\+?=/.test(value))
        this.fail(at, `found an assignment '${value}', expected a command (no variables)`);
    }
    this.current(at).argv.push(value);
    this.end = this.pos;
  }

  private word(): { value: string; quoted: boolean } {
    let value = '';
    let quoted = false;
    const start = this.pos;
    for (;;) {
      const c = this.s[this.pos];
      if (c === undefined || ' \t\n;&|<>'.includes(c)) return { value, quoted };
      if (c === '\\') {
        const next = this.s[this.pos + 1];
        if (next === undefined) this.fail(this.pos, `found '\\' at the end, expected a character`);
        if (next !== '\n') ((value += next), (quoted = true));
        this.pos += 2;
      } else if (c === "'") {
        const close = this.s.indexOf("'", this.pos + 1);
        if (close < 0) this.fail(this.pos, `found no end of the quotation, expected "'"`);
        value += this.s.slice(this.pos + 1, close);
        this.pos = close + 1;
        quoted = true;
      } else if (c === '"') {
        value += this.double();
        quoted = true;
      } else {
        const what = EXPANDS.get(c) ?? (c === '~' && this.pos === start ? 'a home directory' : undefined);
        if (what !== undefined) this.fail(this.pos, `found '${c}' (${what}), expected plain text; quote it with '…'`);
        value += c;
        this.pos++;
      }
    }
  }

  private double(): string {
    const at = this.pos++;
    let value = '';
    for (;;) {
      const c = this.s[this.pos];
      if (c === undefined) this.fail(at, `found no end of the quotation, expected '"'`);
      if (c === '"') {
        this.pos++;
        return value;
      }
      if (c === '$' || c === '`') this.fail(this.pos, `found '${c}' (${EXPANDS.get(c)}), expected plain text; use '…'`);
      const next = this.s[this.pos + 1];
      if (c === '\\' && next !== undefined && '$`"\\\n'.includes(next)) {
        if (next !== '\n') value += next;
        this.pos += 2;
      } else {
        value += c;
        this.pos++;
      }
    }
  }

  /** Reads the bodies of the heredocs of the line just ended. */
  private bodies(): void {
    for (const h of this.heredocs.splice(0)) {
      const from = this.pos;
      let body = '';
      for (;;) {
        if (this.pos >= this.s.length) this.fail(h.at, `found no line '${h.word}', expected the end of the heredoc`);
        const nl = this.s.indexOf('\n', this.pos);
        const stop = nl < 0 ? this.s.length : nl;
        const at = this.pos;
        const whole = this.s.slice(at, stop);
        const line = h.tabs ? whole.replace(/^\t+/, '') : whole;
        this.pos = nl < 0 ? stop : nl + 1;
        if (line === h.word) break;
        body += h.raw ? `${line}\n` : this.unquoted(line, at + whole.length - line.length);
      }
      h.cmd.stdin = body;
      h.cmd.stdinLine = this.place(from)[0];
      const source = `\n${this.s.slice(from, this.pos).replace(/\n$/, '')}`;
      const last = this.out.find((c) => chain(c).includes(h.cmd));
      for (const c of new Set([h.cmd, last ?? h.cmd])) c.text += source;
    }
  }

  /** A line of a heredoc whose delimiter is not quoted: backslash escapes hold, expansions are errors. */
  private unquoted(line: string, at: number): string {
    let value = '';
    for (let i = 0; i < line.length; i++) {
      const c = line[i]!;
      if (c === '$' || c === '`') this.fail(at + i, `found '${c}' in a heredoc, expected plain text or <<'EOF'`);
      if (c === '\\') {
        if (i === line.length - 1) return value; // the line goes on in the next one
        if ('$`\\'.includes(line[i + 1]!)) i++;
        value += line[i];
      } else value += c;
    }
    return `${value}\n`;
  }
}

/** The commands of a pipeline, last first. */
function chain(cmd: Command): Command[] {
  const all: Command[] = [];
  for (let c: Command | null = cmd; c !== null; c = c.pipeFrom) all.push(c);
  return all;
}

/**
 * Peels `ip netns exec NAME …` and the `-n NAME` of `ip`, `bridge` and `tc`: what runs, and in which namespace
 * (null: the caller's). Other options of `ip` stay where they are.
 */
export function splitNetns(argv: readonly string[]): { netns: string | null; argv: string[] } {
  let netns: string | null = null;
  let rest = [...argv];
  for (;;) {
    if (
      rest[0] === 'ip' &&
      /^(netns|netn|net)$/.test(rest[1] ?? '') &&
      /^exe?c?$/.test(rest[2] ?? '') &&
      rest.length > 4
    ) {
      netns = rest[3]!;
      rest = rest.slice(4);
    } else if (/^(ip|bridge|tc)$/.test(rest[0] ?? '')) {
      const at = rest.findIndex((a, i) => i > 0 && !a.startsWith('-'));
      const n = rest.findIndex((a, i) => i > 0 && /^--?(n|ne|net|netn|netns)$/.test(a));
      if (n < 0 || n + 1 >= rest.length || (at >= 0 && n > at)) return { netns, argv: rest };
      netns = rest[n + 1]!;
      rest.splice(n, 2);
    } else return { netns, argv: rest };
  }
}
