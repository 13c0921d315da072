/**
 * getaddrinfo() for IPv4 addresses, "hosts: files dns".
 * @module
 */
import { TYPE } from '../../wire/dns.js';
import { i32 } from '../../wire/bytes.js';
import { aton } from '../../wire/inet.js';
import type { Proc } from './program.js';
import { lookup, parseResolvConf } from './resolver.js';

export const EAI_NONAME = 'Name or service not known';
export const EAI_AGAIN = 'Temporary failure in name resolution';

/** Addresses of a name in /etc/hosts. */
function fromFile(text: string | null, name: string): number[] {
  const found: number[] = [];
  for (const line of (text ?? '').split('\n')) {
    const [ip = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    const a = aton(ip);
    if (a !== null && names.some((n) => n.toLowerCase() === name.toLowerCase())) found.push(a);
  }
  return found;
}

/** The addresses of `host` (int32, in the resolver's order), or getaddrinfo's message. */
export function getaddrinfo(p: Proc, host: string, done: (r: number[] | string) => void): void {
  const numeric = aton(host);
  if (numeric !== null) return done([numeric]);
  const local = fromFile(p.files.read('/etc/hosts'), host);
  if (local.length > 0) return done(local);
  lookup(p, parseResolvConf(p.files.read('/etc/resolv.conf')), host, TYPE.A, (a, again) => {
    if (a !== null) done(a.addresses.map((b) => i32(b, 0)));
    else done(again ? EAI_AGAIN : EAI_NONAME);
  });
}
