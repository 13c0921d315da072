/**
 * Corefiles: tokens with their places, server blocks, and the shape of what the plugins are told.
 *
 * An option that would change what is sent and is not emulated is an error with its place; what plugins of no effect on
 * DNS messages say is skipped (see NO_EFFECT). Not here: `import`, snippets, `{$ENV}`, transports other than plain DNS.
 * @module
 */
import { addressBytes } from '../../../wire/inet6.js';
import { InputError } from '../../sim/input-error.js';
import { type CacheConfig, cachePlugin } from './corefile-cache.js';
import { type ForwardConfig, forwardPlugin } from './corefile-forward.js';
import { type KubernetesConfig, kubernetesPlugin } from './corefile-kubernetes.js';

/** One `zone … { plugins }`; a null plugin is absent. */
export interface ServerBlock {
  /** Lower case, with the final dot. */
  zones: string[];
  kubernetes: KubernetesConfig | null;
  cache: CacheConfig | null;
  forward: ForwardConfig[];
  /** A plugin named chaos lets classes other than IN through, as forward does. */
  chaos: boolean;
  /** Any plugin at all: a block without one refuses. */
  plugins: number;
}
export interface CoreConfig {
  port: number;
  blocks: ServerBlock[];
}

export const KUBEADM_COREFILE = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
`;

/** Plugins that change no DNS message of this emulation; their arguments and blocks are not looked at. */
export const NO_EFFECT: Record<string, string> = {
  debug: 'messages to stdout',
  errors: 'messages to stdout',
  health: 'its own HTTP server; the poll of itself over lo once a second is left out',
  log: 'messages to stdout',
  loop: 'its probe at the start is left out',
  pprof: 'its own HTTP server',
  prometheus: 'its own HTTP server',
  ready: 'its own HTTP server',
  reload: 'the Corefile does not change while it runs',
};

/** A word of the Corefile and where it stands (1-based). */
export interface Token {
  text: string;
  line: number;
  column: number;
}
/** One line of a block: its words, and the lines of the block it opens (null: none). */
export interface Directive {
  words: Token[];
  block: Directive[] | null;
}

/** Error reporting at a token. */
export class Place {
  private readonly file: string;
  constructor(file: string) {
    this.file = file;
  }
  fail(t: Token, message: string): never {
    throw new InputError(this.file, t.line, t.column, message);
  }
  /** The arguments of a directive, at least `min` and at most `max` of them. */
  args(d: Directive, min: number, max: number): Token[] {
    const [head, ...args] = d.words as [Token, ...Token[]];
    if (args.length < min) this.fail(head, `found ${args.length} arguments of '${head.text}', expected ${min}`);
    if (args.length > max) this.fail(args[max]!, `unexpected argument '${args[max]!.text}' of '${head.text}'`);
    return args;
  }
  /** A whole number within bounds. */
  int(t: Token, min: number, max: number): number {
    const n = /^\d{1,10}$/.test(t.text) ? Number(t.text) : NaN;
    if (!(n >= min && n <= max)) this.fail(t, `found '${t.text}', expected a number from ${min} to ${max}`);
    return n;
  }
  /** A Go duration in nanoseconds. */
  duration(t: Token): number {
    const units: Record<string, number> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };
    if (t.text === '0') return 0;
    if (!/^(\d+(\.\d+)?(ns|us|ms|s|m|h))+$/.test(t.text))
      this.fail(t, `found '${t.text}', expected a duration like 5s`);
    let sum = 0;
    for (const m of t.text.matchAll(/(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)/g)) sum += Number(m[1]) * units[m[2]!]!;
    return sum;
  }
  /** Lower-case zones of names and networks. */
  zones(list: Token[]): string[] {
    return list.flatMap((t) => {
      if (!t.text.includes('/')) return [fqdn(t.text)];
      const [text, bits, more] = t.text.split('/');
      const b = addressBytes(text!);
      const n = /^\d{1,3}$/.test(bits!) ? Number(bits) : NaN;
      if (b === null || more !== undefined || !(n >= 1 && n <= b.length * 8))
        return this.fail(t, `found zone '${t.text}', expected a name or a network like 10.96.0.0/12`);
      return reverseZones(b, n);
    });
  }
}

/** The reverse zones that make up a network: as many as its bits need to end with a whole label (plugin/pkg/cidr). */
function reverseZones(b: Uint8Array, bits: number): string[] {
  const v4 = b.length === 4;
  const digits = v4 ? Array.from(b) : Array.from(b, (x) => [x >> 4, x & 15]).flat();
  const width = v4 ? 8 : 4;
  const whole = Math.ceil(bits / width);
  const many = 2 ** (whole * width - bits);
  const first = digits[whole - 1]! - (digits[whole - 1]! % many);
  return Array.from({ length: many }, (_, i) => {
    const labels = [...digits.slice(0, whole - 1), first + i].reverse().map((x) => x.toString(v4 ? 10 : 16));
    return `${labels.join('.')}.${v4 ? 'in-addr' : 'ip6'}.arpa.`;
  });
}

const fqdn = (zone: string): string => (zone.endsWith('.') ? zone : zone + '.').toLowerCase();

/** Words line by line, as Caddy's lexer cuts them: quotes, `#` comments at the start of a word. */
function lex(text: string, place: Place): Token[][] {
  const lines: Token[][] = [];
  let quote: Token | null = null;
  text.split('\n').forEach((raw, i) => {
    const words: Token[] = quote === null ? [] : lines.pop()!;
    if (quote !== null) quote.text += '\n';
    let at = 0;
    for (;;) {
      if (quote !== null) {
        const end: number = raw.indexOf('"', at);
        quote.text += end < 0 ? raw.slice(at) : raw.slice(at, end);
        if (end < 0) break;
        words.push(quote);
        quote = null;
        at = end + 1;
      }
      const rest = /^\s*/.exec(raw.slice(at))![0].length + at;
      const c = raw[rest];
      if (c === undefined || c === '#') break;
      if (c === '"') {
        quote = { text: '', line: i + 1, column: rest + 1 };
        at = rest + 1;
        continue;
      }
      const word = /^\S+/.exec(raw.slice(rest))![0];
      words.push({ text: word, line: i + 1, column: rest + 1 });
      at = rest + word.length;
    }
    lines.push(words);
  });
  if (quote !== null) place.fail(quote, 'found no end of the quotation');
  return lines.filter((l) => l.length > 0);
}

