/**
 * HTTP servers that answer by themselves, as workloads run them: a Controller without upstreams, and the command line that makes one.
 * @module
 */
import type { Controller } from '../l7/controller.js';
import type { Io } from '../l7/io.js';

/** Where a server runs. */
export interface Place {
  /** What the program believes to be the machine's name: the Pod's. */
  readonly hostname: string;
  /** The IPv4 addresses of the network interfaces, lo first. */
  addresses(): readonly string[];
}

/** A server that a command line asks for. */
export interface Site {
  readonly port: number;
  make(io: Io, place: Place): Controller;
  /** A server of datagrams beside it: the answer to one, null: none. */
  readonly udp?: { readonly port: number; answer(text: string, from: string, place: Place): string | null };
}

/** Reads a program's arguments (after its name): a Site, or its message and exit code; null: it serves nothing. */
export type SiteArgs = (
  args: readonly string[],
  env: Readonly<Record<string, string>>,
) => Site | { error: string; exit: number } | null;

/**
 * Go's flag package: `-name value`, `-name=value`, with one or two dashes. The values by name and what is left, or a message.
 * `bools` take a value by `=` only.
 */
export function goFlags(
  args: readonly string[],
  names: readonly string[],
  bools: readonly string[] = [],
): { values: Map<string, string>; rest: string[] } | string {
  const values = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    const a = args[i]!;
    if (a === '--') return { values, rest: args.slice(i + 1) };
    const m = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(a);
    if (m === null) return { values, rest: args.slice(i) };
    const name = m[1]!;
    if (bools.includes(name)) values.set(name, m[2] ?? 'true');
    else if (!names.includes(name)) return `flag provided but not defined: -${name}`;
    else if (m[2] !== undefined) values.set(name, m[2]);
    else if (i + 1 === args.length) return `flag needs an argument: -${name}`;
    else values.set(name, args[++i]!);
  }
  return { values, rest: [] };
}

/** The port of `:80` or `80`; null: none of the two. */
export function portOf(text: string): number | null {
  const m = /^(?:(?:0\.0\.0\.0)?:)?(\d{1,5})$/.exec(text);
  return m === null || Number(m[1]) > 65535 || Number(m[1]) === 0 ? null : Number(m[1]);
}

/** Values of a query or a form: `a=1&b=c%20d`; the first of a name counts. */
export function formValues(text: string): Map<string, string> {
  const out = new Map<string, string>();
  for (const part of text.split('&')) {
    if (part === '' || part.includes(';')) continue;
    const at = part.indexOf('=');
    const [k, v] = at < 0 ? [part, ''] : [part.slice(0, at), part.slice(at + 1)];
    const [name, value] = [unescape(k), unescape(v)];
    if (name !== null && value !== null && !out.has(name)) out.set(name, value);
  }
  return out;
}

/** Percent-decoding, `+` for a blank; latin-1. Null: a broken escape. */
function unescape(s: string): string | null {
  if (/%(?![0-9A-Fa-f]{2})/.test(s)) return null;
  return s.replace(/\+/g, ' ').replace(/%(..)/g, (_, h: string) => String.fromCharCode(Number.parseInt(h, 16)));
}

/** The path of a request-target, decoded, and its query. */
export function targetOf(target: string): { path: string; query: string } {
  const origin = target.replace(/^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?]*/, '');
  const at = origin.indexOf('?');
  const path = at < 0 ? origin : origin.slice(0, at);
  const decoded = path.replace(/%([0-9A-Fa-f]{2})/g, (_, h: string) => String.fromCharCode(Number.parseInt(h, 16)));
  return { path: decoded === '' ? '/' : decoded, query: at < 0 ? '' : origin.slice(at + 1) };
}
