/**
 * CoreDNS's request pipeline without sockets (core/dnsserver/server.go, request/request.go).
 * Not here: storing answers in the cache (every query is a miss), upstream health checks.
 * @module
 */
import {
  AA,
  AD,
  type DnsMessage,
  optRr,
  packDns,
  plainData,
  QR,
  RA,
  RCODE,
  RD,
  type Rr,
  scrubDns,
  TYPE,
  unpackDns,
  CD,
} from '../../../wire/dns.js';
import { aton } from '../../../wire/inet.js';
import { InputError } from '../../sim/input-error.js';
import type { KubeObject } from '../api/types.js';
import { type CoreConfig, KUBEADM_COREFILE, parseCorefile } from './corefile.js';
import { KubernetesPlugin } from './kubernetes.js';

/** A query the caller must send to `forward`; `done` turns the upstream's reply (null: none came) into ours. */
export interface Forward {
  forward: { address: number; port: number };
  query: Uint8Array;
  done(reply: Uint8Array | null): Uint8Array;
}

export interface CoreDnsOptions {
  /** Text; null: kubeadm's default. */
  corefile: string | null;
  objects: KubeObject[];
  /** SOA serial; 0: from the objects. */
  serial: number;
  /** Text of the file that `forward . /etc/resolv.conf` names; null: it does not exist. */
  resolvConf: string | null;
  /** 16 random bits, for upstream IDs. */
  random: () => number;
}

export class CoreDns {
  readonly config: CoreConfig;
  private readonly kube: KubernetesPlugin;
  private readonly upstreams: { address: number; port: number }[] = [];
  private readonly random: () => number;

  constructor(o: CoreDnsOptions) {
    this.config = parseCorefile(o.corefile ?? KUBEADM_COREFILE, 'Corefile');
    this.kube = new KubernetesPlugin(this.config, o.objects, o.serial);
    this.random = o.random;
    for (const f of this.config.forward) {
      const list = f.startsWith('/')
        ? [...(o.resolvConf ?? '').matchAll(/^nameserver\s+(\S+)/gm)].map((m) => m[1]!)
        : [f];
      for (const text of list) {
        const m = /^(?:dns:\/\/)?([\d.]+)(?::(\d+))?$/.exec(text);
        const address = m === null ? null : aton(m[1]!);
        if (address === null)
          throw new InputError('Corefile', 0, 0, `upstream '${text}' is not an IPv4 address with an optional port`);
        this.upstreams.push({ address, port: Number(m![2] ?? 53) });
      }
    }
  }

  /** Answers one message; null: silently ignored. */
  handle(query: Uint8Array, transport: 'udp' | 'tcp', clientV6: boolean): Uint8Array | null | Forward {
    if (query.length < 12 || (query[2]! & 0x80) !== 0) return null;
    const u16 = (o: number): number => (query[o]! << 8) | query[o + 1]!;
    const flags = u16(2);
    const opcode = (flags >> 11) & 15;
    const bare = (f: number): Uint8Array =>
      packDns({ id: u16(0), flags: f, question: [], answer: [], authority: [], additional: [] }, false);
    if (opcode !== 0 && opcode !== 4) return bare(QR | (flags & 0x7bb0) | RCODE.NOTIMP);
    const q = u16(4) === 1 && u16(6) <= 1 && u16(8) <= 1 && u16(10) <= 2 ? unpackDns(query) : null;
    if (q === null) return bare(QR | (flags & 0x03b0) | RCODE.FORMERR);
    const opt = q.additional.find((r) => r.type === TYPE.OPT);
    const reply: DnsMessage = {
      id: q.id,
      flags: QR | (flags & (RD | CD | 0x7800)),
      question: q.question,
      answer: [],
      authority: [],
      additional: [],
    };
    if (opt !== undefined && (Math.floor(opt.ttl / 65536) & 255) !== 0) {
      return packDns({ ...reply, additional: [optRr(0, 0x01000000, new Uint8Array(0))] }, false);
    }
    const limit = transport === 'tcp' ? 65535 : opt === undefined ? 512 : Math.max(512, opt.cls);
    const finish = (m: DnsMessage): Uint8Array => {
      m.additional = m.additional.filter((r) => r.type !== TYPE.OPT);
      if (this.config.cache > 0) this.clampTtl(m);
      if (opt !== undefined) m.additional.push(optRr(opt.cls, opt.ttl & 0xff00, keptOptions(plainData(opt))));
      return scrubDns(m, limit, transport === 'udp' ? (clientV6 ? 1220 : 1480) : 65535);
    };
    const fail = (rcode: number): Uint8Array => finish({ ...reply, flags: reply.flags | rcode });
    const { name, type, cls } = q.question[0]!;
    if (cls !== 1 && this.upstreams.length === 0) return fail(RCODE.REFUSED);
    const zone = this.kube.zoneOf(name);
    if (zone === null) return this.forward(q, name, type, fail, finish);
    if (type === TYPE.AXFR || type === TYPE.IXFR) return fail(RCODE.REFUSED);
    reply.flags |= AA;
    const found = this.kube.lookup(name, type, zone);
    if (
      !found.exists &&
      this.config.fallthrough.some((z) => z === '.' || ('.' + name.toLowerCase()).endsWith('.' + z))
    ) {
      return this.forward(q, name, type, (r) => finish({ ...reply, flags: (reply.flags & ~AA) | r }), finish);
    }
    reply.answer = found.answer;
    reply.additional = found.additional;
    for (let hops = 0; found.cname !== '' && hops < 11; hops++) {
      const inner = this.kube.zoneOf(found.cname);
      if (inner === null) return this.external(reply, found.cname, type, opt, finish, this.kube.soa(zone));
      const next = this.kube.lookup(found.cname, type, inner);
      if (next.answer.length === 0 || next.cname === found.cname) {
        reply.answer = [];
        break;
      }
      reply.answer.push(...next.answer);
      found.cname = next.cname;
    }
    if (!found.exists) reply.flags |= RCODE.NXDOMAIN;
    if (reply.answer.length === 0) reply.authority = [this.kube.soa(zone)];
    return finish(reply);
  }

