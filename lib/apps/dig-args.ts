/**
 * The command line of BIND 9.18's dig (bin/dig/dig.c).
 *
 * What dig knows and podwire does not emulate is an error of ours; what dig does not know is dig's own error.
 * @module
 */
import { classNumber, opcodeNumber, typeNumber } from '../../wire/dns-text.js';
import { addressBytes } from '../../wire/inet6.js';
import { aton } from '../../wire/inet.js';
import { reverseName } from './netdb.js';

/** One question and how its answer is printed. */
export interface Lookup {
  name: string;
  type: number;
  cls: number;
  /** True once a type was given. */
  typed: boolean;
  flags: number;
  opcode: number;
  /** -1: drawn. */
  qid: number;
  /** -1: no EDNS. */
  edns: number;
  ednsFlags: number;
  size: number;
  dnssec: boolean;
  /** Hex of a fixed cookie, empty: a random one, null: none. */
  cookie: string | null;
  nsid: boolean;
  options: [code: number, hex: string][];
  padding: number;
  tries: number;
  /** Seconds to wait for an answer, 0: 5 over UDP, 10 over TCP. */
  time: number;
  ignore: boolean;
  tcp: boolean;
  /** +tcp or +notcp was given: ANY goes over what it says. */
  tcpGiven: boolean;
  servfailStops: boolean;
  show: {
    question: boolean;
    answer: boolean;
    authority: boolean;
    additional: boolean;
    comments: boolean;
    stats: boolean;
  };
  short: boolean;
  identify: boolean;
  query: boolean;
  ttl: boolean;
  ttlUnits: boolean;
  cls_: boolean;
  multiline: boolean;
  expand: boolean;
}
export interface DigOptions {
  lookups: Lookup[];
  /** Text after `@`, or null: the servers of resolv.conf. */
  server: string | null;
  /** `@` stood before the first name, whose greeting (printgreeting) then counts the addresses. */
  serverFirst: boolean;
  port: number;
  source: number;
  sourcePort: number;
  search: boolean;
  domain: string | null;
  ndots: number;
  showSearch: boolean;
  printCmd: boolean;
  /** To stderr, before anything else. */
  warnings: string;
}
/** What to print on stdout and stderr, and the exit code. */
export interface DigFailure {
  said: string;
  error: string;
  code: number;
}

export const VERSION = '9.18.49-1~deb12u3-Debian';
const USAGE = `Usage:  dig [@global-server] [domain] [q-type] [q-class] {q-opt}
            {global-d-opt} host [@local-server] {local-d-opt}
            [ host [@local-server] {local-d-opt} [...]]

Use "dig -h" (or "dig -h | more") for complete list of options
`;

const DEFAULT: Lookup = {
  name: '.', type: 2, cls: 1, typed: false, flags: 0x0120, opcode: 0, qid: -1, edns: 0, ednsFlags: 0, size: 1232, dnssec: false, cookie: '',
  nsid: false, options: [], padding: 0, tries: 3, time: 0, ignore: false, tcp: false, tcpGiven: false, servfailStops: true,
  show: { question: true, answer: true, authority: true, additional: true, comments: true, stats: true },
  short: false, identify: false, query: false, ttl: true, ttlUnits: false, cls_: true, multiline: false, expand: false,
}; // prettier-ignore

/** Options dig has, those that change nothing here first. */
const NOTHING = ['besteffort', 'crypto', 'idnin', 'idnout', 'mapped', 'onesoa', 'rrcomments', 'split'];
const KNOWN = [
  ...NOTHING, 'keepopen', 'aaflag', 'aaonly', 'additional', 'adflag', 'all', 'answer', 'authority', 'badcookie', 'bufsize', 'cdflag', 'class', 'cl',
  'cmd', 'comments', 'cookie', 'defname', 'dns64prefix', 'dnssec', 'do', 'domain', 'edns', 'ednsflags', 'ednsnegotiation', 'ednsopt',
  'expandaaaa', 'expire', 'fail', 'header-only', 'http-plain', 'https', 'identify', 'ignore', 'keepalive', 'multiline', 'ndots', 'nsid',
  'nssearch', 'opcode', 'padding', 'proxy', 'qid', 'qr', 'question', 'raflag', 'rdflag', 'recurse', 'retry', 'search', 'short',
  'showsearch', 'sit', 'stats', 'subnet', 'tcflag', 'tcp', 'time', 'timeout', 'tls', 'topdown', 'trace', 'tries', 'ttlid', 'ttlunits',
  'unknownformat', 'vc', 'yaml', 'zflag',
]; // prettier-ignore

