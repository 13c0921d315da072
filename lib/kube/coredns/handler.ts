/** What CoreDNS's plugins have in common: a query on its way through their chain, and the reply on its way back. @module */
import { CD, type DnsMessage, QR, RD, type Rr, TYPE } from '../../../wire/dns.js';

export type Transport = 'udp' | 'tcp';
/** Who asks. */
export interface Client {
  transport: Transport;
  /** 4 or 16 bytes. */
  address: Uint8Array;
  port: number;
}
/** A query as the next plugin sees it: a plugin may change it in place. */
export interface Request {
  q: DnsMessage;
  readonly client: Client;
  /** Asks the whole server again (pkg/upstream). */
  readonly lookup: Lookup;
}
export type Lookup = (r: Request, name: string, type: number, then: (answer: Rr[], truncated: boolean) => void) => void;
/** `write`: a reply; `fail`: none, only an RCODE for whoever is above. Neither: silence. */
export interface Out {
  write(m: DnsMessage): void;
  fail(rcode: number): void;
}
export type Handler = (r: Request, out: Out) => void;
/** A plugin takes the one after it. */
export type Plugin = (next: Handler) => Handler;

/** The query's OPT record; the last one counts. */
export const optOf = (q: DnsMessage): Rr | undefined => q.additional.findLast((x) => x.type === TYPE.OPT);
export const wantsDnssec = (q: DnsMessage): boolean => ((optOf(q)?.ttl ?? 0) & 0x8000) !== 0;

/** Bytes the client takes. */
export function sizeOf(r: Request): number {
  const opt = optOf(r.q);
  return r.client.transport === 'tcp' ? 65535 : opt === undefined ? 512 : Math.max(512, opt.cls);
}

/** `Msg.SetRcode`: the question again, RD and CD copied for an ordinary query. */
export function setRcode(q: DnsMessage, rcode: number): DnsMessage {
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

/** The query of another name and type, as a copy. */
export function withQuestion(q: DnsMessage, name: string, type: number, cls: number): DnsMessage {
  return { ...q, question: [{ name, type, cls }] };
}
