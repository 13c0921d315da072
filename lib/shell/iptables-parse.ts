/**
 * One iptables rule from words: the options of iptables(8) and iptables-extensions(8) that podwire executes.
 *
 * Errors are `RangeError`s with the text of iptables 1.8.9 where it has one; callers turn them into exit code 2.
 * @module
 */
import type { Netns } from '../linux/core/netns.js';
import { RecentMatch } from '../linux/netfilter/xt-recent.js';
import {
  INV_DST, INV_FRAG, INV_IN, INV_OUT, INV_PROTO, INV_SRC, Rule, type Target,
} from '../linux/netfilter/xtables.js'; // prettier-ignore
import { number, address, protocol, unknownExtension } from './iptables-values.js';
import { matchParser } from './iptables-matches.js';
import { targetParser } from './iptables-targets.js';

/** Where an option stands: `inv` for a `!` before it, `next()` for its value. */
export interface Arg {
  readonly opt: string;
  readonly inv: boolean;
  next(): string;
}

/** Reads the options of one extension; false when the option is not one of its own. */
export type Parser = (a: Arg) => boolean;

/** A target's options are collected, then `done` builds it. */
export interface TargetParser {
  option(a: Arg): boolean;
  /** `proto`: the rule's protocol. */
  done(proto: number): Target;
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
  const given = new Set<string>();
  /** set_option */
  const once = (letter: string): void => {
    if (given.has(letter)) throw new RangeError(`multiple -${letter} flags not allowed`);
    given.add(letter);
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
    if (opt === '-g') once('j');
    else if (/^-[sdiofpcj]$/.test(opt)) once(opt[1]!);
    switch (opt) {
      case '-s': [r.src, r.srcMask] = address(a.next()); invert(INV_SRC, inv); continue;
      case '-d': [r.dst, r.dstMask] = address(a.next()); invert(INV_DST, inv); continue;
      case '-i': r.inIf = device(a.next()); invert(INV_IN, inv); continue;
      case '-o': r.outIf = device(a.next()); invert(INV_OUT, inv); continue;
      case '-f': r.frag = true; invert(INV_FRAG, inv); continue;
      case '-p': protoName = a.next().toLowerCase(); r.proto = protocol(protoName); invert(INV_PROTO, inv);
        if (inv && r.proto === 0) throw new RangeError('rule would never match protocol');
        continue;
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