/** Lines to nested directives. */
function nest(lines: Token[][], place: Place): Directive[] {
  const top: Directive[] = [];
  const stack: { list: Directive[]; open: Token }[] = [];
  for (const words of lines) {
    const list = stack.at(-1)?.list ?? top;
    for (const w of words) {
      if (w.text === 'import' && w === words[0]) place.fail(w, "found 'import', expected the text itself");
      if (/\{[$%]/.test(w.text)) place.fail(w, `found '${w.text}' (an environment variable), expected plain text`);
    }
    const last = words.at(-1)!;
    if (words[0]!.text === '}') {
      if (words.length > 1) place.fail(words[1]!, `found '${words[1]!.text}' after '}', expected a new line`);
      if (stack.pop() === undefined) place.fail(words[0]!, "found '}' without a block");
    } else if (last.text === '{') {
      if (words.length === 1) place.fail(last, "found '{' alone, expected a name before it");
      const d: Directive = { words: words.slice(0, -1), block: [] };
      list.push(d);
      stack.push({ list: d.block!, open: last });
    } else {
      const brace = words.find((w) => w.text === '{' || w.text === '}');
      if (brace !== undefined) place.fail(brace, `found '${brace.text}' within a line, expected it at the end of one`);
      list.push({ words, block: null });
    }
  }
  const open = stack.pop();
  if (open !== undefined) place.fail(open.open, "found no '}' for this block");
  return top;
}

/** Reads a Corefile; anything podwire does not emulate is an InputError with its place. */
export function parseCorefile(text: string, file: string): CoreConfig {
  const place: Place = new Place(file);
  const blocks: ServerBlock[] = [];
  let port = 0;
  for (const d of nest(lex(text, place), place)) {
    const block: ServerBlock = { zones: [], kubernetes: null, cache: null, forward: [], chaos: false, plugins: 0 };
    for (const key of d.words.flatMap((w) =>
      w.text
        .split(',')
        .filter((x) => x !== '')
        .map((x) => ({ ...w, text: x })),
    )) {
      const m = /^(?:dns:\/\/)?([^:]*)(?::(\d{1,5}))?$/.exec(key.text);
      if (m === null) place.fail(key, `found '${key.text}', expected a zone with an optional port like .:53`);
      const p = Number(m[2] ?? 53);
      if (port !== 0 && p !== port) place.fail(key, `found port ${p} beside ${port}, expected one port`);
      if (p < 1 || p > 65535) place.fail(key, `found port ${p}, expected 1 to 65535`);
      port = p;
      for (const z of place.zones([{ ...key, text: m[1] === '' ? '.' : m[1]! }])) {
        if (blocks.some((b) => b.zones.includes(z))) place.fail(key, `found zone ${z} twice, expected it once`);
        block.zones.push(z);
      }
    }
    if (d.block === null) place.fail(d.words[0]!, `found '${d.words[0]!.text}', expected a block '.:53 {'`);
    for (const p of d.block) plugin(block, p, place);
    blocks.push(block);
  }
  if (blocks.length === 0) throw new InputError(file, 1, 1, "found no server block, expected '.:53 {'");
  return { port, blocks };
}

function plugin(b: ServerBlock, d: Directive, place: Place): void {
  const head = d.words[0]!;
  const once = (taken: boolean): void => {
    if (taken) place.fail(head, `found plugin '${head.text}' twice in a block, expected it once`);
  };
  b.plugins++;
  if (head.text === 'kubernetes') {
    once(b.kubernetes !== null);
    b.kubernetes = kubernetesPlugin(d, b.zones, place);
  } else if (head.text === 'cache') {
    once(b.cache !== null);
    b.cache = cachePlugin(d, b.zones, place);
  } else if (head.text === 'forward') b.forward.push(forwardPlugin(d, place));
  else if (head.text === 'loadbalance') {
    const policy = place.args(d, 0, 1)[0];
    if (d.block !== null || (policy !== undefined && policy.text !== 'round_robin'))
      place.fail(
        policy ?? head,
        `found loadbalance ${policy?.text ?? '{'}, expected 'loadbalance' or 'loadbalance round_robin'`,
      );
  } else if (!Object.hasOwn(NO_EFFECT, head.text)) {
    place.fail(
      head,
      `plugin '${head.text}' is not emulated, expected one of: cache, forward, kubernetes, loadbalance, ${Object.keys(NO_EFFECT).join(', ')}`,
    );
  }
}
