/** CoreDNS's `template` plugin: answers written from the question (plugin/template). @module */
import { AA, dataName, type DnsMessage, optRr, RCODE, type Rr, TC, TYPE } from '../../../wire/dns.js';
import { addressText } from '../../../wire/inet6.js';
import type { Directive, Place, Token } from './corefile-lexer.js';
import { GoRegexp, RegexpError } from './go-regexp.js';
import { ExecError, GoTemplate, TemplateError, type Value } from './go-template.js';
import { type Handler, type Plugin, type Request, setRcode } from './handler.js';
import { CLASS_NAMES, nameOf, RCODE_NAMES, TYPE_NAMES } from './names.js';
import { parseRr } from './rr-text.js';
import { longestZone } from './zones.js';

const ANY = 255;
type Section = 'answer' | 'additional' | 'authority';

export interface TemplateConfig {
  cls: number;
  type: number;
  zones: string[];
  match: GoRegexp[];
  sections: Record<Section, GoTemplate[]>;
  rcode: number;
  /** Extended DNS error (RFC 8914). */
  ede: { code: number; text: string } | null;
  fallthrough: string[];
}

/** Reads one `template CLASS TYPE [ZONE…] { … }`. */
export function templateConfig(d: Directive, blockZones: string[], place: Place): TemplateConfig {
  const [cls, type, ...zones] = d.words.slice(1);
  if (cls === undefined || type === undefined) return place.argErr(d);
  const c: TemplateConfig = {
    cls: CLASS_NAMES[cls.text] ?? place.fail(cls, `invalid query class ${cls.text}`),
    type: TYPE_NAMES[type.text] ?? place.fail(type, `invalid RR class ${type.text}`),
    zones: zones.length > 0 ? place.zones(zones) : blockZones,
    match: [],
    sections: { answer: [], additional: [], authority: [] },
    rcode: 0,
    ede: null,
    fallthrough: [],
  };
  for (const o of d.block ?? []) option(c, o, place);
  if (c.match.length === 0) c.match.push(new GoRegexp('.*'));
  return c;
}

function option(c: TemplateConfig, o: Directive, place: Place): void {
  const head = o.words[0]!;
  const args = o.words.slice(1);
  const some = (max: number): Token[] => place.args(o, 1, max);
  if (o.block !== null) place.argErr(o);
  if (head.text === 'match') for (const t of some(1000)) c.match.push(compiled(t, place));
  else if (head.text === 'answer' || head.text === 'additional' || head.text === 'authority') {
    for (const t of some(1000)) c.sections[head.text].push(readTemplate(t, place));
  } else if (head.text === 'rcode') {
    const t = some(1)[0]!;
    c.rcode = RCODE_NAMES[t.text] ?? place.fail(t, `unknown rcode ${t.text}`);
    if (c.rcode > 15) place.fail(t, `rcode ${t.text} needs EDNS and is not emulated`);
  } else if (head.text === 'ederror') {
    const [code, text] = some(2);
    if (!/^\d+$/.test(code!.text) || Number(code!.text) > 65535)
      place.fail(code!, `error parsing extended DNS error code ${code!.text}`);
    c.ede = { code: Number(code!.text), text: text?.text ?? '' };
  } else if (head.text === 'fallthrough') c.fallthrough = args.length > 0 ? place.zones(args) : ['.'];
  else if (head.text !== 'upstream') place.argErr(o);
}

function compiled(t: Token, place: Place): GoRegexp {
  try {
    return new GoRegexp(t.text);
  } catch (e) {
    if (!(e instanceof RegexpError)) throw e;
    return place.fail(t, `could not parse regex: ${t.text}, ${e.message}`);
  }
}

function readTemplate(t: Token, place: Place): GoTemplate {
  try {
    return new GoTemplate(t.text);
  } catch (e) {
    if (!(e instanceof TemplateError)) throw e;
    return place.fail(t, `could not compile template: ${t.text}, ${e.message}`);
  }
}

