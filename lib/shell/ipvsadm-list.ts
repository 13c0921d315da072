/**
 * What `ipvsadm -L` and `-S` print (1.31); addresses and ports as numbers.
 * @module
 */
import { ntoa } from '../../wire/inet.js';
import * as ipv4 from '../../wire/ipv4.js';
import { SEC } from '../sim/sim.js';
import type { IpvsConn } from '../linux/ipvs/conn.js';
import type { Ipvs } from '../linux/ipvs/ctl.js';
import { stateName } from '../linux/ipvs/proto.js';
import {
  type Dest,
  DROUTE,
  MASQ,
  ONEPACKET,
  SCHED1,
  SCHED2,
  SCHED3,
  type Service,
  TUNNEL,
} from '../linux/ipvs/service.js';
import type { Option } from './ipvsadm-args.js';

const NAMES: Readonly<Record<number, string>> = { 0: 'IP', [ipv4.TCP]: 'TCP', [ipv4.UDP]: 'UDP', [ipv4.SCTP]: 'SCTP' };
const SWITCHES: Readonly<Record<number, string>> = {
  [ipv4.TCP]: '-t',
  [ipv4.UDP]: '-u',
  [ipv4.SCTP]: '--sctp-service',
};

const ep = (addr: number, port: number): string => `${ntoa(addr)}:${port}`;

/** ipvs_cmp_services, whose differences of addresses wrap round. */
const byService = (a: Service, b: Service): number =>
  (a.fwmark - b.fwmark) | 0 || a.proto - b.proto || (a.addr - b.addr) | 0 || a.port - b.port;
const byDest = (a: Dest, b: Dest): number => (a.addr - b.addr) | 0 || a.port - b.port;

const dests = (s: Service, sort: boolean): Dest[] => (sort ? [...s.dests].sort(byDest) : s.dests);

/** print_sched_flags. */
function flagText(s: Service): string {
  const name = s.sched?.name;
  const names =
    name === 'sh' || name === 'mh' ? [`${name}-fallback`, `${name}-port`, ''] : ['flag-1', 'flag-2', 'flag-3'];
  return names.filter((n, i) => n !== '' && (s.flags & [SCHED1, SCHED2, SCHED3][i]!) !== 0).join(',');
}

const SCHED_FLAGS = SCHED1 | SCHED2 | SCHED3;
const schedName = (s: Service): string => s.sched?.name ?? 'none';

/** `ipvsadm -S -n`: commands that make the services anew. */
export function save(v: Ipvs): string {
  let out = '';
  for (const s of [...v.services].sort(byService)) {
    const name = s.fwmark !== 0 ? `-f ${s.fwmark | 0}` : `${SWITCHES[s.proto]!} ${ep(s.addr, s.port)}`;
    out += `-A ${name} -s ${schedName(s)}`;
    if (s.persistent > 0) out += ` -p ${s.persistent}${s.netmask !== -1 ? ` -M ${ntoa(s.netmask)}` : ''}`;
    if ((s.flags & ONEPACKET) !== 0) out += ' -o';
    if ((s.flags & SCHED_FLAGS) !== 0) out += ` -b ${flagText(s)}`;
    out += '\n';
    for (const d of dests(s, true)) {
      const fwd = d.fwd === MASQ ? '-m' : d.fwd === TUNNEL ? '-i' : '-g';
      out += `-a ${name} -r ${ep(d.addr, d.port)} ${fwd} -w ${d.weight}${d.fwd === TUNNEL ? ' --tun-type ipip' : ''}\n`;
    }
  }
  return out;
}

/** print_largenum: nine columns, thousands and millions shortened unless `exact`. */
function large(n: number, exact: boolean): string {
  const text = String(n);
  if (exact) return text.padStart(text.length <= 8 ? 9 : text.length + 1);
  if (n < 1e8) return text.padStart(9);
  const [by, unit] = n < 1e9 ? [1e3, 'K'] : n < 1e11 ? [1e6, 'M'] : n < 1e14 ? [1e9, 'G'] : [1e12, 'T'];
  return String(Math.floor(n / (by as number))).padStart(8) + unit;
}

type Form = 'stats' | 'rate' | 'thresholds' | 'persistent-conn' | 'tun-info' | '';
const FORMS = ['stats', 'rate', 'thresholds', 'persistent-conn', 'tun-info'] as const;

const heading = (...names: [string, number][]): string =>
  `${'Prot LocalAddress:Port'.padEnd(33)} ${names.map(([n, w]) => (w < 0 ? n.padStart(-w) : n.padEnd(w))).join(' ')}\n  -> RemoteAddress:Port\n`;

