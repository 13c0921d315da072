/** CoreDNS's `acl` plugin: who may ask what (plugin/acl). @module */
import { optRr, RCODE } from '../../../wire/dns.js';
import { addressBytes } from '../../../wire/inet6.js';
import type { Directive, Place, Token } from './corefile-lexer.js';
import { type Handler, type Plugin, type Request, setRcode } from './handler.js';
import { TYPE_NAMES } from './names.js';
import { longestZone } from './zones.js';

interface Policy {
  action: 'allow' | 'block' | 'filter' | 'drop';
  /** null: every type. */
  types: number[] | null;
  /** null: everybody. */
  nets: { address: Uint8Array; bits: number }[] | null;
}
export interface AclConfig {
  zones: string[];
  policies: Policy[];
}

/** Reads one `acl [ZONE…] { ACTION [type TYPE…] [net CIDR…] }`. */
export function aclConfig(d: Directive, blockZones: string[], place: Place): AclConfig {
  const zones = d.words.length > 1 ? place.zones(d.words.slice(1)) : blockZones;
  return { zones, policies: (d.block ?? []).map((o) => policy(o, place)) };
}

function policy(o: Directive, place: Place): Policy {
  const [head, ...rest] = o.words as [Token, ...Token[]];
  const action = head.text.toLowerCase();
  if (action !== 'allow' && action !== 'block' && action !== 'filter' && action !== 'drop')
    return place.fail(head, `unexpected token "${head.text}"; expect 'allow', 'block', 'filter' or 'drop'`);
  const p: Policy = { action, types: null, nets: null };
  const section = (t: Token): boolean => /^(type|net)$/i.test(t.text);
  for (let i = 0; i < rest.length;) {
    const what = rest[i++]!;
    if (!section(what)) return place.fail(what, `unexpected token "${what.text}"; expect 'type | net'`);
    const from = i;
    while (i < rest.length && !section(rest[i]!)) i++;
    const words = rest.slice(from, i);
    const kind = what.text.toLowerCase();
    if (words.length === 0) place.fail(what, `no token specified in "${kind}" section`);
    const everything = words.some((t) => t.text === '*');
    if (kind === 'type') p.types = everything ? null : [...(p.types ?? []), ...words.map((t) => typeOf(t, place))];
    else p.nets = everything ? null : [...(p.nets ?? []), ...words.map((t) => net(t, place))];
  }
  return p;
}

function typeOf(t: Token, place: Place): number {
  return TYPE_NAMES[t.text] ?? place.fail(t, `unexpected token "${t.text}"; expect legal QTYPE`);
}

function net(t: Token, place: Place): { address: Uint8Array; bits: number } {
  const [text, n, more] = t.text.split('/');
  const address = addressBytes(text!);
  const bits = n === undefined ? (address?.length ?? 0) * 8 : /^\d{1,3}$/.test(n) ? Number(n) : NaN;
  if (address === null || more !== undefined || !(bits <= address.length * 8))
    return place.fail(t, `illegal CIDR notation "${n === undefined ? `${t.text}/${t.text.includes(':') ? 128 : 32}` : t.text}"`); // prettier-ignore
  return { address, bits };
}

function within(a: Uint8Array, n: { address: Uint8Array; bits: number }): boolean {
  if (a.length !== n.address.length) return false;
  for (let i = 0, left = n.bits; left > 0; i++, left -= 8) {
    const mask = left >= 8 ? 255 : 255 << (8 - left);
    if (((a[i]! ^ n.address[i]!) & mask) !== 0) return false;
  }
  return true;
}

function decide(c: AclConfig, r: Request): Policy['action'] | null {
  const { name, type } = r.q.question[0]!;
  if (longestZone(c.zones, name) === null) return null;
  const p = c.policies.find(
    ({ types, nets }) =>
      (types === null || types.includes(type)) && (nets === null || nets.some((n) => within(r.client.address, n))),
  );
  return p?.action ?? null;
}

/** The first rule with a word to say decides: pass, REFUSED, an empty answer, or silence. */
export const aclPlugin =
  (rules: AclConfig[]): Plugin =>
  (next): Handler =>
  (r, out) => {
    for (const c of rules) {
      const action = decide(c, r);
      if (action === 'drop') return;
      if (action === 'allow') break;
      if (action === null) continue;
      const [rcode, ede] = action === 'block' ? [RCODE.REFUSED, 15] : [0, 17];
      const m = setRcode(r.q, rcode);
      return out.write({ ...m, additional: [optRr(4096, 0x8000, Uint8Array.of(0, 15, 0, 2, 0, ede))] });
    }
    next(r, out);
  };
