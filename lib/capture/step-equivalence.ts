/**
 * What may differ between the outputs of one command in two correct runs: a written list. Everything else is equal.
 *
 * A rule names a part of certain lines. The part is not ignored: a time has to be near the expected one, a random number
 * has to be the one that the frames show (or stand one to one for the expected one), a date has to be a date.
 * @module
 */
import type { EquivalenceName, Mappings } from './equivalence.js';

/** How two texts of a part are judged; both are known to have the form that the rule's pattern asks for. */
export type Judge = (e: string, a: string, context: StepContext, line: string) => boolean;

/** What a judge may ask. */
export interface StepContext {
  maps: Mappings;
  /** Ports that NAT may draw: 1024-65535 instead of the ephemeral ones. */
  natPorts: boolean;
  /** True for a text that the Lab itself contains: such a value is never random. */
  fixed: (text: string) => boolean;
}

export interface StepRule {
  name: string;
  reason: string;
  /** The lines concerned. */
  line: RegExp;
  /** The part: group 1 of each match (flags `dg`). */
  part: RegExp;
  judge: Judge;
}

/** Lines whose order the kernel draws at random; matched with each other in any order. */
export interface OrderRule {
  name: string;
  reason: string;
  line: RegExp;
}

const any: Judge = () => true;

/** Numbers no further apart than `limit`. */
const within =
  (limit: number): Judge =>
  (e, a) =>
    Math.abs(Number(e) - Number(a)) <= limit;

/** `mm:ss` no further apart than `limit` seconds. */
const clock =
  (limit: number): Judge =>
  (e, a) => {
    const s = (t: string): number => Number(t.split(':')[0]) * 60 + Number(t.split(':')[1]);
    return Math.abs(s(e) - s(a)) <= limit;
  };

/** Seconds since 1970 as milliseconds since midnight. */
const timeOfDay = (s: string): number => Math.floor((Number(s) * 1000) % 86400000);

const PROTOCOLS = ['6', '17'];

/** A port is equal, or stands for the expected one in the frames already, or is drawn and new. */
const port: Judge = (e, a, { maps, natPorts }, line) => {
  const [x, y] = [Number(e), Number(a)];
  const m = /^(?:ipv4 +2 +)?(tcp|udp) /i.exec(line);
  const keys = m === null ? PROTOCOLS : [m[1]!.toLowerCase() === 'tcp' ? '6' : '17'];
  if (keys.some((k) => maps.known('port', k, x, y))) return true;
  if (maps.tunnelPorts.has(`${x} ${y}`) && / dport=(8472|6784|4789) /.test(line)) return true;
  const [low, high] = natPorts ? [1024, 65535] : [32768, 60999];
  const drawn = x >= low && x <= high && y >= low && y <= high;
  if (x !== y && !drawn) return false;
  return m === null ? x === y : maps.pair('port', keys[0]!, x, y);
};

const mapped =
  (name: EquivalenceName, key = ''): Judge =>
  (e, a, { maps }) =>
    maps.pair(name, key, Number(e), Number(a));

const CONNTRACK = /^(?:ipv4 +2 +)?(?:tcp|udp|icmp|sctp|unknown) +\d+ \d+ /;
/** The same, or a line of `conntrack -E`, whose order counts. */
const FLOW =
  /^(?: {4}\[NEW\] | \[UPDATE\] |\[DESTROY\] )?(?:ipv4 +2 +)?(?:tcp|udp|icmp|sctp|unknown) +\d+ (?:\d+ |src=)/;
