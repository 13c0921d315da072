/**
 * CoreDNS's request pipeline without sockets (core/dnsserver/server.go, request/request.go):
 * header check, EDNS version, server block, its chain of plugins, then the reply's OPT and size.
 * @module
 */
import {
  type DnsMessage,
  type Fitted,
  optRr,
  packDns,
  plainData,
  QR,
  RCODE,
  TC,
  truncateDns,
  TYPE,
} from '../../../wire/dns.js';
import { unpackDnsPartly } from '../../../wire/dns-unpack.js';
import type { KubeObject } from '../api/types.js';
import { type Chain, chainOf } from './chain.js';
import { type CoreConfig, KUBEADM_COREFILE, parseCorefile } from './corefile.js';
import { Place } from './corefile-lexer.js';
import type { DnsIo } from './forward.js';
import { type Client, type Lookup, optOf, type Request, setRcode, sizeOf } from './handler.js';
import { type Listener, listenersOf } from './listeners.js';
import { longestZone } from './zones.js';

/**
 * Look-ups that one question may make within each other, and in all. The real program has no bound: a CNAME that a `template`
 * or a `rewrite cname` gives for its own target overflows its stack, and it dies. Here such a question is not answered.
 */
const MAX_DEPTH = 50,
  MAX_LOOKUPS = 1000;

export interface CoreDnsOptions {
  /** Text and the name for messages; null: kubeadm's default. */
  corefile: { text: string; file: string } | null;
  objects: KubeObject[];
  /** SOA serial; 0: from the objects. */
  serial: number;
  /** Text of a file that the Corefile names, or null. */
  readFile: (path: string) => string | null;
  /** Addresses of the machine, in the order of its devices; loopback is ignored. */
  localAddresses: string[];
  /** Addresses of a device, for `bind`; null: there is none of this name. */
  deviceAddresses?: (name: string) => string[] | null;
  io: DnsIo;
}

export class CoreDns {
  readonly config: CoreConfig;
  /** Where to listen: each with its own server blocks. */
  readonly listeners: readonly Listener[];
  private readonly chains: Chain[];
  private stopped = false;

  /** Throws InputError for a Corefile it cannot serve. */
  constructor(o: CoreDnsOptions) {
    const file = o.corefile?.file ?? 'Corefile';
    this.config = parseCorefile(o.corefile?.text ?? KUBEADM_COREFILE, file, o.readFile);
    this.listeners = listenersOf(this.config, new Place(file), o.deviceAddresses ?? (() => null));
    this.chains = this.config.blocks.map((b) => chainOf(b, o, new Place(file), () => this.stopped));
  }

  /** Another server has taken over: files are no longer looked at. */
  stop(): void {
    this.stopped = true;
  }

  /** The objects of the cluster are these now; answers in the caches stay until their TTL. */
  update(objects: KubeObject[]): void {
    for (const c of this.chains) c.kubernetes?.update(objects);
  }

  /**
   * Answers one message that came to a listener (its index): `send` is called at most once, at once or later; never for
   * what is silently ignored.
   */
  handle(query: Uint8Array, client: Client, send: (reply: Uint8Array) => void, listener = 0): void {
    if (query.length < 12 || (query[2]! & 0x80) !== 0) return;
    const u16 = (o: number): number => (query[o]! << 8) | query[o + 1]!;
    const flags = u16(2);
    const opcode = (flags >> 11) & 15;
    const bare = (f: number, question: DnsMessage['question'] = []): void =>
      send(packDns({ id: u16(0), flags: f, question, answer: [], authority: [], additional: [] }, false));
    if (opcode !== 0 && opcode !== 4) return bare(QR | (flags & 0x7bb0) | RCODE.NOTIMP);
    const formErr = QR | (flags & 0x03b0) | RCODE.FORMERR;
    if (u16(4) !== 1 || u16(6) > 1 || u16(8) > 1 || u16(10) > 2) return bare(formErr);
    const { message: q, ok } = unpackDnsPartly(query);
    if (!ok) return bare(formErr, q.question);
    if (q.question.length === 0) return bare(setRcode(q, RCODE.SERVFAIL).flags);
    const served = this.listeners[listener]!.blocks;
    let left = MAX_LOOKUPS;
    const lookup =
      (depth: number): Lookup =>
      (r, name, type, then) => {
        if (depth === MAX_DEPTH || --left < 0) return;
        const again = { ...r.q, question: [{ name: name.replace(/\.?$/, '.'), type, cls: 1 }] };
        const inner = { ...r, q: again, lookup: lookup(depth + 1) };
        this.serve(served, inner, ({ message: m }) => then(m.answer, (m.flags & TC) !== 0));
      };
    this.serve(served, { q, client, lookup: lookup(0) }, (f) => send(packDns(f.message, f.compress)));
  }

  /** `Server.ServeDNS`; `write` gets the reply already cut to the client's size. */
  private serve(served: readonly number[], r: Request, write: (f: Fitted) => void): void {
    const { name, cls } = r.q.question[0]!;
    const finish = (m: DnsMessage): void => write(scrub(r, m));
    const fail = (rcode: number): void => finish(setRcode(r.q, rcode));
    const { blocks } = this.config;
    if (cls !== 1 && !served.some((i) => blocks[i]!.forward.length > 0)) return fail(RCODE.REFUSED);
    const opt = optOf(r.q);
    if (opt !== undefined && ((opt.ttl >>> 16) & 255) !== 0) {
      const badVersion = optRr(0, 0x01000000, new Uint8Array(0));
      return write({ message: { ...setRcode(r.q, 0), additional: [badVersion] }, compress: false });
    }
    const zones = served.flatMap((i) => blocks[i]!.zones);
    const zone = longestZone(zones, name);
    const i = zone === null ? undefined : served.find((k) => blocks[k]!.zones.includes(zone));
    if (i === undefined || blocks[i]!.plugins === 0) return fail(RCODE.REFUSED);
    this.chains[i]!.handler(r, { write: finish, fail });
  }
}

/** `SizeAndDo` and `Scrub`: the client's OPT goes on the reply, which is cut to the client's size. */
function scrub(r: Request, m: DnsMessage): Fitted {
  const opt = optOf(r.q);
  let additional = m.additional;
  if (opt !== undefined) {
    const ttl = opt.ttl & 0xff00;
    const at = additional.findIndex((x) => x.type === TYPE.OPT);
    if (at < 0) additional = [...additional, optRr(opt.cls, ttl, keptOptions(plainData(opt)))];
    else {
      const theirs = additional[at]!;
      additional = additional.with(at, {
        ...theirs,
        name: '.',
        cls: opt.cls,
        ttl: (theirs.ttl & 0xff00) | (opt.ttl & 0x8000),
      });
    }
  }
  const f = truncateDns({ ...m, additional }, sizeOf(r));
  const long = r.client.address.length === 16 ? 1220 : 1480; // a longer datagram is compressed even if it fits
  if (!f.compress && r.client.transport === 'udp') f.compress = packDns(f.message, false).length > long;
  return f;
}

/** Options CoreDNS echoes: NSID 3, EXPIRE 9, COOKIE 10, KEEPALIVE 11, PADDING 12. */
function keptOptions(o: Uint8Array): Uint8Array {
  const out: number[] = [];
  for (let i = 0; i + 4 <= o.length;) {
    const end = i + 4 + ((o[i + 2]! << 8) | o[i + 3]!);
    if (end > o.length) break;
    if ([3, 9, 10, 11, 12].includes((o[i]! << 8) | o[i + 1]!)) out.push(...o.subarray(i, end));
    i = end;
  }
  return Uint8Array.from(out);
}
