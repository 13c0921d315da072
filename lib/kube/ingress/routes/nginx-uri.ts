/**
 * Request targets as nginx reads and writes them (ngx_http_parse_complex_uri, ngx_escape_uri).
 *
 * Text is latin-1: a character is a byte.
 * @module
 */

export interface NginxUri {
  /** $uri: decoded, slashes merged, dot segments resolved. */
  readonly path: string;
  /** $args, '' for none. */
  readonly args: string;
  /** The host of an absolute-form target, as it stands there; null: origin-form. */
  readonly host: string | null;
}

const HEX = /^[0-9a-fA-F]{2}$/;
const CONTROL = /[\x00-\x20\x7f]/;

/** Reads a target; null: nginx answers 400. */
export function nginxUri(target: string): NginxUri | null {
  if (CONTROL.test(target)) return null;
  const absolute = /^[A-Za-z]+:\/\/([^/?#]*)/.exec(target);
  if (absolute === null && !target.startsWith('/')) return null;
  const rest = absolute === null ? target : target.slice(absolute[0].length);
  const text = rest.startsWith('/') ? rest : `/${rest}`;
  const end = /[?#]/.exec(text);
  const raw = end === null ? text : text.slice(0, end.index);
  const args = end?.[0] === '?' ? text.slice(end.index + 1).replace(/#.*$/s, '') : '';
  const path = normalized(raw);
  return path === null ? null : { path, args, host: absolute?.[1] ?? null };
}

/** Decodes first: a slash or dot that was encoded counts as one. Null: invalid, or above the root. */
function normalized(raw: string): string | null {
  let text = '';
  for (let i = 0; i < raw.length; i++) {
    if (raw[i] !== '%') {
      text += raw[i];
      continue;
    }
    const hex = raw.slice(i + 1, i + 3);
    if (!HEX.test(hex) || hex === '00') return null;
    text += String.fromCharCode(parseInt(hex, 16));
    i += 2;
  }
  const out: string[] = [];
  const segments = text.split('/').slice(1);
  const last = segments.length - 1;
  for (const [i, s] of segments.entries()) {
    if (s === '' && i < last) continue;
    if (s === '..' && out.pop() === undefined) return null;
    const dots = s === '.' || s === '..';
    if (!dots) out.push(s);
    else if (i === last) out.push('');
  }
  return `/${out.join('/')}`;
}

/** What NGX_ESCAPE_URI writes as %XX: the table of ngx_escape_uri. */
const UNSAFE = /[\x00-\x20"#%<>?\\^`{|}\x7f-\xff]/g;

/** A path as nginx writes it into a request or a Location of its own. */
export const nginxEscape = (path: string): string =>
  path.replace(UNSAFE, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);

/**
 * ngx_http_validate_host of a Host field: the name in lower case without port and last dot; null: nginx answers 400.
 */
export function nginxHost(value: string): string | null {
  if (value.includes('..') || /[\x00-\x20\x7f/]/.test(value)) return null;
  const literal = /^\[[^\]]*\]/.exec(value)?.[0];
  const name = literal ?? value.replace(/:.*$/s, '').replace(/\.$/, '');
  return name === '' ? null : name.toLowerCase();
}
