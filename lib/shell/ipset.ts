/**
 * ipset (7.17): create, add, del, test, list, save, restore, flush, destroy.
 * @module
 */
import { aton, ntoa } from '../../wire/inet.js';
import type { Netns } from '../linux/core/netns.js';
import {
  IpSet,
  ipsets,
  memorySize,
  revision,
  SET_TYPES,
  type SetEntry,
  type SetType,
} from '../linux/netfilter/ipset.js';
import { SetMatch } from '../linux/netfilter/xt-match.js';
import { address, number, protocolNumber, PROTOCOLS, splitLine } from './iptables-values.js';
import type { Result } from './iptables-save.js';

const PROG = 'ipset v7.17';

/** One element from its text; `find` looks up the members of a list. */
function entry(set: IpSet, text: string, find: (name: string) => IpSet | undefined): SetEntry {
  const e = { ip: 0, proto: 0, port: 0, ip2: 0, cidr: 32, cidr2: 32 };
  if (set.type === 'list:set') {
    const member = find(text);
    if (member === undefined) throw new Refused('Set to be added/deleted/tested as element does not exist.');
    if (member.type === 'list:set') throw new Refused('Element cannot be a list:set itself'); // prettier-ignore
    return { ...e, set: member };
  }
  if (set.type === 'bitmap:port') {
    e.port = number(text.replace(/^(tcp|udp):/, ''), 65535);
    if (e.port < set.from || e.port > set.to) throw new Refused(`Element is out of the range of the set`);
    return e;
  }
  const parts = text.split(',');
  const dims = set.type.slice(5).split(',');
  if (parts.length < dims.length) {
    const nth = ['', 'Second', 'Third'][parts.length]!;
    throw new RangeError(`Syntax error: ${nth} element is missing from ${text}.`);
  }
  if (parts.length > dims.length) throw new RangeError(`Syntax error: Elem separator in ${text}, but settype ${set.type} supports none.`); // prettier-ignore
  dims.forEach((dim, i) => {
    const t = parts[i]!;
    if (dim === 'port') {
      const [proto, port] = t.includes(':') ? (t.split(':') as [string, string]) : ['tcp', t];
      e.proto = protocolNumber(PROTOCOLS, proto) ?? number(proto, 255);
      e.port = number(port, 65535);
      return;
    }
    if (aton(t.split('/')[0]!) === null) throw new RangeError(`Syntax error: cannot parse ${t}: resolving to IPv4 address failed`); // prettier-ignore
    const [a, mask] = address(t);
    const bits = mask === 0 ? 0 : 32 - Math.log2((~mask >>> 0) + 1);
    if (dim === 'ip' && bits !== 32 && set.type !== 'hash:ip') {
      throw new RangeError(`podwire: ipset: a network as an address of ${set.type} is not supported yet`);
    }
    if (dim === 'net' && bits === 0) throw new Refused(`The value of the CIDR parameter of the IP address is invalid`);
    if (i === 0) e.ip = a;
    else e.ip2 = a;
    if (dim === 'ip' && bits !== 32) e.cidr2 = bits;
    if (dim !== 'net') return;
    if (i > 0 && set.type === 'hash:net,net') e.cidr2 = bits;
    else e.cidr = bits;
  });
  return e;
}

/** A network given to hash:ip is all its addresses. */
function expand(set: IpSet, e: SetEntry): SetEntry[] {
  if (set.type !== 'hash:ip' || (e.cidr2 ?? 32) === 32) return [e];
  const n = 2 ** (32 - e.cidr2!);
  if (n > 65536) throw new RangeError('podwire: ipset: more than 65536 addresses at once are not supported yet');
  return Array.from({ length: n }, (_, i) => ({ ...e, ip: (e.ip + i) | 0, cidr2: 32 }));
}

const protoName = (p: number): string => Object.keys(PROTOCOLS).find((k) => PROTOCOLS[k] === p) ?? String(p);

function entryText(set: IpSet, e: SetEntry): string {
  return `${elementText(set, e)}${e.nomatch === true ? ' nomatch' : ''}`;
}

/** With what the set keeps of each element; `quote` the comment always is. */
function memberText(set: IpSet, e: SetEntry, now: number): string {
  const left = Math.max(0, Math.ceil(((e.expires ?? 0) - now) / 1e9) - 1);
  const timeout = set.timeout < 0 ? '' : ` timeout ${(e.expires ?? 0) === 0 ? 0 : Math.max(1, left)}`;
  return `${entryText(set, e)}${timeout}${e.comment === undefined ? '' : ` comment "${e.comment}"`}`;
}

