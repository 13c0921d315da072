/**
 * `getent hosts|ahosts|ahostsv4|ahostsv6 KEY…` of glibc in a namespace without IPv6 addresses (nss/getent.c).
 * @module
 */
import { addressBytes, addressText } from '../../wire/inet6.js';
import { getAddrInfo, getHostByAddr, getHostByName, type Host, type HostFound } from './netdb.js';
import type { Proc, Program } from './program.js';
import type { Status, StubResolver } from './resolver.js';
import { stubResolver } from './resolver-musl.js';

const HINT = "Try `getent --help' or `getent --usage' for more information.\n";
const DATABASES =
  'ahosts ahostsv4 ahostsv6 aliases ethers group gshadow hosts initgroups netgroup networks passwd protocols rpc services shadow';

export const getent: Program = (p: Proc): void => {
  const [, db, ...keys] = p.argv;
  const option = p.argv.slice(1).find((w) => /^-./.test(w));
  if (option !== undefined) {
    p.err(`podwire: getent: option ${option} is not supported yet\n`);
    return p.exit(2);
  }
  if (db === undefined) {
    p.err(`getent: wrong number of arguments\n${HINT}`);
    return p.exit(1);
  }
  const known = ['hosts', 'ahosts', 'ahostsv4', 'ahostsv6'].includes(db);
  if (!known && !DATABASES.split(' ').includes(db)) {
    p.err(`Unknown database: ${db}\n`);
    p.out(HINT);
    return p.exit(1);
  }
  if (!known || keys.length === 0) {
    p.err(
      `podwire: getent: "${[db, ...keys].join(' ')}" is not supported yet, only hosts, ahosts, ahostsv4 or ahostsv6 and a name\n`,
    );
    return p.exit(2);
  }
  const r = stubResolver(p);
  if (r.conf.unsupported !== '') {
    p.err(`podwire: getent: /etc/resolv.conf: "${r.conf.unsupported}" is not supported yet\n`);
    return p.exit(2);
  }
  let code = 0;
  const next = (i: number): void => {
    const key = keys[i];
    if (key === undefined) return p.exit(code);
    look(p, r, db, key, (_status, host) => {
      if (host === null) code = 2;
      else print(p, db, host);
      next(i + 1);
    });
  };
  next(0);
};

function look(p: Proc, r: StubResolver, db: string, key: string, done: HostFound): void {
  // AI_ADDRCONFIG: without an IPv6 address of the machine, AAAA is not asked for.
  if (db === 'ahostsv6') return done('notfound', null);
  if (db !== 'hosts') return getAddrInfo(p, r, key, [4], done);
  const address = addressBytes(key);
  if (address !== null) return getHostByAddr(p, r, address, done);
  getHostByName(p, r, key, 6, (status: Status, host) => {
    if (host !== null) done(status, host);
    else getHostByName(p, r, key, 4, done);
  });
}

function print(p: Proc, db: string, host: Host): void {
  const rows = host.addresses.map((a) => addressText(a).padEnd(15));
  if (db === 'hosts') for (const a of rows) p.out(`${[`${a} ${host.canonical}`, ...host.aliases].join(' ')}\n`);
  else
    rows.forEach((a, i) => {
      p.out(`${a} STREAM ${i === 0 ? host.canonical : ''}\n`);
      p.out(`${a} DGRAM  \n${a} RAW    \n`);
    });
}
