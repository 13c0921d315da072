/**
 * C's `%g`, which iproute2 prints percentages, times and sizes with.
 * @module
 */

/** `%.{digits}g`: ties go to the even digit, as in glibc; no trailing zeros. `x` is finite and not negative. */
export function formatG(x: number, digits = 6): string {
  if (x === 0) return '0';
  const [mantissa, exponent] = x.toExponential(60).split('e') as [string, string];
  const all = mantissa.replace('.', '');
  const rest = all.slice(digits);
  let n = BigInt(all.slice(0, digits));
  const half = `5${'0'.repeat(rest.length - 1)}`;
  if (rest > half || (rest === half && n % 2n === 1n)) n++;
  let exp = Number(exponent);
  let text = String(n);
  if (text.length > digits) {
    text = text.slice(0, digits);
    exp++;
  }
  text = text.replace(/0+$/, '');
  if (exp < -4 || exp >= digits) {
    const e = `${exp < 0 ? '-' : '+'}${String(Math.abs(exp)).padStart(2, '0')}`;
    return `${text[0]}${text.length > 1 ? `.${text.slice(1)}` : ''}e${e}`;
  }
  if (exp < 0) return `0.${'0'.repeat(-exp - 1)}${text}`;
  if (text.length <= exp + 1) return text.padEnd(exp + 1, '0');
  return `${text.slice(0, exp + 1)}.${text.slice(exp + 1)}`;
}

/** The number at the beginning of a text (strtod, decimal), and what follows; null when there is none. */
export function strtod(text: string): { value: number; rest: string } | null {
  const m = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?/i.exec(text);
  return m === null ? null : { value: Number(m[0]), rest: text.slice(m[0].length) };
}

/** Rounds as C's rint: ties to the even number. */
export function rint(x: number): number {
  const r = Math.round(x);
  return r - x === 0.5 && r % 2 !== 0 ? r - 1 : r;
}