  /** plugin/forward: the query re-packed under a random ID; a reply keeps its records and loses its compression. */
  private forward(
    q: DnsMessage,
    name: string,
    type: number,
    fail: (rcode: number) => Uint8Array,
    finish: (m: DnsMessage) => Uint8Array,
  ): Uint8Array | Forward {
    const up = this.upstreams[0];
    if (up === undefined) return fail(RCODE.SERVFAIL);
    const id = this.random() & 0xffff;
    const done = (bytes: Uint8Array | null): Uint8Array => {
      const m = bytes === null ? null : unpackDns(bytes);
      if (m === null || m.id !== id) return fail(RCODE.SERVFAIL);
      const a = m.question[0];
      if (a === undefined || a.name.toLowerCase() !== name.toLowerCase() || a.type !== type) return fail(RCODE.FORMERR);
      return finish({ ...m, id: q.id, question: q.question });
    };
    return { forward: up, query: packDns({ ...q, id }, false), done };
  }

  /** An ExternalName outside the zones: CNAME plus what upstream answers; upstream failure leaves NODATA. */
  private external(
    reply: DnsMessage,
    name: string,
    type: number,
    opt: Rr | undefined,
    finish: (m: DnsMessage) => Uint8Array,
    soa: Rr,
  ): Uint8Array | Forward {
    const nodata = (): Uint8Array => finish({ ...reply, answer: [], authority: [soa] });
    const id = this.random() & 0xffff;
    const up = this.upstreams[0];
    if (up === undefined) return nodata();
    const query: DnsMessage = {
      id,
      flags: RD,
      question: [{ name, type, cls: 1 }],
      answer: [],
      authority: [],
      additional: opt === undefined ? [] : [opt],
    };
    const done = (bytes: Uint8Array | null): Uint8Array => {
      const m = bytes === null ? null : unpackDns(bytes);
      if (m === null || m.id !== id) return nodata();
      return finish({ ...reply, answer: [...reply.answer, ...m.answer], flags: reply.flags | (m.flags & 0x200) });
    };
    return { forward: up, query: packDns(query, false), done };
  }

  /** plugin/cache rewrites every TTL of a passing reply to the smallest one, within [5, `cache`]. */
  private clampTtl(m: DnsMessage): void {
    if ((m.flags & (RA | AD | 15)) !== 0 && (m.flags & 15) !== 0 && (m.flags & 15) !== 3) return;
    const all = [...m.answer, ...m.authority, ...m.additional];
    const low = Math.min(...all.map((r) => r.ttl));
    const ttl = Math.min(this.config.cache, Math.max(5, low));
    m.answer = m.answer.map((r) => ({ ...r, ttl }));
    m.authority = m.authority.map((r) => ({ ...r, ttl }));
    m.additional = m.additional.map((r) => ({ ...r, ttl }));
  }
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
