/**
 * The command line of ipvsadm 1.31 as popt and ipvsadm.c read it: order matters, words and exit codes are the program's.
 * @module
 */
import { aton } from '../../wire/inet.js';
import * as ipv4 from '../../wire/ipv4.js';
import { DROUTE, MASQ, ONEPACKET, SCHED1, SCHED2, SCHED3, TUNNEL } from '../linux/ipvs/service.js';

/** The program ends: words on the error stream and an exit code. */
export class Exit extends Error {
  readonly exit: number;
  constructor(message: string, exit: number) {
    super(message);
    this.exit = exit;
  }
}

/** A command fails: the program says so, and goes on where it restores (exit code 255). */
export class Refused extends Exit {
  constructor(message: string) {
    super(message, 255);
  }
}

const fail = (message: string): never => {
  throw new Exit(message, 2);
};
const unsupported = (what: string): never => fail(`podwire: ipvsadm: ${what} is not supported yet`);

/** Options by number as in ipvsadm.c (OPTC_*); the index is the column of the table below. */
const OPTIONS = [
  'numeric', 'connection', 'service-address', 'scheduler', 'persistent', 'netmask', 'real-server', 'forwarding-method', 'weight',
  'u-threshold', 'l-threshold', 'mcast-interface', 'timeout', 'daemon', 'stats', 'rate', 'thresholds', 'persistent-conn', 'nosort',
  'syncid', 'exact', 'ops', 'pe', 'sched-flags', 'mcast-group', 'mcast-port', 'mcast-ttl', 'sync-maxlen', 'tun-info', 'tun-type',
  'tun-port', 'tun-nocsum', 'tun-csum', 'tun-remcsum',
] as const; // prettier-ignore
export type Option = (typeof OPTIONS)[number];

/** What a command takes: + it has to, 1 one of these, blank it may; all others are illegal. */
const COMMANDS = {
  'add-service': { '+': ['service-address'], ' ': ['scheduler', 'persistent', 'netmask', 'ops', 'pe', 'sched-flags'] },
  'edit-service': { '+': ['service-address'], ' ': ['scheduler', 'persistent', 'netmask', 'ops', 'pe', 'sched-flags'] },
  'delete-service': { '+': ['service-address'] },
  flush: {},
  list: {
    '1': ['connection', 'service-address', 'timeout', 'daemon'],
    ' ': ['numeric', 'stats', 'rate', 'thresholds', 'persistent-conn', 'nosort', 'syncid', 'exact', 'tun-info'],
  },
  'add-server': {
    '+': ['service-address', 'real-server'],
    ' ': ['forwarding-method', 'weight', 'u-threshold', 'l-threshold', 'tun-type', 'tun-port', 'tun-nocsum', 'tun-csum', 'tun-remcsum'],
  },
  'delete-server': { '+': ['service-address', 'real-server'] },
  'edit-server': {
    '+': ['service-address', 'real-server'],
    ' ': ['forwarding-method', 'weight', 'u-threshold', 'l-threshold', 'tun-type', 'tun-port', 'tun-nocsum', 'tun-csum', 'tun-remcsum'],
  },
  set: {},
  'start-daemon': { ' ': ['mcast-interface', 'syncid', 'mcast-group', 'mcast-port', 'mcast-ttl', 'sync-maxlen'] },
  'stop-daemon': { ' ': ['syncid'] },
  restore: {},
  save: { ' ': ['numeric'] },
  zero: { ' ': ['service-address'] },
} satisfies Record<string, Partial<Record<'+' | '1' | ' ', Option[]>>>; // prettier-ignore
export type CommandName = keyof typeof COMMANDS;

