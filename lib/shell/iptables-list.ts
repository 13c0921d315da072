/**
 * `iptables -L -n`: rules as the table that iptables 1.8.9 (legacy) draws. Without `-n` it would resolve names; refused.
 * @module
 */
import { bitsOf, macText, ntoa } from '../../wire/inet.js';
import { LimitMatch } from '../linux/netfilter/xt-limit.js';
import * as xm from '../linux/netfilter/xt-match.js';
import * as xc from '../linux/netfilter/xt-match-conntrack.js';
import * as xp from '../linux/netfilter/xt-match-proto.js';
import { RecentMatch } from '../linux/netfilter/xt-recent.js';
import * as xt from '../linux/netfilter/xt-target.js';
import {
  type Chain, INV_DST, INV_FRAG, INV_IN, INV_OUT, INV_PROTO, INV_SRC, type Match, type Rule, type Table, type Target,
} from '../linux/netfilter/xtables.js'; // prettier-ignore
import { packetMatchLine, packetTargetLine } from './iptables-packet.js';
import { ADDRTYPES, limitRate } from './iptables-values.js';
import { ctText, matchText, natRangeText, policyText } from './iptables-save.js';

/** What `-L` was asked for. */
export interface ListFormat {
  verbose: boolean;
  exact: boolean;
  lineNumbers: boolean;
}

const hex = (n: number): string => `0x${(n >>> 0).toString(16)}`;
const bang = (inv: boolean): string => (inv ? '!' : '');

/** xtables_print_num: five digits, then thousands, rounded. */
function countText(n: number, exact: boolean): string {
  if (exact) return String(n).padStart(8);
  if (n <= 99999) return String(n).padStart(5);
  let v = n;
  for (const unit of ['K', 'M', 'G']) {
    v = Math.floor((v + 500) / 1000);
    if (v <= 9999) return `${String(v).padStart(4)}${unit}`;
  }
  return `${String(Math.floor((v + 500) / 1000)).padStart(4)}T`;
}

const net = (a: number, m: number): string =>
  m === -1 ? ntoa(a) : `${ntoa(a)}/${bitsOf(m) >= 0 ? bitsOf(m) : ntoa(m)}`;

/** The lines above a chain's rules. */
export function chainHead(t: Table, c: Chain, f: ListFormat): string {
  const refs = [...t.chains.values()].reduce((n, x) => n + x.rules.filter((r) => r.jump === c).length, 0);
  const policy = c.hook < 0 ? `${refs} references` : `policy ${policyText(c)}${f.verbose ? counters(c, f) : ''}`;
  const counts = f.exact ? '    pkts      bytes ' : ' pkts bytes ';
  return (
    `Chain ${c.name} (${policy})\n${f.lineNumbers ? 'num  ' : ''}${f.verbose ? counts : ''}target     prot opt` +
    `${f.verbose ? ' in     out    ' : ''} source               destination         \n`
  );
}

function counters(c: Chain, f: ListFormat): string {
  const text = (n: number): string => countText(n, f.exact).trim();
  return ` ${text(c.packets)} packets, ${text(c.bytes)} bytes`;
}

/** One rule; `no` counts from 1. */
export function ruleLine(r: Rule, no: number, f: ListFormat): string {
  const { inv } = r;
  let s = f.lineNumbers ? `${String(no).padEnd(4)} ` : '';
  if (f.verbose) s += `${countText(r.packets, f.exact)} ${countText(r.bytes, f.exact)} `;
  // NOTRACK is a revision of CT, and stands as such.
  const name = r.target instanceof xt.NotrackTarget ? 'CT' : (r.target?.name ?? r.jumpName ?? '');
  s += `${name.padEnd(9)} `;
  s += `${(inv & INV_PROTO) !== 0 ? '!' : ' '}${String(r.proto).padEnd(4)} `;
  s += `${(inv & INV_FRAG) !== 0 ? '!' : '-'}${r.frag ? 'f' : '-'} `;
  if (f.verbose) {
    s += ` ${(bang((inv & INV_IN) !== 0) + (r.inIf || '*')).padEnd(6)} `;
    s += `${(bang((inv & INV_OUT) !== 0) + (r.outIf || '*')).padEnd(6)} `;
  }
  s += `${(inv & INV_SRC) !== 0 ? '!' : ' '}${net(r.src, r.srcMask).padEnd(19)} `;
  s += `${(inv & INV_DST) !== 0 ? '!' : ' '}${net(r.dst, r.dstMask).padEnd(19)} `;
  if (r.goto) s += '[goto] ';
  for (const m of r.matches) s += matchLine(m);
  return `${s}${r.target === null ? '' : targetLine(r.target)}\n`;
}

