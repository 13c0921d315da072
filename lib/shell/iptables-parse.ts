/**
 * One iptables rule from words: the options of iptables(8) and iptables-extensions(8) that podwire executes.
 *
 * Errors are `RangeError`s with the text of iptables 1.8.9 where it has one; callers turn them into exit code 2.
 * @module
 */
import { aton, macBytes } from '../../wire/inet.js';
import type { Netns } from '../linux/core/netns.js';
import { IpvsMatch } from '../linux/ipvs/xt-ipvs.js';
import { ipsets } from '../linux/netfilter/ipset.js';
import type { NatRange } from '../linux/netfilter/nat.js';
import { LimitMatch } from '../linux/netfilter/xt-limit.js';
import * as xm from '../linux/netfilter/xt-match.js';
import { RecentMatch } from '../linux/netfilter/xt-recent.js';
import * as xt from '../linux/netfilter/xt-target.js';
import {
  INV_DST, INV_FRAG, INV_IN, INV_OUT, INV_PROTO, INV_SRC, type Match, Rule, type Target,
} from '../linux/netfilter/xtables.js'; // prettier-ignore
import { ipvsMatch } from './iptables-ipvs.js';
import { packetMatch, packetTarget } from './iptables-packet.js';
import {
  CTSTATES, CTSTATUS, ADDRTYPES, TCP_FLAGS, ICMP_TYPES, number, address, ports, protocol, valueMask, bitsOfNames, unknownExtension,
} from './iptables-values.js'; // prettier-ignore

/** Where an option stands: `inv` for a `!` before it, `next()` for its value. */
export interface Arg {
  readonly opt: string;
  readonly inv: boolean;
  next(): string;
}

/** Reads the options of one extension; false when the option is not one of its own. */
export type Parser = (a: Arg) => boolean;

function portOptions(m: xm.TcpMatch | xm.UdpMatch, a: Arg): boolean {
  if (a.opt === '--sport' || a.opt === '--source-port') {
    [m.spMin, m.spMax] = ports(a.next());
    m.spInv = a.inv;
  } else if (a.opt === '--dport' || a.opt === '--destination-port') {
    [m.dpMin, m.dpMax] = ports(a.next());
    m.dpInv = a.inv;
  } else return false;
  return true;
}

