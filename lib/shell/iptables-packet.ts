/**
 * Options of the matches and targets of xt-match-packet.ts and xt-target-packet.ts, both ways: as iptables reads them, as
 * iptables-save writes them, and as `iptables -L` shows them (libxt_*.c, libipt_*.c of iptables 1.8.9).
 * @module
 */
import { aton, bitsOf, ntoa } from '../../wire/inet.js';
import * as xp from '../linux/netfilter/xt-match-packet.js';
import * as xt from '../linux/netfilter/xt-target-packet.js';
import type { Match, Target } from '../linux/netfilter/xtables.js';
import type { Arg, Parser, TargetParser } from './iptables-parse.js';
import { address, number, saveString } from './iptables-values.js';

const hex2 = (n: number): string => `0x${n.toString(16).padStart(2, '0')}`;
const not = (inv: boolean): string => (inv ? '! ' : '');
const bang = (inv: boolean): string => (inv ? '!' : '');
const range = (min: number, max: number, sep = ':'): string => (min === max ? `${min}` : `${min}${sep}${max}`);

const TOS_NAMES: Readonly<Record<string, number>> = {
  'Minimize-Delay': 0x10, 'Maximize-Throughput': 8, 'Maximize-Reliability': 4, 'Minimize-Cost': 2, 'Normal-Service': 0,
}; // prettier-ignore
const PKT_TYPES = ['unicast', 'broadcast', 'multicast'] as const;

/** `n` or `n:m`, either end open. */
function numbers(text: string, max: number): [number, number] {
  const [lo, hi] = text.split(':') as [string, string?];
  const min = lo === '' ? 0 : number(lo, max);
  return [min, hi === undefined ? min : hi === '' ? max : number(hi, max)];
}

function dscpClass(name: string): number {
  const m = /^(CS([0-7])|AF([1-4])([1-3])|BE|EF)$/i.exec(name);
  if (m === null) throw new RangeError(`Invalid DSCP value \`${name}'`);
  if (m[2] !== undefined) return Number(m[2]) << 3;
  if (m[3] !== undefined) return (Number(m[3]) << 3) | (Number(m[4]) << 1);
  return m[1]!.toUpperCase() === 'EF' ? 0x2e : 0;
}

/** A TOS and its mask: a name leaves the precedence alone, a number alone is all of it. */
function tosValue(text: string, nameMask: number, numberMask: number): [number, number] {
  const named = Object.keys(TOS_NAMES).find((n) => n.toLowerCase() === text.toLowerCase());
  if (named !== undefined) return [TOS_NAMES[named]!, nameMask];
  const [v, m] = text.split('/') as [string, string?];
  return [number(v, 255), m === undefined ? numberMask : number(m, 255)];
}

function addrRange(a: Arg): xp.AddrRange {
  const t = a.next();
  const [lo, hi] = t.split('-') as [string, string?];
  const min = aton(lo);
  const max = hi === undefined ? min : aton(hi);
  if (min === null || max === null) throw new RangeError(`iprange match: Bad IP address \`${t}'\n`);
  return { min, max, inv: a.inv };
}

function idRange(a: Arg): xp.IdRange {
  const t = a.next();
  if (t === 'root') return { min: 0, max: 0, inv: a.inv };
  const m = /^(\d+)(?:-(\d+))?$/.exec(t);
  if (m === null) throw new RangeError(`owner: Bad value for "${a.opt}" option: "${t}"`);
  return { min: number(m[1]!), max: number(m[2] ?? m[1]!), inv: a.inv };
}