function elementText(set: IpSet, e: SetEntry): string {
  if (set.type === 'list:set') return e.set!.name;
  if (set.type === 'bitmap:port') return String(e.port);
  let first = true;
  const part = (dim: string): string => {
    if (dim === 'port') return `${protoName(e.proto)}:${e.port}`;
    const a = ntoa(first ? e.ip : e.ip2);
    const cidr = !first && set.type === 'hash:net,net' ? (e.cidr2 ?? 32) : e.cidr;
    first = false;
    return dim === 'net' && cidr !== 32 ? `${a}/${cidr}` : a;
  };
  return set.type.slice(5).split(',').map(part).join(','); // prettier-ignore
}

function header(s: IpSet): string {
  const ext = (s.timeout < 0 ? '' : ` timeout ${s.timeout}`) + (s.comments ? ' comment' : '');
  if (s.type === 'bitmap:port') return `range ${s.from}-${s.to}${ext}`;
  if (s.type === 'list:set') return `size ${s.maxelem}${ext}`;
  const initval = `0x${(s.initval >>> 0).toString(16).padStart(8, '0')}`;
  return `family inet hashsize ${s.hashsize} maxelem ${s.maxelem}${ext} bucketsize 12 initval ${initval}`;
}

function saveText(s: IpSet, now: number): string {
  return `create ${s.name} ${s.type} ${header(s)}\n${s
    .entries()
    .map((e) => `add ${s.name} ${memberText(s, e, now)}\n`)
    .join('')}`;
}

/** Rules of the namespace that use the set. */
function references(net: Netns, s: IpSet): number {
  let n = s.parents;
  for (const t of net.xt?.loaded ?? []) {
    for (const c of t.chains.values()) {
      for (const r of c.rules) for (const m of r.matches) if (m instanceof SetMatch && m.set === s) n++;
    }
  }
  return n;
}

function listText(net: Netns, s: IpSet, terse: boolean): string {
  const { now } = net.kernel.sim;
  const head = `Name: ${s.name}\nType: ${s.type}\nRevision: ${revision(s)}\nHeader: ${header(s)}\nSize in memory: ${memorySize(s)}\n`; // prettier-ignore
  const count = `References: ${references(net, s)}\nNumber of entries: ${s.entries().length}\n`;
  if (terse) return head + count;
  return `${head}${count}Members:\n${s.entries().map((e) => `${memberText(s, e, now)}\n`).join('')}`; // prettier-ignore
}

/** A failure with exit code 1. */
class Refused extends Error {}

/** The answer of `test`, which goes to stderr. */
class Tested extends Error {
  readonly found: boolean;
  constructor(found: boolean, text: string) {
    super(text);
    this.found = found;
  }
}

/** What ipset 7.17 has beyond what podwire does. */
const ELSEWHERE = [
  'bitmap:ip', 'bitmap:ip,mac', 'hash:mac', 'hash:ip,mac', 'hash:ip,mark', 'hash:net,iface', 'hash:net,port,net',
]; // prettier-ignore
const OPTIONS_ELSEWHERE = ['counters', 'skbinfo', 'forceadd', 'netmask', 'markmask', 'bitmask'];

