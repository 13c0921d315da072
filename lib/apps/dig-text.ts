/**
 * What dig prints of a message (bin/dig/dig.c printmessage, lib/dns/message.c, lib/dns/masterdump.c).
 * @module
 */
import { type DnsMessage, plainData, type Question, type Rr, TYPE } from '../../wire/dns.js';
import { classText, durationUnits, nameText, opcodeText, rcodeText, rdataText, typeText } from '../../wire/dns-text.js';
import type { Lookup } from './dig-args.js';

const TAB = 8;
/** A line that is filled up to columns with tabs and spaces, at least one of them (`indent`). */
class Line {
  text = '';
  private column = 0;
  put(s: string): this {
    this.text += s;
    this.column += s.length;
    return this;
  }
  to(column: number): this {
    let from = this.column;
    const to = Math.max(column, from + 1);
    const tabs = Math.floor(to / TAB) - Math.floor(from / TAB);
    if (tabs > 0) from = Math.floor(to / TAB) * TAB;
    this.text += '\t'.repeat(tabs) + ' '.repeat(to - from);
    this.column = to;
    return this;
  }
}

/** Columns of TTL, class, type and data. */
function columns(l: Lookup): [number, number, number, number] {
  if (l.multiline || (!l.ttl && !l.cls_)) return [24, 24, 24, 32];
  return l.ttl && l.cls_ ? [24, 32, 40, 48] : [24, 24, 32, 40];
}

function questionText(q: Question, l: Lookup): string {
  const c = columns(l);
  const line = new Line().put(nameText(q.name)).to(c[1]).put(classText(q.cls));
  return `;${line.to(c[2]).put(typeText(q.type)).text}\n`;
}

function data(r: Rr, l: Lookup): string {
  if (r.type === TYPE.AAAA && l.expand)
    return Array.from(plainData(r), (x, i) => (i > 0 && i % 2 === 0 ? ':' : '') + x.toString(16).padStart(2, '0')).join(
      '',
    );
  return rdataText(r, l.multiline);
}

function rrText(r: Rr, l: Lookup): string {
  const c = columns(l);
  const line = new Line().put(nameText(r.name));
  if (l.ttl) line.to(c[0]).put(l.ttlUnits ? durationUnits(r.ttl) : String(r.ttl));
  if (l.cls_) line.to(c[1]).put(classText(r.cls));
  return `${line.to(c[2]).put(typeText(r.type)).to(c[3]).text}${data(r, l)}\n`;
}

const OPTION_NAMES: Record<number, string> = { 3: 'NSID', 10: 'COOKIE', 12: 'PAD', 8: 'CLIENT-SUBNET', 15: 'EDE', 9: 'EXPIRE', 11: 'TCP-KEEPALIVE' }; // prettier-ignore

/** The OPT record as a section of its own. `cookie`: what was sent, to tell an echo. */
function optText(opt: Rr, comments: boolean, cookie: string | null): string {
  if (!comments) return '';
  const flags = opt.ttl & 0xffff;
  let s = ';; OPT PSEUDOSECTION:\n';
  s += `; EDNS: version: ${(opt.ttl >>> 16) & 255}, flags:${(flags & 0x8000) !== 0 ? ' do' : ''}; `;
  if ((flags & 0x7fff) !== 0) s += `MBZ: 0x${(flags & 0x7fff).toString(16).padStart(4, '0')}, `;
  s += `udp: ${opt.cls}\n`;
  const b = plainData(opt);
  for (let o = 0; o + 4 <= b.length;) {
    const code = (b[o]! << 8) | b[o + 1]!;
    const n = (b[o + 2]! << 8) | b[o + 3]!;
    s += optionText(code, b.slice(o + 4, o + 4 + n), cookie);
    o += 4 + n;
  }
  return s;
}