/** Short form, long form and, where one follows, a value (`?`: it may be missing). */
const WORDS: readonly (readonly [string, string, '' | ':' | '?'])[] = [
  ['A', 'add-service', ''], ['E', 'edit-service', ''], ['D', 'delete-service', ''], ['C', 'clear', ''], ['L', 'list', ''],
  ['l', 'list', ''], ['Z', 'zero', ''], ['a', 'add-server', ''], ['e', 'edit-server', ''], ['d', 'delete-server', ''],
  ['', 'set', ''], ['h', 'help', ''], ['v', 'version', ''], ['R', 'restore', ''], ['S', 'save', ''],
  ['', 'start-daemon', ':'], ['', 'stop-daemon', ':'], ['t', 'tcp-service', ':'], ['u', 'udp-service', ':'],
  ['', 'sctp-service', ':'], ['f', 'fwmark-service', ':'], ['s', 'scheduler', ':'], ['p', 'persistent', '?'],
  ['M', 'netmask', ':'], ['r', 'real-server', ':'], ['m', 'masquerading', ''], ['i', 'ipip', ''], ['g', 'gatewaying', ''],
  ['w', 'weight', ':'], ['x', 'u-threshold', ':'], ['y', 'l-threshold', ':'], ['n', 'numeric', ''], ['c', 'connection', ''],
  ['', 'mcast-interface', ':'], ['', 'syncid', ':'], ['', 'timeout', ''], ['', 'daemon', ''], ['', 'stats', ''], ['', 'rate', ''],
  ['', 'thresholds', ''], ['', 'persistent-conn', ''], ['', 'nosort', ''], ['', 'sort', ''], ['X', 'exact', ''], ['6', 'ipv6', ''],
  ['o', 'ops', ''], ['', 'pe', ':'], ['b', 'sched-flags', ':'], ['', 'mcast-group', ':'], ['', 'mcast-port', ':'],
  ['', 'mcast-ttl', ':'], ['', 'sync-maxlen', ':'], ['', 'tun-info', ''], ['', 'tun-type', ':'], ['', 'tun-port', ':'],
  ['', 'tun-nocsum', ''], ['', 'tun-csum', ''], ['', 'tun-remcsum', ''],
]; // prettier-ignore

interface Word {
  name: string;
  value: string | null;
  /** As it was written. */
  shown: string;
}

/** Words as popt cuts them: options with their values, and what is left over. Ends at the first error, which is in `error`. */
function cut(argv: readonly string[]): { words: Word[]; rest: string[]; error: string | null } {
  const words: Word[] = [];
  const rest: string[] = [];
  const end = (what: string, why: string): { words: Word[]; rest: string[]; error: string } => ({ words, rest, error: `${what}: ${why}` }); // prettier-ignore
  for (let i = 0; i < argv.length; i++) {
    const w = argv[i]!;
    if (w === '--') return { words, rest: [...rest, ...argv.slice(i + 1)], error: null };
    if (!w.startsWith('-') || w === '-') {
      rest.push(w);
      continue;
    }
    const long = w.startsWith('--');
    const eq = long ? w.indexOf('=') : -1;
    let chars = long ? [w.slice(2, eq < 0 ? undefined : eq)] : [...w.slice(1)];
    while (chars.length > 0) {
      const c = chars.shift()!;
      const found = WORDS.find((x) => (long ? x[1] === c : x[0] === c && c !== ''));
      const shown = long ? w : `-${c}`;
      if (found === undefined) return end(shown, 'unknown option');
      if (found[2] === '') {
        if (eq >= 0) return end(shown, 'option does not take an argument');
        words.push({ name: found[1], value: null, shown });
        continue;
      }
      let value: string | null = null;
      if (eq >= 0) value = w.slice(eq + 1);
      else if (chars.length > 0) value = chars.join('').replace(/^=/, '');
      else if (i + 1 < argv.length && !(found[2] === '?' && argv[i + 1]!.startsWith('-'))) value = argv[++i]!;
      else if (found[2] === ':') return end(shown, 'missing argument');
      chars = [];
      words.push({ name: found[1], value, shown });
    }
  }
  return { words, rest, error: null };
}

/** A command line as read. */
export interface Line {
  cmd: CommandName;
  options: Set<Option>;
  service: { proto: number; addr: number; port: number; fwmark: number };
  sched: string;
  flags: number;
  /** Seconds, 0: not persistent. */
  persistent: number;
  netmask: number;
  pe: string;
  real: { addr: number; port: number };
  fwd: number;
  weight: number;
  uThreshold: number;
  lThreshold: number;
  /** tcp, tcpfin, udp of `--set`. */
  set: number[];
}

const COMMAND_OF: Readonly<Record<string, CommandName>> = { clear: 'flush' };
const PROTO_OF: Readonly<Record<string, number>> = {
  'tcp-service': ipv4.TCP,
  'udp-service': ipv4.UDP,
  'sctp-service': ipv4.SCTP,
};
const FWD_OF: Readonly<Record<string, number>> = { masquerading: MASQ, ipip: TUNNEL, gatewaying: DROUTE };
const MAX_TIMEOUT = 86400 * 31;

