/**
 * `nc`, OpenBSD's netcat as Debian 12 has it: TCP and UDP, client and listener.
 *
 * Not here: -q, -6, -U, proxies, TLS; and -l -v without -n, which looks names up backwards.
 * @module
 */
import { aton } from '../../wire/inet.js';
import { getaddrinfo } from './hosts.js';
import { ncTcpClient, ncTcpServer } from './nc-tcp.js';
import { ncUdpClient, ncUdpServer } from './nc-udp.js';
import type { Program } from './program.js';

export interface NcOptions {
  udp: boolean;
  listen: boolean;
  keep: boolean;
  numeric: boolean;
  verbose: boolean;
  /** -z: connect and close at once. */
  zero: boolean;
  /** -N: shut the sending side down after the end of standard input. */
  shut: boolean;
  /** -d: no standard input. */
  detach: boolean;
  /** -4. */
  inet: boolean;
  /** -w in seconds, -1: none. */
  wait: number;
  /** -p, and -s as int32. */
  port: number;
  source: number;
  words: string[];
}

const FLAGS: Record<string, 'udp' | 'listen' | 'keep' | 'numeric' | 'verbose' | 'zero' | 'shut' | 'detach' | 'inet'> = {
  u: 'udp', l: 'listen', k: 'keep', n: 'numeric', v: 'verbose', z: 'zero', N: 'shut', d: 'detach', 4: 'inet',
}; // prettier-ignore

function parse(argv: readonly string[]): NcOptions | string {
  const o: NcOptions = {
    udp: false, listen: false, keep: false, numeric: false, verbose: false, zero: false, shut: false, detach: false,
    inet: false, wait: -1, port: 0, source: 0, words: [],
  }; // prettier-ignore
  for (let i = 1; i < argv.length; i++) {
    const a = argv[i]!;
    if (!/^-[a-zA-Z0-9]/.test(a)) {
      o.words.push(a);
      continue;
    }
    for (let k = 1; k < a.length; k++) {
      const c = a[k]!;
      const flag = FLAGS[c];
      if (flag !== undefined) o[flag] = true;
      else if (c === 'w' || c === 'p' || c === 's') {
        const v = a.slice(k + 1) || argv[++i] || '';
        const bad = value(o, c, v);
        if (bad !== null) return bad;
        break;
      } else return `podwire: nc: option -${c} is not supported yet`;
    }
  }
  return o;
}

function value(o: NcOptions, c: 'w' | 'p' | 's', v: string): string | null {
  if (c === 's') {
    const s = aton(v);
    if (s === null) return `nc: getaddrinfo for host "${v}": Name or service not known`;
    o.source = s;
  } else if (!/^\d+$/.test(v)) return c === 'w' ? `nc: timeout invalid: ${v}` : `nc: port number invalid: ${v}`;
  else if (c === 'w') o.wait = Number(v);
  else o.port = Number(v);
  return null;
}

/** Ports of `N` or `LO-HI`, or what nc says. */
function ports(text: string): number[] | string {
  const m = /^(\d+)(?:-(\d+))?$/.exec(text);
  if (m === null) return `nc: port number invalid: ${text}`;
  let [lo, hi] = [Number(m[1]), Number(m[2] ?? m[1])];
  for (const n of [lo, hi]) {
    if (n < 1) return `nc: port number too small: ${n}`;
    if (n > 65535) return `nc: port number too large: ${n}`;
  }
  if (lo > hi) [lo, hi] = [hi, lo];
  return Array.from({ length: hi - lo + 1 }, (_, i) => lo + i);
}

export const nc: Program = (p) => {
  const o = parse(p.argv);
  const fail = (text: string, code = 1): void => {
    p.err(`${text}\n`);
    p.exit(code);
  };
  if (typeof o === 'string') return fail(o);
  if (o.listen) {
    if (o.verbose && !o.numeric) return fail('podwire: nc: -l -v is supported with -n only', 2);
    if (o.zero || (o.keep && o.udp)) return fail('podwire: nc: this use of -l is not supported yet', 2);
    const [host, port] = o.words.length > 1 ? o.words : [null, o.words[0]];
    const n = port === undefined ? [o.port] : ports(port);
    const addr = host === null || host === undefined ? o.source : aton(host);
    if (typeof n === 'string') return fail(n);
    if (addr === null || n.length !== 1 || o.words.length > 2) {
      return fail(`podwire: nc: found "${o.words.join(' ')}", expected [ADDRESS] PORT`, 2);
    }
    o.source = addr;
    o.port = n[0]!;
    return o.udp ? ncUdpServer(p, o) : ncTcpServer(p, o);
  }
  const [host, port] = o.words;
  if (host === undefined) return fail('usage: nc [-46CDdFhklNnrStUuvZz] [-I length] [-i interval] [-M ttl]');
  if (port === undefined) return fail('nc: missing port number');
  const list = ports(port);
  if (typeof list === 'string') return fail(list);
  if (o.udp && list.length > 1) return fail('podwire: nc: -u with several ports is not supported yet', 2);
  getaddrinfo(p, host, o.inet, (r) => {
    if (typeof r === 'string') return fail(`nc: getaddrinfo for host "${host}" port ${port}: ${r}`);
    if (o.udp) ncUdpClient(p, o, r[0]!, list[0]!);
    else ncTcpClient(p, o, host, r, list);
  });
};
