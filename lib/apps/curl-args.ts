/**
 * curl's command line: the options people use, each with what the real one does or an error.
 * @module
 */
import { aton } from '../../wire/inet.js';

export interface CurlOptions {
  urls: string[];
  silent: boolean;
  showError: boolean;
  verbose: boolean;
  include: boolean;
  head: boolean;
  fail: boolean;
  method: string | null;
  headers: string[];
  data: string | null;
  agent: string;
  /** -m and --connect-timeout in seconds, 0: none. */
  maxTime: number;
  connectTimeout: number;
  /** `HOST:PORT` to address. */
  resolve: Map<string, number>;
  writeOut: string;
  /** -o /dev/null. */
  discard: boolean;
  /** -4. */
  inet: boolean;
  /** --interface ADDRESS, --local-port. */
  source: number;
  sourcePort: number;
  /** -k, --cacert. */
  insecure: boolean;
  caFile: string | null;
  /** --http1.1: no h2 in ALPN. */
  http11: boolean;
}

const FLAGS: Record<string, (o: CurlOptions) => void> = {
  s: (o) => void (o.silent = true),
  silent: (o) => void (o.silent = true),
  S: (o) => void (o.showError = true),
  'show-error': (o) => void (o.showError = true),
  v: (o) => void (o.verbose = true),
  verbose: (o) => void (o.verbose = true),
  i: (o) => void (o.include = true),
  include: (o) => void (o.include = true),
  I: (o) => void (o.head = true),
  head: (o) => void (o.head = true),
  f: (o) => void (o.fail = true),
  fail: (o) => void (o.fail = true),
  4: (o) => void (o.inet = true),
  ipv4: (o) => void (o.inet = true),
  'http1.1': (o) => void (o.http11 = true),
  k: (o) => void (o.insecure = true),
  insecure: (o) => void (o.insecure = true),
};

const VALUES: Record<string, (o: CurlOptions, v: string) => string | null> = {
  X: (o, v) => set(() => (o.method = v)),
  request: (o, v) => set(() => (o.method = v)),
  H: (o, v) => set(() => o.headers.push(v)),
  header: (o, v) => set(() => o.headers.push(v)),
  d: data,
  data,
  'data-raw': (o, v) => set(() => (o.data = o.data === null ? v : `${o.data}&${v}`)),
  A: (o, v) => set(() => (o.agent = v)),
  'user-agent': (o, v) => set(() => (o.agent = v)),
  m: (o, v) => seconds(v, (n) => (o.maxTime = n), '-m, --max-time'),
  'max-time': (o, v) => seconds(v, (n) => (o.maxTime = n), '--max-time'),
  'connect-timeout': (o, v) => seconds(v, (n) => (o.connectTimeout = n), '--connect-timeout'),
  w: (o, v) => set(() => (o.writeOut = v)),
  'write-out': (o, v) => set(() => (o.writeOut = v)),
  o: output,
  output,
  url: (o, v) => set(() => o.urls.push(v)),
  cacert: (o, v) => set(() => (o.caFile = v)),
  resolve: resolveOption,
  interface: (o, v) => {
    const a = aton(v);
    if (a === null) return 'podwire: curl: --interface is supported with an IPv4 address only';
    o.source = a;
    return null;
  },
  'local-port': (o, v) => {
    if (!/^\d+$/.test(v)) return 'podwire: curl: --local-port is supported with one port only';
    o.sourcePort = Number(v);
    return null;
  },
};

function set(f: () => unknown): null {
  f();
  return null;
}

function data(o: CurlOptions, v: string): string | null {
  if (v.startsWith('@')) return 'podwire: curl: -d @FILE is not supported yet';
  o.data = o.data === null ? v : `${o.data}&${v}`;
  return null;
}

function output(o: CurlOptions, v: string): string | null {
  if (v !== '/dev/null') return 'podwire: curl: -o is supported with /dev/null only';
  o.discard = true;
  return null;
}

