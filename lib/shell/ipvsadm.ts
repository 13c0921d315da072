/**
 * ipvsadm 1.31: virtual services and servers as text, both ways. IPv4 with numeric addresses and ports.
 *
 * Refused: IPv6, names, listings without -n, persistence engines, GUE and GRE tunnels, the synchronisation daemon. SCTP services
 * are configured and listed; their packets pass by (core.ts).
 * @module
 */
import type { Netns } from '../linux/core/netns.js';
import { type Ipvs, ipvs } from '../linux/ipvs/ctl.js';
import { makeScheduler, type Scheduler } from '../linux/ipvs/scheduler.js';
import { Service } from '../linux/ipvs/service.js';
import { Exit, type Line, parse, Refused } from './ipvsadm-args.js';
import { list, listConns, save } from './ipvsadm-list.js';

export interface Result {
  exit: number;
  out: string;
  err: string;
}

/** The kernel says no, in the words of ipvs_strerror. */
const refuse = (message: string): never => {
  throw new Refused(message);
};
/** The program ends with these words. */
const die = (message: string, exit: number): never => {
  throw new Exit(message, exit);
};
const INVALID = 'Invalid operation.  Possibly wrong module version, address not unicast, ...';

/** Runs one ipvsadm command line in a namespace; `stdin` feeds `-R`. */
export function ipvsadm(net: Netns, argv: string[], stdin: string): Result {
  const r: Result = { exit: 0, out: '', err: '' };
  try {
    r.out = argv.length === 0 ? unsupportedNames() : run(net, parse(argv), stdin, r);
  } catch (e) {
    if (!(e instanceof Exit)) throw e;
    r.exit = e.exit;
    r.err += `${e.message}\n`;
  }
  return r;
}

const unsupportedNames = (): never =>
  die('podwire: ipvsadm: without -n it prints names, which is not supported yet', 2);

function run(net: Netns, l: Line, stdin: string, r: Result): string {
  const v = ipvs(net);
  switch (l.cmd) {
    case 'list':
      return listing(v, l);
    case 'save':
      return l.options.has('numeric') ? save(v) : unsupportedNames();
    case 'flush':
      v.flush();
      return '';
    case 'set':
      v.timeouts.set(l.set[0]!, l.set[1]!, l.set[2]!);
      return '';
    case 'restore':
      restore(net, stdin, r);
      return '';
    case 'zero':
      zero(v, l);
      return '';
    case 'start-daemon':
      return die('podwire: ipvsadm: --start-daemon is not supported yet', 2);
    case 'stop-daemon':
      return refuse('No daemon is running');
    default:
      change(v, l);
      return '';
  }
}

function listing(v: Ipvs, l: Line): string {
  if (l.options.has('timeout')) return `Timeout (tcp tcpfin udp): ${v.timeouts.get().join(' ')}\n`;
  if (l.options.has('daemon')) return '';
  if (!l.options.has('numeric')) return unsupportedNames();
  if (l.options.has('connection')) return listConns(v, l.options.has('persistent-conn'));
  if (!l.options.has('service-address')) return list(v, null, l.options);
  return list(v, serviceOf(v, l) ?? die('No such service', 1), l.options);
}

const serviceOf = (v: Ipvs, l: Line): Service | null =>
  v.find(l.service.proto, l.service.addr, l.service.port, l.service.fwmark);

/** `-R`: a command a line; one that the kernel refuses does not end it, the last one's exit code counts (restore_table). */
function restore(net: Netns, stdin: string, r: Result): void {
  for (const line of stdin.split('\n')) {
    const words = line.split(/[ \t\r]+/).filter((w) => w !== '' && w !== 'ipvsadm');
    if (words.length === 0) continue;
    r.exit = 0;
    try {
      const l = parse(words);
      if (l.cmd === 'restore') die("Try `ipvsadm -h' or 'ipvsadm --help' for more information.", 255);
      r.out += run(net, l, '', r);
    } catch (e) {
      if (!(e instanceof Refused)) throw e;
      r.exit = e.exit;
      r.err += `${e.message}\n`;
    }
  }
}

function zero(v: Ipvs, l: Line): void {
  if (l.options.has('service-address')) return v.zero(serviceOf(v, l) ?? refuse('No such service'));
  for (const s of v.services) v.zero(s);
}

function change(v: Ipvs, l: Line): void {
  const s = serviceOf(v, l);
  if (l.cmd === 'add-service') {
    if (s !== null) refuse('Service already exists');
    const { proto, addr, port, fwmark } = l.service;
    const added = new Service(proto, addr, port, fwmark);
    const sched = scheduler(v, l);
    settings(added, l);
    v.addService(added, sched);
  } else if (l.cmd === 'edit-service') {
    if (s === null) return refuse('No such service');
    v.editScheduler(s, scheduler(v, l));
    settings(s, l);
  } else if (l.cmd === 'delete-service') v.delService(s ?? refuse('No such service'));
  else changeServer(v, s ?? refuse('Service not defined'), l);
}

function scheduler(v: Ipvs, l: Line): Scheduler | null {
  const sched = l.sched === 'none' ? null : makeScheduler(l.sched, v);
  if (sched === null && l.sched !== 'none') refuse('Scheduler or persistence engine not found');
  if (l.pe === 'sip') die('podwire: ipvsadm: --pe sip is not supported yet', 2);
  if (l.pe !== '') refuse('Scheduler or persistence engine not found');
  return sched;
}

function settings(s: Service, l: Line): void {
  s.flags = l.flags;
  s.persistent = l.persistent;
  s.netmask = l.netmask;
}

function changeServer(v: Ipvs, s: Service, l: Line): void {
  const d = v.findDest(s, l.real.addr, l.real.port);
  if (l.cmd === 'delete-server') return v.delDest(s, d ?? refuse('No such destination'));
  if (l.lThreshold > l.uThreshold) refuse('Numerical result out of range');
  if (l.cmd === 'edit-server') return v.editDest(s, d ?? refuse('No such destination'), l);
  if (d !== null) refuse('Destination already exists');
  if (v.addDest(s, l.real.addr, l.real.port, l) === null) refuse(INVALID);
}