function create(net: Netns, args: readonly string[], exist: boolean): void {
  const [name, type] = args as [string?, string?];
  if (name === undefined || type === undefined)
    throw new RangeError(`Missing ${name === undefined ? '' : 'second '}mandatory argument to command create`);
  if (!SET_TYPES.includes(type as SetType) && ELSEWHERE.includes(type))
    throw new RangeError(`podwire: ipset: type ${type} is not supported yet`);
  if (!SET_TYPES.includes(type as SetType)) throw new RangeError(`Syntax error: typename '${type}' is unknown`);
  if (name.length > 31) throw new RangeError(`Syntax error: setname '${name}' is longer than 31 characters.`);
  const all = ipsets(net).sets;
  const s = new IpSet(name, type as SetType, net.kernel.sim);
  if (type === 'list:set') s.maxelem = 8;
  for (let i = 2; i < args.length; i += 2) {
    if (args[i] === 'comment') {
      s.comments = true;
      i--;
      continue;
    }
    if (OPTIONS_ELSEWHERE.includes(args[i]!)) throw new RangeError(`podwire: ipset: ${args[i]} is not supported yet`);
    const v = args[i + 1];
    if (v === undefined) throw new RangeError(`Missing mandatory argument of option \`${args[i]}'`);
    if (args[i] === 'family') {
      if (v !== 'inet') throw new RangeError(`podwire: ipset: family ${v} is not supported yet`);
    } else if (args[i] === 'timeout') s.timeout = number(v, 2147483);
    else if (args[i] === 'size' && type === 'list:set') s.maxelem = number(v);
    else if (args[i] === 'hashsize') s.hashsize = number(v);
    else if (args[i] === 'maxelem') s.maxelem = number(v);
    else if (args[i] === 'initval') s.initval = number(v);
    else if (args[i] === 'bucketsize' && v === '12') continue;
    else if (args[i] === 'range' && type === 'bitmap:port') {
      const m = /^(\d+)-(\d+)$/.exec(v);
      if (m === null) throw new RangeError(`Syntax error: bad range "${v}"`);
      s.from = number(m[1]!, 65535);
      s.to = number(m[2]!, 65535);
    } else throw new RangeError(`Unknown argument: \`${args[i]}'`);
  }
  const old = all.get(name);
  if (old !== undefined) {
    if (!exist || old.type !== type) throw new Refused('Set cannot be created: set with the same name already exists');
    return;
  }
  if (s.initval === 0 && type.startsWith('hash:')) s.initval = net.kernel.rng('ipset-initval').u32();
  all.set(name, s);
}

/** `add SET ELEMENT [timeout N] [comment TEXT] [nomatch]`. */
function addElements(net: Netns, s: IpSet, plain: SetEntry, args: readonly string[], exist: boolean): string {
  let timeout = s.timeout;
  let comment: string | undefined;
  let nomatch = false;
  for (let i = 0; i < args.length; i++) {
    const opt = args[i]!;
    if (opt === 'nomatch' && s.type.includes('net')) nomatch = true;
    else if (opt === 'timeout' || opt === 'comment') {
      const v = args[++i];
      if (v === undefined) throw new RangeError(`Missing mandatory argument of option \`${opt}'`);
      if (opt === 'comment' && !s.comments) throw new Refused('Comment cannot be used: set was created without comment support');
      if (opt === 'timeout' && s.timeout < 0) throw new Refused('Timeout cannot be used: set was created without timeout support');
      // An empty one is none (ip_set_init_comment).
      if (opt === 'comment') comment = v === '' ? undefined : v;
      else timeout = number(v, 2147483);
    } else if (OPTIONS_ELSEWHERE.includes(opt) || ['packets', 'bytes', 'before', 'after'].includes(opt)) {
      throw new RangeError(`podwire: ipset: ${opt} is not supported yet`);
    } else throw new RangeError(`Unknown argument: \`${opt}'`);
  } // prettier-ignore
  const expires = timeout > 0 ? net.kernel.sim.now + timeout * 1e9 : 0;
  for (const one of expand(s, plain)) {
    const e = { ...one, comment, nomatch, expires };
    if (s.size >= s.maxelem && !s.has(e)) throw new Refused(s.type === 'list:set' ? 'Set is full, more elements cannot be added.' : 'Hash is full, cannot add more elements'); // prettier-ignore
    if (s.add(e)) continue;
    if (!exist) throw new Refused("Element cannot be added to the set: it's already added");
    s.del(e);
    s.add(e);
  }
  return '';
}

