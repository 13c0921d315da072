/**
 * The options of iptables' matches: `-m NAME` and what follows it, read into the kernel's records.
 * @module
 */
import { aton, macBytes } from '../../wire/inet.js';
import type { Netns } from '../linux/core/netns.js';
import { IpvsMatch } from '../linux/ipvs/xt-ipvs.js';
import { ipsets } from '../linux/netfilter/ipset.js';
import { LimitMatch } from '../linux/netfilter/xt-limit.js';
import * as xm from '../linux/netfilter/xt-match.js';
import * as xc from '../linux/netfilter/xt-match-conntrack.js';
import * as xp from '../linux/netfilter/xt-match-proto.js';
import { RecentMatch } from '../linux/netfilter/xt-recent.js';
import { type Match } from '../linux/netfilter/xtables.js';
import { ipvsMatch } from './iptables-ipvs.js';
import { packetMatch } from './iptables-packet.js';
import {
  CTSTATES, CTSTATUS, ADDRTYPES, TCP_FLAGS, ICMP_TYPES, number, address, ports, protocol, valueMask, bitsOfNames,
} from './iptables-values.js'; // prettier-ignore
import type { Arg, Parser } from './iptables-parse.js';

function portOptions(m: xp.TcpMatch | xp.UdpMatch, a: Arg): boolean {
  if (a.opt === '--sport' || a.opt === '--source-port') {
    [m.spMin, m.spMax] = ports(a.next());
    m.spInv = a.inv;
  } else if (a.opt === '--dport' || a.opt === '--destination-port') {
    [m.dpMin, m.dpMax] = ports(a.next());
    m.dpInv = a.inv;
  } else return false;
  return true;
}

function tcp(m: xp.TcpMatch): Parser {
  return (a) => {
    if (portOptions(m, a)) return true;
    if (a.opt === '--syn') {
      m.flagMask = 0x17;
      m.flagCmp = 2;
      m.flagInv = a.inv;
    } else if (a.opt === '--tcp-flags') {
      const one = (t: string): number => (t === 'ALL' ? 63 : t === 'NONE' ? 0 : bitsOfNames(t, TCP_FLAGS, 'TCP flag'));
      m.flagMask = one(a.next());
      m.flagCmp = one(a.next());
      m.flagInv = a.inv;
    } else if (a.opt === '--tcp-option') {
      m.option = number(a.next(), 255);
      m.optionInv = a.inv;
    } else return false;
    return true;
  };
}

function icmp(m: xp.IcmpMatch): Parser {
  return (a) => {
    if (a.opt !== '--icmp-type') return false;
    const t = a.next();
    const named = ICMP_TYPES[t];
    if (named !== undefined) [m.type, m.codeMin, m.codeMax] = named;
    else {
      const [ty, code] = t.split('/') as [string, string?];
      m.type = number(ty, 255);
      if (code !== undefined) m.codeMin = m.codeMax = number(code, 255);
    }
    m.inv = a.inv;
    return true;
  };
}

function ctStatus(text: string): number {
  let bits = 0;
  for (const w of text.split(',')) {
    const bit = w.toUpperCase() === 'NONE' ? 0 : CTSTATUS.find(([n]) => n === w.toUpperCase())?.[1];
    if (bit === undefined) throw new RangeError(`Bad ctstatus "${text}"`);
    bits |= bit;
  }
  return bits;
}

function expire(a: Arg): xc.CtPort {
  const [lo, hi] = a.next().split(':') as [string, string?];
  const min = lo === '' ? 0 : number(lo);
  return { min, max: hi === undefined ? min : hi === '' ? 0xffffffff : number(hi), inv: a.inv };
}

