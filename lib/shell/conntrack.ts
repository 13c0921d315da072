/**
 * conntrack -L, -D, -F, -C, -S and -E as conntrack-tools 1.4.7 prints them.
 * @module
 */
import { ntoa } from '../../wire/inet.js';
import * as ipv4 from '../../wire/ipv4.js';
import type { Proc } from '../apps/program.js';
import type { Netns } from '../linux/core/netns.js';
import { conntrack as table } from '../linux/netfilter/conntrack.js';
import {
  type Conn, type CtStats, IPCT_DESTROY, IPCT_MARK, IPCT_NEW, IPCT_PROTOINFO, S_ASSURED, S_DST_NAT_DONE, S_SEEN_REPLY, S_SRC_NAT_DONE,
} from '../linux/netfilter/ct-conn.js'; // prettier-ignore
import { SCTP_STATES } from '../linux/netfilter/ct-sctp.js';
import type { Tuple } from '../linux/netfilter/ct-tuple.js';
import { TCP_STATES } from '../linux/netfilter/ct-tcp.js';
import { address, number, PROTOCOLS, protocol, protocolNumber, valueMask } from './iptables-values.js';
import type { Result } from './iptables-save.js';

const PROG = 'conntrack v1.4.7 (conntrack-tools)';
const NAMES: Readonly<Record<number, string>> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 132: 'sctp' };

function tupleText(t: Tuple): string {
  const s = `src=${ntoa(t.src)} dst=${ntoa(t.dst)}`;
  if (t.proto === ipv4.ICMP) return `${s} type=${t.dport >> 8} code=${t.dport & 255} id=${t.sport}`;
  if (t.proto !== ipv4.TCP && t.proto !== ipv4.UDP && t.proto !== ipv4.SCTP) return s;
  return `${s} sport=${t.sport} dport=${t.dport}`;
}

/** The lines' common part: `left` and `state` empty when they are not told. */
function flowText(ct: Conn, left: string, state: string): string {
  const { proto } = ct.orig;
  const counted = (at: number): string => (ct.acct === null ? '' : `packets=${ct.acct[at]} bytes=${ct.acct[at + 1]} `);
  let s = `${(NAMES[proto] ?? 'unknown').padEnd(8)} ${proto} ${left}${state}${tupleText(ct.orig)} ${counted(0)}`;
  if ((ct.status & S_SEEN_REPLY) === 0) s += '[UNREPLIED] ';
  s += `${tupleText(ct.reply)} ${counted(2)}`;
  return (ct.status & S_ASSURED) === 0 ? s : `${s}[ASSURED] `;
}

function stateText(ct: Conn): string {
  if (ct.orig.proto === ipv4.TCP) return `${TCP_STATES[ct.tcp?.state ?? 0]} `;
  return ct.orig.proto === ipv4.SCTP ? `${SCTP_STATES[ct.sctpState]} ` : '';
}

/** One line of `conntrack -L`; `held`: packets that wait with the entry in their hands. */
function connText(ct: Conn, now: number, held: number): string {
  const left = Math.max(0, Math.ceil((ct.expires - now) / 1e9) - 1);
  return `${flowText(ct, `${left} `, stateText(ct))}mark=${ct.mark >>> 0} use=${1 + held}`;
}

/** One line of `conntrack -E`: what the message of an event carries (ctnetlink_conntrack_event). */
function eventText(ct: Conn, events: number, now: number): string {
  const destroy = (events & IPCT_DESTROY) !== 0;
  const seconds = Math.max(0, Math.floor((ct.expires - now) / 1e9));
  const left = destroy && seconds === 0 ? '' : `${seconds} `;
  const state = destroy || (events & IPCT_PROTOINFO) !== 0 ? stateText(ct) : '';
  const head = destroy ? '[DESTROY]' : (events & IPCT_NEW) !== 0 ? '    [NEW]' : ' [UPDATE]';
  const mark = ct.mark !== 0 || (events & IPCT_MARK) !== 0 ? `mark=${ct.mark >>> 0} ` : '';
  return `${head} ${flowText(ct, left, state)}${mark}`.trimEnd();
}

type Test = (ct: Conn) => boolean;

