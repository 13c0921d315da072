/**
 * ipset (7.17): create, add, del, test, list, save, restore, flush, destroy.
 * @module
 */
import { ntoa } from '../../wire/inet.js';
import type { Netns } from '../linux/core/netns.js';
import { IpSet, ipsets, SET_TYPES, type SetEntry, type SetType } from '../linux/netfilter/ipset.js';
import { SetMatch } from '../linux/netfilter/xt-match.js';
import { address, number, PROTOCOLS, splitLine } from './iptables-values.js';
import type { Result } from './iptables-save.js';

const PROG = 'ipset v7.17';

function entry(set: IpSet, text: string): SetEntry {
  const e = { ip: 0, proto: 0, port: 0, ip2: 0, cidr: 32 };
  if (set.type === 'bitmap:port') {
    e.port = number(text.replace(/^(tcp|udp):/, ''), 65535);
    if (e.port < set.from || e.port > set.to) throw new RangeError(`Element is out of the range of the set`);
    return e;
  }
  const parts = text.split(',');
  const dims = set.type.slice(5).split(',');
  if (parts.length !== dims.length)
    throw new RangeError(`Syntax error: ${set.type} needs ${dims.length} part(s), found "${text}"`);
  dims.forEach((dim, i) => {
    const t = parts[i]!;
    if (dim === 'port') {
      const [proto, port] = t.includes(':') ? (t.split(':') as [string, string]) : ['tcp', t];
      e.proto = PROTOCOLS[proto] ?? number(proto, 255);
      e.port = number(port, 65535);
      return;
    }
    const [a, mask] = address(t);
    const bits = mask === 0 ? 0 : 32 - Math.log2((~mask >>> 0) + 1);
    if (dim === 'ip' && bits !== 32) throw new RangeError(`Syntax error: "${t}" is a network, an address is expected`);
    if (dim === 'net' && bits === 0)
      throw new RangeError(`The value of the CIDR parameter of the IP address is invalid`);
    if (i === 0) e.ip = a;
    else e.ip2 = a;
    if (dim === 'net') e.cidr = bits;
  });
  return e;
}

const protoName = (p: number): string => Object.keys(PROTOCOLS).find((k) => PROTOCOLS[k] === p) ?? String(p);

function entryText(set: IpSet, e: SetEntry): string {
  if (set.type === 'bitmap:port') return String(e.port);
  let first = true;
  const part = (dim: string): string => {
    if (dim === 'port') return `${protoName(e.proto)}:${e.port}`;
    const a = ntoa(first ? e.ip : e.ip2);
    first = false;
    return dim === 'net' && e.cidr !== 32 ? `${a}/${e.cidr}` : a;
  };
  return set.type.slice(5).split(',').map(part).join(','); // prettier-ignore
}

function header(s: IpSet): string {
  if (s.type === 'bitmap:port') return `range ${s.from}-${s.to}`;
  const initval = `0x${(s.initval >>> 0).toString(16).padStart(8, '0')}`;
  return `family inet hashsize ${s.hashsize} maxelem ${s.maxelem} bucketsize 12 initval ${initval}`;
}

function saveText(s: IpSet): string {
  return `create ${s.name} ${s.type} ${header(s)}\n${s
    .entries()
    .map((e) => `add ${s.name} ${entryText(s, e)}\n`)
    .join('')}`;
}

/** Rules of the namespace that use the set. */
function references(net: Netns, s: IpSet): number {
  let n = 0;
  for (const t of net.xt?.loaded ?? []) {
    for (const c of t.chains.values()) {
      for (const r of c.rules) for (const m of r.matches) if (m instanceof SetMatch && m.set === s) n++;
    }
  }
  return n;
}

