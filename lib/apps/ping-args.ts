/**
 * The command line of iputils' `ping` 20221126: what it takes, and what it says of what it does not.
 * @module
 */
import { aton } from '../../wire/inet.js';
import { getopt, notWhole } from './getopt.js';

const USAGE = `
Usage
  ping [options] <destination>

Options:
  <destination>      dns name or ip address
  -a                 use audible ping
  -A                 use adaptive ping
  -B                 sticky source address
  -c <count>         stop after <count> replies
  -C                 call connect() syscall on socket creation
  -D                 print timestamps
  -d                 use SO_DEBUG socket option
  -e <identifier>    define identifier for ping session, default is random for
                     SOCK_RAW and kernel defined for SOCK_DGRAM
                     Imply using SOCK_RAW (for IPv4 only for identifier 0)
  -f                 flood ping
  -h                 print help and exit
  -I <interface>     either interface name or address
  -i <interval>      seconds between sending each packet
  -L                 suppress loopback of multicast packets
  -l <preload>       send <preload> number of packages while waiting replies
  -m <mark>          tag the packets going out
  -M <pmtud opt>     define mtu discovery, can be one of <do|dont|want>
  -n                 no dns name resolution
  -O                 report outstanding replies
  -p <pattern>       contents of padding byte
  -q                 quiet output
  -Q <tclass>        use quality of service <tclass> bits
  -s <size>          use <size> as number of data bytes to be sent
  -S <size>          use <size> as SO_SNDBUF socket option value
  -t <ttl>           define time to live
  -U                 print user-to-user latency
  -v                 verbose output
  -V                 print version and exit
  -w <deadline>      reply wait <deadline> in seconds
  -W <timeout>       time to wait for response

IPv4 options:
  -4                 use IPv4
  -b                 allow pinging broadcast
  -R                 record route
  -T <timestamp>     define timestamp, can be one of <tsonly|tsandaddr|tsprespec>

IPv6 options:
  -6                 use IPv6
  -F <flowlabel>     define flow label, default is random
  -N <nodeinfo opt>  use icmp6 node info query, try <help> as argument

For more details see ping(8).
`;

/** Timestamp flags of IPv4 (IPOPT_TS_*). */
const TS_TYPES: Readonly<Record<string, number>> = { tsonly: 0, tsandaddr: 1, tsprespec: 3 };

/** Probes that may go out without a pause, at one instant of the virtual clock. */
const MAX_AT_ONCE = 100000;

export interface PingOptions {
  /** 0: without end. */
  count: number;
  /** Milliseconds. */
  interval: number;
  linger: number;
  /** Seconds, 0: none. */
  deadline: number;
  preload: number;
  size: number;
  /** -1: the system's. */
  ttl: number;
  tos: number;
  mark: number;
  /** -1: drawn. */
  id: number;
  /** PMTUDISC_*, -1: not said. */
  pmtudisc: number;
  source: number;
  device: string;
  /** Hexadecimal digits of -p, null: none. */
  pattern: string | null;
  /** Flags of the timestamp option, -1: none. */
  timestamp: number;
  /** -4. */
  inet: boolean;
  numeric: boolean;
  quiet: boolean;
  verbose: boolean;
  audible: boolean;
  outstanding: boolean;
  timeOfDay: boolean;
  strictSource: boolean;
  broadcast: boolean;
  recordRoute: boolean;
  flood: boolean;
  /** The addresses or names to pass, the target last. */
  hops: string[];
}

/** Why ping ends before it begins. */
export interface PingRefusal {
  exit: number;
  err: string;
}

/** Options that take a whole number, from where to where (strtol_or_err). */
const WHOLE: Readonly<Record<string, [number, string]>> = {
  c: [1, '9223372036854775807'], s: [0, '2147483647'], t: [0, '255'], e: [0, '65535'], w: [0, '2147483647'],
  l: [1, '65536'], m: [0, '4294967295'],
}; // prettier-ignore

const FLAGS: Readonly<Record<string, 'numeric' | 'quiet' | 'verbose' | 'audible' | 'outstanding' | 'timeOfDay' | 'strictSource' | 'broadcast'>> = {
  n: 'numeric', q: 'quiet', v: 'verbose', a: 'audible', O: 'outstanding', D: 'timeOfDay', B: 'strictSource', b: 'broadcast',
}; // prettier-ignore

const fail = (text: string, exit = 2): PingRefusal => ({ exit, err: `ping: ${text}\n` });
const unsupported = (c: string): PingRefusal => ({
  exit: 2,
  err: `podwire: ping: option -${c} is not supported yet\n`,
});