function filter(argv: readonly string[]): Test[] {
  const tests: Test[] = [];
  for (let i = 0; i < argv.length; i++) {
    const opt = argv[i]!;
    const next = (): string => {
      const v = argv[++i];
      if (v === undefined) throw new RangeError(`option "${opt}" requires an argument`);
      return v;
    };
    const addr = (of: (ct: Conn) => number): void => {
      const text = next();
      if (!/^[\d./]+$/.test(text)) throw new RangeError(`Invalid IP address \`${text}'`);
      const [a, mask] = address(text);
      tests.push((ct) => (of(ct) & mask) === a);
    };
    // As libnetfilter_conntrack decides: an echo that nat has seen, whose "ports" are its id and its type, looks translated.
    const nat = (bit: number, is: Test, to: (ct: Conn) => number): void => {
      tests.push((ct) => (ct.status & bit) !== 0 && is(ct));
      if (argv[i + 1] !== undefined && !argv[i + 1]!.startsWith('-')) addr(to);
    };
    const port = (of: (ct: Conn) => number): void => {
      const p = number(next(), 65535);
      tests.push((ct) => of(ct) === p);
    };
    switch (opt) {
      case '-p': case '--proto': {
        const name = next();
        const p = protocolNumber(PROTOCOLS, name) ?? (/^\d+$/.test(name) ? protocol(name) : -1);
        if (p < 0) throw new RangeError(`\`${name}' unsupported protocol`);
        tests.push((ct) => ct.orig.proto === p);
        break;
      }
      case '-s': case '--src': case '--orig-src': addr((ct) => ct.orig.src); break;
      case '-d': case '--dst': case '--orig-dst': addr((ct) => ct.orig.dst); break;
      case '-r': case '--reply-src': addr((ct) => ct.reply.src); break;
      case '-q': case '--reply-dst': addr((ct) => ct.reply.dst); break;
      case '--sport': case '--orig-port-src': port((ct) => ct.orig.sport); break;
      case '--dport': case '--orig-port-dst': port((ct) => ct.orig.dport); break;
      case '--reply-port-src': port((ct) => ct.reply.sport); break;
      case '--reply-port-dst': port((ct) => ct.reply.dport); break;
      case '-g': case '--dst-nat': nat(S_DST_NAT_DONE, (ct) => ct.orig.dst !== ct.reply.src || ct.orig.dport !== ct.reply.sport, (ct) => ct.reply.src); break;
      case '-n': case '--src-nat': nat(S_SRC_NAT_DONE, (ct) => ct.orig.src !== ct.reply.dst || ct.orig.sport !== ct.reply.dport, (ct) => ct.reply.dst); break;
      case '-m': case '--mark': {
        const [value, mask] = valueMask(next());
        tests.push((ct) => (ct.mark & mask) === value);
        break;
      }
      case '-u': case '--status': {
        const bits = { ASSURED: S_ASSURED, SEEN_REPLY: S_SEEN_REPLY }[next()];
        if (bits === undefined) throw new RangeError('podwire: conntrack: -u is supported with ASSURED and SEEN_REPLY only');
        tests.push((ct) => (ct.status & bits) === bits);
        break;
      }
      case '--state': {
        const state = (TCP_STATES as readonly string[]).indexOf(next());
        if (state < 0) throw new RangeError('invalid state');
        tests.push((ct) => ct.orig.proto === ipv4.TCP && ct.tcp?.state === state);
        break;
      }
      default:
        if (FILTERS_ELSEWHERE.includes(opt)) throw new RangeError(`podwire: conntrack: ${opt} is not supported yet`);
        throw new RangeError(opt.startsWith('-') ? `unknown option \`${opt}'` : `unknown type \`${opt}'`);
    } // prettier-ignore
  }
  return tests;
}

function statsText(s: CtStats): string {
  const fields = [
    ['found', s.found], ['invalid', s.invalid], ['insert', s.insert], ['insert_failed', s.insertFailed], ['drop', s.drop],
    ['early_drop', s.earlyDrop], ['error', s.error], ['search_restart', 0], ['clash_resolve', s.clashResolve],
    ['chaintoolong', 0],
  ] as const; // prettier-ignore
  return `cpu=0   \t${fields.map(([k, v]) => `${k}=${v} `).join('')}\n`;
}

const KINDS: Readonly<Record<string, number>> = { NEW: 1, UPDATES: 2, DESTROY: 4, ALL: 7 };

