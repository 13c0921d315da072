/**
 * /etc/resolv.conf as glibc reads it (resolv/res_init.c).
 * @module
 */
import { aton } from '../../wire/inet.js';

export interface ResolvConf {
  /** IPv4 addresses, at most three. */
  servers: number[];
  search: string[];
  ndots: number;
  /** Seconds of the first try. */
  timeout: number;
  attempts: number;
  rotate: boolean;
  edns0: boolean;
  trustAd: boolean;
  singleRequest: boolean;
  singleRequestReopen: boolean;
  noTldQuery: boolean;
  /** TCP from the start. */
  useVc: boolean;
  /** Options that change what is sent and are not emulated: the first one, for the message; empty: none. */
  unsupported: string;
}

/** Reads the file; without it or without a nameserver, the local machine is asked. */
export function parseResolvConf(text: string | null): ResolvConf {
  const c: ResolvConf = {
    servers: [], search: [], ndots: 1, timeout: 5, attempts: 2, rotate: false, edns0: false, trustAd: false,
    singleRequest: false, singleRequestReopen: false, noTldQuery: false, useVc: false, unsupported: '',
  }; // prettier-ignore
  for (const line of (text ?? '').split('\n')) {
    if (/^[#;]/.test(line)) continue;
    const [key, ...args] = line.trim().split(/\s+/);
    if (key === 'nameserver') {
      const a = aton(args[0] ?? '');
      if (a !== null && c.servers.length < 3) c.servers.push(a);
      else if (args[0]?.includes(':')) c.unsupported ||= `nameserver ${args[0]}`;
    } else if (key === 'search') c.search = args;
    else if (key === 'domain') c.search = args.slice(0, 1);
    else if (key === 'options') for (const o of args) option(c, o);
  }
  if (c.servers.length === 0) c.servers.push(0x7f000001);
  return c;
}

function option(c: ResolvConf, o: string): void {
  const m = /^(ndots|timeout|attempts):(\d+)$/.exec(o);
  if (m !== null) {
    const n = Number(m[2]);
    if (m[1] === 'ndots') c.ndots = Math.min(15, n);
    else if (m[1] === 'timeout') c.timeout = Math.min(30, n);
    else c.attempts = Math.min(5, n);
  } else if (o === 'rotate') c.rotate = true;
  else if (o === 'edns0') c.edns0 = true;
  else if (o === 'trust-ad') c.trustAd = true;
  else if (o === 'single-request') c.singleRequest = true;
  else if (o === 'single-request-reopen') c.singleRequest = c.singleRequestReopen = true;
  else if (o === 'no_tld_query' || o === 'no-tld-query') c.noTldQuery = true;
  else if (o === 'use-vc') c.useVc = true;
  else if (o === 'no-aaaa') c.unsupported ||= `options ${o}`;
}

/** Names to try, and which of them is the name as it is (`__res_context_search`). */
export function candidates(name: string, c: ResolvConf): { name: string; asIs: boolean }[] {
  const asIs = { name: name.replace(/\.?$/, '.'), asIs: true };
  if (name.endsWith('.')) return [asIs];
  const dots = name.split('.').length - 1;
  const listed = c.search
    .filter((s) => s !== '.')
    .map((s) => ({ name: `${name}.${s.replace(/\.?$/, '.')}`, asIs: false }));
  if (dots >= c.ndots) return [asIs, ...listed];
  return c.noTldQuery && dots === 0 && listed.length > 0 ? listed : [...listed, asIs];
}