/** The match of that name with its parser, or null. */
export function packetMatch(name: string): { match: Match; parser: Parser } | null {
  switch (name) {
    case 'length': {
      const match = new xp.LengthMatch();
      const parser = (a: Arg): boolean => {
        if (a.opt !== '--length') return false;
        const text = a.next();
        if (text.split(':').some((t) => /^\d+$/.test(t) && Number(t) > 0xffff)) {
          throw new RangeError(`length: bad value for option "--length" near "${text}", or out of range (0-65535).\n`);
        }
        [match.min, match.max] = numbers(text, 0xffff);
        match.inv = a.inv;
        return true;
      };
      return { match, parser };
    }
    case 'ttl': {
      const match = new xp.TtlMatch();
      const parser = (a: Arg): boolean => {
        const mode = ({ '--ttl-eq': 'eq', '--ttl': 'eq', '--ttl-lt': 'lt', '--ttl-gt': 'gt' } as const)[a.opt];
        if (mode === undefined) return false;
        match.mode = mode === 'eq' && a.inv ? 'ne' : mode;
        match.ttl = number(a.next(), 255);
        return true;
      };
      return { match, parser };
    }
    case 'tos': case 'dscp': {
      const match = new xp.TosMatch(name);
      const parser = (a: Arg): boolean => {
        if (name === 'tos' && a.opt === '--tos') [match.value, match.mask] = tosValue(a.next(), 0x3f, 0xff);
        else if (name === 'dscp' && a.opt === '--dscp') [match.value, match.mask] = [number(a.next(), 63) << 2, 0xfc];
        else if (name === 'dscp' && a.opt === '--dscp-class') [match.value, match.mask] = [dscpClass(a.next()) << 2, 0xfc];
        else return false;
        match.inv = a.inv;
        return true;
      };
      return { match, parser };
    }
    case 'pkttype': {
      const match = new xp.PkttypeMatch();
      const parser = (a: Arg): boolean => {
        if (a.opt !== '--pkt-type') return false;
        const t = a.next();
        match.type = ({ unicast: 0, host: 0, broadcast: 1, bcast: 1, multicast: 2, mcast: 2 } as Record<string, number>)[t.toLowerCase()] ?? -1;
        if (match.type < 0) throw new RangeError(`Bad packet type '${t}'`);
        match.inv = a.inv;
        return true;
      };
      return { match, parser };
    }
    default: return addressMatch(name);
  } // prettier-ignore
}

function addressMatch(name: string): { match: Match; parser: Parser } | null {
  switch (name) {
    case 'iprange': {
      const match = new xp.IprangeMatch();
      const parser = (a: Arg): boolean => {
        if (a.opt === '--src-range') match.src = addrRange(a);
        else if (a.opt === '--dst-range') match.dst = addrRange(a);
        else return false;
        return true;
      };
      return { match, parser };
    }
    case 'tcpmss': {
      const match = new xp.TcpmssMatch();
      const parser = (a: Arg): boolean => {
        if (a.opt !== '--mss') return false;
        [match.min, match.max] = numbers(a.next(), 0xffff);
        match.inv = a.inv;
        return true;
      };
      return { match, parser };
    }
    case 'owner': {
      const match = new xp.OwnerMatch();
      const parser = (a: Arg): boolean => {
        if (a.opt === '--uid-owner') match.uid = idRange(a);
        else if (a.opt === '--gid-owner') match.gid = idRange(a);
        else if (a.opt === '--socket-exists' || a.opt === '--suppl-groups') throw new RangeError(`podwire: iptables: owner ${a.opt} is not supported yet`);
        else return false;
        return true;
      };
      return { match, parser };
    }
    case 'rpfilter': {
      const match = new xp.RpfilterMatch();
      const parser = (a: Arg): boolean => {
        if (a.opt === '--loose') match.loose = true;
        else if (a.opt === '--validmark') match.validmark = true;
        else if (a.opt === '--accept-local') match.acceptLocal = true;
        else if (a.opt === '--invert') match.invert = true;
        else return false;
        return true;
      };
      return { match, parser };
    }
    default: return null;
  } // prettier-ignore
}

const rpfilterText = (m: xp.RpfilterMatch, dash: string): string =>
  (m.loose ? ` ${dash}loose` : '') + (m.validmark ? ` ${dash}validmark` : '') +
  (m.acceptLocal ? ` ${dash}accept-local` : '') + (m.invert ? ` ${dash}invert` : ''); // prettier-ignore

const addrRangeText = (r: xp.AddrRange): string => `${ntoa(r.min)}-${ntoa(r.max)}`;

