/**
 * ipvsadm 1.31: virtual services and servers as text, both ways. NAT (`-m`) only; IPv4 addresses are numeric.
 * @module
 */
import { aton, bitsOf, ntoa } from '../../wire/inet.js';
import * as ipv4 from '../../wire/ipv4.js';
import { SEC } from '../sim/sim.js';
import type { Netns } from '../linux/core/netns.js';
import { TCP_STATES } from '../linux/ipvs/conn.js';
import { type Ipvs, ipvs } from '../linux/ipvs/director.js';
import { makeScheduler } from '../linux/ipvs/scheduler.js';
import { SCHED1, SCHED2, type Service } from '../linux/ipvs/service.js';

export interface Result {
  exit: number;
  out: string;
  err: string;
}

class Bad extends Error {}
/** The kernel refused. */
class Refused extends Error {
  readonly exit: number;
  constructor(message: string, exit = 255) {
    super(message);
    this.exit = exit;
  }
}

const COMMANDS: Readonly<Record<string, string>> = {
  '--add-service': '-A', '--edit-service': '-E', '--delete-service': '-D', '--clear': '-C', '--restore': '-R',
  '--save': '-S', '--add-server': '-a', '--edit-server': '-e', '--delete-server': '-d', '--list': '-L', '-l': '-L',
}; // prettier-ignore
const OPTIONS: Readonly<Record<string, string>> = {
  '--tcp-service': '-t', '--udp-service': '-u', '--scheduler': '-s', '--persistent': '-p', '--netmask': '-M',
  '--real-server': '-r', '--masquerading': '-m', '--weight': '-w', '--sched-flags': '-b', '--numeric': '-n',
  '--connection': '-c',
}; // prettier-ignore
/** Service options by protocol. SCTP is configured and listed; its packets are not handled (director.ts). */
const PROTOCOLS: Readonly<Record<string, number>> = { '-t': ipv4.TCP, '-u': ipv4.UDP, '--sctp-service': ipv4.SCTP };
const NAMES: Readonly<Record<number, string>> = { [ipv4.TCP]: 'TCP', [ipv4.UDP]: 'UDP', [ipv4.SCTP]: 'SCTP' };
const optionOf = (proto: number): string => Object.keys(PROTOCOLS).find((k) => PROTOCOLS[k] === proto)!;
const WITH_SERVICE = ['-A', '-E', '-D', '-a', '-e', '-d'];

interface Parsed {
  cmd: string;
  proto: number;
  service: [number, number] | null;
  real: [number, number] | null;
  o: Map<string, string>;
  set: number[];
}

function integer(text: string, what: string, min: number, max: number): number {
  const n = Number(text);
  if (!/^-?\d+$/.test(text) || n < min || n > max) throw new Bad(`illegal ${what} '${text}', expected ${min}..${max}`);
  return n;
}

function endpoint(text: string, port: number | null): [number, number] {
  const [a, p, more] = text.split(':');
  const addr = aton(a ?? '');
  if (addr === null || more !== undefined) throw new Bad('illegal virtual server address[:port] specified');
  if (p === undefined && port === null) throw new Bad(`'${text}' has no port, expected a.b.c.d:port`);
  return [addr, p === undefined ? port! : integer(p, 'port', 1, 65535)];
}