const DATAPATH_FLOW = /^(?:tunnel|in_port|eth)\(.*, packets:\d+, bytes:\d+, used:/;
const IPVS_CONN = /^(?:TCP|UDP|SCTP|IP) +\d\d:\d\d +\S+ +[\d.]+:\d+ /;

export const STEP_RULES: readonly StepRule[] = [
  {
    name: 'ping-time',
    reason:
      'round trips take real time on the kernel; no further apart than 30 ms, so that a delay set by tc still counts',
    line: /^(?:\[[\d.]+\] )?\d+ bytes from .* time=[\d.]+ ms/,
    part: / time=([\d.]+) ms/dg,
    judge: within(30),
  },
  {
    name: 'ping-time',
    reason: 'the same times, summed up',
    line: /^rtt min\/avg\/max\/mdev = /,
    part: /([\d.]+)(?=[/ ])/dg,
    judge: within(30),
  },
  {
    name: 'ping-time',
    reason: "the run's length: every interval of the real ping is a few ms longer than asked",
    line: /^\d+ packets transmitted, /,
    part: / time (\d+)ms$/dg,
    judge: within(250),
  },
  {
    name: 'icmp-echo-id',
    reason: 'ping -v prints its identifier, as in the frames',
    line: /^(?:\[[\d.]+\] )?\d+ bytes from .* ident=\d+/,
    part: / ident=(\d+)/dg,
    judge: mapped('icmp-echo-id'),
  },
  {
    name: 'date',
    reason: 'ping -D prints the time of day: by the clock of the timestamp options, the same difference throughout',
    line: /^\[\d+\.\d{6}\] /,
    part: /^\[(\d+\.\d{6})\]/dg,
    judge: (e, a, { maps }) => maps.sameTime(timeOfDay(e), timeOfDay(a)),
  },
  {
    name: 'ip-timestamp',
    reason: 'the first time in a timestamp option, as in the frames',
    line: /^(?:TS: )?\t.*\d+ absolute$/,
    part: /\t(\d+) absolute$/dg,
    judge: (e, a, { maps }) => maps.sameTime(Number(e), Number(a)),
  },
  {
    name: 'ip-timestamp',
    reason: 'the others: ms from hop to hop, which take real time on the kernel; no further apart than 30 ms',
    line: /^\t(?:[\d.]+\t)?\d+$/,
    part: /\t(\d+)$/dg,
    judge: within(30),
  },
  {
    name: 'arping-time',
    reason: 'the same of ARP: real time on the kernel, no further apart than 30 ms',
    line: /^(?:Unicast|Broadcast) (?:reply|request) from /,
    part: / (\d+\.\d{3})ms$/dg,
    judge: within(30),
  },
  {
    name: 'seconds-left',
    reason: 'the step itself starts some ms late on the kernel; no further apart than 2 s',
    line: FLOW,
    part: /^(?: *\[[A-Z]+\] )?(?:ipv4 +2 +)?\S+ +\d+ (\d+) /dg,
    judge: within(2),
  },
  {
    name: 'mask-order',
    reason:
      'a datapath sorts its masks by use every 4 s of real time, unused ones change places: how many of them packets met differs from recording to recording; by 2 or a quarter at most',
    line: /^  (?:masks: hit:\d+ total:\d+ hit\/pkt:[\d.]+|cache: hit:\d+ hit-rate:[\d.]+%)$/,
    part: /(?<!total):([\d.]+)/dg,
    judge: (e, a) => Math.abs(Number(e) - Number(a)) <= Math.max(2, Number(e) / 4),
  },
  {
    name: 'seconds-since',
    reason: "a datapath's flow tells when it was last used; no further apart than 2 s",
    line: DATAPATH_FLOW,
    part: / used:(\d+\.\d{3})s/dg,
    judge: within(2),
  },
  {
    name: 'port',
    reason: 'client ports are random: the one that the frames show for the expected one, or a new one to one pair',
    line: FLOW,
    part: / [sd]port=(\d+)/dg,
    judge: port,
  },
  {
    name: 'icmp-echo-id',
    reason: "ping's identifier, as in the frames",
    line: FLOW,
    part: / id=(\d+)/dg,
    judge: mapped('icmp-echo-id'),
  },
  {
    name: 'seconds-left',
    reason: 'as in conntrack; ipvsadm prints minutes and seconds',
    line: IPVS_CONN,
    part: / (\d\d:\d\d) /dg,
    judge: clock(2),
  },
  {
    name: 'port',
    reason: 'client ports, as in the frames',
    line: IPVS_CONN,
    part: /\d+\.\d+\.\d+\.\d+:(\d+)/dg,
    judge: port,
  },
  {
    name: 'port',
    reason: 'a server that prints who asked prints the random port of the client: the one that the frames show',
    line: /\b\d+\.\d+\.\d+\.\d+:\d+/,
    part: /\b\d+\.\d+\.\d+\.\d+:(\d+)\b/dg,
    judge: port,
  },
  {
    name: 'port',
    reason: 'nc -l -v prints the random port of the client, as in the frames',
    line: /^Connection received on /,
    part: / (\d+)$/dg,
    judge: port,
  },
  {
    name: 'curl-time',
    reason: 'a connection and its timeout take some ms more on the kernel; no further apart than 300 ms',
    line: /^(?:curl: \((?:7|28)\)|\*) /,
    part: / after (\d+) (?:ms|milliseconds)\b/dg,
    judge: within(300),
  },
  {
    name: 'date',
    reason: 'the time of day',
    line: /^# (?:Generated by|Completed on) /,
    part: / on (\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})$/dg,
    judge: any,
  },
  {
    name: 'date',
    reason: 'the time of day',
    line: /^(?:< )?date: /i,
    part: /: (\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT)/dg,
    judge: any,
  },
  {
    name: 'date',
    reason: 'the time of day',
    line: /^;; WHEN: /,
    part: /^;; WHEN: (\w{3} \w{3} \d\d \d\d:\d\d:\d\d \w+ \d{4})$/dg,
    judge: any,
  },
  {
    name: 'query-time',
    reason: 'round trips take real time on the kernel; no further apart than 30 ms',
    line: /^;; Query time: /,
    part: /: (\d+) msec$/dg,
    judge: within(30),
  },
  {
    name: 'dns-id',
    reason: 'dig draws message ids at random; one to one',
    line: /^;; ->>HEADER<<- /,
    part: /, id: (\d+)$/dg,
    judge: mapped('dns-id', 'dig'),
  },
  {
    name: 'dns-cookie',
    reason: 'dig sends a random client cookie',
    line: /^; COOKIE: /,
    part: /^; COOKIE: ([0-9a-f]{16})/dg,
    judge: (e, a, { maps }) => maps.pair('dns-cookie', '', e, a),
  },
  {
    name: 'bridge-timer',
    reason:
      "the timer that clears a bridge's table runs since the bridge is up, and the kernel's setup takes real time; no further apart than a minute",
    line: /^ {4}bridge forward_delay /,
    part: / gc_timer +([\d.]+) /dg,
    judge: within(60),
  },
  {
    name: 'initval',
    reason: 'the seed of a set, drawn by the kernel',
    line: /\binitval 0x[0-9a-f]{8}\b/,
    part: /\binitval (0x[0-9a-f]{8})\b/dg,
    judge: any,
  },
  {
    name: 'mac',
    reason: 'a device without an address of its own gets a random one; one to one, and never one that the Lab sets',
    line: /\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b/,
    part: /\b([0-9a-f][26ae](?::[0-9a-f]{2}){5})\b/dg,
    judge: (e, a, { maps, fixed }) => (e === a || (!fixed(e) && !fixed(a))) && maps.pair('mac', '', e, a),
  },
];

export const ORDER_RULES: readonly OrderRule[] = [
  { name: 'order', reason: 'conntrack walks a hash table with a random seed', line: CONNTRACK },
  {
    name: 'order',
    reason: 'IPVS walks a hash table of connections with a random seed',
    line: IPVS_CONN,
  },
  {
    name: 'order',
    reason: 'flows of a datapath stand in a hash table with a random seed',
    line: DATAPATH_FLOW,
  },
  {
    name: 'order',
    reason: 'neighbours stand in a hash table with a random seed',
    line: /^[\d.]+ (?:dev \S+ )?(?:lladdr \S+ )?(?:router |proxy |extern_learn )*(?:INCOMPLETE|REACHABLE|STALE|DELAY|PROBE|FAILED|NOARP|PERMANENT|NONE) *$/,
  },
  {
    name: 'order',
    reason: "a vxlan device's table is hashed with a random seed",
    line: /^[0-9a-f:]{17} (?:dev \S+ )?dst [\d.]+ /,
  },
];