/** The options of such a match as they are saved, or null. */
export function packetMatchText(m: Match): string | null {
  if (m instanceof xp.LengthMatch) return ` ${not(m.inv)}--length ${range(m.min, m.max)}`;
  if (m instanceof xp.TtlMatch) return ` ${m.mode === 'ne' ? '! --ttl-eq' : `--ttl-${m.mode}`} ${m.ttl}`;
  if (m instanceof xp.TosMatch) {
    if (m.name === 'dscp') return ` ${not(m.inv)}--dscp ${hex2(m.value >> 2)}`;
    return ` ${not(m.inv)}--tos ${hex2(m.value)}/${hex2(m.mask)}`;
  }
  if (m instanceof xp.PkttypeMatch) return ` ${not(m.inv)}--pkt-type ${PKT_TYPES[m.type]}`;
  if (m instanceof xp.IprangeMatch) {
    const one = (opt: string, r: xp.AddrRange | null): string =>
      r === null ? '' : ` ${not(r.inv)}--${opt}-range ${addrRangeText(r)}`;
    return one('src', m.src) + one('dst', m.dst);
  }
  if (m instanceof xp.TcpmssMatch) return ` ${not(m.inv)}--mss ${range(m.min, m.max)}`;
  if (m instanceof xp.OwnerMatch) {
    const one = (opt: string, r: xp.IdRange | null): string =>
      r === null ? '' : ` ${not(r.inv)}--${opt}-owner ${range(r.min, r.max, '-')}`;
    return one('uid', m.uid) + one('gid', m.gid);
  }
  return m instanceof xp.RpfilterMatch ? rpfilterText(m, '--') : null;
}

/** Such a match as `-L` shows it, or null. */
export function packetMatchLine(m: Match): string | null {
  if (m instanceof xp.LengthMatch) return ` length ${bang(m.inv)}${range(m.min, m.max)}`;
  if (m instanceof xp.TtlMatch) return ` TTL match TTL ${{ eq: '==', ne: '!=', lt: '<', gt: '>' }[m.mode]} ${m.ttl}`;
  if (m instanceof xp.TosMatch) {
    if (m.name === 'dscp') return ` DSCP match ${bang(m.inv)}${hex2(m.value >> 2)}`;
    return ` tos match${bang(m.inv)}${hex2(m.value)}/${hex2(m.mask)}`;
  }
  if (m instanceof xp.PkttypeMatch) return ` PKTTYPE ${bang(m.inv)}= ${PKT_TYPES[m.type]}`;
  if (m instanceof xp.IprangeMatch) {
    const one = (what: string, r: xp.AddrRange | null): string =>
      r === null ? '' : ` ${what} IP range${r.inv ? ' !' : ''} ${addrRangeText(r)}`;
    return one('source', m.src) + one('destination', m.dst);
  }
  if (m instanceof xp.TcpmssMatch) return ` tcpmss match ${bang(m.inv)}${range(m.min, m.max)}`;
  if (m instanceof xp.OwnerMatch) {
    const one = (what: string, r: xp.IdRange | null): string =>
      r === null ? '' : `${r.inv ? ' !' : ''} owner ${what} match ${range(r.min, r.max, '-')}`;
    return one('UID', m.uid) + one('GID', m.gid);
  }
  return m instanceof xp.RpfilterMatch ? ` rpfilter${rpfilterText(m, '')}` : null;
}

