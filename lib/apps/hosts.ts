/**
 * getaddrinfo() as nc and curl call it: IPv4 and IPv6 without AI_ADDRCONFIG, so A and AAAA are asked for together.
 * @module
 */
import { i32 } from '../../wire/bytes.js';
import { getAddrInfo } from './netdb.js';
import type { Proc } from './program.js';
import type { Status } from './resolver.js';
import { stubResolver } from './resolver-musl.js';

export const EAI_NONAME = 'Name or service not known';
export const EAI_AGAIN = 'Temporary failure in name resolution';

const MESSAGES: Record<Exclude<Status, 'ok'>, string> = {
  notfound: EAI_NONAME,
  norecovery: EAI_NONAME,
  nodata: 'No address associated with hostname',
  again: EAI_AGAIN,
};

/** musl's words for the same (gai_strerror). */
const MUSL: typeof MESSAGES = {
  ...MESSAGES,
  notfound: 'Name does not resolve',
  norecovery: 'Non-recoverable error',
  nodata: 'Name has no usable address',
  again: 'Try again',
};

/** The IPv4 addresses of `host` (int32, in the order to try them), or getaddrinfo's message. `v4only`: AF_INET, as with -4. */
export function getaddrinfo(p: Proc, host: string, v4only: boolean, done: (r: number[] | string) => void): void {
  hostAddresses(p, host, v4only ? [4] : [4, 6], done);
}

/** The same, with the name's canonical form (AI_CANONNAME); '' beside a message. */
export function hostAddresses(
  p: Proc,
  host: string,
  families: readonly (4 | 6)[],
  done: (r: number[] | string, canonical: string) => void,
): void {
  const r = stubResolver(p);
  if (r.conf.unsupported !== '') return done(`/etc/resolv.conf: "${r.conf.unsupported}" is not supported yet`, '');
  getAddrInfo(p, r, host, families, (status, found) => {
    if (found === null) return done((r.libc === 'musl' ? MUSL : MESSAGES)[status === 'ok' ? 'nodata' : status], '');
    const v4 = found.addresses.filter((b) => b.length === 4).map((b) => i32(b, 0));
    if (v4.length > 0) done(v4, found.canonical);
    else done('it has IPv6 addresses only, which are not supported yet', '');
  });
}
