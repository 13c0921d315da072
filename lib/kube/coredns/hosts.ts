/** CoreDNS's `hosts` plugin: a file like /etc/hosts and lines of the Corefile (plugin/hosts). @module */
import { AA, addressRr, nameRr, RCODE, type Rr, TYPE } from '../../../wire/dns.js';
import { addressBytes, addressText } from '../../../wire/inet6.js';
import { type Directive, fqdn, type Place } from './corefile-lexer.js';
import { type Handler, type Plugin, setRcode } from './handler.js';
import { fromReverse, longestZone } from './zones.js';

export interface HostsConfig {
  path: string;
  zones: string[];
  inline: string[];
  fallthrough: string[];
  ttl: number;
  reverse: boolean;
  /** Nanoseconds between looks at the file; 0: never again. */
  reload: number;
}
interface World {
  readFile(path: string): string | null;
  every(ns: number, fire: () => void): void;
}

/** Reads `hosts [FILE [ZONE…]] { … }`. */
export function hostsConfig(d: Directive, blockZones: string[], place: Place): HostsConfig {
  const [file, ...zones] = d.words.slice(1);
  if (file !== undefined && !file.text.startsWith('/'))
    place.fail(file, `found file '${file.text}', expected an absolute path`);
  const c: HostsConfig = {
    path: file?.text ?? '/etc/hosts',
    zones: zones.length > 0 ? place.zones(zones) : blockZones,
    inline: [],
    fallthrough: [],
    ttl: 3600,
    reverse: true,
    reload: 5e9,
  };
  for (const o of d.block ?? []) {
    const [head, arg] = o.words;
    if (o.block !== null) place.fail(head!, `unknown property '${head!.text}'`);
    if (head!.text === 'fallthrough') c.fallthrough = o.words.length > 1 ? place.zones(o.words.slice(1)) : ['.'];
    else if (head!.text === 'no_reverse') c.reverse = place.args(o, 0, 0).length > 0;
    else if (head!.text === 'ttl') {
      if (arg === undefined) place.fail(head!, 'ttl needs a time in second');
      if (!/^[+-]?\d+$/.test(arg!.text)) place.fail(arg!, 'ttl needs a number of second');
      c.ttl = place.int(arg!, 1, 65535, 'ttl provided is invalid');
    } else if (head!.text === 'reload') {
      if (o.words.length !== 2) place.fail(head!, 'reload needs a duration (zero seconds to disable)');
      if (!/^[+-]?(0|([\d.]+(ns|us|µs|ms|s|m|h))+)$/.test(arg!.text))
        place.fail(arg!, `invalid duration for reload '${arg!.text}'`);
      c.reload = place.period(arg!, `invalid negative duration for reload '${arg!.text}'`);
    } else if (c.fallthrough.length > 0) place.fail(head!, `unknown property '${head!.text}'`);
    else c.inline.push(o.words.map((t) => t.text).join(' '));
  }
  return c;
}

/** Addresses of names, and names of addresses. */
class Table {
  readonly byName = new Map<string, Uint8Array[]>();
  readonly byAddress = new Map<string, string[]>();
  constructor(lines: string[], c: HostsConfig) {
    for (const line of lines) {
      const [ip = '', ...names] = line.replace(/#.*/s, '').trim().split(/\s+/);
      const address = addressBytes(ip.replace(/%.*/s, ''));
      if (address === null) continue;
      for (const name of names.map(fqdn)) {
        if (longestZone(c.zones, name) === null) continue;
        push(this.byName, name, address);
        if (c.reverse) push(this.byAddress, addressText(address), name);
      }
    }
  }
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

/** Looks at the file now and every `reload`. */
export function hostsPlugin(c: HostsConfig, world: World): Plugin {
  const inline = new Table(c.inline, c);
  let text: string | null = null;
  let file = new Table([], c);
  const read = (): void => {
    const now = world.readFile(c.path);
    if (now !== null && now !== text) file = new Table(now.split('\n'), c);
    text = now ?? text;
  };
  read();
  if (c.reload > 0) world.every(c.reload, read);
  const both = <T>(of: (t: Table) => Map<string, T[]>, key: string): T[] => [
    ...(of(file).get(key) ?? []),
    ...(of(inline).get(key) ?? []),
  ];
  return (next: Handler): Handler =>
    (r, out) => {
      const { type } = r.q.question[0]!;
      const name = r.q.question[0]!.name.toLowerCase();
      if (longestZone(c.zones, name) === null && type !== TYPE.PTR) return next(r, out);
      const addresses = both((t) => t.byName, name);
      let answer: Rr[] = [];
      if (type === TYPE.PTR) {
        const ip = fromReverse(name);
        answer = both((t) => t.byAddress, ip === null ? '' : addressText(ip)).map((n) =>
          nameRr(name, TYPE.PTR, c.ttl, n),
        );
        if (answer.length === 0) return next(r, out);
      } else if (type === TYPE.A || type === TYPE.AAAA) {
        const length = type === TYPE.A ? 4 : 16;
        answer = addresses.filter((b) => b.length === length).map((b) => addressRr(name, c.ttl, b));
      }
      if (answer.length === 0 && addresses.length === 0)
        return longestZone(c.fallthrough, name) !== null ? next(r, out) : out.fail(RCODE.SERVFAIL);
      const m = setRcode(r.q, 0);
      out.write({ ...m, flags: m.flags | AA, answer });
    };
}
