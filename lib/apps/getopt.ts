/**
 * Options as glibc's getopt() takes them: in clusters, with values attached or next, between and behind the operands.
 * @module
 */

export interface Parsed {
  /** Letters in the order given, each with its value ('' for those that take none). */
  options: [string, string][];
  operands: string[];
  /** What getopt says of the first letter it does not know or that lacks its value, without the program's name; else null. */
  error: string | null;
}

/** Splits `argv` (the program's own name first) along `spec`, the letters, those with a value followed by `:`. */
export function getopt(argv: readonly string[], spec: string): Parsed {
  const r: Parsed = { options: [], operands: [], error: null };
  for (let i = 1; i < argv.length; i++) {
    const a = argv[i]!;
    if (a === '--') {
      r.operands.push(...argv.slice(i + 1));
      break;
    }
    if (a.length < 2 || a[0] !== '-') {
      r.operands.push(a);
      continue;
    }
    for (let k = 1; k < a.length; k++) {
      const c = a[k]!;
      const at = c === ':' ? -1 : spec.indexOf(c);
      if (at < 0) {
        r.error = `invalid option -- '${c}'`;
        return r;
      }
      if (spec[at + 1] !== ':') {
        r.options.push([c, '']);
        continue;
      }
      const value = a.slice(k + 1) || argv[++i];
      if (value === undefined) {
        r.error = `option requires an argument -- '${c}'`;
        return r;
      }
      r.options.push([c, value]);
      break;
    }
  }
  return r;
}

/** What iputils' programs say of a text that is no whole number from `least` to `most` (strtol_or_err), or null. */
export function notWhole(program: string, text: string, least: number, most: string): string | null {
  if (!/^\s*[+-]?\d+$/.test(text)) return `${program}: invalid argument: '${text}'`;
  const n = BigInt(text.trim().replace('+', ''));
  if (n >= 1n << 63n || n < -(1n << 63n))
    return `${program}: invalid argument: '${text}': Numerical result out of range`;
  if (n >= BigInt(least) && n <= BigInt(most)) return null;
  return `${program}: invalid argument: '${text}': out of range: ${least} <= value <= ${most}`;
}