function ctMatch(m: xc.ConntrackMatch): Parser {
  const addr = (a: Arg): xc.CtAddr => {
    const [ad, mask] = address(a.next());
    return { addr: ad, mask, inv: a.inv };
  };
  const port = (a: Arg): xc.CtPort => {
    const [min, max] = ports(a.next());
    return { min, max, inv: a.inv };
  };
  return (a) => {
    switch (a.opt) {
      case '--ctstate':
        m.states = bitsOfNames(a.next(), CTSTATES, 'ctstate');
        m.statesInv = a.inv;
        return true;
      case '--ctstatus':
        m.status = ctStatus(a.next());
        m.statusInv = a.inv;
        return true;
      case '--ctexpire': m.expire = expire(a); return true;
      case '--ctproto': m.proto = protocol(a.next()); m.protoInv = a.inv; return true;
      case '--ctorigsrc': m.origSrc = addr(a); return true;
      case '--ctorigdst': m.origDst = addr(a); return true;
      case '--ctreplsrc': m.replSrc = addr(a); return true;
      case '--ctrepldst': m.replDst = addr(a); return true;
      case '--ctorigsrcport': m.origSport = port(a); return true;
      case '--ctorigdstport': m.origDport = port(a); return true;
      case '--ctreplsrcport': m.replSport = port(a); return true;
      case '--ctrepldstport': m.replDport = port(a); return true;
      case '--ctdir': {
        const d = a.next();
        if (d !== 'ORIGINAL' && d !== 'REPLY') throw new RangeError(`conntrack: Bad value for "--ctdir" option: "${d}"`);
        m.dir = d === 'REPLY' ? 2 : 1;
        return true;
      }
      default:
        return false;
    }
  }; // prettier-ignore
}

function recent(m: RecentMatch): Parser {
  return (a) => {
    switch (a.opt) {
      case '--set': case '--rcheck': case '--update': case '--remove':
        m.op = a.opt.slice(2) as RecentMatch['op'];
        m.inv = a.inv;
        return true;
      case '--seconds': m.seconds = number(a.next()); return true;
      case '--hitcount': m.hitcount = number(a.next(), 255); return true;
      case '--reap': m.reap = true; return true;
      case '--name': m.list = a.next(); return true;
      case '--mask': {
        const k = aton(a.next());
        if (k === null) throw new RangeError('recent: invalid mask');
        m.mask = k;
        return true;
      }
      case '--rsource': m.dest = false; return true;
      case '--rdest': m.dest = true; return true;
      default: return false;
    }
  }; // prettier-ignore
}

function addrTypes(text: string): number {
  const bad = text.split(',').find((w) => !(ADDRTYPES as readonly string[]).includes(w.toUpperCase()));
  if (bad !== undefined) throw new RangeError(`addrtype: bad type "${bad}"`);
  return bitsOfNames(text, ADDRTYPES, 'address type');
}

function addrtype(m: xm.AddrtypeMatch): Parser {
  return (a) => {
    if (a.opt === '--src-type') {
      m.srcTypes = addrTypes(a.next());
      m.srcInv = a.inv;
    } else if (a.opt === '--dst-type') {
      m.dstTypes = addrTypes(a.next());
      m.dstInv = a.inv;
    } else if (a.opt === '--limit-iface-in') m.limitIn = true;
    else if (a.opt === '--limit-iface-out') m.limitOut = true;
    else return false;
    return true;
  };
}

function physdev(m: xm.PhysdevMatch): Parser {
  return (a) => {
    switch (a.opt) {
      case '--physdev-in': m.in = a.next(); m.inInv = a.inv; return true;
      case '--physdev-out': m.out = a.next(); m.outInv = a.inv; return true;
      case '--physdev-is-in': m.isIn = a.inv ? -1 : 1; return true;
      case '--physdev-is-out': m.isOut = a.inv ? -1 : 1; return true;
      case '--physdev-is-bridged': m.isBridged = a.inv ? -1 : 1; return true;
      default: return false;
    }
  }; // prettier-ignore
}

function limit(m: LimitMatch): Parser {
  return (a) => {
    if (a.opt === '--limit') {
      const t = a.next();
      const r = /^(\d+)(?:\/(s|sec|second|m|min|minute|h|hour|d|day))?$/.exec(t);
      if (r === null) throw new RangeError(`bad rate \`${t}'`);
      const unit = { s: 1, m: 60, h: 3600, d: 86400 }[(r[2] ?? 's')[0] as 's'];
      m.avg = Math.floor((10000 * unit) / Number(r[1]));
      if (m.avg === 0) throw new RangeError(`Rate too fast "${t}"`);
    } else if (a.opt === '--limit-burst') m.burst = number(a.next(), 10000);
    else return false;
    return true;
  };
}

/** Matches that are built from one option. */
function late(add: (m: Match) => void, make: (a: Arg) => Match | null): Parser {
  return (a) => {
    const m = make(a);
    if (m === null) return false;
    add(m);
    return true;
  };
}

