/**
 * CoreDNS's request pipeline without sockets (core/dnsserver/server.go, request/request.go):
 * header check, EDNS version, server block, then cache, kubernetes and forward in that order, then the reply's OPT and size.
 * @module
 */
import {
  AA,
  CD,
  type DnsMessage,
  optRr,
  packDns,
  plainData,
  QR,
  RCODE,
  RD,
  type Rr,
  TC,
  truncateDns,
  type Fitted,
  TYPE,
} from '../../../wire/dns.js';
import { unpackDnsPartly } from '../../../wire/dns-unpack.js';
import { InputError } from '../../sim/input-error.js';
import type { KubeObject } from '../api/types.js';
import { CachePlugin } from './cache.js';
import { type CoreConfig, KUBEADM_COREFILE, parseCorefile, type ServerBlock } from './corefile.js';
import { upstreamAddress } from './corefile-forward.js';
import { type DnsIo, ForwardPlugin, type Transport, type Upstream } from './forward.js';
import { type Answer, below, KubernetesPlugin, longestZone } from './kubernetes.js';

export interface CoreDnsOptions {
  /** Text and the name for messages; null: kubeadm's default. */
  corefile: { text: string; file: string } | null;
  objects: KubeObject[];
  /** SOA serial; 0: from the objects. */
  serial: number;
  /** Text of a file that `forward` names, or null. */
  readFile: (path: string) => string | null;
  /** Addresses of the machine, in the order of its devices; loopback is ignored. */
  localAddresses: string[];
  io: DnsIo;
}

interface Block {
  config: ServerBlock;
  kubernetes: KubernetesPlugin | null;
  cache: CachePlugin | null;
  forward: ForwardPlugin[];
}
/** A query and what of its client the reply depends on. */
interface Request {
  q: DnsMessage;
  opt: Rr | undefined;
  transport: Transport;
  clientV6: boolean;
}
type Write = (m: DnsMessage) => void;

const dnssec = (r: Request): boolean => r.opt !== undefined && (r.opt.ttl & 0x8000) !== 0;
const sizeOf = (r: Request): number =>
  r.transport === 'tcp' ? 65535 : r.opt === undefined ? 512 : Math.max(512, r.opt.cls);

/** `Msg.SetRcode`: the question again, RD and CD copied for an ordinary query. */
function setRcode(q: DnsMessage, rcode: number): DnsMessage {
  const copied = q.flags & ((q.flags & 0x7800) === 0 ? RD | CD : 0x7800);
  return {
    id: q.id,
    flags: QR | copied | rcode,
    question: q.question.slice(0, 1),
    answer: [],
    authority: [],
    additional: [],
  };
}

export class CoreDns {
  readonly config: CoreConfig;
  private readonly blocks: Block[];

  /** Throws InputError for a Corefile it cannot serve. */
  constructor(o: CoreDnsOptions) {
    this.config = parseCorefile(o.corefile?.text ?? KUBEADM_COREFILE, o.corefile?.file ?? 'Corefile');
    this.blocks = this.config.blocks.map((config) => ({
      config,
      kubernetes:
        config.kubernetes === null
          ? null
          : new KubernetesPlugin(config.kubernetes, o.objects, o.serial, o.localAddresses),
      cache: config.cache === null ? null : new CachePlugin(config.cache, o.io.now),
      forward: config.forward.map((f) => new ForwardPlugin(f, upstreams(f.to, o.readFile), o.io)),
    }));
  }

  /** Whether a forward of the Corefile insists on TCP. */
  get forcesTcp(): boolean {
    return this.config.blocks.some((b) => b.forward.some((f) => f.transport === 'tcp'));
  }

  /** Answers one message: `send` is called at most once, at once or later; never for what is silently ignored. */
  handle(query: Uint8Array, transport: Transport, clientV6: boolean, send: (reply: Uint8Array) => void): void {
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
    const r: Request = { q, opt: q.additional.findLast((x) => x.type === TYPE.OPT), transport, clientV6 };
    this.serve(r, (f) => send(packDns(f.message, f.compress)));
  }

