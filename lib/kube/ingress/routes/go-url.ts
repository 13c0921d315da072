/**
 * Paths of URLs as Go's net/url keeps them: decoded, and encoded where that says more.
 *
 * Text is latin-1: a character is a byte. Not here: opaque URLs, user names, fragments (a request target has none).
 * @module
 */

export interface GoUrl {
  /** The host of an absolute-form target; null: origin-form. */
  readonly host: string | null;
  /** Decoded. */
  readonly path: string;
  /** As it came, where encoding `path` does not give that; else ''. */
  readonly rawPath: string;
  readonly rawQuery: string;
  /** A `?` with nothing behind it. */
  readonly forceQuery: boolean;
}

const CONTROL = /[\x00-\x1f\x7f]/;
const WRONG_ESCAPE = /%(?![0-9A-Fa-f]{2})/;

const unescape = (s: string): string => s.replace(/%([0-9A-Fa-f]{2})/g, (_, h: string) => String.fromCharCode(parseInt(h, 16))); // prettier-ignore

/** `%XX`. */
const encoded = (c: string): string => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;

/** escape(), mode encodePath. */
const escape = (s: string): string => s.replace(/[^A-Za-z0-9\-_.~$&+,/:;=@]/g, encoded);

/** validEncoded(), mode encodePath. */
const validEncoded = (s: string): boolean => /^[A-Za-z0-9\-_.~$&+,/:;=@!'()*[\]%]*$/.test(s);

function setPath(u: GoUrl, p: string): GoUrl {
  const path = unescape(p);
  return { ...u, path, rawPath: escape(path) === p ? '' : p };
}

/** url.ParseRequestURI of a request target; null: net/http answers 400. */
export function goUrl(target: string): GoUrl | null {
  if (CONTROL.test(target)) return null;
  const empty: GoUrl = { host: null, path: '*', rawPath: '', rawQuery: '', forceQuery: false };
  if (target === '*') return empty;
  const absolute = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/([^/?]*)/.exec(target);
  const rest = absolute === null ? target : target.slice(absolute[0].length);
  if (absolute === null && !rest.startsWith('/')) return null;
  const cut = rest.indexOf('?');
  const p = cut < 0 ? rest : rest.slice(0, cut);
  if (WRONG_ESCAPE.test(p)) return null;
  const rawQuery = cut < 0 ? '' : rest.slice(cut + 1);
  const u = { ...empty, host: absolute?.[1] ?? null, rawQuery, forceQuery: cut >= 0 && rawQuery === '' };
  return setPath(u, p);
}

/** URL.EscapedPath */
export function escapedPath(u: GoUrl): string {
  if (u.rawPath !== '' && validEncoded(u.rawPath) && unescape(u.rawPath) === u.path) return u.rawPath;
  return u.path === '*' ? '*' : escape(u.path);
}

/** URL.RequestURI */
export const requestUri = (u: GoUrl): string =>
  (escapedPath(u) || '/') + (u.forceQuery || u.rawQuery !== '' ? `?${u.rawQuery}` : '');

/** path.Clean of an absolute path. */
function clean(path: string): string {
  const out: string[] = [];
  for (const s of path.split('/')) {
    if (s === '..') out.pop();
    else if (s !== '' && s !== '.') out.push(s);
  }
  return `/${out.join('/')}`;
}

/** URL.JoinPath without elements: no `.`, `..` and empty segments; a slash at the end stays. */
export function joinPath(u: GoUrl): GoUrl {
  const before = escapedPath(u);
  const absolute = before.startsWith('/');
  let p = clean(absolute ? before : `/${before}`);
  if (!absolute) p = p.slice(1);
  if (before.endsWith('/') && !p.endsWith('/')) p += '/';
  return setPath(u, p);
}

const UNRESERVED = /^[A-Za-z0-9\-._~]$/;

/** Traefik's normalizePath: encoded unreserved characters are decoded, the other escapes are in upper case. */
export function normalizePath(u: GoUrl): GoUrl {
  if (u.rawPath === '') return u;
  const rawPath = u.rawPath.replace(/%[0-9A-Fa-f]{2}/g, (e) => {
    const c = unescape(e);
    return UNRESERVED.test(c) ? c : e.toUpperCase();
  });
  return { ...u, rawPath };
}

const RESERVED = /^[:/?#[\]@!$&'()*+,;=%]$/;

/** Traefik's withRoutingPath: what its rules are compared with; reserved characters stay encoded. */
export const routingPath = (u: GoUrl): string =>
  escapedPath(u).replace(/%[0-9A-F]{2}/gi, (e) => {
    const c = unescape(e);
    return RESERVED.test(c) && e === e.toUpperCase() ? e : c;
  });