/** The parser of the target of that name, or null. */
export function packetTarget(name: string): TargetParser | null {
  let made: Target | null = null;
  const need = (what: string): Target => {
    if (made === null) throw new RangeError(`${name}: ${what}`);
    return made;
  };
  switch (name) {
    case 'TOS':
      return {
        option(a) {
          if (a.opt === '--set-tos') {
            const [v, m] = tosValue(a.next(), 0x3f, 0xff);
            made = new xt.TosTarget('TOS', v, m);
          } else if (a.opt === '--and-tos') made = new xt.TosTarget('TOS', 0, ~number(a.next(), 255) & 255);
          else if (a.opt === '--or-tos' || a.opt === '--xor-tos') {
            const v = number(a.next(), 255);
            made = new xt.TosTarget('TOS', v, a.opt === '--or-tos' ? v : 0);
          } else return false;
          return true;
        },
        done: () => need('The --set-tos option is required'),
      };
    case 'DSCP':
      return {
        option(a) {
          if (a.opt === '--set-dscp') made = new xt.TosTarget('DSCP', number(a.next(), 63) << 2, 0xfc);
          else if (a.opt === '--set-dscp-class') made = new xt.TosTarget('DSCP', dscpClass(a.next()) << 2, 0xfc);
          else return false;
          return true;
        },
        done: () => need('Parameter --set-dscp is required'),
      };
    case 'TTL':
      return {
        option(a) {
          const mode = ({ '--ttl-set': 'set', '--ttl-inc': 'inc', '--ttl-dec': 'dec' } as const)[a.opt];
          if (mode === undefined) return false;
          made = new xt.TtlTarget(mode, number(a.next(), 255));
          return true;
        },
        done: () => need('You must specify an action'),
      };
    case 'TCPMSS':
      return {
        option(a) {
          if (a.opt === '--clamp-mss-to-pmtu') made = new xt.TcpmssTarget(0);
          else if (a.opt === '--set-mss') made = new xt.TcpmssTarget(number(a.next(), 0xffff - 40));
          else return false;
          return true;
        },
        done: () => need('At least one parameter is required'),
      };
    case 'NETMAP':
      return {
        option(a) {
          if (a.opt !== '--to') return false;
          const [addr, mask] = address(a.next());
          made = new xt.NetmapTarget(addr, mask);
          return true;
        },
        done: () => need('option "--to" must be specified'),
      };
    case 'NFLOG': {
      let group = 0;
      let prefix = '';
      return {
        option(a) {
          if (a.opt === '--nflog-group') group = number(a.next(), 0xffff);
          else if (a.opt === '--nflog-prefix') prefix = a.next();
          else return false;
          return true;
        },
        done: () => new xt.NflogTarget(group, prefix),
      };
    }
    default:
      return null;
  }
}

const netText = (t: xt.NetmapTarget): string =>
  `${ntoa(t.addr)}${t.mask === -1 ? '' : bitsOf(t.mask) >= 0 ? `/${bitsOf(t.mask)}` : `/${ntoa(t.mask)}`}`;

/** The options of such a target as they are saved, or null. */
export function packetTargetText(t: Target): string | null {
  if (t instanceof xt.TosTarget) {
    return t.name === 'DSCP' ? ` --set-dscp ${hex2(t.value >> 2)}` : ` --set-tos ${hex2(t.value)}/${hex2(t.mask)}`;
  }
  if (t instanceof xt.TtlTarget) return ` --ttl-${t.mode} ${t.ttl}`;
  if (t instanceof xt.TcpmssTarget) return t.mss === 0 ? ' --clamp-mss-to-pmtu' : ` --set-mss ${t.mss}`;
  if (t instanceof xt.NetmapTarget) return ` --to ${netText(t)}`;
  if (t instanceof xt.NflogTarget) {
    return (t.prefix === '' ? '' : ` --nflog-prefix ${saveString(t.prefix)}`) + (t.group === 0 ? '' : ` --nflog-group ${t.group}`); // prettier-ignore
  }
  return null;
}

/** Such a target as `-L` shows it, or null. */
export function packetTargetLine(t: Target): string | null {
  if (t instanceof xt.TosTarget) {
    if (t.name === 'DSCP') return ` DSCP set ${hex2(t.value >> 2)}`;
    return ` TOS set ${hex2(t.value)}/${hex2(t.mask)}`;
  }
  if (t instanceof xt.TtlTarget) {
    return ` TTL ${{ set: 'set to', dec: 'decrement by', inc: 'increment by' }[t.mode]} ${t.ttl}`;
  }
  if (t instanceof xt.TcpmssTarget) return t.mss === 0 ? ' TCPMSS clamp to PMTU' : ` TCPMSS set ${t.mss}`;
  if (t instanceof xt.NetmapTarget) return ` to:${netText(t)}`;
  if (t instanceof xt.NflogTarget) {
    return (t.prefix === '' ? '' : ` nflog-prefix ${saveString(t.prefix)}`) + (t.group === 0 ? '' : ` nflog-group ${t.group}`); // prettier-ignore
  }
  return null;
}