function parse(argv: readonly string[]): Parsed {
  const words = argv.flatMap((w) => (/^-[A-Za-z]{2,}$/.test(w) ? [...w.slice(1)].map((c) => `-${c}`) : [w]));
  const p: Parsed = { cmd: '', proto: 0, service: null, real: null, o: new Map(), set: [] };
  let real = '';
  for (let i = 0; i < words.length; i++) {
    const raw = words[i]!;
    const w = COMMANDS[raw] ?? OPTIONS[raw] ?? raw;
    const next = (): string => {
      const v = words[++i];
      if (v === undefined) throw new Bad(`option '${raw}' needs a value`);
      return v;
    };
    if ([...WITH_SERVICE, '-C', '-L', '-S', '-R', '--set'].includes(w)) {
      if (p.cmd !== '') throw new Bad(`multiple commands: '${p.cmd}' and '${raw}'`);
      p.cmd = w;
      if (w === '--set') p.set = [0, 0, 0].map(() => integer(next(), 'timeout', 0, 2147483));
    } else if (w in PROTOCOLS) {
      if (p.service !== null) throw new Bad('more than one service given');
      p.proto = PROTOCOLS[w]!;
      p.service = endpoint(next(), null);
    } else if (w === '-r') real = next();
    else if (w === '-s' || w === '-w' || w === '-b' || w === '-M') p.o.set(w, next());
    else if (w === '-p') p.o.set('-p', /^\d+$/.test(words[i + 1] ?? '') ? next() : '360');
    else if (['-m', '-n', '-c', '--thresholds', '--persistent-conn', '--timeout', '--exact', '--sort'].includes(w))
      p.o.set(w, '');
    else
      throw new Bad(
        `podwire: ipvsadm: ${raw} is not supported yet, only -A -E -D -a -e -d -C -L -S -R --set -t -u --sctp-service -s -p -M -r -m -w -b -n -c`,
      );
  }
  if (p.cmd === '') p.cmd = '-L';
  if (real !== '') p.real = endpoint(real, p.service?.[1] ?? null);
  checkCombination(p);
  return p;
}

const ALLOWED: Readonly<Record<string, string>> = {
  '-A': '-s-p-M-b', '-E': '-s-p-M-b', '-a': '-m-w', '-e': '-m-w', '-L': '-n-c--thresholds--persistent-conn--timeout--exact--sort', '-S': '-n',
}; // prettier-ignore

function checkCombination(p: Parsed): void {
  for (const k of p.o.keys()) {
    if (!(ALLOWED[p.cmd] ?? '').includes(k)) throw new Bad(`option '${k}' cannot be used with '${p.cmd}'`);
  }
  if (WITH_SERVICE.includes(p.cmd) !== (p.service !== null) && p.cmd !== '-L') {
    throw new Bad(`'${p.cmd}' ${p.service === null ? 'needs -t, -u or --sctp-service' : 'takes no service'}`);
  }
  if (['-a', '-e', '-d'].includes(p.cmd) !== (p.real !== null)) {
    throw new Bad(`'${p.cmd}' ${p.real === null ? 'needs -r' : 'takes no -r'}`);
  }
  if ((p.cmd === '-a' || p.cmd === '-e') && !p.o.has('-m')) throw new Bad('only masquerading (-m) is supported yet');
  if ((p.cmd === '-L' || p.cmd === '-S') && !p.o.has('-n') && !p.o.has('--timeout'))
    throw new Bad(`'${p.cmd}' is supported with -n only`);
  if (p.o.has('-M') && !p.o.has('-p')) throw new Bad("option '-M' needs -p");
}

/** Runs one ipvsadm command line in a namespace; `stdin` feeds `-R`. */
export function ipvsadm(net: Netns, argv: string[], stdin: string): Result {
  try {
    return { exit: 0, out: run(net, parse(argv), stdin), err: '' };
  } catch (e) {
    if (e instanceof Refused) return { exit: e.exit, out: '', err: `${e.message}\n` };
    if (!(e instanceof Bad)) throw e;
    return { exit: 2, out: '', err: `${e.message}\n` };
  }
}

