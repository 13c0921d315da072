/**
 * The Scenario file: a cluster's machines, networks and objects, and what happens in it.
 * @module
 */
import { aton } from '../../wire/inet.js';
import { parseDuration } from '../lab/lab.js';
import { type Command, parseScript } from '../shell/script.js';
import { InputError } from '../sim/input-error.js';
import { type At, documents, quote } from './api/at.js';
import { loadManifests, readObjects, type Seen } from './api/manifest.js';
import { addressWithPrefix, cidr, dnsSubdomain, labels, plainAddress } from './api/names.js';
import type { KubeObject } from './api/types.js';
import { BALANCER_FIELDS, balancerMachines, type LoadBalancer, parseLoadBalancers } from './cloud/load-balancer.js';
import { type MetalLb, parseMetalLb } from './cloud/metallb.js';
import { checkVpc } from './cloud/vpc-check.js';
import { type CniConfig, parseCni } from './cni/config.js';
import { parseCorefile } from './coredns/corefile.js';
import { type IngressController, parseIngressControllers } from './ingress/install.js';
import { type KubeProxyConfig, parseKubeProxyConfig } from './kube-proxy/index.js';
import { contains, networkOf, overlap } from './networks.js';

export interface Machine {
  name: string;
  /** `a.b.c.d/len` addresses of eth0, the first is the primary. */
  addresses: string[];
  /** Empty for machines outside the cluster, and where pods have addresses of a VPC. */
  podCIDR: string;
  /** What the internet gateway of a VPC makes of the primary address; absent: none. */
  publicAddress?: string;
  /** Names of the security groups of its ENIs in a VPC that has some; absent: everything is let through. */
  securityGroups?: string[];
  /** Its /etc/resolv.conf; null: it has none. */
  resolvConf: string | null;
  labels: Record<string, string>;
}

export interface ScenarioStep {
  atNs: number;
  /** `pod/NAME`, `pod/NS/NAME`, `node/NAME`, `host/NAME`; empty: kubectl. */
  in: string;
  run: string;
  commands: Command[];
  expect: { exit?: number; stdout?: string } | null;
  place: At;
}

export interface Scenario {
  name: string;
  description: string;
  file: string;
  seed: number;
  nodes: Machine[];
  /** Machines outside of the cluster, load balancers among them. */
  hosts: Machine[];
  loadBalancers: LoadBalancer[];
  metallb: MetalLb | null;
  /** Empty in a VPC. */
  podSubnet: string;
  serviceSubnet: string;
  dnsDomain: string;
  cni: CniConfig;
  kubeProxy: KubeProxyConfig;
  /** `nodeLocal`: every node has a NodeLocal DNSCache. */
  coredns: { corefile: string | null; replicas: number; nodeLocal: boolean } | null;
  /** The node whose port 6443 is behind the Service `kubernetes`; null: there is no such Service. */
  apiServer: string | null;
  ingressControllers: IngressController[];
  objects: KubeObject[];
  /** The text of a file named relative to the scenario, and its name in messages. Throws InputError. */
  read(path: string): { text: string; file: string };
  steps: ScenarioStep[];
  untilNs: number | null;
}

/** Kubernetes' own documented limit for one cluster. */
const MAX_NODES = 5000;

/**
 * Reads a Scenario; `read` gives the text of a manifest named relative to it, `expand` the files of a folder or pattern. Throws
 * InputError with a place.
 */