const statisticOptions = (add: (m: Match) => void): Parser => {
  let m: xm.StatisticMatch | null = null;
  return (a) => {
    if (a.opt === '--mode') {
      const mode = a.next();
      if (mode !== 'random' && mode !== 'nth') throw new RangeError(`Bad mode "${mode}"`);
      m = new xm.StatisticMatch(mode);
      add(m);
      return true;
    }
    if (m === null) return false;
    if (a.opt === '--probability') {
      const t = a.next();
      const p = Number(t);
      if (!(p >= 0 && p <= 1))
        throw new RangeError('statistic: bad value for option "--probability", or out of range (0-1).\n');
      m.probability = Math.round(p * 0x80000000);
      m.inv = a.inv;
    } else if (a.opt === '--every') {
      m.every = number(a.next());
      if (m.every === 0) throw new RangeError('statistic: --every must be > 0');
      m.inv = a.inv;
      m.start();
    } else if (a.opt === '--packet') {
      m.packet = number(a.next());
      m.start();
    } else return false;
    return true;
  };
};

export function matchParser(name: string, net: Netns, add: (m: Match) => void): Parser | null {
  const start = <T extends Match>(m: T, p: (m: T) => Parser): Parser => {
    add(m);
    return p(m);
  };
  switch (name) {
    case 'tcp': return start(new xp.TcpMatch(), tcp);
    case 'udp': return start(new xp.UdpMatch(), (m) => (a): boolean => portOptions(m, a));
    case 'sctp': return start(new xp.SctpMatch(), (m) => (a): boolean => portOptions(m, a));
    case 'icmp': return start(new xp.IcmpMatch(), icmp);
    case 'conntrack': return start(new xc.ConntrackMatch(), ctMatch);
    case 'recent': return start(new RecentMatch(), recent);
    case 'addrtype': return start(new xm.AddrtypeMatch(), addrtype);
    case 'physdev': return start(new xm.PhysdevMatch(), physdev);
    case 'ipvs': return start(new IpvsMatch(), ipvsMatch);
    case 'limit': return start(new LimitMatch(), limit);
    case 'statistic': return statisticOptions(add);
    case 'comment': return late(add, (a) => (a.opt === '--comment' ? new xm.CommentMatch(a.next()) : null));
    case 'state': return start(new xc.StateMatch(), (m) => (a): boolean => {
      if (a.opt !== '--state') return false;
      m.states = bitsOfNames(a.next(), CTSTATES.slice(0, 5), 'state');
      m.inv = a.inv;
      return true;
    });
    case 'mark': case 'connmark':
      return start(name === 'mark' ? new xm.MarkMatch() : new xc.ConnmarkMatch(), (m) => (a): boolean => {
        if (a.opt !== '--mark') return false;
        [m.value, m.mask] = valueMask(a.next());
        m.inv = a.inv;
        return true;
      });
    case 'multiport': return late(add, (a) => {
      const o = { '--sports': 'sports', '--source-ports': 'sports', '--dports': 'dports', '--destination-ports': 'dports', '--ports': 'ports' }[a.opt];
      if (o === undefined) return null;
      return new xp.MultiportMatch(o as 'ports', portList(a.next()), a.inv);
    });
    case 'mac': return late(add, (a) => {
      if (a.opt !== '--mac-source') return null;
      const mac = macBytes(a.next());
      if (mac === null) throw new RangeError('mac: invalid MAC address');
      return new xm.MacMatch(mac, a.inv);
    });
    case 'set': return late(add, (a) => {
      if (a.opt !== '--match-set') return null;
      const name = a.next();
      const set = ipsets(net).sets.get(name);
      const dirs = a.next().split(',');
      if (set === undefined) throw new RangeError(`Set ${name} doesn't exist.\n`);
      if (dirs.some((d) => d !== 'src' && d !== 'dst')) throw new RangeError(`set: bad direction (expected src or dst)`);
      if (dirs.length < set.dimensions) throw new RangeError(`set: type ${set.type} needs ${set.dimensions} directions`);
      return new xm.SetMatch(set, dirs.map((d) => d === 'src'), a.inv);
    });
    default: {
      const p = packetMatch(name);
      if (p === null) return null;
      add(p.match);
      return p.parser;
    }
  } // prettier-ignore
}

/** At most fifteen ports; a range counts for two. */
function portList(text: string): number[] {
  const list = text.split(',').map((t) => ports(t));
  if (list.reduce((n, [lo, hi]) => n + (lo === hi ? 1 : 2), 0) > 15) throw new RangeError('too many ports specified');
  return list.flat();
}
