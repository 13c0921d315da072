/** The rules of the `rewrite` plugin as its lines say them (plugin/rewrite/name.go, ttl.go, rcode.go, …). @module */
import { type DnsMessage, type Rr, TYPE, validName } from '../../../wire/dns.js';
import { type Directive, fqdn, type Place, type Token } from './corefile-lexer.js';
import { GoRegexp, RegexpError } from './go-regexp.js';
import { CLASS_NAMES, RCODE_NAMES, TYPE_NAMES } from './names.js';

/** Changes a record of the reply, or the reply itself. */
export type ResponseRule = (m: DnsMessage, rr: Rr) => void;
/** A rule that applied: what it makes of replies. `cname`: the target of every CNAME is asked for again. */
export interface Applied {
  rules: ResponseRule[];
  cname: ((target: string) => string | null) | null;
}
export interface Rule {
  /** No further rule after this one. */
  stop: boolean;
  /** Applies to the first question, which it may change; null: it does not apply. */
  apply(q: DnsMessage): Applied | null;
}

type Text = (s: string) => string;
const once = (rules: ResponseRule[]): Applied => ({ rules, cname: null });

/** Positions of the names within record data that a value rule sees: one a type. */
const VALUE = new Set<number>([TYPE.SRV, TYPE.MX, TYPE.CNAME, TYPE.NS, TYPE.SOA, TYPE.PTR, 39]);

const onName =
  (f: Text): ResponseRule =>
  (_m, rr) => {
    rr.name = f(rr.name);
  };
const onValue =
  (f: Text): ResponseRule =>
  (_m, rr) => {
    const at = rr.data.findIndex((p) => !(p instanceof Uint8Array));
    const part = rr.data[at];
    if (!VALUE.has(rr.type) || part === undefined || part instanceof Uint8Array) return;
    rr.data = rr.data.with(at, { ...part, name: f(part.name) });
  };

/** `from` and names below it become `to`. */
const remap =
  (from: string, to: string): Text =>
  (s) =>
    s === from ? to : s.endsWith(`.${from}`) ? s.slice(0, s.length - from.length) + to : s;

/** Far more than a name has: what has grown beyond is none, whatever else is put into it. */
const TOO_LONG = 4096;

/** `{N}` of a replacement becomes the N-th group, in which `{M}` may stand again. */
function substitute(text: string, groups: string[]): string {
  return groups.reduce((s, g, i) => (s.length > TOO_LONG ? s : s.replaceAll(`{${i}}`, () => g)), text);
}

const lowerName = (q: DnsMessage): string => q.question[0]!.name.toLowerCase();

function setName(q: DnsMessage, name: string): void {
  q.question = [{ ...q.question[0]!, name }];
}

function regexp(pattern: string, t: Token, place: Place, message: string): GoRegexp {
  try {
    return new GoRegexp(pattern);
  } catch (e) {
    if (!(e instanceof RegexpError)) throw e;
    return place.fail(t, `${message}${pattern}`);
  }
}

/** A pattern and its replacement, which may not use more groups than there are. */
function pair(from: Token, to: Token, place: Place, context = ''): GoRegexp {
  const re = regexp(from.text, from, place, `${context}invalid regex matching pattern: `);
  const used = Array.from({ length: 101 }, (_, i) => to.text.includes(`{${i}}`)).filter(Boolean).length;
  if (used > re.names.length - 1)
    place.fail(to, `${context}the rewrite regex pattern (${to.text}) uses more subexpressions than its corresponding matching regex pattern (${from.text})`); // prettier-ignore
  return re;
}

/** A test of the question's name by one of the five kinds, for ttl and rcode rules. */
function matcher(kind: string, t: Token, rule: string, place: Place): (name: string) => boolean {
  const n = fqdn(t.text);
  if (kind === 'exact') return (s) => s === n;
  if (kind === 'prefix') return (s) => s.startsWith(n);
  if (kind === 'suffix') return (s) => s.endsWith(n);
  if (kind === 'substring') return (s) => s.includes(n);
  if (kind !== 'regex') return place.fail(t, `${rule} rule supports only exact, prefix, suffix, substring, and regex name matching`); // prettier-ignore
  const re = regexp(t.text, t, place, `invalid regex pattern in a ${rule} rule: `);
  return (s) => re.match(s) !== null;
}