function portPart(name: string, min: number, max: number, inv: boolean): string {
  if (min === 0 && max === 65535 && !inv) return '';
  return min === max ? ` ${name}:${bang(inv)}${min}` : ` ${name}s:${bang(inv)}${min}:${max}`;
}

function portsPart(m: xp.TcpMatch | xp.UdpMatch): string {
  return portPart('spt', m.spMin, m.spMax, m.spInv) + portPart('dpt', m.dpMin, m.dpMax, m.dpInv);
}

const names = (bits: number, all: readonly string[]): string => all.filter((_, i) => (bits & (1 << i)) !== 0).join(',');

function matchLine(m: Match): string {
  if (m instanceof xp.TcpMatch) return tcpLine(m);
  if (m instanceof xp.UdpMatch) return ` ${m.name}${portsPart(m)}`;
  if (m instanceof xp.IcmpMatch) return icmpLine(m);
  if (m instanceof xm.CommentMatch) return ` /* ${m.text} */`;
  if (m instanceof xc.ConntrackMatch) return ctText(m).replaceAll(' --', ' ');
  if (m instanceof xm.MarkMatch || m instanceof xc.ConnmarkMatch) {
    const value = ` ${hex(m.value)}${m.mask === -1 ? '' : `/${hex(m.mask)}`}`;
    return m instanceof xm.MarkMatch
      ? ` mark match${m.inv ? ' !' : ''}${value}`
      : ` connmark match ${bang(m.inv)}${value}`;
  }
  if (m instanceof xm.StatisticMatch) {
    const s = matchText(m).replaceAll(' --', ' ');
    return ` statistic${m.packet === 0 ? s.replace(/ packet 0$/, '') : s}`;
  }
  if (m instanceof xm.AddrtypeMatch) return addrtypeLine(m);
  if (m instanceof xp.MultiportMatch) return multiportLine(m);
  if (m instanceof xm.PhysdevMatch) return ` PHYSDEV match${matchText(m)}`;
  if (m instanceof RecentMatch) return recentLine(m);
  if (m instanceof LimitMatch) return limitLine(m);
  if (m instanceof xm.MacMatch) return ` MAC${m.inv ? ' !' : ''} ${macText(m.mac)}`;
  const line = packetMatchLine(m);
  if (line !== null) return line;
  // `set` and `state` read as they are saved, without the dashes.
  return matchText(m).replaceAll(' --', ' ');
}

function tcpLine(m: xp.TcpMatch): string {
  const flags = (n: number): string => n.toString(16).toUpperCase().padStart(2, '0');
  let s = ` tcp${portsPart(m)}`;
  if (m.option !== 0) s += ` option=${bang(m.optionInv)}${m.option}`;
  if (m.flagMask !== 0) s += ` flags:${bang(m.flagInv)}0x${flags(m.flagMask)}/0x${flags(m.flagCmp)}`;
  return s;
}

function icmpLine(m: xp.IcmpMatch): string {
  const code = m.codeMin === m.codeMax ? ` code ${m.codeMin}` : m.codeMin !== 0 || m.codeMax !== 255 ? ` codes ${m.codeMin}-${m.codeMax}` : ''; // prettier-ignore
  return ` icmp${m.inv ? ' !' : ''}type ${m.type}${code}`;
}

function addrtypeLine(m: xm.AddrtypeMatch): string {
  let s = ' ADDRTYPE match';
  if (m.srcTypes !== 0) s += ` src-type ${bang(m.srcInv)}${names(m.srcTypes, ADDRTYPES)}`;
  if (m.dstTypes !== 0) s += ` dst-type ${bang(m.dstInv)}${names(m.dstTypes, ADDRTYPES)}`;
  return s + (m.limitIn ? ' limit-in' : '') + (m.limitOut ? ' limit-out' : '');
}

