/**
 * The options of iptables' targets: `-j NAME` and what follows it, read into the kernel's records.
 * @module
 */
import { aton } from '../../wire/inet.js';
import type { NatRange } from '../linux/netfilter/nat.js';
import * as xt from '../linux/netfilter/xt-target.js';
import { type Target } from '../linux/netfilter/xtables.js';
import { packetTarget } from './iptables-packet.js';
import { number, ports, valueMask } from './iptables-values.js';
import type { Arg, TargetParser } from './iptables-parse.js';

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

export function targetParser(name: string): TargetParser | null {
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