  /** `Server.ServeDNS`; `write` gets the reply already cut to the client's size. */
  private serve(r: Request, write: (f: Fitted) => void): void {
    const { name, cls } = r.q.question[0]!;
    const finish = (m: DnsMessage): void => write(scrub(r, m));
    const fail = (rcode: number): void => finish(setRcode(r.q, rcode));
    const chaos = this.config.blocks.some((b) => b.chaos || b.forward.length > 0);
    if (cls !== 1 && !chaos) return fail(RCODE.REFUSED);
    if (r.opt !== undefined && ((r.opt.ttl >>> 16) & 255) !== 0) {
      const badVersion = optRr(0, 0x01000000, new Uint8Array(0));
      return write({ message: { ...setRcode(r.q, 0), additional: [badVersion] }, compress: false });
    }
    const zone = longestZone(
      this.config.blocks.flatMap((b) => b.zones),
      name,
    );
    const block = zone === null ? undefined : this.blocks.find((b) => b.config.zones.includes(zone));
    if (block === undefined || block.config.plugins === 0) return fail(RCODE.REFUSED);
    if (block.cache === null || !block.cache.covers(name)) return this.answer(block, r, finish, fail);
    const { cache } = block;
    const hit = cache.hit(r.q, dnssec(r));
    if (hit !== null) return finish(hit);
    this.answer(block, r, (m) => finish(cache.pass(r.q, dnssec(r), m)), fail);
  }

  /** The kubernetes plugin, then forward. */
  private answer(b: Block, r: Request, write: Write, fail: (rcode: number) => void): void {
    const { name, type } = r.q.question[0]!;
    const forward = (): void => {
      const f = b.forward.find((x) => x.covers(name));
      if (f === undefined) fail(RCODE.SERVFAIL);
      else f.serve(r.q, r.transport, sizeOf(r), write, fail);
    };
    const k = b.kubernetes;
    const zone = k === null ? null : longestZone(k.config.zones, name);
    if (k === null || zone === null) return forward();
    if (type === TYPE.AXFR || type === TYPE.IXFR) return fail(RCODE.REFUSED);
    const spelled = name.slice(below(name, zone)) || '.';
    const lookup = (target: string, t: number, then: (answer: Rr[], truncated: boolean) => void): void => {
      const q: DnsMessage = { ...r.q, question: [{ ...r.q.question[0]!, name: target, type: t }] };
      this.serve({ ...r, q }, ({ message: m }) => then(m.answer, (m.flags & TC) !== 0));
    };
    k.query(name, type, spelled, lookup, (a) => {
      if (!a.exists && longestZone(k.config.fallthrough, name) !== null) return forward();
      write(reply(r.q, a, k.soa(spelled)));
    });
  }
}

function reply(q: DnsMessage, a: Answer, soa: Rr): DnsMessage {
  const m = setRcode(q, a.exists ? 0 : RCODE.NXDOMAIN);
  m.flags |= AA | (a.exists && a.answer.length > 0 && a.truncated ? TC : 0);
  if (!a.exists || a.answer.length === 0) return { ...m, authority: [soa] };
  return { ...m, answer: a.answer, additional: a.additional };
}

/** Addresses of `forward`, those of a file included. */
function upstreams(to: readonly (Upstream | string)[], readFile: (path: string) => string | null): Upstream[] {
  return to.flatMap((t) => {
    if (typeof t !== 'string') return [t];
    return [...(readFile(t) ?? '').matchAll(/^nameserver\s+(\S+)/gm)].map((m) => {
      const up = upstreamAddress(m[1]!);
      if (up === null) throw new InputError(t, 0, 0, `nameserver '${m[1]}' is not an IPv4 address`);
      return up;
    });
  });
}

/** `SizeAndDo` and `Scrub`: the client's OPT goes on the reply, which is cut to the client's size. */
function scrub(r: Request, m: DnsMessage): Fitted {
  const { opt } = r;
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
  const long = r.clientV6 ? 1220 : 1480; // a longer datagram is compressed even if it fits
  if (!f.compress && r.transport === 'udp') f.compress = packDns(f.message, false).length > long;
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
