/**
 * JSON values as Go prints them: `%v`, `%#v`, encoding/json. Keys of maps are in order, as Go's printers put them.
 * @module
 */

/** A value of an API object. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonMap = { [key: string]: Json };

/** A number that Go holds as float64 although it is whole: only templates make such. */
export class GoFloat {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

export type GoValue = Json | GoFloat;

export const isMap = (v: unknown): v is JsonMap => typeof v === 'object' && v !== null && !Array.isArray(v) && !(v instanceof GoFloat); // prettier-ignore

/** Byte order, which is Go's order of strings. */
export function byBytes(a: string, b: string): number {
  if (a === b) return 0;
  // Code units and code points differ in order only where a surrogate meets U+E000 and above.
  for (let i = 0; i < a.length && i < b.length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x === y) continue;
    const high = (c: number): number => (c >= 0xd800 && c < 0xe000 ? c + 0x10000 : c);
    return high(x) - high(y);
  }
  return a.length - b.length;
}

export const sortedKeys = (m: object): string[] => Object.keys(m).sort(byBytes);

/** strconv's shortest form: an exponent below 1e-4 and from `limit` on, of two digits at least. */
function shortest(n: number, limit: number): string {
  if (n === 0) return Object.is(n, -0) ? '-0' : '0';
  const abs = Math.abs(n);
  if (abs >= 1e-4 && abs < limit) {
    const text = String(n);
    return text.includes('e') ? BigInt(n).toString() : text;
  }
  return n.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
}

/** encoding/json's form: an exponent below 1e-6 and from 1e21 on, as short as possible. */
const jsonNumber = (n: number): string => (Number.isInteger(n) && Math.abs(n) < 1e21 ? BigInt(n).toString() : String(n).replace(/e\+/, 'e+')); // prettier-ignore

/** fmt.Sprint of a value. */
export function sprint(v: GoValue): string {
  if (v === null) return '<nil>';
  if (typeof v === 'string') return v;
  if (typeof v === 'boolean') return String(v);
  if (v instanceof GoFloat) return shortest(v.value, 1e21);
  if (typeof v === 'number') return Number.isSafeInteger(v) ? String(v) : shortest(v, 1e21);
  if (Array.isArray(v)) return `[${v.map(sprint).join(' ')}]`;
  return `map[${sortedKeys(v).map((k) => `${k}:${sprint(v[k]!)}`).join(' ')}]`; // prettier-ignore
}

/** The name of the type that Go's decoder gives a value. */
export function typeName(v: GoValue): string {
  if (v === null) return '<nil>';
  if (typeof v === 'string') return 'string';
  if (typeof v === 'boolean') return 'bool';
  if (v instanceof GoFloat) return 'float64';
  if (typeof v === 'number') return Number.isInteger(v) ? 'int64' : 'float64';
  return Array.isArray(v) ? '[]interface {}' : 'map[string]interface {}';
}

/** Printable as strconv.IsPrint has it: letters, marks, numbers, punctuation, symbols and the plain blank. */
export const isPrint = (c: string): boolean => c === ' ' || /[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(c);

const ESCAPES: Record<string, string> = { '\x07': '\\a', '\b': '\\b', '\f': '\\f', '\n': '\\n', '\r': '\\r', '\t': '\\t', '\v': '\\v', '\\': '\\\\', '"': '\\"' }; // prettier-ignore

/** strconv.Quote. */
export function quoteGo(s: string): string {
  let out = '"';
  for (const c of s) {
    const n = c.codePointAt(0)!;
    if (Object.hasOwn(ESCAPES, c)) out += ESCAPES[c];
    else if (isPrint(c)) out += c;
    else if (n < 0x20 || n === 0x7f) out += `\\x${n.toString(16).padStart(2, '0')}`;
    else out += n > 0xffff ? `\\U${n.toString(16).padStart(8, '0')}` : `\\u${n.toString(16).padStart(4, '0')}`;
  }
  return `${out}"`;
}

/** `%#v` of a value. */
export function goSyntax(v: Json): string {
  if (v === null) return 'interface {}(nil)';
  if (typeof v === 'string') return quoteGo(v);
  if (typeof v === 'boolean') return String(v);
  if (typeof v === 'number') return Number.isSafeInteger(v) ? String(v) : shortest(v, 1e21);
  if (Array.isArray(v)) return `[]interface {}{${v.map(goSyntax).join(', ')}}`;
  return `map[string]interface {}{${sortedKeys(v).map((k) => `${quoteGo(k)}:${goSyntax(v[k]!)}`).join(', ')}}`; // prettier-ignore
}

/** A string as encoding/json writes it: `<`, `>`, `&` and the line separators escaped. */
function jsonString(s: string): string {
  return JSON.stringify(s)
    .replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .replace(/\x7f/g, '\x7f');
}

/** json.Marshal. */
export function marshal(v: GoValue): string {
  if (v === null || typeof v === 'boolean') return String(v);
  if (typeof v === 'string') return jsonString(v);
  if (v instanceof GoFloat) return jsonNumber(v.value);
  if (typeof v === 'number') return jsonNumber(v);
  if (Array.isArray(v)) return `[${v.map(marshal).join(',')}]`;
  return `{${sortedKeys(v).map((k) => `${jsonString(k)}:${marshal(v[k]!)}`).join(',')}}`; // prettier-ignore
}

/** json.MarshalIndent(v, "", "    "). */
export function marshalIndent(v: GoValue, indent = ''): string {
  const inner = `${indent}    `;
  if (Array.isArray(v))
    return v.length === 0 ? '[]' : `[\n${v.map((x) => inner + marshalIndent(x, inner)).join(',\n')}\n${indent}]`;
  if (!isMap(v)) return marshal(v);
  const keys = sortedKeys(v);
  if (keys.length === 0) return '{}';
  return `{\n${keys.map((k) => `${inner}${jsonString(k)}: ${marshalIndent(v[k]!, inner)}`).join(',\n')}\n${indent}}`;
}