const TITLES: Readonly<Record<Form, string>> = {
  stats: heading(['Conns', -8], ['InPkts', -8], ['OutPkts', -8], ['InBytes', -8], ['OutBytes', -8]),
  rate: heading(['CPS', -8], ['InPPS', -8], ['OutPPS', -8], ['InBPS', -8], ['OutBPS', -8]),
  thresholds: heading(['Uthreshold', 10], ['Lthreshold', 10], ['ActiveConn', 10], ['InActConn', 10]),
  'persistent-conn': heading(['Weight', 9], ['PersistConn', 11], ['ActiveConn', 10], ['InActConn', 10]),
  'tun-info':
    'Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n',
  '': 'Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n',
};

/** `ipvsadm -L -n`, of one service or of all. */
export function list(v: Ipvs, only: Service | null, options: ReadonlySet<Option>): string {
  const form = FORMS.find((f) => options.has(f)) ?? '';
  const exact = options.has('exact');
  const { now } = v.net.kernel.sim;
  let out = only === null ? 'IP Virtual Server version 1.2.1 (size=4096)\n' : '';
  out += TITLES[form];
  for (const s of only === null ? [...v.services].sort(byService) : [only]) {
    out += serviceLine(s, form, exact, now);
    for (const d of dests(s, !options.has('nosort'))) out += destLine(d, form, exact, now);
  }
  return out;
}

/** The columns of `--stats` and `--rate`. */
function counters(s: Service | Dest, form: Form, exact: boolean, now: number): string {
  const numbers = form === 'stats' ? s.stats.counters(now) : s.stats.rates(now);
  const plain = form === 'rate' && 'svc' in s ? 3 : 0;
  return numbers.map((n, i) => (i < plain ? ` ${String(n).padStart(8)}` : large(n, exact))).join('');
}

function serviceLine(s: Service, form: Form, exact: boolean, now: number): string {
  const name = s.fwmark !== 0 ? `FWM  ${s.fwmark | 0}` : `${NAMES[s.proto]!.padEnd(4)} ${ep(s.addr, s.port)}`;
  if (form === 'stats' || form === 'rate') return `${name.padEnd(33)}${counters(s, form, exact, now)}\n`;
  let out = `${name} ${schedName(s)}`;
  if ((s.flags & SCHED_FLAGS) !== 0) out += ` (${flagText(s)})`;
  if (s.persistent > 0) out += ` persistent ${s.persistent}${s.netmask !== -1 ? ` mask ${ntoa(s.netmask)}` : ''}`;
  if ((s.flags & ONEPACKET) !== 0) out += ' ops';
  return `${out}\n`;
}

const FORWARD: Readonly<Record<number, string>> = { [MASQ]: 'Masq', [TUNNEL]: 'Tunnel', [DROUTE]: 'Route' };

function destLine(d: Dest, form: Form, exact: boolean, now: number): string {
  const start = `  -> ${ep(d.addr, d.port).padEnd(28)}`;
  const pad = (...columns: [string | number, number][]): string =>
    columns.map(([c, w]) => String(c).padEnd(w)).join(' ');
  const conns = pad([d.active, 10], [d.inactive, 10]);
  switch (form) {
    case 'stats':
    case 'rate':
      return `${start}${counters(d, form, exact, now)}\n`;
    case 'thresholds':
      return `${start} ${pad([d.uThreshold, 10], [d.lThreshold, 10])} ${conns}\n`;
    case 'persistent-conn':
      return `${start} ${pad([d.weight, 9], [d.persistent, 11])} ${conns}\n`;
    case 'tun-info':
      return `${start} ${pad([FORWARD[d.fwd]!, 7], [d.fwd === TUNNEL ? 'ipip' : 'n/a', 13], [d.weight, 6])} ${conns}\n`;
    default:
      return `${start} ${pad([FORWARD[d.fwd]!, 7], [d.weight, 6])} ${conns}\n`;
  }
}

/** `ipvsadm -L -n -c`. */
export function listConns(v: Ipvs, pe: boolean): string {
  const row = (...c: string[]): string => `${c[0]!.padEnd(3)} ${c[1]!.padEnd(6)} ${c[2]!.padEnd(11)} ${c[3]!.padEnd(18)} ${c[4]!.padEnd(18)} `;
  let out = `IPVS connection entries\n${row('pro', 'expire', 'state', 'source', 'virtual')}`;
  out += pe ? `${'destination'.padEnd(18)} ${'pe name'.padEnd(16)} pe_data\n` : 'destination\n';
  for (const c of v.conns.all()) out += `${row(NAMES[c.proto]!, left(v, c), stateName(c), ep(c.caddr, c.cport), ep(c.vaddr, c.vport))}${ep(c.daddr, c.dport)}\n`;
  return out;
} // prettier-ignore

function left(v: Ipvs, c: IpvsConn): string {
  const seconds = Math.max(0, Math.floor((c.expires - v.net.kernel.sim.now) / SEC));
  return `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
}
