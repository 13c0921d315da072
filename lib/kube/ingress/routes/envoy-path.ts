/**
 * Paths as Envoy makes them before it looks at routes (HttpConnectionManager.normalize_path): RFC 3986 by Chromium's canonicalizer.
 *
 * Text is latin-1: a character is a byte. Slashes are not merged; `%2F` stays.
 * @module
 */

/** Escaped by the canonicalizer (kPathCharLookup). */
const ESCAPED = /[\x00-\x20"<>`{}\x7f-\xff]/g;
const UNRESERVED = /[A-Za-z0-9\-._~]/;

const escape = (c: string): string => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;

/** The path and query of a target, the path normalized; null: Envoy answers 400. */
export function envoyPath(target: string): { path: string; query: string } | null {
  const rest = target.replace(/^[A-Za-z]+:\/\/[^/?#]*/, '');
  const text = rest === '' ? '/' : rest;
  if (!text.startsWith('/') || text.includes('#')) return null;
  const cut = text.indexOf('?');
  const raw = cut < 0 ? text : text.slice(0, cut);
  const decoded = raw
    .replaceAll('\\', '/')
    .replace(/%([0-9A-Fa-f]{2})/g, (e, h: string) => {
      const c = String.fromCharCode(parseInt(h, 16));
      return UNRESERVED.test(c) ? c : e;
    })
    .replace(ESCAPED, escape);
  const out: string[] = [];
  const segments = decoded.split('/').slice(1);
  for (const [i, s] of segments.entries()) {
    const last = i === segments.length - 1;
    if (s === '..') out.pop();
    if (s !== '.' && s !== '..') out.push(s);
    else if (last) out.push('');
  }
  return { path: `/${out.join('/')}`, query: cut < 0 ? '' : text.slice(cut) };
}