/** Reads one `rewrite …` line or block. */
export function rewriteRule(d: Directive, place: Place): Rule {
  const flat = (list: Directive[]): Token[] => list.flatMap((x) => x.words);
  const words = d.words.length > 2 ? d.words.slice(1) : [...d.words.slice(1), ...flat(d.block ?? [])];
  if (words.length === 0) return place.fail(d.words[0]!, 'no rule type specified for rewrite');
  if (d.words.length > 2 && d.block !== null) place.fail(d.words[0]!, "found a block after the rule, expected one of the two"); // prettier-ignore
  const first = words[0]!.text.toLowerCase();
  const mode = first === 'continue' || first === 'stop' ? first : '';
  if (mode !== '' && words.length < 2) place.fail(words[0]!, `${mode} rule must begin with a rule type`);
  const [head, ...args] = mode === '' ? words : words.slice(1);
  const kind = head!.text.toLowerCase();
  const stop = mode !== 'continue';
  const two = (): [Token, Token] =>
    args.length === 2 ? [args[0]!, args[1]!] : place.fail(head!, `${kind} rules must have exactly two arguments`);
  if (kind === 'name') return { stop, apply: nameRule(head!, args, place) };
  if (kind === 'ttl') return { stop, apply: ttlRule(head!, args, place) };
  if (kind === 'rcode') return { stop, apply: rcodeRule(head!, args, place) };
  if (kind === 'cname') return { stop, apply: cnameRule(head!, args, place) };
  if (kind === 'type' || kind === 'class') {
    const [from, to] = two().map((t) => {
      const n = (kind === 'type' ? TYPE_NAMES : CLASS_NAMES)[t.text.toUpperCase()];
      return n ?? place.fail(t, `invalid ${kind} "${t.text.toUpperCase()}"`);
    }) as [number, number];
    return { stop, apply: fieldRule(kind, from, to) };
  }
  if (kind === 'answer') place.fail(head!, 'response rewrites must begin with a name rule');
  if (kind === 'edns0') place.fail(head!, 'rules of type edns0 are not emulated');
  return place.fail(head!, `invalid rule type "${words[0]!.text}"`);
}

function fieldRule(kind: 'type' | 'class', from: number, to: number): Rule['apply'] {
  return (q) => {
    const question = q.question[0]!;
    if (from === 0 || to === 0 || (kind === 'type' ? question.type : question.cls) !== from) return null;
    q.question = [kind === 'type' ? { ...question, type: to } : { ...question, cls: to }];
    return once([]);
  };
}

function nameRule(head: Token, args: Token[], place: Place): Rule['apply'] {
  if (args.length < 2) return place.fail(head, 'too few arguments for a name rule');
  const kind = args.length === 2 ? 'exact' : args[0]!.text.toLowerCase();
  const [fromT, toT] = (args.length === 2 ? args : args.slice(1)) as [Token, Token];
  const { auto, rules } = args.length > 3 ? answers(kind, args.slice(3), place) : { auto: false, rules: [] };
  const from = fqdn(fromT.text);
  const to = fqdn(toT.text);
  const reverting = (q: DnsMessage, asked: string): Applied => {
    if (!auto && kind !== 'exact') return once(rules);
    const f = remap(q.question[0]!.name, asked);
    return once([onName(f), onValue(f), ...rules]);
  };
  const changing = (f: (name: string) => string | null): Rule['apply'] => (q) => {
    const asked = lowerName(q);
    const name = f(asked);
    if (name === null) return null;
    setName(q, name);
    return reverting(q, asked);
  }; // prettier-ignore
  if (kind === 'exact') return changing((s) => (s === from ? to : null));
  if (kind === 'prefix') return changing((s) => (s.startsWith(from) ? to + s.slice(from.length) : null));
  if (kind === 'substring') return changing((s) => (s.includes(from) ? s.replaceAll(from, () => to) : null));
  if (kind === 'suffix') {
    const back: Text = (s) => (s.endsWith(to) ? s.slice(0, s.length - to.length) + from : s);
    const all = auto ? [onName(back), onValue(back), ...rules] : rules;
    return (q) => {
      const asked = lowerName(q);
      if (!asked.endsWith(from)) return null;
      setName(q, asked.slice(0, asked.length - from.length) + to);
      return once(all);
    };
  }
  if (kind !== 'regex')
    return place.fail(args[0]!, `name rule supports only exact, prefix, suffix, substring, and regex name matching, received: ${kind}`); // prettier-ignore
  const re = pair(fromT, toT, place);
  return changing((s) => {
    const groups = re.match(s);
    return groups === null ? null : substitute(to, groups);
  });
}