function listText(net: Netns, s: IpSet): string {
  const members = s.entries().map((e) => `${entryText(s, e)}\n`).join(''); // prettier-ignore
  const head = `Name: ${s.name}\nType: ${s.type}\nRevision: 0\nHeader: ${header(s)}\n`;
  return `${head}References: ${references(net, s)}\nNumber of entries: ${s.size}\nMembers:\n${members}`;
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
  'bitmap:ip', 'bitmap:ip,mac', 'hash:mac', 'hash:ip,mac', 'hash:ip,mark', 'hash:net,net', 'hash:net,iface', 'hash:ip,port,net',
  'hash:net,port,net', 'list:set',
]; // prettier-ignore
const OPTIONS_ELSEWHERE = [
  'timeout',
  'counters',
  'comment',
  'skbinfo',
  'forceadd',
  'netmask',
  'markmask',
  'nomatch',
  'size',
];

function create(net: Netns, args: readonly string[], exist: boolean): void {
  const [name, type] = args as [string?, string?];
  if (name === undefined || type === undefined)
    throw new RangeError('Missing mandatory argument to the create command');
  if (!SET_TYPES.includes(type as SetType) && ELSEWHERE.includes(type))
    throw new RangeError(`podwire: ipset: type ${type} is not supported yet`);
  if (!SET_TYPES.includes(type as SetType)) throw new RangeError(`Syntax error: unknown settype "${type}"`);
  if (name.length > 31) throw new RangeError(`Syntax error: setname '${name}' is longer than 31 characters.`);
  const all = ipsets(net).sets;
  const s = new IpSet(name, type as SetType);
  for (let i = 2; i < args.length; i += 2) {
    const v = args[i + 1];
    if (v === undefined) throw new RangeError(`Missing mandatory argument of option \`${args[i]}'`);
    if (args[i] === 'family') {
      if (v !== 'inet') throw new RangeError(`podwire: ipset: family ${v} is not supported yet`);
    } else if (args[i] === 'hashsize') s.hashsize = number(v);
    else if (args[i] === 'maxelem') s.maxelem = number(v);
    else if (args[i] === 'initval') s.initval = number(v);
    else if (args[i] === 'bucketsize' && v === '12') continue;
    else if (args[i] === 'range' && type === 'bitmap:port') {
      const m = /^(\d+)-(\d+)$/.exec(v);
      if (m === null) throw new RangeError(`Syntax error: bad range "${v}"`);
      s.from = number(m[1]!, 65535);
      s.to = number(m[2]!, 65535);
    } else if (OPTIONS_ELSEWHERE.includes(args[i]!))
      throw new RangeError(`podwire: ipset: ${args[i]} is not supported yet`);
    else throw new RangeError(`Unknown argument: \`${args[i]}'`);
  }
  const old = all.get(name);
  if (old !== undefined) {
    if (!exist || old.type !== type) throw new Refused('Set cannot be created: set with the same name already exists');
    return;
  }
  if (s.initval === 0 && type !== 'bitmap:port') s.initval = net.kernel.rng('ipset-initval').u32();
  all.set(name, s);
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
      most(2);
      const s = find(args[0]);
      const e = entry(s, args[1] ?? '');
      if (cmd === 'add' || cmd === '-A') {
        if (s.size >= s.maxelem && !s.has(e)) throw new Refused('Hash is full, cannot add more elements');
        if (!s.add(e) && !exist) throw new Refused("Element cannot be added to the set: it's already added");
      } else if (cmd === 'test' || cmd === '-T') {
        throw new Tested(s.tests(e), `${args[1]} is ${s.tests(e) ? '' : 'NOT '}in set ${s.name}.`);
      } else if (!s.del(e) && !exist) throw new Refused("Element cannot be deleted from the set: it's not added");
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
    case 'save': case '-S': case 'list': case '-L': {
      most(1);
      const list = args[0] === undefined ? [...all.values()] : [find(args[0])];
      return cmd === 'save' || cmd === '-S' ? list.map(saveText).join('') : list.map((x) => listText(net, x)).join('\n');
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
    if (e instanceof RangeError) return { exit: 2, out: '', err: `${PROG}: ${e.message}\n` };
    throw e;
  }
}