function run(net: Netns, p: Parsed, stdin: string): string {
  const v = ipvs(net);
  if (p.cmd === '-L') {
    const { tcp, tcpfin, udp } = v.conns.timeouts;
    if (p.o.has('--timeout')) return `Timeout (tcp tcpfin udp): ${tcp} ${tcpfin} ${udp}\n`;
    return p.o.has('-c') ? listConns(v) : list(v, p);
  }
  if (p.cmd === '-S') return save(v);
  if (p.cmd === '-C') v.flush();
  else if (p.cmd === '--set') {
    const [tcp, fin, udp] = p.set;
    const t = v.conns.timeouts;
    if (tcp !== 0) t.tcp = tcp!;
    if (fin !== 0) t.tcpfin = fin!;
    if (udp !== 0) t.udp = udp!;
  } else if (p.cmd === '-R') {
    for (const line of stdin.split('\n')) {
      if (line.trim() !== '') run(net, parse(line.trim().split(/\s+/)), '');
    }
  } else change(v, p);
  return '';
}

function change(v: Ipvs, p: Parsed): void {
  const [addr, port] = p.service!;
  let s = v.lookup(p.proto, addr, port);
  if (p.cmd === '-A' || p.cmd === '-E') {
    const name = p.o.get('-s') ?? 'wlc';
    const sched = makeScheduler(name);
    if (sched === null) throw new Refused('Scheduler or persistence engine not found');
    const flags = schedFlags(name, p.o.get('-b'));
    const persistent = p.o.has('-p') ? integer(p.o.get('-p')!, 'timeout', 1, 2678400) : 0;
    const mask = aton(p.o.get('-M') ?? '255.255.255.255');
    if (mask === null || bitsOf(mask) < 1)
      throw new Bad(`illegal netmask '${p.o.get('-M')}', expected like 255.255.255.0`);
    if (p.cmd === '-A' && s !== null) throw new Refused('Service already exists');
    if (p.cmd === '-E' && s === null) throw new Refused('No such service');
    s ??= v.addService(p.proto, addr, port, sched)!;
    s.flags = flags;
    s.persistent = persistent;
    s.netmask = mask;
    v.editService(s, sched);
    return;
  }
  if (s === null) throw new Refused(p.cmd === '-D' ? 'No such service' : 'Service not defined');
  if (p.cmd === '-D') return v.delService(s);
  const d = v.findDest(s, p.real![0], p.real![1]);
  const weight = integer(p.o.get('-w') ?? '1', 'weight', 0, 65535);
  if (p.cmd === '-a') {
    if (d !== null) throw new Refused('Destination already exists');
    v.addDest(s, p.real![0], p.real![1], weight);
  } else if (d === null) throw new Refused('No such destination');
  else if (p.cmd === '-e') v.editDest(s, d, weight);
  else v.delDest(s, d);
}

function schedFlags(name: string, text: string | undefined): number {
  let f = 0;
  for (const w of text?.split(',') ?? []) {
    const hashing = name === 'sh' || name === 'mh';
    if (hashing && w === `${name}-fallback`) f |= SCHED1;
    else if (hashing && w === `${name}-port`) f |= SCHED2;
    else
      throw new Bad(
        `podwire: ipvsadm: scheduler flag '${w}' is not supported with ${name}, expected NAME-fallback or NAME-port of sh or mh`,
      );
  }
  return f;
}

const flagText = (s: Service): string =>
  [(s.flags & SCHED1) !== 0 ? `${s.sched.name}-fallback` : '', (s.flags & SCHED2) !== 0 ? `${s.sched.name}-port` : '']
    .filter(Boolean)
    .join(',');
const ep = (a: number, port: number): string => `${ntoa(a)}:${port}`;
interface Ends {
  addr: number;
  port: number;
}
/** As ipvsadm sorts: the difference of two addresses is a signed int there, so 192.0.2.1 stands before 10.0.0.1. */
const byAddr = (a: Ends, b: Ends): number => (a.addr - b.addr) | 0 || a.port - b.port;
const sorted = (v: Ipvs): Service[] => [...v.services.values()].sort((a, b) => a.proto - b.proto || byAddr(a, b));