/** Reads the arguments, the program's own name first. */
export function parsePing(argv: readonly string[]): PingOptions | PingRefusal {
  const o: PingOptions = {
    count: 0, interval: 1000, linger: 10000, deadline: 0, preload: 1, size: 56, ttl: -1, tos: 0, mark: 0, id: -1,
    pmtudisc: -1, source: 0, device: '', pattern: null, timestamp: -1, inet: false, numeric: false, quiet: false, verbose: false,
    audible: false, outstanding: false, timeOfDay: false, strictSource: false, broadcast: false,
    recordRoute: false, flood: false, hops: [],
  }; // prettier-ignore
  let interval = false;
  const { options, operands, error } = getopt(argv, 'h?4bRT:6F:N:aABc:CdDe:fi:I:l:Lm:M:nOp:qQ:rs:S:t:UvVw:W:');
  for (const [c, v] of options) {
    if (c === 'h' || c === '?') return { exit: 2, err: USAGE };
    const bad = option(o, c, v);
    if (bad !== null) return bad;
    interval ||= c === 'i';
  }
  if (error !== null) return { exit: 2, err: `ping: ${error}\n${USAGE}` };
  if (operands.length === 0) return fail('usage error: Destination address required', 1);
  if (operands.length > 1) {
    const most = o.timestamp < 0 ? 10 : o.timestamp === TS_TYPES['tsprespec'] ? 5 : 1;
    if (o.recordRoute || operands.length > most) return { exit: 2, err: USAGE };
  }
  o.hops = operands;
  if (o.flood && !interval) o.interval = 0;
  if (o.size > 0x100000) return { exit: 2, err: `podwire: ping: -s ${o.size} is not supported, no packet holds it\n` };
  if (o.interval === 0 && (o.count === 0 || o.count > MAX_AT_ONCE)) {
    const most = `-c ${MAX_AT_ONCE} at most`;
    return { exit: 2, err: `podwire: ping: without a pause it needs ${most}: no time passes between probes\n` };
  }
  return o;
}

/** One option into `o`; what ping says instead, or null. */
function option(o: PingOptions, c: string, v: string): PingRefusal | null {
  if (FLAGS[c] !== undefined) o[FLAGS[c]] = true;
  else if (WHOLE[c] !== undefined) {
    const bad = notWhole('ping', v, ...WHOLE[c]);
    if (bad !== null) return { exit: 1, err: `${bad}\n` };
    whole(o, c, Number(v));
  } else if (c === 'i' || c === 'W') return time(o, c, v);
  else if (c === 'f') o.flood = o.numeric = true;
  else if (c === 'p') o.pattern = v;
  else if (c === 'I') device(o, v);
  else if (c === 'M') {
    const i = ['dont', 'want', 'do'].indexOf(v);
    if (i < 0) return fail(`invalid -M argument: ${v}`);
    o.pmtudisc = i;
  } else if (c === 'Q') return tos(o, v);
  else if (c === 'R') {
    if (o.timestamp >= 0) return fail('only one of -T or -R may be used');
    o.recordRoute = true;
  } else if (c === 'T') {
    if (o.recordRoute) return fail('only one of -T or -R may be used');
    const type = TS_TYPES[v];
    if (type === undefined) return fail(`invalid timestamp type: ${v}`);
    o.timestamp = type;
  } else if (c === '4') o.inet = true;
  else if (c !== 'd' && c !== 'U') return unsupported(c);
  return null;
}

function whole(o: PingOptions, c: string, n: number): void {
  if (c === 'c') o.count = n;
  else if (c === 's') o.size = n;
  else if (c === 'e') o.id = n;
  else if (c === 't') o.ttl = n;
  else if (c === 'w') o.deadline = n;
  else if (c === 'l') o.preload = n;
  else if (c === 'm') o.mark = n | 0;
}

/** Seconds with a fraction (ping_strtod): -i and -W. */
function time(o: PingOptions, c: 'i' | 'W', v: string): PingRefusal | null {
  const what = c === 'i' ? 'bad timing interval' : 'bad linger time';
  if (v === '') return fail(`${what}: ${v}`);
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(v)) {
    return { exit: 2, err: `podwire: ping: -${c} "${v}": expected seconds\n` };
  }
  const n = Number(v);
  if (n > 2147483.647 || (c === 'W' && n < 0)) return fail(`${what}: ${v}`);
  if (n < 0) return { exit: 2, err: `podwire: ping: -i "${v}": expected seconds\n` };
  if (c === 'i') o.interval = Math.floor(n * 1000);
  else o.linger = Math.floor(n * 1000);
  return null;
}

function device(o: PingOptions, v: string): void {
  const a = aton(v);
  if (a === null) o.device = v;
  else {
    o.source = a;
    o.strictSource = true;
  }
}

function tos(o: PingOptions, v: string): PingRefusal | null {
  if (!/^(0[xX][0-9a-fA-F]*|[+-]?\d+)$/.test(v)) return fail(`bad TOS value: ${v}`);
  const n = /^0x$/i.test(v) ? 0 : Number(v);
  if (n > 255) return fail(`the decimal value of TOS bits must be in range 0-255: ${n}`);
  o.tos = n & 255;
  return null;
}