/** `conntrack -E [-e NEW,UPDATES,DESTROY] [FILTER]`: a line for every event until it is stopped. */
export function conntrackEvents(p: Proc): void {
  const ct = table(p.net);
  const args = [...p.argv.slice(1)];
  const { sim } = p.net.kernel;
  let kinds = 7;
  let tests: Test[];
  try {
    args.splice(
      args.findIndex((w) => w === '-E' || w === '--event'),
      1,
    );
    const at = args.findIndex((w) => w === '-e' || w === '--event-mask');
    if (at >= 0) {
      kinds = 0;
      for (const k of (args.splice(at, 2)[1] ?? '').split(',')) {
        if (KINDS[k] === undefined) throw new RangeError(`Bad parameter \`${k}'`);
        kinds |= KINDS[k];
      }
    }
    tests = filter(args);
  } catch (e) {
    if (!(e instanceof RangeError)) throw e;
    p.err(usage(e.message));
    return p.exit(2);
  }
  const listener = (c: Conn, events: number): void => {
    const kind = (events & IPCT_DESTROY) !== 0 ? 4 : (events & IPCT_NEW) !== 0 ? 1 : 2;
    if ((kinds & kind) !== 0 && tests.every((t) => t(c))) p.out(`${eventText(c, events, sim.now)}\n`);
  };
  ct.listeners.push(listener);
  ct.limits.listeners++;
  p.onKill = () => {
    ct.listeners.splice(ct.listeners.indexOf(listener), 1);
    ct.limits.listeners--;
  };
}

const usage = (message: string): string =>
  `${PROG}: ${message}\nTry \`conntrack -h' or 'conntrack --help' for more information.\n`;

/** What conntrack-tools 1.4.7 has beyond what podwire does. */
const COMMANDS_ELSEWHERE = [
  '-G', '--get', '-I', '--create', '-A', '--add', '-U', '--update',
  '-h', '--help', '-V', '--version',
]; // prettier-ignore
const FILTERS_ELSEWHERE = [
  '-o', '--output', '-f', '--family', '-z', '--zero', '-e', '--event-mask', '-l', '--label', '-t', '--timeout',
  '-w', '--zone', '--orig-zone', '--reply-zone', '-j', '--any-nat', '-b', '--buffer-size', '--mask-src', '--mask-dst',
  '--icmp-type', '--icmp-code', '--icmp-id', '--tuple-src', '--tuple-dst', '-i', '--id',
]; // prettier-ignore

/** `conntrack ARGS` in a namespace: -L [-o extended] and -D with a filter, -C, -F. */
export function conntrack(net: Netns, argv: readonly string[]): Result {
  const ct = table(net);
  const now = net.kernel.sim.now;
  try {
    const rest = argv.slice(1);
    switch (argv[0]) {
      case '-F': case '--flush':
        if (rest.length > 0) throw new RangeError(`unknown option \`${rest[0]}'`);
        for (const c of ct.list()) ct.remove(c);
        return { exit: 0, out: '', err: `${PROG}: connection tracking table has been emptied.\n` };
      case '-L': case '--dump': case '-D': case '--delete': {
        const at = rest.findIndex((w, i) => (w === '-o' || w === '--output') && rest[i + 1] === 'extended');
        const extended = at < 0 ? '' : 'ipv4     2 ';
        if (at >= 0) rest.splice(at, 2);
        const tests = filter(rest);
        const hits = ct.list().filter((c) => tests.every((t) => t(c)));
        const held = net.neigh.waiting();
        const out = hits.map((c) => `${extended}${connText(c, now, held.get(c) ?? 0)}\n`).join('');
        const del = argv[0] === '-D' || argv[0] === '--delete';
        if (del) for (const c of hits) ct.remove(c);
        const err = `${PROG}: ${hits.length} flow entries have been ${del ? 'deleted' : 'shown'}.\n`;
        return { exit: del && hits.length === 0 ? 1 : 0, out, err };
      }
      case '-C': case '--count':
        if (rest.length > 0) throw new RangeError(`unknown option \`${rest[0]}'`);
        return { exit: 0, out: `${ct.list().length}\n`, err: '' };
      case '-S': case '--stats':
        if (rest.length > 0) throw new RangeError(`unknown option \`${rest[0]}'`);
        return { exit: 0, out: statsText(ct.stats), err: '' };
      default:
        if (COMMANDS_ELSEWHERE.includes(argv[0] ?? '')) throw new RangeError(`podwire: conntrack: ${argv[0]} is not supported yet`);
        throw new RangeError(`unknown option \`${argv[0] ?? ''}'`);
    } // prettier-ignore
  } catch (e) {
    if (!(e instanceof RangeError)) throw e;
    return { exit: 2, out: '', err: usage(e.message) };
  }
}