export function parseScenario(
  text: string,
  file: string,
  read: (path: string) => string,
  expand: (path: string) => string[] = (path) => [path],
): Scenario {
  const docs = documents(text, file);
  const at = docs[0]?.only('apiVersion', 'kind', 'metadata', 'spec');
  if (docs.length > 1) docs[1]!.fail(`found ${docs.length} documents, expected one Scenario`);
  if (at === undefined) throw new InputError(file, 1, 1, 'found no document, expected a Scenario');
  at.req('kind').oneOf('Scenario');
  at.opt('apiVersion')?.fail('found an apiVersion, expected none: a Scenario is no object of a cluster');
  const m = at.req('metadata').only('name', 'description');
  const name = m.req('name').str();
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name) || name.length > 200)
    m.req('name').fail(`found ${quote(name)}, expected letters, digits, '-', '_' and '.'`);
  const s = at.req('spec').only('seed', 'nodes', 'networking', 'cni', 'kubeProxy', 'coredns', 'apiServer', 'hosts', 'loadBalancers', 'metallb', 'ingressControllers', 'manifests', 'objects', 'steps', 'until'); // prettier-ignore
  const inVpc = s.opt('cni')?.opt('plugin')?.plain() === 'aws-vpc';
  const machines = networks(s, inVpc);
  const cni = parseCni(
    s.opt('cni'),
    machines.nodes.map((n) => n.podCIDR),
    machines.nodes.map((n) => n.name),
  );
  if (cni.plugin === 'aws-vpc') checkVpc(s, cni, machines);
  return {
    name,
    description: m.opt('description')?.str() ?? '',
    file,
    seed: s.opt('seed')?.int(0, 2 ** 31) ?? 1,
    ...machines,
    loadBalancers: parseLoadBalancers(s.opt('loadBalancers'), machines, inVpc),
    metallb: parseMetalLb(s.opt('metallb'), { ...machines, file }, inVpc),
    cni,
    kubeProxy: parseKubeProxyConfig(s.opt('kubeProxy')),
    coredns: coredns(s),
    apiServer: apiServer(s.opt('apiServer'), machines.nodes),
    ingressControllers: parseIngressControllers(s.opt('ingressControllers'), machines.nodes.map((n) => n.name), machines.hosts.map((h) => h.name)), // prettier-ignore
    objects: objects(s, file, read, expand),
    read: (path) => ({ text: read(path), file: path.startsWith('/') ? path : dirOf(file) + path }),
    steps: (s.opt('steps')?.list() ?? []).map((x) => step(x, file)),
    untilNs: duration(s.opt('until')),
  };
}

/** Absent: no CoreDNS. `coredns:` without a value is `coredns: {}`. */
function coredns(s: At): Scenario['coredns'] {
  if (!s.has('coredns')) return null;
  const dns = s.opt('coredns')?.only('corefile', 'replicas', 'nodeLocal') ?? null;
  return {
    corefile: corefile(dns?.opt('corefile') ?? null),
    replicas: dns?.opt('replicas')?.int(1, 100) ?? 2,
    nodeLocal: dns?.opt('nodeLocal')?.bool() ?? false,
  };
}

/** Absent: no Service `kubernetes`. */
function apiServer(at: At | null, nodes: Machine[]): string | null {
  const name = at?.str() ?? null;
  if (name !== null && !nodes.some((n) => n.name === name))
    at!.fail(`found ${quote(name)}, expected one of: ${nodes.map((n) => n.name).join(', ')}`);
  return name;
}

/** A Corefile that CoreDNS would load, or an error in the Scenario's own lines. */
function corefile(at: At | null): string | null {
  if (at === null) return null;
  const { text, line, column } = at.script();
  try {
    parseCorefile(text, at.file);
  } catch (e) {
    if (!(e instanceof InputError)) throw e;
    throw new InputError(at.file, line + Math.max(1, e.line) - 1, column + Math.max(1, e.column) - 1, e.reason);
  }
  return text;
}

const dirOf = (file: string): string => file.slice(0, file.lastIndexOf('/') + 1);

/** The text of a manifest's file; one that cannot be read is an error where it is named. */
function manifest(f: At, path: string, read: (path: string) => string): string {
  try {
    return read(path);
  } catch (e) {
    if (!(e instanceof InputError)) throw e;
    return f.fail(`found ${quote(path)}, expected a manifest's file: ${e.reason}`);
  }
}

function objects(
  s: At,
  file: string,
  read: (path: string) => string,
  expand: (path: string) => string[],
): KubeObject[] {
  const seen: Seen = new Set();
  const out: KubeObject[] = [];
  for (const f of s.opt('manifests')?.list() ?? []) {
    const paths = expand(f.str());
    if (paths.length === 0) f.fail(`found ${quote(f.str())}, expected manifests: no *.yaml, *.yml or *.json there`);
    for (const path of paths) {
      const name = path.startsWith('/') ? path : dirOf(file) + path;
      for (const o of loadManifests(manifest(f, path, read), name, seen)) out.push(o);
    }
  }
  for (const o of s.opt('objects')?.list() ?? []) out.push(...readObjects(o, seen));
  return out;
}