class Failure {
  readonly failure: DigFailure;
  constructor(error: string, code: number, said = '') {
    this.failure = { said, error, code };
  }
}

/** Reads the arguments after `dig`. `version` asks for nothing but the version. */
export function digArgs(args: readonly string[]): DigOptions | DigFailure | 'version' {
  const r = new Reader();
  try {
    return r.read(args) ? r.done() : 'version';
  } catch (e) {
    if (e instanceof Failure) return { ...e.failure, error: r.o.warnings + e.failure.error };
    throw e;
  }
}

class Reader {
  readonly o: DigOptions = {
    lookups: [], server: null, serverFirst: false, port: 53, source: 0, sourcePort: 0, search: false, domain: null, ndots: -1,
    showSearch: false, printCmd: true, warnings: '',
  }; // prettier-ignore
  private readonly first = structuredClone(DEFAULT);
  private current = this.first;
  private openType = true;

  read(args: readonly string[]): boolean {
    for (let i = 0; i < args.length; i++) {
      const a = args[i]!;
      if (a.startsWith('@')) this.o.server = a.slice(1);
      else if (a.startsWith('+')) this.plus(a.slice(1));
      else if (a.startsWith('-')) {
        const used = this.dash(a.slice(1), args[i + 1]);
        if (used < 0) return false;
        i += used;
      } else this.word(a);
    }
    return true;
  }

  done(): DigOptions {
    if (this.o.lookups.length === 0) this.ask(this.first);
    for (const l of this.o.lookups) {
      if (l.type === 251 || l.type === 252) this.unsupported('a zone transfer');
      if (l.type === 255 && !l.tcpGiven) l.tcp = true;
    }
    return this.o;
  }

  private unsupported(what: string): never {
    throw new Failure(`podwire: dig: ${what} is not supported yet\n`, 2);
  }
  private invalid(what: string): never {
    throw new Failure(`Invalid option: ${what}\n${USAGE}`, 1);
  }

  private host(name: string): void {
    this.current = structuredClone(this.first);
    this.current.name = name;
    if (!this.current.typed) this.current.type = 1;
    this.ask(this.current);
  }

  private ask(l: Lookup): void {
    if (this.o.lookups.length === 0) this.o.serverFirst = this.o.server !== null;
    this.o.lookups.push(l);
  }

  private word(a: string): void {
    if (this.openType) {
      if (/^ixfr=/i.test(a)) this.unsupported(a);
      const type = typeNumber(a);
      if (type !== null) return this.type(type);
      const cls = classNumber(a);
      if (cls !== null && a.toUpperCase() !== 'ANY') {
        this.current.cls = cls;
        return;
      }
    }
    this.host(a);
  }

  private type(n: number): void {
    if (this.current.typed) this.o.warnings += ';; Warning, extra type option\n';
    this.current.type = n;
    this.current.typed = true;
  }

