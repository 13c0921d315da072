/**
 * Corefiles: server blocks, and the shape of what the plugins are told.
 *
 * An option that would change what is sent and is not emulated is an error with its place; what plugins of no effect on
 * DNS messages say is skipped (see NO_EFFECT). Not here: transports other than plain DNS.
 * @module
 */
import { InputError } from '../../sim/input-error.js';
import { type AclConfig, aclConfig } from './acl.js';
import { type AutopathConfig, autopathConfig } from './autopath.js';
import { type CacheConfig, cachePlugin } from './corefile-cache.js';
import { type ForwardConfig, forwardPlugin } from './corefile-forward.js';
import { type KubernetesConfig, kubernetesPlugin } from './corefile-kubernetes.js';
import { corefileBlocks, type Directive, Place, type ReadFile, type Token } from './corefile-lexer.js';
import { type HostsConfig, hostsConfig } from './hosts.js';
import type { Rule } from './rewrite-rules.js';
import { rewriteRules } from './rewrite.js';
import { bufsizeConfig, type HeaderConfig, headerConfig } from './small-plugins.js';
import { type TemplateConfig, templateConfig } from './template.js';

/** One `zone … { plugins }`; a null plugin is absent. */
export interface ServerBlock {
  /** Lower case, with the final dot; each on a port. */
  zones: string[];
  keys: { zone: string; port: number }[];
  /** Its first word. */
  place: Token;
  /** Addresses and devices to listen on; empty: every address. */
  bind: Token[];
  bindExcept: Token[];
  acl: AclConfig[];
  any: boolean;
  autopath: AutopathConfig | null;
  /** 0: absent. */
  bufsize: number;
  header: HeaderConfig | null;
  loadbalance: boolean;
  local: boolean;
  minimal: boolean;
  whoami: boolean;
  rewrite: Rule[];
  template: TemplateConfig[];
  hosts: HostsConfig | null;
  kubernetes: KubernetesConfig | null;
  cache: CacheConfig | null;
  forward: ForwardConfig[];
  /** Nanoseconds between looks at the Corefile, and how far each may lie off; null: it is read once. */
  reload: { interval: number; jitter: number } | null;
  /** Any plugin at all: a block without one refuses. */
  plugins: number;
}
export interface CoreConfig {
  /** The first block's. */
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
  cancel: 'queries are answered long before its time is up',
  debug: 'messages to stdout',
  dnstap: 'its own connection',
  errors: 'messages to stdout',
  health: 'its own HTTP server; the poll of itself over lo once a second is left out',
  log: 'messages to stdout',
  loop: 'its probe at the start is left out',
  metadata: 'only other plugins read it',
  pprof: 'its own HTTP server',
  prometheus: 'its own HTTP server',
  ready: 'its own HTTP server',
  trace: 'its own connections',
};

/** Plugins of CoreDNS that are not emulated. */
const NOT_HERE =
  'auto azure chaos clouddns dns64 dnssec erratic etcd file geoip grpc k8s_external multisocket nsid on root route53 secondary sign timeouts tls transfer tsig view'; // prettier-ignore

type Reader = (b: ServerBlock, list: Directive[], place: Place) => void;
/** A plugin that is written once in a block (plugin.ErrOnce). */
const single =
  (read: (b: ServerBlock, d: Directive, place: Place) => void): Reader =>
  (b, list, place) => {
    if (list.length > 1) place.fail(list[1]!.words[0]!, 'this plugin can only be used once per Server Block');
    read(b, list[0]!, place);
  };
/** A plugin without arguments, of which only the first line counts. */
const plain =
  (set: (b: ServerBlock) => void): Reader =>
  (b, list, place) => {
    place.args(list[0]!, 0, 0);
    set(b);
  };

const PLUGINS: Record<string, Reader> = {
  acl: (b, list, place) => (b.acl = list.map((d) => aclConfig(d, b.zones, place))),
  any: (b) => (b.any = true),
  autopath: (b, list, place) => (b.autopath = autopathConfig(list.at(-1)!, b.zones, place)),
  bind: (b, list, place) => list.forEach((d) => bind(b, d, place)),
  bufsize: (b, list, place) => (b.bufsize = bufsizeConfig(list[0]!, place)),
  cache: single((b, d, place) => (b.cache = cachePlugin(d, b.zones, place))),
  forward: (b, list, place) => (b.forward = list.map((d) => forwardPlugin(d, place))),
  header: (b, list, place) => (b.header = headerConfig(list[0]!, place)),
  hosts: single((b, d, place) => (b.hosts = hostsConfig(d, b.zones, place))),
  kubernetes: single((b, d, place) => (b.kubernetes = kubernetesPlugin(d, b.zones, place))),
  loadbalance: (b, list, place) => (b.loadbalance = loadbalance(list[0]!, place)),
  local: (b) => (b.local = true),
  minimal: plain((b) => (b.minimal = true)),
  reload: (b, list, place) => (b.reload = reload(list[0]!, place)),
  rewrite: (b, list, place) => (b.rewrite = rewriteRules(list, place)),
  template: (b, list, place) => (b.template = list.map((d) => templateConfig(d, b.zones, place))),
  whoami: plain((b) => (b.whoami = true)),
};