/** `answer auto`, `answer name FROM TO`, `answer value FROM TO`, after the first the word `answer` may be left out. */
function answers(kind: string, args: Token[], place: Place): { auto: boolean; rules: ResponseRule[] } {
  const rules: ResponseRule[] = [];
  let auto = false;
  let names = 0;
  if (args.length < 2) place.fail(args[0]!, `invalid arguments for ${kind} rule`);
  for (let i = 0; i < args.length;) {
    if (i === 0 && args[0]!.text !== 'answer')
      place.fail(args[0]!, `exceeded the number of arguments for a non-answer rule argument for ${kind} rule`);
    if (args[i]!.text === 'answer') i++;
    const what = args[i++];
    if (what === undefined) return place.fail(args[i - 2]!, `type missing for answer rule for ${kind} rule`);
    if (what.text === 'auto') {
      auto = true;
      continue;
    }
    if (what.text !== 'name' && what.text !== 'value')
      place.fail(what, `invalid type "${what.text}" for answer rule for ${kind} rule`);
    const [from, to] = [args[i], args[i + 1]];
    if (from === undefined || to === undefined)
      return place.fail(what, `${what.text} answer rule for ${kind} rule: 2 arguments required`);
    const re = pair(from, to, place, `${what.text} answer rule for ${kind} rule: `);
    const text: Text = (s) => {
      const groups = re.match(s);
      return groups === null ? s : substitute(fqdn(to.text), groups);
    };
    rules.push(what.text === 'name' ? onName(text) : onValue(text));
    if (what.text === 'name') names++;
    i += 2;
  }
  if (auto && names > 0)
    place.fail(args[0]!, 'auto name answer rule cannot be combined with explicit name anwer rules');
  return { auto, rules };
}

function ttlRule(head: Token, args: Token[], place: Place): Rule['apply'] {
  if (args.length < 2) return place.fail(head, `too few (${args.length}) arguments for a ttl rule`);
  if (args.length > 3) return place.fail(args[3]!, 'many few arguments for a ttl rule');
  const t = args.at(-1)!;
  const m = /^(\d+)$|^(\d*)-(\d*)$/.exec(t.text);
  const low = Number(m?.[1] ?? m?.[2] ?? '');
  const high = m?.[1] !== undefined ? low : m?.[3] === '' ? 2147483647 : Number(m?.[3]);
  if (m === null || t.text === '-' || low > high || high > 0xffffffff)
    return place.fail(t, `invalid TTL '${t.text}' for a ttl rule`);
  const test =
    args.length === 3
      ? matcher(args[0]!.text.toLowerCase(), args[1]!, 'ttl', place)
      : matcher('exact', args[0]!, 'ttl', place);
  const rule: ResponseRule = (_m, rr) => {
    rr.ttl = Math.min(high, Math.max(low, rr.ttl));
  };
  return (q) => (test(lowerName(q)) ? once([rule]) : null);
}

function rcodeRule(head: Token, args: Token[], place: Place): Rule['apply'] {
  if (args.length < 3) return place.fail(head, `too few (${args.length}) arguments for a rcode rule`);
  if (args.length > 4) return place.fail(args[4]!, 'many few arguments for a rcode rule');
  const code = (t: Token, which: string): number => {
    const n = /^\d+$/.test(t.text) && Number(t.text) <= 23 ? Number(t.text) : RCODE_NAMES[t.text.toUpperCase()];
    if (n === undefined) return place.fail(t, `invalid ${which} RCODE '${t.text}' for a rcode rule`);
    if (n > 15) return place.fail(t, `RCODE '${t.text}' needs EDNS and is not emulated`);
    return n;
  };
  const from = code(args.at(-2)!, 'matching');
  const to = code(args.at(-1)!, 'replacement');
  const test =
    args.length === 4
      ? matcher(args[0]!.text.toLowerCase(), args[1]!, 'rcode', place)
      : matcher('exact', args[0]!, 'rcode', place);
  const rule: ResponseRule = (m) => {
    if ((m.flags & 15) === from) m.flags = (m.flags & ~15) | to;
  };
  return (q) => (test(lowerName(q)) ? once([rule]) : null);
}

function cnameRule(head: Token, args: Token[], place: Place): Rule['apply'] {
  if (args.length !== 2 && args.length !== 3)
    return place.fail(head, `too few (${args.length}) arguments for a cname rule`);
  const kind = args.length === 2 ? 'exact' : args[0]!.text.toLowerCase();
  const [from, to] = args.slice(-2).map((t) => t.text.toLowerCase()) as [string, string];
  const target = (f: (s: string) => string | null): Rule['apply'] => {
    const cname = (s: string): string | null => {
      const name = f(s);
      return name === null || !validName(name) ? null : name;
    };
    return () => ({ rules: [], cname });
  };
  if (kind === 'exact') return target((s) => (s === from ? to : null));
  if (kind === 'prefix') return target((s) => (s.startsWith(from) ? to + s.slice(from.length) : null));
  if (kind === 'suffix') return target((s) => (s.endsWith(from) ? s.slice(0, s.length - from.length) + to : null));
  if (kind === 'substring') return target((s) => (s.includes(from) ? s.replaceAll(from, () => to) : null));
  if (kind !== 'regex') return place.fail(args[0]!, `unknown cname rewrite type: ${kind}`);
  const re = regexp(from, args.at(-2)!, place, 'invalid regex pattern in a cname rule: ');
  return target((s) => {
    const groups = re.match(s);
    return groups === null ? null : substitute(to, groups);
  });
}