/** What a template sees, or why it does not apply: `next` template, or `fail`. */
function dataOf(c: TemplateConfig, r: Request): { [key: string]: Value } | 'next' | 'fail' {
  const q = r.q.question[0]!;
  const name = q.name.toLowerCase();
  const zone = longestZone(c.zones, name);
  if (zone === null || (c.cls !== ANY && q.cls !== ANY && q.cls !== c.cls)) return 'next';
  if (c.type !== ANY && q.type !== ANY && q.type !== c.type) return 'next';
  for (const re of c.match) {
    const groups = re.match(name);
    if (groups === null) continue;
    const group: { [key: string]: Value } = {};
    groups.forEach((g, i) => (group[String(i)] = g));
    re.names.forEach((n, i) => n !== '' && (group[n] = groups[i]!));
    return {
      Zone: zone,
      Name: name,
      Regex: re.source,
      Match: groups,
      Group: group,
      Class: nameOf(CLASS_NAMES, q.cls === ANY ? c.cls : q.cls),
      Type: nameOf(TYPE_NAMES, q.type === ANY ? c.type : q.type),
      Question: { Name: q.name, Qtype: q.type, Qclass: q.cls },
      Message: { Id: r.q.id },
      Remote: addressText(r.client.address),
    };
  }
  return longestZone(c.fallthrough, name) !== null ? 'next' : 'fail';
}

export function templatePlugin(list: TemplateConfig[]): Plugin {
  const zones = list.flatMap((c) => c.zones);
  return (next: Handler): Handler =>
    (r, out) => {
      if (longestZone(zones, r.q.question[0]!.name) === null) return next(r, out);
      for (const c of list) {
        const data = dataOf(c, r);
        if (data === 'next') continue;
        if (data === 'fail' || c.rcode === RCODE.SERVFAIL) return out.fail(RCODE.SERVFAIL);
        return answer(c, r, data, (m) => (m === null ? out.fail(RCODE.SERVFAIL) : out.write(m)));
      }
      next(r, out);
    };
}

/** Records of a section; null when one cannot be made. */
function records(list: GoTemplate[], data: { [key: string]: Value }): Rr[] | null {
  const out: Rr[] = [];
  for (const t of list) {
    let rr: Rr | null;
    try {
      rr = parseRr(t.execute(data));
    } catch (e) {
      if (!(e instanceof ExecError)) throw e;
      return null;
    }
    if (rr === null) return null;
    out.push(rr);
  }
  return out;
}

/** Carries a template out; the targets of CNAMEs are looked up for A and AAAA. */
function answer(
  c: TemplateConfig,
  r: Request,
  data: { [key: string]: Value },
  done: (m: DnsMessage | null) => void,
): void {
  const { type } = r.q.question[0]!;
  const [own, additional, authority] = (['answer', 'additional', 'authority'] as const).map((s) => records(c.sections[s], data)); // prettier-ignore
  if (own === null || additional === null || authority === null) return done(null);
  const m = { ...setRcode(r.q, c.rcode), additional: additional!, authority: authority! };
  m.flags |= AA;
  if (c.ede !== null) {
    const text = new TextEncoder().encode(c.ede.text);
    const n = text.length + 2;
    const data8 = [0, 15, n >> 8, n & 255, c.ede.code >> 8, c.ede.code & 255, ...text];
    m.additional = [...m.additional, optRr(4096, 0x8000, Uint8Array.from(data8))];
  }
  const step = (i: number): void => {
    const rr = own![i];
    if (rr === undefined) return done(m);
    m.answer.push(rr);
    if ((type !== TYPE.A && type !== TYPE.AAAA) || rr.type !== TYPE.CNAME) return step(i + 1);
    r.lookup(r, dataName(rr)!, type, (found, truncated) => {
      m.flags = truncated ? m.flags | TC : m.flags & ~TC;
      m.answer.push(...found);
      step(i + 1);
    });
  };
  step(0);
}