function bind(b: ServerBlock, d: Directive, place: Place): void {
  if (d.words.length < 2) place.fail(d.words[0]!, 'at least one address or interface name is expected');
  b.bind.push(...d.words.slice(1));
  for (const o of d.block ?? []) {
    const head = o.words[0]!;
    if (head.text !== 'except') place.fail(head, `invalid option "${head.text}"`);
    if (o.words.length < 2) place.fail(head, 'at least one address or interface must be given to except subdirective');
    b.bindExcept.push(...o.words.slice(1));
  }
}

function loadbalance(d: Directive, place: Place): boolean {
  const [policy, more] = d.words.slice(1);
  if (policy?.text === 'weighted') place.fail(policy, 'policy weighted is not emulated, expected round_robin');
  if (policy !== undefined && policy.text !== 'round_robin') place.fail(policy, `unknown policy: ${policy.text}`);
  if (more !== undefined) place.fail(more, 'unknown property for round_robin');
  return true;
}

function reload(d: Directive, place: Place): { interval: number; jitter: number } {
  const [every, jitter] = place.args(d, 0, 2);
  const interval = every === undefined ? 30e9 : place.duration(every);
  if (interval < 2e9) place.fail(every!, 'interval value must be greater or equal to 2s');
  const j = jitter === undefined ? 15e9 : place.duration(jitter);
  if (j < 1e9) place.fail(jitter!, 'jitter value must be greater or equal to 1s');
  return { interval, jitter: Math.min(j, interval / 2) };
}

/** Reads a Corefile; anything podwire does not emulate is an InputError with its place. `readFile`: for `import`. */
export function parseCorefile(text: string, file: string, readFile: ReadFile = () => null): CoreConfig {
  const place: Place = new Place(file);
  const top = corefileBlocks(text, file, place, readFile);
  const blocks = top.map((d) => serverBlock(d, place));
  if (blocks.length === 0) throw new InputError(file, 1, 1, "found no server block, expected '.:53 {'");
  return { port: blocks[0]!.keys[0]!.port, blocks };
}

function serverBlock(d: Directive, place: Place): ServerBlock {
  const b: ServerBlock = {
    zones: [], keys: [], place: d.words[0]!, bind: [], bindExcept: [], acl: [], any: false, autopath: null, bufsize: 0, header: null,
    loadbalance: false, local: false, minimal: false, whoami: false, rewrite: [], template: [], hosts: null,
    kubernetes: null, cache: null, forward: [], reload: null, plugins: 0,
  }; // prettier-ignore
  if (d.block === null) place.fail(d.words[0]!, `found '${d.words[0]!.text}', expected a block '.:53 {'`);
  for (const key of d.words.flatMap((w) => w.text.split(',').map((x) => ({ ...w, text: x })))) {
    if (key.text === '') continue;
    const m = /^(?:dns:\/\/)?(.*?)(?::(\d{1,5}))?$/.exec(key.text);
    if (m === null || /^\w+:\/\//.test(m[1]!))
      return place.fail(key, `found '${key.text}', expected a zone with an optional port like .:53`);
    const port = Number(m[2] ?? 53);
    if (port < 1 || port > 65535) place.fail(key, `found port ${port}, expected 1 to 65535`);
    for (const zone of place.zones([{ ...key, text: m[1] === '' ? '.' : m[1]! }])) b.keys.push({ zone, port });
  }
  b.zones = b.keys.map((k) => k.zone);
  const byName = new Map<string, Directive[]>();
  for (const p of d.block) {
    const head = p.words[0]!;
    const known = Object.hasOwn(PLUGINS, head.text) || Object.hasOwn(NO_EFFECT, head.text);
    if (!known && NOT_HERE.split(' ').includes(head.text)) place.fail(head, `plugin '${head.text}' is not emulated`);
    if (!known) place.fail(head, `Unknown directive '${head.text}'`);
    b.plugins++;
    const list = byName.get(head.text);
    if (list === undefined) byName.set(head.text, [p]);
    else list.push(p);
  }
  for (const [name, list] of byName) PLUGINS[name]?.(b, list, place.of(name));
  return b;
}