function multiportLine(m: xp.MultiportMatch): string {
  const list: string[] = [];
  for (let i = 0; i < m.ports.length; i += 2) {
    list.push(m.ports[i] === m.ports[i + 1] ? `${m.ports[i]}` : `${m.ports[i]}:${m.ports[i + 1]}`);
  }
  return ` multiport ${m.which} ${m.inv ? ' !' : ''}${list.join(',')}`;
}

function recentLine(m: RecentMatch): string {
  const op = { set: 'SET', rcheck: 'CHECK', update: 'UPDATE', remove: 'REMOVE' }[m.op];
  let s = `${m.inv ? ' !' : ''} recent: ${op}`;
  if (m.seconds !== 0) s += ` seconds: ${m.seconds}`;
  if (m.reap) s += ' reap';
  if (m.hitcount !== 0) s += ` hit_count: ${m.hitcount}`;
  return `${s} name: ${m.list} side: ${m.dest ? 'dest' : 'source'} mask: ${ntoa(m.mask)}`;
}

function limitLine(m: LimitMatch): string {
  return ` limit: avg ${limitRate(m.avg)} burst ${m.burst}`;
}

function portsOf(p: xt.PortRange, word: string): string {
  const range = p.minPort === p.maxPort ? `${p.minPort}` : `${p.minPort}-${p.maxPort}`;
  return (p.proto ? ` ${word} ${range}` : '') + (p.fully ? ' random-fully' : p.random ? ' random' : '');
}

/** `and`, `or`, `xor`, `set` or `xset`, whichever says it (mark_tg_print). */
function markLine(name: string, mark: number, mask: number): string {
  if (mark === 0) return ` ${name} and ${hex(~mask)}`;
  if (mark === mask) return ` ${name} or ${hex(mark)}`;
  if (mask === 0) return ` ${name} xor ${hex(mark)}`;
  return mask === -1 ? ` ${name} set ${hex(mark)}` : ` ${name} xset ${hex(mark)}/${hex(mask)}`;
}

function connmarkLine(t: xt.ConnmarkTarget): string {
  if (t.mode === 'set') return markLine('CONNMARK', t.ctMark, t.ctMask);
  if (t.nfMask === -1 && t.ctMask === -1) return ` CONNMARK ${t.mode}`;
  if (t.nfMask === t.ctMask) return ` CONNMARK ${t.mode} mask ${hex(t.ctMask)}`;
  const [a, b] = t.mode === 'save' ? ['nfmask', 'ctmask'] : ['ctmask', 'nfmask'];
  const [x, y] = t.mode === 'save' ? [t.nfMask, t.ctMask] : [t.ctMask, t.nfMask];
  return ` CONNMARK ${t.mode} ${a} ${hex(x)} ${b} ~${hex(y)}`;
}

function targetLine(t: Target): string {
  if (t instanceof xt.NatTarget) {
    const { range: r } = t;
    const random = t.fully ? ' random-fully' : r.random ? ' random' : '';
    return ` to:${natRangeText(r)}${random}${r.persistent ? ' persistent' : ''}`;
  }
  if (t instanceof xt.RedirectTarget) return portsOf(t.ports, 'redir ports');
  if (t instanceof xt.MasqueradeTarget) return portsOf(t.ports, 'masq ports:');
  if (t instanceof xt.RejectTarget) return ` reject-with ${t.with}`;
  if (t instanceof xt.MarkTarget) return markLine('MARK', t.value, t.mask);
  if (t instanceof xt.ConnmarkTarget) return connmarkLine(t);
  if (t instanceof xt.LogTarget)
    return ` LOG flags 0 level ${t.level}${t.prefix === '' ? '' : ` prefix "${t.prefix}"`}`;
  const line = packetTargetLine(t);
  if (line !== null) return line;
  return t instanceof xt.NotrackTarget ? (t.name === 'CT' ? ' CT notrack' : ' NOTRACK') : '';
}