function tcp(m: xm.TcpMatch): Parser {
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

function icmp(m: xm.IcmpMatch): Parser {
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

function expire(a: Arg): xm.CtPort {
  const [lo, hi] = a.next().split(':') as [string, string?];
  const min = lo === '' ? 0 : number(lo);
  return { min, max: hi === undefined ? min : hi === '' ? 0xffffffff : number(hi), inv: a.inv };
}

function ctMatch(m: xm.ConntrackMatch): Parser {
  const addr = (a: Arg): xm.CtAddr => {
    const [ad, mask] = address(a.next());
    return { addr: ad, mask, inv: a.inv };
  };
  const port = (a: Arg): xm.CtPort => {
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

function matchParser(name: string, net: Netns, add: (m: Match) => void): Parser | null {
  const start = <T extends Match>(m: T, p: (m: T) => Parser): Parser => {
    add(m);
    return p(m);
  };
  switch (name) {
    case 'tcp': return start(new xm.TcpMatch(), tcp);
    case 'udp': return start(new xm.UdpMatch(), (m) => (a): boolean => portOptions(m, a));
    case 'sctp': return start(new xm.SctpMatch(), (m) => (a): boolean => portOptions(m, a));
    case 'icmp': return start(new xm.IcmpMatch(), icmp);
    case 'conntrack': return start(new xm.ConntrackMatch(), ctMatch);
    case 'recent': return start(new RecentMatch(), recent);
    case 'addrtype': return start(new xm.AddrtypeMatch(), addrtype);
    case 'physdev': return start(new xm.PhysdevMatch(), physdev);
    case 'ipvs': return start(new IpvsMatch(), ipvsMatch);
    case 'limit': return start(new LimitMatch(), limit);
    case 'statistic': return statisticOptions(add);
    case 'comment': return late(add, (a) => (a.opt === '--comment' ? new xm.CommentMatch(a.next()) : null));
    case 'state': return start(new xm.StateMatch(), (m) => (a): boolean => {
      if (a.opt !== '--state') return false;
      m.states = bitsOfNames(a.next(), CTSTATES.slice(0, 5), 'state');
      m.inv = a.inv;
      return true;
    });
    case 'mark': case 'connmark':
      return start(name === 'mark' ? new xm.MarkMatch() : new xm.ConnmarkMatch(), (m) => (a): boolean => {
        if (a.opt !== '--mark') return false;
        [m.value, m.mask] = valueMask(a.next());
        m.inv = a.inv;
        return true;
      });
    case 'multiport': return late(add, (a) => {
      const o = { '--sports': 'sports', '--source-ports': 'sports', '--dports': 'dports', '--destination-ports': 'dports', '--ports': 'ports' }[a.opt];
      if (o === undefined) return null;
      return new xm.MultiportMatch(o as 'ports', portList(a.next()), a.inv);
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

/** A target's options are collected, then `done` builds it. */
export interface TargetParser {
  option(a: Arg): boolean;
  /** `proto`: the rule's protocol. */
  done(proto: number): Target;
}

function natRange(text: string, random: boolean, persistent: boolean): NatRange {
  const m = /^([\d.]+)?(?:-([\d.]+))?(?::(\d+)(?:-(\d+)(?:\/(\d+))?)?)?$/.exec(text);
  const lo = m?.[1] === undefined ? 0 : aton(m[1]);
  const hi = m?.[2] === undefined ? lo : aton(m[2]);
  if (m === null || lo === null || hi === null) throw new RangeError(`Bad IP address "${text}"`);
  const proto = m[3] !== undefined;
  const minPort = proto ? number(m[3]!, 65535) : 0;
  const maxPort = m[4] !== undefined ? number(m[4], 65535) : minPort;
  if (maxPort < minPort) throw new RangeError(`Port range \`${m[4]}' funky`);
  const base = m[5] === undefined ? -1 : number(m[5], 65535);
  return { base, ips: m[1] !== undefined, minAddr: lo, maxAddr: hi, proto, minPort, maxPort, random, persistent };
}

/** Ports only for protocols that have them. */
function portsNeed(proto: number): void {
  if (proto !== 6 && proto !== 17 && proto !== 33 && proto !== 132)
    throw new RangeError('Need TCP, UDP, SCTP or DCCP with port specification');
}

function targetParser(name: string): TargetParser | null {
  let text: string | null = null;
  let random = false;
  let fully = false;
  let persistent = false;
  const common = (a: Arg): boolean => {
    if (a.opt === '--random') random = true;
    else if (a.opt === '--random-fully') fully = true;
    else return false;
    return true;
  };
  const none = (): boolean => false;
  const need = (opt: string): string => {
    if (text === null) throw new RangeError(`${name}: option "${opt}" must be specified\n`);
    return text;
  };
  switch (name) {
    case 'ACCEPT':
    case 'DROP':
    case 'RETURN':
      return { option: none, done: () => new xt.VerdictTarget(name) };
    case 'DNAT':
    case 'SNAT': {
      const opt = name === 'DNAT' ? '--to-destination' : '--to-source';
      return {
        option(a) {
          if (a.opt === opt) text = a.next();
          else if (a.opt === '--persistent') persistent = true;
          else return common(a);
          return true;
        },
        done: (proto) => {
          const r = natRange(need(opt), random || fully, persistent);
          if (r.proto) portsNeed(proto);
          return Object.assign(new xt.NatTarget(name, r), { fully });
        },
      };
    }
    case 'MASQUERADE':
    case 'REDIRECT':
      return {
        option(a) {
          if (a.opt === '--to-ports') text = a.next();
          else return common(a);
          return true;
        },
        done(proto) {
          if (text !== null) portsNeed(proto);
          const [minPort, maxPort] = text === null ? [0, 0] : ports(text, '-');
          const p = { proto: text !== null, minPort, maxPort, random: random || fully, fully };
          return name === 'REDIRECT' ? new xt.RedirectTarget(p) : new xt.MasqueradeTarget(p);
        },
      };
    case 'REJECT':
      return {
        option(a) {
          if (a.opt !== '--reject-with') return false;
          text = a.next();
          if (text === xt.TCP_RESET || text === 'tcp-rst') {
            text = xt.TCP_RESET;
            return true;
          }
          const full = text.startsWith('icmp-') ? text : `icmp-${text}`;
          if (xt.REJECT_CODES[full] === undefined) throw new RangeError(`unknown reject type "${text}"`);
          text = full;
          return true;
        },
        done: () => new xt.RejectTarget(text ?? 'icmp-port-unreachable'),
      };
    case 'MARK': {
      let t: Target | null = null;
      return {
        option(a) {
          const forms = ['--set-xmark', '--set-mark', '--or-mark', '--and-mark', '--xor-mark'];
          if (!forms.includes(a.opt)) return false;
          const [v, m] = valueMask(a.next());
          if (a.opt === '--set-xmark') t = new xt.MarkTarget(v, m);
          else if (a.opt === '--set-mark') t = new xt.MarkTarget(v, v | m);
          else if (a.opt === '--or-mark') t = new xt.MarkTarget(v, v);
          else if (a.opt === '--and-mark') t = new xt.MarkTarget(0, ~v);
          else t = new xt.MarkTarget(v, 0);
          return true;
        },
        done() {
          if (t === null)
            throw new RangeError('MARK: One of the --set-xmark, --{and,or,xor,set}-mark options is required');
          return t;
        },
      };
    }
    case 'CONNMARK':
      return connmarkParser();
    case 'LOG': {
      let level = 4;
      return {
        option(a) {
          if (a.opt === '--log-prefix') text = a.next();
          else if (a.opt === '--log-level') level = number(a.next(), 7);
          else return false;
          return true;
        },
        done: () => new xt.LogTarget(text ?? '', level),
      };
    }
    case 'NOTRACK':
      return { option: none, done: () => new xt.NotrackTarget('NOTRACK') };
    case 'CT':
      return {
        option(a) {
          if (a.opt !== '--notrack') return false;
          text = '';
          return true;
        },
        done() {
          need('--notrack');
          return new xt.NotrackTarget('CT');
        },
      };
    default:
      return packetTarget(name);
  }
}

function connmarkParser(): TargetParser {
  let mode: 'set' | 'save' | 'restore' | null = null;
  let mark = 0;
  let ctMask = -1;
  let nfMask = -1;
  return {
    option(a) {
      if (a.opt === '--set-xmark' || a.opt === '--set-mark') {
        mode = 'set';
        [mark, ctMask] = valueMask(a.next());
        if (a.opt === '--set-mark') ctMask |= mark;
      } else if (a.opt === '--save-mark') mode = 'save';
      else if (a.opt === '--restore-mark') mode = 'restore';
      else if (a.opt === '--nfmask') nfMask = number(a.next()) | 0;
      else if (a.opt === '--ctmask') ctMask = number(a.next()) | 0;
      else if (a.opt === '--mask') nfMask = ctMask = number(a.next()) | 0;
      else return false;
      return true;
    },
    done() {
      if (mode === null) throw new RangeError('CONNMARK target: No operation specified');
      return new xt.ConnmarkTarget(mode, mark, ctMask, nfMask);
    },
  };
}

const SHORT: Readonly<Record<string, string>> = {
  '--source': '-s', '--src': '-s', '--destination': '-d', '--dst': '-d', '--in-interface': '-i', '--out-interface': '-o',
  '--protocol': '-p', '--proto': '-p', '--match': '-m', '--jump': '-j', '--goto': '-g', '--fragment': '-f', '--set-counters': '-c',
}; // prettier-ignore

function device(name: string): string {
  if (name.length > 15) throw new RangeError(`interface name \`${name}' must be shorter than IFNAMSIZ (15)`);
  return name;
}

/** multiport's own check, before the kernel's. */
function multiportCheck(r: Rule): void {
  if ((r.inv & INV_PROTO) === 0 && [6, 17, 33, 132, 136].includes(r.proto)) return;
  throw new RangeError("multiport needs `-p tcp', `-p udp', `-p udplite', `-p sctp' or `-p dccp'");
}

/** Parses the words after `-A CHAIN`. `hasChain` tells which user chains `-j` may name. */
export function parseRule(net: Netns, words: readonly string[], hasChain: (name: string) => boolean): Rule {
  const r = new Rule();
  const parsers: Parser[] = [];
  const loaded = new Set<string>();
  let target: TargetParser | null = null;
  let protoName = '';
  let i = 0;
  const invert = (bit: number, on: boolean): void => {
    if (on) r.inv |= bit;
  };
  const load = (name: string): Parser | null => {
    const p = matchParser(name, net, (m) => r.matches.push(m));
    if (p === null) return null;
    loaded.add(name);
    parsers.unshift(p);
    return p;
  };
  while (i < words.length) {
    let inv = false;
    if (words[i] === '!') {
      inv = true;
      i++;
    }
    const written = words[i++];
    if (written === undefined) throw new RangeError('nothing appropriate following !');
    const opt = SHORT[written] ?? written;
    const a: Arg = {
      opt,
      inv,
      next: () => {
        const v = words[i++];
        if (v === undefined) throw new RangeError(`option "${written}" requires an argument`);
        return v;
      },
    };
    switch (opt) {
      case '-s': [r.src, r.srcMask] = address(a.next()); invert(INV_SRC, inv); continue;
      case '-d': [r.dst, r.dstMask] = address(a.next()); invert(INV_DST, inv); continue;
      case '-i': r.inIf = device(a.next()); invert(INV_IN, inv); continue;
      case '-o': r.outIf = device(a.next()); invert(INV_OUT, inv); continue;
      case '-f': r.frag = true; invert(INV_FRAG, inv); continue;
      case '-p': protoName = a.next().toLowerCase(); r.proto = protocol(protoName); invert(INV_PROTO, inv); continue;
      case '-c': r.packets = number(a.next()); r.bytes = number(a.next(), Number.MAX_SAFE_INTEGER); continue;
      case '-m': {
        const name = a.next();
        if (load(name) === null) throw unknownExtension('match', name);
        continue;
      }
      case '-j': case '-g': {
        const name = a.next();
        if (opt === '-j') target = targetParser(name);
        if (target === null) {
          if (!hasChain(name) && opt === '-g') throw new RangeError(`goto '${name}' is not a chain`);
          if (!hasChain(name)) throw unknownExtension('target', name);
          r.jumpName = name;
          r.goto = opt === '-g';
        }
        continue;
      }
      default:
    } // prettier-ignore
    if (target?.option(a) === true) continue;
    if (parsers.some((p) => p(a))) continue;
    // The protocol's own match comes with -p.
    if (protoName !== '' && !loaded.has(protoName) && load(protoName)?.(a) === true) continue;
    throw new RangeError(`unknown option "${written}"`);
  }
  if (target !== null) r.target = target.done((r.inv & INV_PROTO) !== 0 ? 0 : r.proto);
  if (loaded.has('multiport')) multiportCheck(r);
  for (const m of r.matches) {
    if (m instanceof RecentMatch && m.reap && m.seconds === 0)
      throw new RangeError('recent: option "--reap" also requires "--seconds".\n');
  }
  return r;
}
