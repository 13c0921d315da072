/**
 * `getent hosts NAME` and `getent ahosts NAME` in a namespace without IPv6 ("hosts: files dns").
 * @module
 */
import { TYPE } from '../../wire/dns.js';
import { aton, ntoa } from '../../wire/inet.js';
import type { Proc, Program } from './program.js';
import { type Answer, lookup, parseResolvConf } from './resolver.js';

const text = (a: Uint8Array): string =>
  a.length === 4
    ? a.join('.')
    : Array.from({ length: 8 }, (_, i) => ((a[2 * i]! << 8) | a[2 * i + 1]!).toString(16)).join(':');

/** First line of /etc/hosts that names `name`. */
function fromFile(hosts: string | null, name: string): Answer | null {
  for (const line of (hosts ?? '').split('\n')) {
    const [ip = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    const a = aton(ip);
    if (a !== null && names.some((n) => n.toLowerCase() === name.toLowerCase())) {
      return { canonical: names[0]!, addresses: [Uint8Array.of(a >>> 24, a >>> 16, a >>> 8, a)] };
    }
  }
  return null;
}

export const getent: Program = (p: Proc): void => {
  const [, db, name, extra] = p.argv;
  if ((db !== 'hosts' && db !== 'ahosts') || name === undefined || extra !== undefined) {
    p.err('getent: expected hosts NAME or ahosts NAME\n');
    return p.exit(1);
  }
  const print = (a: Answer | null): void => {
    if (a === null) return p.exit(2);
    if (db === 'hosts') for (const x of a.addresses) p.out(`${text(x).padEnd(15)} ${a.canonical}\n`);
    else
      a.addresses.forEach((x, i) => {
        p.out(`${text(x).padEnd(15)} STREAM ${i === 0 ? a.canonical : ''}\n`);
        p.out(`${text(x).padEnd(15)} DGRAM  \n${text(x).padEnd(15)} RAW    \n`);
      });
    p.exit(0);
  };
  const numeric = aton(name);
  if (numeric !== null)
    return print({
      canonical: name === ntoa(numeric) ? name : ntoa(numeric),
      addresses: [Uint8Array.of(numeric >>> 24, numeric >>> 16, numeric >>> 8, numeric)],
    });
  const local = fromFile(p.files.read('/etc/hosts'), name);
  if (local !== null) return print(local);
  const conf = parseResolvConf(p.files.read('/etc/resolv.conf'));
  const v4 = (): void => lookup(p, conf, name, TYPE.A, print);
  if (db === 'ahosts') v4();
  else lookup(p, conf, name, TYPE.AAAA, (a) => (a !== null ? print(a) : v4()));
};