function save(v: Ipvs): string {
  let out = '';
  for (const s of sorted(v)) {
    const at = `${optionOf(s.proto)} ${ep(s.addr, s.port)}`;
    out += `-A ${at} -s ${s.sched.name}`;
    if (s.persistent > 0) out += ` -p ${s.persistent}${s.netmask !== -1 ? ` -M ${ntoa(s.netmask)}` : ''}`;
    out += `${s.flags !== 0 ? ` -b ${flagText(s)}` : ''}\n`;
    for (const d of [...s.dests].sort(byAddr)) out += `-a ${at} -r ${ep(d.addr, d.port)} -m -w ${d.weight}\n`;
  }
  return out;
}

const TITLE = 'IP Virtual Server version 1.2.1 (size=4096)\n';
const HEADS: Readonly<Record<string, string>> = {
  '': 'Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n',
  '--thresholds': 'Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n  -> RemoteAddress:Port\n',
  '--persistent-conn': 'Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n  -> RemoteAddress:Port\n',
}; // prettier-ignore

/** `-L -n`, of one service when given; thresholds are always 0 (none can be set). */
function list(v: Ipvs, p: Parsed): string {
  const { now } = v.net.kernel.sim;
  v.conns.sweep(now);
  const form = ['--thresholds', '--persistent-conn'].find((k) => p.o.has(k)) ?? '';
  const only = p.service === null ? null : v.lookup(p.proto, p.service[0], p.service[1]);
  if (p.service !== null && only === null) throw new Refused('No such service', 1);
  let out = `${only === null ? TITLE : ''}${HEADS[form]}`;
  for (const s of only === null ? sorted(v) : [only]) {
    out += `${NAMES[s.proto]!.padEnd(4)} ${ep(s.addr, s.port)} ${s.sched.name}`;
    if (s.flags !== 0) out += ` (${flagText(s)})`;
    if (s.persistent > 0) out += ` persistent ${s.persistent}${s.netmask !== -1 ? ` mask ${ntoa(s.netmask)}` : ''}`;
    out += '\n';
    for (const d of [...s.dests].sort(byAddr)) {
      const alive = [...s.templates.values()].filter((t) => t.dest === d && v.conns.templateAlive(t, now)).length;
      const n = `${String(d.active).padEnd(10)} ${String(d.inactive).padEnd(10)}`;
      const columns = {
        '': `Masq    ${String(d.weight).padEnd(6)}`,
        '--thresholds': `${'0'.padEnd(10)} ${'0'.padEnd(10)}`,
      }[form];
      const text = columns ?? `${String(d.weight).padEnd(9)} ${String(alive).padEnd(11)}`;
      out += `  -> ${ep(d.addr, d.port).padEnd(28)} ${text} ${n}\n`;
    }
  }
  return out;
}

function listConns(v: Ipvs): string {
  const { now } = v.net.kernel.sim;
  let out = 'IPVS connection entries\npro expire state       source             virtual            destination\n';
  const line = (proto: number, expires: number, state: string, client: string, s: Ends, d: Ends): void => {
    const left = Math.floor((expires - now) / SEC);
    const t = `${String(Math.floor(left / 60)).padStart(2, '0')}:${String(left % 60).padStart(2, '0')}`;
    out += `${NAMES[proto]!.padEnd(3)} ${t.padEnd(6)} ${state.padEnd(11)} ${client.padEnd(18)} `;
    out += `${ep(s.addr, s.port).padEnd(18)} ${ep(d.addr, d.port)}\n`;
  };
  for (const c of v.conns.all(now)) {
    const state = c.proto === ipv4.TCP ? TCP_STATES[c.state]! : NAMES[c.proto]!;
    line(c.proto, c.expires, state, ep(c.caddr, c.cport), { addr: c.vaddr, port: c.vport }, c.dest);
  }
  for (const s of sorted(v)) {
    for (const t of s.templates.values()) {
      if (v.conns.templateAlive(t, now))
        line(s.proto, t.expires, t.assured ? 'ASSURED' : 'NONE', ep(t.client, 0), s, t.dest);
    }
  }
  return out;
}
