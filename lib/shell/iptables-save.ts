/**
 * Rules as iptables-save (1.8.9, legacy) prints them.
 * @module
 */
import { bitsOf, macText, ntoa } from '../../wire/inet.js';
import type { Netns } from '../linux/core/netns.js';
import { NF_ACCEPT } from '../linux/core/nf-hook.js';
import { IpvsMatch } from '../linux/ipvs/xt-ipvs.js';
import type { NatRange } from '../linux/netfilter/nat.js';
import { LimitMatch } from '../linux/netfilter/xt-limit.js';
import * as xm from '../linux/netfilter/xt-match.js';
import * as xc from '../linux/netfilter/xt-match-conntrack.js';
import * as xp from '../linux/netfilter/xt-match-proto.js';
import { RecentMatch } from '../linux/netfilter/xt-recent.js';
import * as xt from '../linux/netfilter/xt-target.js';
import {
  type Chain, INV_DST, INV_FRAG, INV_IN, INV_OUT, INV_PROTO, INV_SRC, type Match, type Rule, type Table, TABLE_NAMES,
  type TableName, type Target, xtTables,
} from '../linux/netfilter/xtables.js'; // prettier-ignore
import { ipvsText } from './iptables-ipvs.js';
import { packetMatchText, packetTargetText } from './iptables-packet.js';
import { ADDRTYPES, CTSTATES, CTSTATUS, limitRate, RULE_PROTOCOLS, saveString, TCP_FLAGS } from './iptables-values.js';

