/**
 * glibc's stub resolver over UDP (resolv/res_query.c, res_send.c).
 * Not here: TCP after a truncated answer, EDNS, `rotate`, single-request modes.
 * @module
 */
import { dataName, type DnsMessage, packDns, plainData, TYPE, validName } from '../../wire/dns.js';
import { unpackDns } from '../../wire/dns-unpack.js';
import { aton } from '../../wire/inet.js';
import { UdpSock } from '../linux/ipv4/udp.js';
import type { Proc } from './program.js';

export interface ResolvConf {
  servers: number[];
  search: string[];
  ndots: number;
  timeout: number;
  attempts: number;
}

/** /etc/resolv.conf as res_init reads it; without a nameserver, the local machine. */
export function parseResolvConf(text: string | null): ResolvConf {
  const c: ResolvConf = { servers: [], search: [], ndots: 1, timeout: 5, attempts: 2 };
  for (const line of (text ?? '').split('\n')) {
    const [key, ...args] = line.trim().split(/\s+/);
    if (key === 'nameserver') {
      const a = aton(args[0] ?? '');
      if (a !== null && c.servers.length < 3) c.servers.push(a);
    } else if (key === 'search' || key === 'domain') c.search = args;
    else if (key === 'options') {
      for (const o of args) {
        const m = /^(ndots|timeout|attempts):(\d+)$/.exec(o);
        if (m?.[1] === 'ndots') c.ndots = Math.min(15, Number(m[2]));
        else if (m?.[1] === 'timeout') c.timeout = Math.min(30, Number(m[2]));
        else if (m?.[1] === 'attempts') c.attempts = Math.min(5, Number(m[2]));
      }
    }
  }
  if (c.servers.length === 0) c.servers.push(0x7f000001);
  return c;
}

/** Names to try in order (`__res_context_search`). */
export function candidates(name: string, c: ResolvConf): string[] {
  if (name.endsWith('.')) return [name];
  const listed = c.search.map((s) => `${name}.${s.replace(/\.?$/, '.')}`);
  return name.split('.').length - 1 >= c.ndots ? [name + '.', ...listed] : [...listed, name + '.'];
}

export interface Answer {
  canonical: string;
  addresses: Uint8Array[];
}

/** Asks for one type along the search list; null: not found, or (`again`) no server answered. */
export function lookup(
  p: Proc,
  c: ResolvConf,
  name: string,
  type: number,
  done: (a: Answer | null, again: boolean) => void,
): void {
  const names = candidates(name, c).filter(validName);
  const next = (i: number): void => {
    if (i >= names.length) return done(null, false);
    ask(p, c, names[i]!, type, (m) => {
      if (m === null) return done(null, true);
      let canonical = names[i]!;
      for (const r of m.answer) if (r.type === TYPE.CNAME) canonical = dataName(r) ?? canonical;
      const addresses = m.answer.filter((r) => r.type === type).map(plainData);
      if ((m.flags & 15) === 0 && addresses.length > 0)
        done({ canonical: canonical.replace(/\.$/, ''), addresses }, false);
      else next(i + 1);
    });
  };
  next(0);
}

/** One query to the servers in turn; the ID is kept over retries. */
function ask(p: Proc, c: ResolvConf, name: string, type: number, done: (m: DnsMessage | null) => void): void {
  const { sim } = p.net.kernel;
  const id = p.net.kernel.rng('dns-id').u16();
  const query = packDns(
    { id, flags: 0x0100, question: [{ name, type, cls: 1 }], answer: [], authority: [], additional: [] },
    false,
  );
  const total = c.attempts * c.servers.length;
  const attempt = (k: number): void => {
    if (k >= total) return done(null);
    const ns = k % c.servers.length;
    const wait = ns > 0 ? Math.max(1, Math.floor((c.timeout << ns) / c.servers.length)) : c.timeout;
    const sock = new UdpSock(p.net);
    const close = (): void => {
      sim.cancel(timer);
      sock.onReady = null;
      sock.close();
    };
    const fail = (): void => {
      close();
      attempt(k + 1);
    };
    const timer = sim.after(wait * 1e9, fail);
    sock.onReady = () => {
      for (let d = sock.recv(); d !== null; d = sock.recv()) {
        const m = unpackDns(d.data);
        if (m === null || m.id !== id || (m.flags & 0x8000) === 0) continue;
        if ([2, 4, 5].includes(m.flags & 15)) return fail();
        close();
        return done(m);
      }
      if (sock.takeError() !== 0) fail();
    };
    if (sock.connect(c.servers[ns]!, 53) !== 0 || sock.send(query) !== 0) fail();
  };
  attempt(0);
}