type Networks = Pick<Scenario, 'nodes' | 'hosts' | 'podSubnet' | 'serviceSubnet' | 'dnsDomain'>;

/** Machines and subnets: none may overlap another. */
function networks(s: At, inVpc: boolean): Networks {
  const net = s.opt('networking')?.only(...(inVpc ? [] : ['podSubnet']), 'serviceSubnet', 'dnsDomain') ?? null;
  const podAt = net?.opt('podSubnet') ?? null;
  const serviceAt = net?.opt('serviceSubnet') ?? null;
  const podSubnet = inVpc ? '' : podAt === null ? '10.0.0.0/16' : cidr(podAt);
  const serviceSubnet = serviceAt === null ? '10.96.0.0/12' : cidr(serviceAt);
  const place = serviceAt ?? podAt ?? s;
  if (!inVpc && overlap(podSubnet, serviceSubnet))
    place.fail(`found podSubnet ${podSubnet} and serviceSubnet ${serviceSubnet}, expected networks that do not overlap`); // prettier-ignore
  if (networkOf(serviceSubnet).bits > 28) place.fail(`found ${serviceSubnet}, expected a network of at least 16 addresses`); // prettier-ignore
  const domain = net?.opt('dnsDomain') ?? null;
  const list = s.req('nodes').list();
  if (list.length === 0 || list.length > MAX_NODES)
    s.req('nodes').fail(`found ${list.length} nodes, expected from 1 to ${MAX_NODES}`);
  const hostList = s.opt('hosts')?.list() ?? [];
  const nodes = list.map((n) => machine(n, podSubnet, inVpc));
  const balancers = balancerMachines(s.opt('loadBalancers')?.list() ?? []);
  const hosts = [
    ...hostList.map((h) => machine(h, null, inVpc)),
    ...balancers.map((b) => machine(b, null, inVpc, BALANCER_FIELDS)),
  ];
  distinct([...list, ...hostList, ...balancers], [...nodes, ...hosts], serviceSubnet);
  return {
    nodes,
    hosts,
    podSubnet,
    serviceSubnet,
    dnsDomain: domain === null ? 'cluster.local' : dnsSubdomain(domain),
  };
}

const RESERVED = ['lan', 'gw', 'root'];

/** `podSubnet`: null for a machine outside of the cluster, empty for a node of a VPC. */
function machine(at: At, podSubnet: string | null, inVpc: boolean, more: readonly string[] = []): Machine {
  const own = podSubnet === null ? [] : [...(inVpc ? [] : ['podCIDR']), 'labels'];
  at.only(
    'name',
    'address',
    ...(more.length > 0 ? more : ['addresses', 'resolvConf']),
    ...own,
    ...(inVpc ? ['publicAddress', 'securityGroups'] : []),
  );
  const list = [at.req('address'), ...(at.opt('addresses')?.list() ?? [])];
  const addresses = list.map((a) => {
    const v = addressWithPrefix(a);
    const n = networkOf(v);
    const [ip, base] = [v.split('/')[0]!, n.text.split('/')[0]!];
    if (n.bits < 8 || n.bits > 30) a.fail(`found ${v}, expected a prefix length from 8 to 30`);
    const special = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/3'].some((x) => contains(x, ip));
    if (special || ip === base || (aton(ip)! | n.mask) === -1) a.fail(`found ${v}, expected the address of a machine`);
    return v;
  });
  let podCIDR = '';
  if (podSubnet !== null && !inVpc) {
    const p = at.req('podCIDR');
    podCIDR = cidr(p);
    const bits = networkOf(podCIDR).bits;
    if (bits < networkOf(podSubnet).bits || !contains(podSubnet, podCIDR))
      p.fail(`found ${podCIDR}, expected a part of the podSubnet ${podSubnet}`);
    if (bits > 30) p.fail(`found ${podCIDR}, expected a prefix length of at most 30`);
  }
  const name = dnsSubdomain(at.req('name'));
  if (RESERVED.includes(name))
    at.req('name').fail(`found "${name}", expected a name other than ${RESERVED.join(', ')}`);
  const resolvConf = at.opt('resolvConf')?.str() ?? null;
  if (resolvConf?.split('\n').includes('EOF') === true) at.req('resolvConf').fail('found a line EOF, expected none');
  const pub = at.opt('publicAddress');
  const publicAddress = pub === null ? {} : { publicAddress: plainAddress(pub) };
  const groups =
    at
      .opt('securityGroups')
      ?.list()
      .map((g) => g.str()) ?? null;
  const securityGroups = groups === null ? {} : { securityGroups: groups };
  return { name, addresses, podCIDR, ...publicAddress, ...securityGroups, resolvConf, labels: podSubnet === null ? {} : labels(at.opt('labels')) }; // prettier-ignore
}