function optionText(code: number, b: Uint8Array, cookie: string | null): string {
  const hex = Array.from(b, (x) => x.toString(16).padStart(2, '0'));
  const name = OPTION_NAMES[code] ?? `OPT=${code}`;
  if (code === 10) {
    const echoed =
      cookie === null
        ? ''
        : hex.join('') === cookie
          ? ' (echoed)'
          : hex.join('').startsWith(cookie)
            ? ' (good)'
            : ' (bad)';
    return `; COOKIE: ${hex.join('')}${echoed}\n`;
  }
  if (code === 12) return `; PAD: (${b.length} bytes)\n`;
  if (code === 8 && b.length >= 4) {
    const ip = [0, 1, 2, 3].map((i) => b[4 + i] ?? 0).join('.');
    return `; CLIENT-SUBNET: ${ip}/${b[2]}/${b[3]}\n`;
  }
  if (b.length === 0) return `; ${name}:\n`;
  const text = Array.from(b, (x) => (x >= 32 && x < 127 ? String.fromCharCode(x) : '.')).join('');
  return `; ${name}: ${hex.join(' ')} ("${text}")\n`;
}

const FLAGS: [number, string][] = [[0x8000, 'qr'], [0x0400, 'aa'], [0x0200, 'tc'], [0x0100, 'rd'], [0x0080, 'ra'], [0x0020, 'ad'], [0x0010, 'cd']]; // prettier-ignore

/** Names under .local get a warning. */
const isLocal = (m: DnsMessage): boolean => m.question.some((q) => /(^|\.)local\.$/i.test(q.name));

function headerText(m: DnsMessage, opt: Rr | undefined, l: Lookup, sending: boolean): string {
  const rcode = (m.flags & 15) | (opt === undefined ? 0 : (opt.ttl >>> 24) << 4);
  let s = sending ? ';; Sending:\n' : ';; Got answer:\n';
  if (isLocal(m))
    s +=
      ';; WARNING: .local is reserved for Multicast DNS\n;; You are currently testing what happens when an mDNS query is leaked to DNS\n';
  s += `;; ->>HEADER<<- opcode: ${opcodeText((m.flags >> 11) & 15)}, status: ${rcodeText(rcode)}, id: ${m.id}\n;; flags:`;
  for (const [bit, name] of FLAGS) if ((m.flags & bit) !== 0) s += ` ${name}`;
  if ((m.flags & 0x40) !== 0) s += '; MBZ: 0x4';
  s += `; QUERY: ${m.question.length}, ANSWER: ${m.answer.length}, AUTHORITY: ${m.authority.length}, ADDITIONAL: ${m.additional.length}\n`;
  if (!sending && (m.flags & 0x0180) === 0x0100) s += ';; WARNING: recursion requested but not available\n';
  if (!sending && l.edns >= 0 && opt === undefined && (rcode === 1 || rcode === 4))
    s += `\n;; WARNING: EDNS query returned status ${rcodeText(rcode)} - retry with '${l.dnssec ? '+nodnssec ' : ''}+noedns'\n`;
  return s;
}

/** Everything dig prints of a message, the banner and the statistics excepted. */
export function messageText(m: DnsMessage, l: Lookup, sending: boolean, cookie: string | null): string {
  const { show } = l;
  if (l.short) return '';
  const opt = m.additional.findLast((r) => r.type === TYPE.OPT);
  let s = show.comments ? `${headerText(m, opt, l, sending)}` : '';
  let body = '';
  if (show.comments && opt !== undefined) body += optText(opt, true, sending ? null : cookie);
  const section = (name: string, rows: string[]): void => {
    if (rows.length === 0) return;
    body += show.comments ? `;; ${name} SECTION:\n${rows.join('')}\n` : rows.join('');
  };
  if (show.question)
    section(
      'QUESTION',
      m.question.map((q) => questionText(q, l)),
    );
  if (show.answer)
    section(
      'ANSWER',
      m.answer.map((r) => rrText(r, l)),
    );
  if (show.authority)
    section(
      'AUTHORITY',
      m.authority.map((r) => rrText(r, l)),
    );
  if (show.additional)
    section(
      'ADDITIONAL',
      m.additional.filter((r) => r.type !== TYPE.OPT).map((r) => rrText(r, l)),
    );
  if (show.comments) s += '\n';
  return s + body;
}

/** Lines of `+short`. */
export function shortText(m: DnsMessage, l: Lookup, server: string, ms: number): string {
  if (!l.show.answer) return '';
  return m.answer.map((r) => `${data(r, l)}${l.identify ? ` from server ${server} in ${ms} ms.` : ''}\n`).join('');
}