function seconds(v: string, take: (n: number) => void, name: string): string | null {
  if (!/^\d+(\.\d+)?$/.test(v)) return `curl: option ${name}: expected a proper numerical parameter`;
  take(Number(v));
  return null;
}

function resolveOption(o: CurlOptions, v: string): string | null {
  const m = /^([^:]+):(\d+):([\d.]+)$/.exec(v);
  const a = m === null ? null : aton(m[3]!);
  if (m === null || a === null) return 'podwire: curl: --resolve is supported as HOST:PORT:ADDRESS only';
  o.resolve.set(`${m[1]!.toLowerCase()}:${m[2]}`, a);
  return null;
}

/** The options, or what curl says about the arguments (exit code 2). */
export function curlArgs(argv: readonly string[]): CurlOptions | string {
  const o: CurlOptions = {
    urls: [], silent: false, showError: false, verbose: false, include: false, head: false, fail: false, method: null,
    headers: [], data: null, agent: 'curl/7.88.1', maxTime: 0, connectTimeout: 0, resolve: new Map(), writeOut: '',
    discard: false, inet: false, source: 0, sourcePort: 0, insecure: false,
    caFile: null, http11: false,
  }; // prettier-ignore
  for (let i = 1; i < argv.length; i++) {
    const a = argv[i]!;
    if (a === '-' || !a.startsWith('-')) {
      o.urls.push(a);
      continue;
    }
    if (a.startsWith('--')) {
      const name = a.slice(2);
      if (FLAGS[name] !== undefined && name.length > 1) FLAGS[name](o);
      else if (VALUES[name] !== undefined && name.length > 1) {
        const bad = argv[i + 1] === undefined ? missing(a) : VALUES[name](o, argv[++i]!);
        if (bad !== null) return bad;
      } else return `podwire: curl: option ${a} is not supported yet`;
      continue;
    }
    for (let k = 1; k < a.length; k++) {
      const c = a[k]!;
      if (FLAGS[c] !== undefined) FLAGS[c](o);
      else if (VALUES[c] !== undefined) {
        const v = k + 1 < a.length ? a.slice(k + 1) : argv[++i];
        const bad = v === undefined ? missing(`-${c}`) : VALUES[c](o, v);
        if (bad !== null) return bad;
        break;
      } else return `podwire: curl: option -${c} is not supported yet`;
    }
  }
  if (o.urls.length === 0) return 'curl: no URL specified!\n' + TRY;
  return o;
}

const TRY = "curl: try 'curl --help' or 'curl --manual' for more information";
const missing = (name: string): string => `curl: option ${name}: requires parameter\n${TRY}`;

export interface Url {
  tls: boolean;
  host: string;
  port: number;
  /** Path and query, at least "/". */
  path: string;
  text: string;
}

/** The parts of an http or https URL, or curl's exit code and message. */
export function parseUrl(text: string): Url | { exit: number; message: string } {
  const m = /^(?:([a-z][a-z0-9+.-]*):\/\/)?([^/?#]*)([^#]*)/i.exec(text)!;
  const scheme = (m[1] ?? 'http').toLowerCase();
  const secure = scheme === 'https';
  if (scheme !== 'http' && !secure)
    return { exit: 1, message: `curl: (1) Protocol "${scheme}" not supported or disabled in libcurl` };
  const at = m[2]!.lastIndexOf('@');
  if (at >= 0) return { exit: 2, message: 'podwire: curl: user names in URLs are not supported yet' };
  const hp = /^([^:]*)(?::(\d*))?$/.exec(m[2]!);
  const port = hp?.[2] === undefined || hp[2] === '' ? (secure ? 443 : 80) : Number(hp[2]);
  if (hp === null || port > 65535) {
    return { exit: 3, message: 'curl: (3) URL using bad/illegal format or missing URL' };
  }
  if (hp[1] === '') return { exit: 3, message: 'curl: (3) URL using bad/illegal format or missing URL' };
  const rest = m[3]!;
  const path = rest === '' ? '/' : rest.startsWith('?') ? `/${rest}` : rest;
  return { tls: secure, host: hp[1]!, port, path, text };
}