interface Range {
  text: string;
  name: string;
  first: number;
  last: number;
}

/** Names and addresses once each; podCIDRs apart from each other; no machine inside a podCIDR or the service subnet. */
function distinct(places: At[], all: Machine[], serviceSubnet: string): void {
  const seen = new Set<string>();
  const ranges: Range[] = [];
  const range = (text: string, name: string): void => {
    const n = networkOf(text);
    ranges.push({ text, name, first: n.net >>> 0, last: (n.net | ~n.mask) >>> 0 });
  };
  all.forEach((m, i) => {
    for (const key of [m.name, ...m.addresses.map((a) => a.split('/')[0]!)]) {
      if (seen.has(key)) places[i]!.fail(`duplicate name or address "${key}" among nodes and hosts`);
      seen.add(key);
    }
    if (m.podCIDR !== '') range(m.podCIDR, m.name);
  });
  ranges.sort((a, b) => a.first - b.first || b.last - a.last);
  ranges.forEach((r, i) => {
    const before = ranges[i - 1];
    if (before === undefined || before.last < r.first) return;
    const at = places[all.findIndex((m) => m.name === r.name)]!;
    at.req('podCIDR').fail(`found ${r.text}, expected a network apart from ${before.text} of ${before.name}`);
  });
  range(serviceSubnet, 'serviceSubnet');
  ranges.sort((a, b) => a.first - b.first);
  all.forEach((m, i) => {
    for (const a of m.addresses) {
      const x = aton(a.split('/')[0]!)! >>> 0;
      const hit = ranges[lastAtMost(ranges, x)];
      if (hit !== undefined && x <= hit.last)
        places[i]!.req('address').fail(`found ${a}, expected an address outside ${hit.text} (${hit.name})`);
    }
  });
}

/** Index of the last range that begins at or before `x`, or -1. */
function lastAtMost(ranges: Range[], x: number): number {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const mid = (low + high) >> 1;
    if (ranges[mid]!.first <= x) low = mid + 1;
    else high = mid;
  }
  return low - 1;
}

function duration(at: At | null): number | null {
  if (at === null) return null;
  const v = parseDuration(at.str());
  if (v === null) at.fail(`found ${quote(at.str())}, expected a duration like 2s or 500ms`);
  return v;
}

function step(at: At, file: string): ScenarioStep {
  at.only('at', 'in', 'run', 'expect');
  const e = at.opt('expect')?.only('exit', 'stdout') ?? null;
  const expect: { exit?: number; stdout?: string } = {};
  const exit = e?.opt('exit');
  const stdout = e?.opt('stdout');
  if (exit) expect.exit = exit.int(0, 255);
  if (stdout) expect.stdout = stdout.str();
  const run = at.req('run').script();
  const commands = parseScript(run.text, file, run.line, run.column);
  if (commands.length === 0) at.req('run').fail('found no command, expected one');
  return {
    atNs: duration(at.req('at'))!,
    in: at.opt('in')?.str() ?? '',
    run: run.text,
    commands,
    expect: e === null ? null : expect,
    place: at,
  };
}