  /** How many arguments it took after itself; -1: print the version. */
  private dash(a: string, next: string | undefined): number {
    const c = a[0] ?? '';
    if (c === '4') return 0;
    if (c === 'r' || c === 'm' || c === 'u') return c === 'r' ? 0 : this.unsupported(`-${c}`);
    if (c === 'v') return -1;
    if ('6dfhikyF'.includes(c) && c !== '') return this.unsupported(`-${c}`);
    if (!'bcpqtx'.includes(c) || c === '') return this.invalid(`-${a}`);
    const v = a.length > 1 ? a.slice(1) : next;
    if (v === undefined) return this.invalid(`-${a}`);
    const used = a.length > 1 ? 0 : 1;
    if (c === 'b') {
      const m = /^([\d.]+)(?:#(.*))?$/.exec(v);
      const address = m === null ? null : aton(m[1]!);
      if (address === null) throw new Failure(`dig: invalid address ${v}\n`, 1);
      this.o.source = address;
      this.o.sourcePort = this.number(m![2] ?? '0', 65535, 'port number', 1);
    } else if (c === 'p') this.o.port = this.number(v, 65535, 'port number', 1);
    else if (c === 'q') this.host(v);
    else if (c === 'c' || c === 't') {
      this.openType = false;
      const n = c === 'c' ? classNumber(v) : typeNumber(v);
      if (n === null) this.o.warnings += `;; Warning, ignoring invalid ${c === 'c' ? 'class' : 'type'} ${v}\n`;
      else if (c === 't') this.type(n);
      else this.current.cls = n;
    } else {
      const b = addressBytes(v);
      const name = b !== null ? reverseName(b) : `${v.split('.').reverse().join('.')}.in-addr.arpa.`;
      this.host(name);
      this.current.type = 12;
      this.current.typed = true;
    }
    return used;
  }

  private number(v: string, max: number, what: string, code = 10): number {
    const bad = (why: string): never => {
      throw new Failure(`dig: Couldn't parse ${what}\n`, code, `invalid ${what} '${v}': ${why}\n`);
    };
    if (!/^\d+$/.test(v)) bad('not a valid number');
    return Number(v) > max ? bad('out of range') : Number(v);
  }

  private plus(word: string): void {
    const [given = '', value = null] = word.includes('=')
      ? [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]
      : [word];
    const exact = KNOWN.includes(given.toLowerCase());
    const no = !exact && /^no/i.test(given);
    const short = (no ? given.slice(2) : given).toLowerCase();
    const name = KNOWN.includes(short) ? short : KNOWN.find((k) => short !== '' && k.startsWith(short));
    if (name === undefined) return this.invalid(`+${word}`);
    if (!this.option(name, !no, value)) this.unsupported(`+${word}`);
  }

  /** False: dig has it, we do not. */
  private option(name: string, on: boolean, value: string | null): boolean {
    const l = this.current;
    const flag = (bit: number): true => {
      l.flags = on ? l.flags | bit : l.flags & ~bit;
      return true;
    };
    if (NOTHING.includes(name)) return true;
    switch (name) {
      case 'aaflag': case 'aaonly': return flag(0x0400);
      case 'tcflag': return flag(0x0200);
      case 'rdflag': case 'recurse': return flag(0x0100);
      case 'raflag': return flag(0x0080);
      case 'zflag': return flag(0x0040);
      case 'adflag': return flag(0x0020);
      case 'cdflag': return flag(0x0010);
      case 'question': case 'answer': case 'authority': case 'additional': case 'comments': case 'stats':
        l.show[name] = on;
        return true;
      case 'all':
        l.show = { question: on, answer: on, authority: on, additional: on, comments: on, stats: on };
        this.o.printCmd = on;
        return true;
      case 'cmd': this.o.printCmd = on; return true;
      case 'class': case 'cl': l.cls_ = on; return true;
      case 'ttlid': l.ttl = on; return true;
      case 'ttlunits': l.ttlUnits = on; l.ttl ||= on; return true;
      case 'multiline': l.multiline = on; return true;
      case 'expandaaaa': l.expand = on; return true;
      case 'identify': l.identify = on; return true;
      case 'ignore': l.ignore = on; return true;
      case 'fail': l.servfailStops = on; return true;
      case 'qr': l.query = on; return true;
      case 'nsid': l.nsid = on; if (on && l.edns < 0) l.edns = 0; return true;
      case 'short': this.short(on); return true;
      case 'search': case 'defname': this.o.search = on; return true;
      case 'showsearch': this.o.showSearch = on; this.o.search = on; return true;
      case 'dnssec': case 'do': l.dnssec = on; if (on && l.edns < 0) l.edns = 0; return true;
      case 'ednsnegotiation': return !on;
      default: return this.valued(name, on, value);
    }
  } // prettier-ignore

  private short(on: boolean): void {
    this.current.short = on;
    if (!on) return;
    this.o.printCmd = false;
    this.current.show = {
      question: false,
      answer: true,
      authority: false,
      additional: false,
      comments: false,
      stats: false,
    };
  }

  private valued(name: string, on: boolean, value: string | null): boolean {
    const l = this.current;
    const need = (): string => value ?? this.invalid(`+${name}`);
    if (name === 'bufsize') {
      l.size = on && value !== null ? this.number(value, 65535, 'buffer size') : 1232;
      if (on && l.edns < 0) l.edns = 0;
    } else if (name === 'edns') l.edns = !on ? -1 : value === null ? 0 : this.number(value, 255, 'edns version');
    else if (name === 'ednsflags') l.ednsFlags = on && value !== null ? Number(value) & 0xffff : 0;
    else if (name === 'cookie' || name === 'sit') {
      if (on && value !== null && !/^([0-9a-fA-F]{2})+$/.test(value)) this.unsupported(`+cookie=${value}`);
      l.cookie = on ? (value ?? '') : null;
      if (on && l.edns < 0) l.edns = 0;
    } else if (name === 'domain') {
      this.o.domain = on ? need() : null;
      this.o.search = on;
    } else if (name === 'ndots') this.o.ndots = on ? this.number(need(), 1000, 'ndots') : -1;
    else if (name === 'opcode') {
      l.opcode = on ? opcodeNumber(need()) : 0;
      if (l.opcode < 0) this.unsupported(`+opcode=${value}`);
    } else if (name === 'padding') l.padding = on ? this.number(need(), 512, 'padding') : 0;
    else if (name === 'qid') l.qid = on ? this.number(need(), 65535, 'qid') : -1;
    else if (name === 'retry') l.tries = (on ? this.number(need(), 0xfffffffe, 'retries') : 2) + 1;
    else if (name === 'tries') l.tries = on ? Math.max(1, this.number(need(), 0xffffffff, 'tries')) : 3;
    else if (name === 'time' || name === 'timeout')
      l.time = on ? Math.max(1, this.number(need(), 2147483, 'timeout')) : 0;
    else if (name === 'ednsopt') {
      const m = /^(\d{1,5})(?::((?:[0-9a-fA-F]{2})*))?$/.exec(value ?? '');
      if (on && m === null) this.unsupported(`+ednsopt=${value ?? ''}`);
      l.options = on ? [...l.options, [Number(m![1]), m![2] ?? '']] : [];
      if (on && l.edns < 0) l.edns = 0;
    } else if (name === 'subnet') {
      l.options = l.options.filter(([c]) => c !== 8);
      if (on) l.options.push([8, this.subnet(need())]);
      if (on && l.edns < 0) l.edns = 0;
    } else if (name === 'tcp' || name === 'vc') {
      l.tcp = on;
      l.tcpGiven = true;
    } else if (name === 'keepopen') return !on;
    else return !on && ['trace', 'nssearch', 'yaml', 'tls', 'https', 'badcookie', 'keepalive', 'expire'].includes(name);
    return true;
  }

  /** EDNS Client Subnet of `a.b.c.d/n`: only the bytes that the prefix covers. */
  private subnet(text: string): string {
    const [ip, bits = '32'] = text.split('/');
    const a = aton(ip!);
    const n = Number(bits);
    if (a === null || !/^\d+$/.test(bits) || n > 32) return this.unsupported(`+subnet=${text}`);
    const masked = n === 0 ? 0 : (a & (-1 << (32 - n))) >>> 0;
    const hex = masked
      .toString(16)
      .padStart(8, '0')
      .slice(0, Math.ceil(n / 8) * 2);
    return `0001${n.toString(16).padStart(2, '0')}00${hex}`;
  }
}
