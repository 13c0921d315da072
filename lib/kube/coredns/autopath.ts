/** CoreDNS's `autopath` plugin: the client's search list walked by the server (plugin/autopath). @module */
import { type DnsMessage, nameRr, RCODE, TYPE } from '../../../wire/dns.js';
import { type Directive, fqdn, type Place, type ReadFile, type Token } from './corefile-lexer.js';
import { type Handler, type Plugin, type Request, withQuestion } from './handler.js';
import { below, longestZone } from './zones.js';

export interface AutopathConfig {
  zones: string[];
  /** The file with the search list; null: the kubernetes plugin knows it by the client's address. */
  file: Token | null;
}

/** Domains of `search` and `domain` lines, the last one counts (dns.ClientConfigFromFile). */
export function searchList(resolvConf: string): string[] {
  let out: string[] = [];
  for (const line of resolvConf.split('\n')) {
    const [key, ...args] = line.trim().split(/\s+/);
    if (key === 'search') out = args.map(fqdn);
    else if (key === 'domain' && args[0] !== undefined) out = [fqdn(args[0])];
  }
  return out;
}

/** Reads `autopath [ZONE…] @kubernetes|FILE`. */
export function autopathConfig(d: Directive, blockZones: string[], place: Place): AutopathConfig {
  const args = d.words.slice(1);
  const from = args.pop();
  if (from === undefined) return place.fail(d.words[0]!, 'no resolv-conf specified');
  const zones = args.length > 0 ? place.zones(args) : blockZones;
  if (from.text === '@kubernetes') return { zones, file: null };
  if (from.text.startsWith('@')) place.fail(from, `found '${from.text}', expected @kubernetes or a file`);
  return { zones, file: from };
}

/** The search list of the configured file, '' at its end; null: the kubernetes plugin's. */
export function autopathSearch(c: AutopathConfig, place: Place, readFile: ReadFile): string[] | null {
  if (c.file === null) return null;
  const { text } = c.file;
  const content = readFile(text);
  if (content === null) return place.fail(c.file, `failed to parse "${text}": open ${text}: no such file or directory`);
  return [...searchList(content), ''];
}

/** `own`: the configured search list; without one `ofClient` gives that of a client, null: none. */
export const autopathPlugin =
  (zones: string[], own: string[] | null, ofClient: (r: Request) => string[] | null): Plugin =>
  (next): Handler =>
  (r, out) => {
    const { name, type, cls } = r.q.question[0]!;
    const search = longestZone(zones, name) === null ? null : (own ?? ofClient(r));
    const cut = search === null || search[0] === undefined ? -1 : below(name, search[0]);
    if (search === null || cut < 0) return next(r, out);
    if (cut === 0) return out.fail(RCODE.SERVFAIL);
    const base = name.slice(0, cut - 1);
    let first: DnsMessage | null = null;
    let firstRcode = 0;
    const attempt = (i: number): void => {
      const s = search[i];
      if (s === undefined) return first === null ? out.fail(firstRcode) : out.write(first);
      const q = withQuestion(r.q, `${base}.${s}`, type, cls);
      next({ ...r, q }, {
        write(m) {
          if (i === 0) first = m;
          if ((m.flags & 15) === RCODE.NXDOMAIN) attempt(i + 1);
          else out.write(renamed(m, name));
        },
        fail(rcode) {
          if (i === 0) firstRcode = rcode;
          attempt(i + 1);
        },
      }); // prettier-ignore
    };
    attempt(0);
  };

/** The answer under the name that was asked: a CNAME to the owner of the first record with another name. */
function renamed(m: DnsMessage, asked: string): DnsMessage {
  const other = m.answer.find((x) => x.name.toLowerCase() !== asked.toLowerCase());
  const alias = other === undefined ? [] : [nameRr(asked, TYPE.CNAME, other.ttl, other.name)];
  return { ...m, question: [{ ...m.question[0]!, name: asked }], answer: [...alias, ...m.answer] };
}