/** Exit code and both outputs of a command. */
export interface Result {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

const hex = (n: number): string => `0x${(n >>> 0).toString(16)}`;
const maskText = (m: number): string => (bitsOf(m) >= 0 ? String(bitsOf(m)) : ntoa(m));
const not = (inv: boolean): string => (inv ? '! ' : '');
const range = (a: number, b: number, sep = ':'): string => (a === b ? `${a}` : `${a}${sep}${b}`);
const names = (bits: number, all: readonly string[]): string => all.filter((_, i) => (bits & (1 << i)) !== 0).join(',');
const protoText = (p: number): string => Object.keys(RULE_PROTOCOLS).find((k) => RULE_PROTOCOLS[k] === p) ?? String(p);

function portText(m: xp.TcpMatch | xp.UdpMatch): string {
  let s = '';
  if (m.spMin !== 0 || m.spMax !== 65535 || m.spInv) s += ` ${not(m.spInv)}--sport ${range(m.spMin, m.spMax)}`;
  if (m.dpMin !== 0 || m.dpMax !== 65535 || m.dpInv) s += ` ${not(m.dpInv)}--dport ${range(m.dpMin, m.dpMax)}`;
  return s;
}

function flagText(f: number): string {
  if (f === 0) return 'NONE';
  return names(f, TCP_FLAGS);
}

/** The options of `-m conntrack`. */
export function ctText(m: xc.ConntrackMatch): string {
  let s = '';
  const addr = (opt: string, a: xc.CtAddr | null): void => {
    if (a !== null) s += ` ${not(a.inv)}--${opt} ${ntoa(a.addr)}${a.mask === -1 ? '' : `/${maskText(a.mask)}`}`;
  };
  const port = (opt: string, p: xc.CtPort | null): void => {
    if (p !== null) s += ` ${not(p.inv)}--${opt} ${range(p.min, p.max)}`;
  };
  if (m.states !== 0) s += ` ${not(m.statesInv)}--ctstate ${names(m.states, CTSTATES)}`;
  if (m.proto !== 0) s += ` ${not(m.protoInv)}--ctproto ${m.proto}`;
  addr('ctorigsrc', m.origSrc);
  addr('ctorigdst', m.origDst);
  addr('ctreplsrc', m.replSrc);
  addr('ctrepldst', m.replDst);
  port('ctorigsrcport', m.origSport);
  port('ctorigdstport', m.origDport);
  port('ctreplsrcport', m.replSport);
  port('ctrepldstport', m.replDport);
  if (m.status !== null) s += ` ${not(m.statusInv)}--ctstatus ${m.status === 0 ? 'NONE' : CTSTATUS.filter(([, bit]) => (m.status! & bit) !== 0).map(([n]) => n).join(',')}`; // prettier-ignore
  if (m.expire !== null) s += ` ${not(m.expire.inv)}--ctexpire ${range(m.expire.min, m.expire.max)}`;
  if (m.dir !== 0) s += ` --ctdir ${m.dir === 2 ? 'REPLY' : 'ORIGINAL'}`;
  return s;
}

/** The options of a match, beginning with a blank. */
export function matchText(m: Match): string {
  if (m instanceof xp.TcpMatch) {
    let s = portText(m);
    if (m.option !== 0) s += ` ${not(m.optionInv)}--tcp-option ${m.option}`;
    if (m.flagMask !== 0) s += ` ${not(m.flagInv)}--tcp-flags ${flagText(m.flagMask)} ${flagText(m.flagCmp)}`;
    return s;
  }
  if (m instanceof xp.UdpMatch) return portText(m);
  if (m instanceof xp.IcmpMatch) {
    const t = m.type === 255 ? 'any' : m.codeMin === 0 && m.codeMax === 255 ? `${m.type}` : `${m.type}/${m.codeMin}`;
    return ` ${not(m.inv)}--icmp-type ${t}`;
  }
  if (m instanceof xm.CommentMatch) return ` --comment ${saveString(m.text)}`;
  if (m instanceof xc.StateMatch) return ` ${not(m.inv)}--state ${names(m.states, CTSTATES)}`;
  if (m instanceof xc.ConntrackMatch) return ctText(m);
  if (m instanceof xm.MarkMatch || m instanceof xc.ConnmarkMatch) {
    return ` ${not(m.inv)}--mark ${hex(m.value)}${m.mask === -1 ? '' : `/${hex(m.mask)}`}`;
  }
  if (m instanceof xm.StatisticMatch) {
    if (m.mode === 'random')
      return ` --mode random ${not(m.inv)}--probability ${(m.probability / 0x80000000).toFixed(11)}`;
    return ` --mode nth ${not(m.inv)}--every ${m.every} --packet ${m.packet}`;
  }
  if (m instanceof xm.AddrtypeMatch) {
    let s = '';
    if (m.srcTypes !== 0) s += ` ${not(m.srcInv)}--src-type ${names(m.srcTypes, ADDRTYPES)}`;
    if (m.dstTypes !== 0) s += ` ${not(m.dstInv)}--dst-type ${names(m.dstTypes, ADDRTYPES)}`;
    return s + (m.limitIn ? ' --limit-iface-in' : '') + (m.limitOut ? ' --limit-iface-out' : '');
  }
  if (m instanceof xp.MultiportMatch) {
    const list: string[] = [];
    for (let i = 0; i < m.ports.length; i += 2) list.push(range(m.ports[i]!, m.ports[i + 1]!));
    return ` ${not(m.inv)}--${m.which} ${list.join(',')}`;
  }
  if (m instanceof xm.SetMatch) {
    return ` ${not(m.inv)}--match-set ${m.set.name} ${m.dirs.map((d) => (d ? 'src' : 'dst')).join(',')}`;
  }
  if (m instanceof xm.PhysdevMatch) {
    let s = '';
    if (m.isIn !== 0) s += ` ${not(m.isIn < 0)}--physdev-is-in`;
    if (m.in !== '') s += ` ${not(m.inInv)}--physdev-in ${m.in}`;
    if (m.isOut !== 0) s += ` ${not(m.isOut < 0)}--physdev-is-out`;
    if (m.out !== '') s += ` ${not(m.outInv)}--physdev-out ${m.out}`;
    return s + (m.isBridged !== 0 ? ` ${not(m.isBridged < 0)}--physdev-is-bridged` : '');
  }
  if (m instanceof RecentMatch) {
    let s = ` ${not(m.inv)}--${m.op}`;
    if (m.seconds !== 0) s += ` --seconds ${m.seconds}`;
    if (m.reap) s += ' --reap';
    if (m.hitcount !== 0) s += ` --hitcount ${m.hitcount}`;
    return `${s} --name ${m.list} --mask ${ntoa(m.mask)} --${m.dest ? 'rdest' : 'rsource'}`;
  }
  if (m instanceof LimitMatch) {
    return ` --limit ${limitRate(m.avg)}${m.burst === 5 ? '' : ` --limit-burst ${m.burst}`}`;
  }
  if (m instanceof IpvsMatch) return ipvsText(m);
  if (m instanceof xm.MacMatch) return ` ${not(m.inv)}--mac-source ${macText(m.mac)}`;
  const text = packetMatchText(m);
  if (text !== null) return text;
  throw new Error(`BUG: match ${m.name} cannot be printed`);
}

function portsOf(p: xt.PortRange): string {
  return (p.proto ? ` --to-ports ${range(p.minPort, p.maxPort, '-')}` : '') + randomText(p.random, p.fully);
}

const randomText = (random: boolean, fully: boolean): string => (fully ? ' --random-fully' : random ? ' --random' : '');

/** `ADDR[-ADDR][:PORT[-PORT]]`. */
export function natRangeText(r: NatRange): string {
  let s = r.ips ? ntoa(r.minAddr) : '';
  if (r.ips && r.minAddr !== r.maxAddr) s += `-${ntoa(r.maxAddr)}`;
  if (!r.proto) return s;
  return `${s}:${range(r.minPort, r.maxPort, '-')}${(r.base ?? -1) < 0 ? '' : `/${r.base}`}`;
}

function targetText(t: Target): string {
  const text = packetTargetText(t);
  if (text !== null) return text;
  if (t instanceof xt.NatTarget) {
    const { range: r } = t;
    const s = natRangeText(r);
    const opt = t.name === 'DNAT' ? '--to-destination' : '--to-source';
    return ` ${opt} ${s}${randomText(r.random, t.fully)}${r.persistent ? ' --persistent' : ''}`;
  }
  if (t instanceof xt.MasqueradeTarget || t instanceof xt.RedirectTarget) return portsOf(t.ports);
  if (t instanceof xt.RejectTarget) return ` --reject-with ${t.with}`;
  if (t instanceof xt.MarkTarget) return ` --set-xmark ${hex(t.value)}/${hex(t.mask)}`;
  if (t instanceof xt.ConnmarkTarget) {
    if (t.mode === 'set') return ` --set-xmark ${hex(t.ctMark)}/${hex(t.ctMask)}`;
    return ` --${t.mode}-mark --nfmask ${hex(t.nfMask)} --ctmask ${hex(t.ctMask)}`;
  }
  if (t instanceof xt.LogTarget) {
    return (
      (t.prefix === '' ? '' : ` --log-prefix ${saveString(t.prefix)}`) +
      (t.level === 4 ? '' : ` --log-level ${t.level}`)
    );
  }
  if (t instanceof xt.NotrackTarget) return t.name === 'CT' ? ' --notrack' : '';
  return '';
}

/** A rule without `-A CHAIN`, beginning with a blank unless empty; `counters` stand before the target. */
export function ruleText(r: Rule, counters = ''): string {
  let s = '';
  const net = (opt: string, a: number, m: number, bit: number): void => {
    if (m !== 0 || (r.inv & bit) !== 0) s += ` ${not((r.inv & bit) !== 0)}${opt} ${ntoa(a)}/${maskText(m)}`;
  };
  net('-s', r.src, r.srcMask, INV_SRC);
  net('-d', r.dst, r.dstMask, INV_DST);
  if (r.inIf !== '') s += ` ${not((r.inv & INV_IN) !== 0)}-i ${r.inIf}`;
  if (r.outIf !== '') s += ` ${not((r.inv & INV_OUT) !== 0)}-o ${r.outIf}`;
  if (r.proto !== 0) s += ` ${not((r.inv & INV_PROTO) !== 0)}-p ${protoText(r.proto)}`;
  if (r.frag) s += ` ${not((r.inv & INV_FRAG) !== 0)}-f`;
  for (const m of r.matches) s += ` -m ${m.name}${matchText(m)}`;
  s += counters;
  if (r.target !== null) s += ` -j ${r.target.name}${targetText(r.target)}`;
  else if (r.jumpName !== null) s += ` ${r.goto ? '-g' : '-j'} ${r.jumpName}`;
  return s;
}

/** Built-in chains in hook order, then user chains by name. */
export function chainsInOrder(t: Table): Chain[] {
  const user = [...t.chains.values()].filter((c) => c.hook < 0);
  user.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return [...t.base.filter((c): c is Chain => c !== null), ...user];
}

/** Policy word of a chain as `:CHAIN` and `-P` print it. */
export const policyText = (c: Chain): string => (c.hook < 0 ? '-' : c.policy === NF_ACCEPT ? 'ACCEPT' : 'DROP');

const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const LENGTHS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** ctime of the virtual clock, which starts on Monday 1 January 2024, 00:00:00 UTC. Good for that year. */
export function ctime(now: number): string {
  const s = Math.floor(now / 1e9);
  const day = Math.floor(s / 86400);
  let d = day;
  let m = 0;
  while (d >= LENGTHS[m % 12]!) d -= LENGTHS[m++ % 12]!;
  const two = (n: number): string => String(n).padStart(2, '0');
  const time = `${two(Math.floor(s / 3600) % 24)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  return `${DAYS[day % 7]} ${MONTHS[m % 12]} ${String(d + 1).padStart(2)} ${time} ${2024 + Math.floor(m / 12)}`;
}

function tableText(t: Table, counters: boolean, now: number): string {
  let s = `# Generated by iptables-save v1.8.9 on ${ctime(now)}\n*${t.name}\n`;
  const chains = chainsInOrder(t);
  for (const c of chains) s += `:${c.name} ${policyText(c)} [${c.packets}:${c.bytes}]\n`;
  for (const c of chains) {
    for (const r of c.rules) s += `${counters ? `[${r.packets}:${r.bytes}] ` : ''}-A ${c.name}${ruleText(r)}\n`;
  }
  return `${s}COMMIT\n# Completed on ${ctime(now)}\n`;
}

/** iptables-save: `-t TABLE`, `-c`. */
export function iptablesSave(net: Netns, argv: readonly string[]): Result {
  let counters = false;
  let table: TableName | null = null;
  for (let i = 0; i < argv.length; i++) {
    const a = argv[i]!;
    if (a === '-c' || a === '--counters') counters = true;
    else if (a === '-t' || a === '--table') {
      const name = argv[++i];
      if (!TABLE_NAMES.includes(name as TableName)) {
        return { exit: 1, out: '', err: `iptables-save v1.8.9 (legacy): Cannot initialize: Table does not exist\n` };
      }
      table = name as TableName;
    } else return { exit: 1, out: '', err: `iptables-save: unrecognized option '${a}'\n` };
  }
  const { now } = net.kernel.sim;
  const xtb = xtTables(net);
  const list = table !== null ? [xtb.use(table)] : xtb.loaded;
  return { exit: 0, out: list.map((t) => tableText(t, counters, now)).join(''), err: '' };
}