/** string_to_number: -1 where it is none within the limits. */
function number(text: string, min: number, max: number): number {
  const n = /^[ \t]*[+-]?\d+$/.test(text) ? Number(text) : NaN;
  return n >= min && n <= max ? n : -1;
}

function timeout(text: string | null, min: number): number {
  if (text === null) return 360;
  const n = number(text, min, MAX_TIMEOUT);
  return n === -1 ? fail(`invalid timeout value \`${text}' specified`) : n;
}

/** parse_service: address and port into `to`; false when it is no address or port. Ports by name are refused. */
function endpoint(text: string, to: { addr: number; port: number }, named: { port: boolean }): boolean {
  named.port = false;
  if (/^\d*$/.test(text)) return false;
  if (/^\[|:.*:/.test(text)) return unsupported(`with an IPv6 address ("${text}")`);
  const colon = text.lastIndexOf(':');
  const addr = aton(colon < 0 ? text : text.slice(0, colon));
  if (addr === null) return false;
  to.addr = addr;
  if (colon < 0) return true;
  named.port = true;
  const port = number(text.slice(colon + 1), 0, 65535);
  if (port === -1 && /^[a-z]/i.test(text.slice(colon + 1))) return unsupported(`with a port by name ("${text}")`);
  to.port = port;
  return port !== -1;
}

function schedFlags(sched: string, text: string): number {
  let flags = 0;
  for (const w of text.split(',').filter((x) => x !== '')) {
    const m = /^(sh|mh)-(fallback|port)$/.exec(w);
    if (w === 'flag-1') flags |= SCHED1;
    else if (w === 'flag-2') flags |= SCHED2;
    else if (w === 'flag-3') flags |= SCHED3;
    else if (m === null) fail(`invalid scheduler flag \`${w}'`);
    else if (m[1] !== sched) fail(`incompatible scheduler flag \`${w}'`);
    else flags |= m[2] === 'fallback' ? SCHED1 : SCHED2;
  }
  return flags;
}

const tryHelp = (): never => {
  throw new Exit("Try `ipvsadm -h' or 'ipvsadm --help' for more information.", 255);
};

/** Reads a command line (parse_options, generic_opt_check and what process_options checks). Throws Exit. */
export function parse(argv: readonly string[]): Line {
  const { words, rest, error } = cut(argv);
  const first = words.shift();
  if (first === undefined) return tryHelp();
  const name: string = COMMAND_OF[first.name] ?? first.name;
  if (name === 'help' || name === 'version') return unsupported(`--${name}`);
  if (!Object.hasOwn(COMMANDS, name)) return tryHelp();
  const l: Line = {
    cmd: name as CommandName, options: new Set(), service: { proto: 0, addr: 0, port: 0, fwmark: 0 }, sched: '', flags: 0,
    persistent: 0, netmask: -1, pe: '', real: { addr: 0, port: 0 }, fwd: DROUTE, weight: 1, uThreshold: 0, lThreshold: 0, set: [],
  }; // prettier-ignore
  let flags = '';
  for (const w of words) {
    if (w.name === 'sched-flags') flags = w.value!;
    option(l, w);
  }
  if (error !== null) throw new Refused(error);
  if (l.cmd === 'set') {
    if (rest.length < 3) fail('--set option requires 3 timeout values');
    l.set = rest.splice(0, 3).map((t) => timeout(t, 0));
  }
  if (rest.length > 0) fail(`unexpected argument ${rest[0]}`);
  if (flags !== '') l.flags = (l.flags & ONEPACKET) | schedFlags(l.sched === '' ? 'wlc' : l.sched, flags);
  checkOptions(l);
  checkLine(l);
  return l;
}

/** The option's place in the table. */
function setOption(l: Line, o: Option): void {
  if (l.options.has(o)) fail(`multiple '${o}' options specified`);
  l.options.add(o);
}

function option(l: Line, w: Word): void {
  const v = w.value ?? '';
  const named = { port: false };
  if (Object.hasOwn(COMMANDS, COMMAND_OF[w.name] ?? w.name)) fail(`invalid option \`${w.shown}'`);
  if (w.name === 'sort') return;
  if (w.name === 'ipv6') return unsupported('-6');
  if (w.name in PROTO_OF) {
    setOption(l, 'service-address');
    l.service.proto = PROTO_OF[w.name]!;
    if (!endpoint(v, l.service, named)) fail('illegal virtual server address[:port] specified');
  } else if (w.name === 'fwmark-service') {
    setOption(l, 'service-address');
    const n = number(v, 1, 0xffffffff);
    l.service.proto = ipv4.TCP;
    l.service.fwmark = n === -1 ? fail(`invalid fwmark value \`${v}' specified`) : n;
  } else if (w.name in FWD_OF) {
    setOption(l, 'forwarding-method');
    l.fwd = FWD_OF[w.name]!;
  } else {
    setOption(l, w.name as Option);
    value(l, w, v, named);
  }
}

/** Options that carry a value for the service or the server. */
function value(l: Line, w: Word, v: string, named: { port: boolean }): void {
  const within = (max: number, what: string): number => {
    const n = number(v, 0, max);
    return n === -1 ? fail(`illegal ${what} specified`) : n;
  };
  switch (w.name) {
    case 'scheduler':
      l.sched = v.slice(0, 15);
      return;
    case 'persistent':
      l.persistent = timeout(w.value, 1);
      return;
    case 'netmask':
      l.netmask = aton(v) ?? fail('illegal virtual server persistent mask specified');
      return;
    case 'real-server':
      l.real.port = l.service.port;
      if (!endpoint(v, l.real, named)) fail('illegal real server address[:port] specified');
      return;
    case 'weight':
      l.weight = within(0x7fffffff, 'weight');
      return;
    case 'u-threshold':
      l.uThreshold = within(0x7fffffff, 'u_threshold');
      return;
    case 'l-threshold':
      l.lThreshold = within(0x7fffffff, 'l_threshold');
      return;
    case 'ops':
      l.flags |= ONEPACKET;
      return;
    case 'pe':
      l.pe = v;
      return;
    case 'tun-type':
      if (v !== 'ipip' && v !== 'gue' && v !== 'gre') fail('illegal tunnel type specified');
      if (v !== 'ipip') unsupported(`--tun-type ${v}`);
  }
}

/** generic_opt_check. */
function checkOptions(l: Line): void {
  const table: Partial<Record<'+' | '1' | ' ', Option[]>> = COMMANDS[l.cmd];
  let one: Option | null = null;
  for (const o of OPTIONS) {
    const given = l.options.has(o);
    const kind = (['+', '1', ' '] as const).find((k) => table[k]?.includes(o));
    if (!given) {
      if (kind === '+') fail(`You need to supply the '${o}' option for the '${l.cmd}' command`);
    } else if (kind === undefined) fail(`Illegal '${o}' option with the '${l.cmd}' command`);
    else if (kind === '1') {
      if (one !== null) fail(`The option '${o}' conflicts with the '${one}' option in the '${l.cmd}' command`);
      one = o;
    }
  }
}

/** What process_options checks of a whole line. */
function checkLine(l: Line): void {
  const { cmd, service: s, options } = l;
  if (cmd === 'add-service' || cmd === 'edit-service') {
    if (s.fwmark === 0 && s.port === 0 && l.persistent === 0) fail('Zero port specified for non-persistent service');
    if ((l.flags & ONEPACKET) !== 0 && s.fwmark === 0 && s.proto !== ipv4.UDP) {
      fail('One-Packet Scheduling is only for UDP virtual services');
    }
    if (l.sched === '') l.sched = 'wlc';
  }
  if (cmd === 'add-server' || cmd === 'edit-server') {
    if (s.fwmark === 0 && l.fwd !== MASQ) l.real.port = s.port;
    const tun = (['tun-type', 'tun-port', 'tun-nocsum', 'tun-csum', 'tun-remcsum'] as const).find((o) =>
      options.has(o),
    );
    if (tun !== undefined && l.fwd !== TUNNEL) fail('Tunnel options conflict with forward method');
    if (tun !== undefined && tun !== 'tun-type') fail(`Illegal '${tun}' option with the 'ipip' tunnel type`);
  }
  const has = (...list: Option[]): boolean => list.some((o) => options.has(o));
  const conflict =
    (has('connection', 'timeout', 'daemon') && has('stats', 'rate', 'thresholds')) ||
    (has('timeout', 'daemon') && has('persistent-conn'));
  if (cmd === 'list' && conflict) fail('options conflicts in the list command');
}