function run(net: Netns, words: readonly string[], stdin: string): string {
  const all = ipsets(net).sets;
  const exist = words.some((w) => w === '-exist' || w === '-!' || w === '--exist');
  const [cmd, ...args] = words.filter((w) => w !== '-exist' && w !== '-!' && w !== '--exist');
  const find = (name: string | undefined): IpSet => {
    const s = name === undefined ? undefined : all.get(name);
    if (s === undefined) throw new Refused('The set with the given name does not exist');
    return s;
  };
  const most = (n: number): void => {
    if (args.length > n) throw new RangeError(`Unknown argument: \`${args[n]}'`);
  };
  switch (cmd) {
    case 'create': case '-N': case 'n':
      create(net, args, exist);
      return '';
    case 'add': case '-A': case 'del': case '-D': case 'test': case '-T': {
      if (args[0] === undefined) throw new RangeError(`Missing mandatory argument to command ${cmd}`);
      if (args[1] === undefined) throw new RangeError(`Missing second mandatory argument to command ${cmd}`);
      const s = find(args[0]);
      const plain = entry(s, args[1], (n) => all.get(n));
      if (cmd === 'add' || cmd === '-A') return addElements(net, s, plain, args.slice(2), exist);
      most(2);
      if (cmd === 'test' || cmd === '-T') {
        throw new Tested(s.tests(plain), `${args[1]} is ${s.tests(plain) ? '' : 'NOT '}in set ${s.name}.`);
      }
      for (const e of expand(s, plain)) {
        if (!s.del(e) && !exist) throw new Refused("Element cannot be deleted from the set: it's not added");
      }
      return '';
    }
    case 'flush': case '-F':
      most(1);
      for (const s of args[0] === undefined ? all.values() : [find(args[0])]) s.flush();
      return '';
    case 'destroy': case '-X':
      most(1);
      for (const s of args[0] === undefined ? [...all.values()] : [find(args[0])]) {
        if (references(net, s) > 0) throw new Refused('Set cannot be destroyed: it is in use by a kernel component');
        all.delete(s.name);
      }
      return '';
    case 'rename': case '-E': {
      most(2);
      const s = find(args[0]);
      if (args[1] === undefined) throw new RangeError('Missing second mandatory argument to command rename');
      if (references(net, s) > 0) throw new Refused('Set cannot be renamed: it is in use by another system');
      if (all.has(args[1])) throw new Refused('Set cannot be renamed: a set with the new name already exists');
      // The order of the sets stays.
      const list = [...all.values()];
      s.name = args[1];
      all.clear();
      for (const x of list) all.set(x.name, x);
      return '';
    }
    case 'swap': case '-W': {
      most(2);
      const s = find(args[0]);
      const o = find(args[1]);
      if (s.type !== o.type) throw new Refused('The sets cannot be swapped: their type does not match');
      s.swap(o);
      return '';
    }
    case '-v': case 'version': case '--version':
      return 'ipset v7.17, protocol version: 7\n';
    case 'save': case '-S': case 'list': case '-L': {
      const names = args.some((w) => w === '-n' || w === '-name');
      const terse = args.some((w) => w === '-t' || w === '-terse');
      const [name, ...more] = args.filter((w) => !/^-(n|name|t|terse)$/.test(w));
      if (more.length > 0) throw new RangeError(`Unknown argument: \`${more[0]}'`);
      // Lists come last, so that what they name is there when it is restored (ip_set_dump_do).
      const sets = [...all.values()];
      const isList = (x: IpSet): boolean => x.type === 'list:set';
      const list = name === undefined ? [...sets.filter((x) => !isList(x)), ...sets.filter(isList)] : [find(name)];
      if (cmd === 'save' || cmd === '-S') return list.map((x) => saveText(x, net.kernel.sim.now)).join('');
      return names ? list.map((x) => `${x.name}\n`).join('') : list.map((x) => listText(net, x, terse)).join('\n');
    }
    case 'restore': case '-R': {
      let no = 0;
      for (const line of stdin.split('\n')) {
        no++;
        if (line.trim() === '' || line.startsWith('#') || line.trim() === 'COMMIT') continue;
        try {
          run(net, [...splitLine(line), ...(exist ? ['-exist'] : [])], '');
        } catch (e) {
          if (e instanceof Refused) throw new Refused(`Error in line ${no}: ${e.message}`);
          if (e instanceof RangeError) throw new RangeError(`Error in line ${no}: ${e.message}`);
          throw e;
        }
      }
      return '';
    }
    default:
      throw new RangeError(`No command specified: unknown argument ${cmd ?? ''}`);
  } // prettier-ignore
}

/** `ipset ARGS` in a namespace. */
export function ipset(net: Netns, argv: readonly string[], stdin = ''): Result {
  try {
    return { exit: 0, out: run(net, argv, stdin), err: '' };
  } catch (e) {
    if (e instanceof Tested)
      return { exit: e.found ? 0 : 1, out: '', err: `${e.found ? 'Warning: ' : ''}${e.message}\n` };
    if (e instanceof Refused) return { exit: 1, out: '', err: `${PROG}: ${e.message}\n` };
    if (!(e instanceof RangeError)) throw e;
    if (/^(podwire:|Error in line|Syntax error)/.test(e.message))
      return { exit: 1, out: '', err: `${PROG}: ${e.message}\n` };
    return { exit: 2, out: '', err: `${PROG}: ${e.message}\nTry \`ipset help' for more information.\n` };
  }
}
