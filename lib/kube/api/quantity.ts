/**
 * Quantities: `100m`, `1.5Gi`, `2e3` (apimachinery, api/resource).
 * @module
 */

export interface Quantity {
  /** Billionths, rounded up as Kubernetes does. */
  nanos: bigint;
  format: 'decimal' | 'binary' | 'exponent';
}

const NANO = 1_000_000_000n;
const MAX = ((1n << 63n) - 1n) * NANO;
const QUANTITY = /^([+-]?)(\d*)(?:\.(\d*))?((?:[KMGTPE]i)|[numkMGTPE]|[eE][+-]?\d+|)$/;
const DECIMAL = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E'];
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];

/** resource.ParseQuantity; null for what is none. Values beyond 2^63-1 are cut there. */
export function parseQuantity(text: string): Quantity | null {
  const m = QUANTITY.exec(text.trim());
  if (m === null || ((m[2] ?? '') === '' && (m[3] ?? '') === '') || text.length > 100) return null;
  const fraction = m[3] ?? '';
  const suffix = m[4]!;
  const binary = BINARY.indexOf(suffix);
  const exponent = /^[eE]./.test(suffix);
  const power = exponent ? Math.max(-30, Math.min(30, Number(suffix.slice(1)))) : binary > 0 ? 0 : 3 * (DECIMAL.indexOf(suffix) - 3); // prettier-ignore
  let numerator = BigInt(m[2]! + fraction || '0') * NANO * (binary > 0 ? 1n << BigInt(10 * binary) : 1n);
  let denominator = 10n ** BigInt(fraction.length);
  if (power > 0) numerator *= 10n ** BigInt(power);
  else denominator *= 10n ** BigInt(-power);
  const up = numerator / denominator + (numerator % denominator > 0n ? 1n : 0n);
  const nanos = up > MAX ? MAX : up;
  return { nanos: m[1] === '-' ? -nanos : nanos, format: exponent ? 'exponent' : binary > 0 ? 'binary' : 'decimal' };
}

/** Quantity.String: the canonical form. */
export function quantityText(q: Quantity): string {
  const sign = q.nanos < 0n ? '-' : '';
  const abs = q.nanos < 0n ? -q.nanos : q.nanos;
  if (abs === 0n) return '0';
  if (q.format === 'binary' && abs % NANO === 0n && abs / NANO >= 1024n) {
    let v = abs / NANO;
    let i = 0;
    for (; v % 1024n === 0n && i < BINARY.length - 1; i++) v /= 1024n;
    return `${sign}${v}${BINARY[i]}`;
  }
  let v = abs;
  let i = 0;
  for (; v % 1000n === 0n && i < DECIMAL.length - 1; i++) v /= 1000n;
  if (q.format !== 'exponent') return `${sign}${v}${DECIMAL[i]}`;
  return `${sign}${v}${i === 3 ? '' : `e${3 * (i - 3)}`}`;
}

/** The sum; the format is that of the first, unless it is zero. */
export const addQuantity = (a: Quantity, b: Quantity): Quantity => ({
  nanos: a.nanos + b.nanos,
  format: a.nanos === 0n ? b.format : a.format,
});

/** Quantity.Value and MilliValue: whole ones and thousandths, rounded up. */
export const valueOf = (q: Quantity): number => Number((q.nanos + NANO - 1n) / NANO);
export const milliOf = (q: Quantity): number => Number((q.nanos + 999_999n) / 1_000_000n);
