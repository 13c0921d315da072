/**
 * The Scenario file: a cluster's machines, networks and objects, and what happens in it.
 * @module
 */
import { Address4 } from 'ip-address';
import { parseDuration } from '../lab/lab.js';
import { InputError } from '../sim/input-error.js';
import type { At } from './api/at.js';
import { documents } from './api/at.js';
import { cidr, loadManifests, readObjects } from './api/manifest.js';
import type { KubeObject } from './api/types.js';
import { type KubeProxyConfig, parseKubeProxyConfig } from './kube-proxy/index.js';

export interface Machine {
  name: string;
  /** `a.b.c.d/len` addresses of eth0, the first is the primary. */
  addresses: string[];
  /** Empty for machines outside the cluster. */
  podCIDR: string;
  labels: Record<string, string>;
}

export interface CniConfig {
  plugin: 'bridge';
  bridge: string;
  ipMasq: boolean;
  hairpinMode: boolean;
  mtu: number;
}

export interface ScenarioStep {
  atNs: number;
  /** `pod/NAME`, `pod/NS/NAME`, `node/NAME`, `host/NAME`; empty: kubectl. */
  in: string;
  run: string;
  expect: { exit?: number; stdout?: string } | null;
  place: At;
}

export interface Scenario {
  name: string;
  description: string;
  file: string;
  seed: number;
  nodes: Machine[];
  hosts: Machine[];
  podSubnet: string;
  serviceSubnet: string;
  dnsDomain: string;
  cni: CniConfig;
  kubeProxy: KubeProxyConfig;
  coredns: { corefile: string | null; replicas: number } | null;
  objects: KubeObject[];
  steps: ScenarioStep[];
  untilNs: number | null;
}

/** Reads a Scenario; `read` gives the text of a manifest named relative to it. Throws InputError with a place. */
export function parseScenario(text: string, file: string, read: (path: string) => string): Scenario {
  const docs = documents(text, file);
  const at = docs[0]?.only('kind', 'metadata', 'spec');
  if (at === undefined || docs.length > 1)
    throw new InputError(file, 1, 1, `found ${docs.length} documents, expected one Scenario`);
  const m = at.req('metadata').only('name', 'description');
  const s = at.req('spec').only('seed', 'nodes', 'networking', 'cni', 'kubeProxy', 'coredns', 'hosts', 'ingressControllers', 'manifests', 'objects', 'steps', 'until'); // prettier-ignore
  s.opt('ingressControllers')?.fail('ingress controllers are not supported yet');
  const net = s.opt('networking')?.only('podSubnet', 'serviceSubnet', 'dnsDomain') ?? null;
  const sub = (k: string, fallback: string): string => {
    const a = net?.opt(k) ?? null;
    return a === null ? fallback : cidr(a);
  };
  const podSubnet = sub('podSubnet', '10.0.0.0/16');
  const nodes = s
    .req('nodes')
    .list()
    .map((n) => machine(n, podSubnet));
  const hosts = (s.opt('hosts')?.list() ?? []).map((h) => machine(h, null));
  uniqueMachines(s, [...nodes, ...hosts]);
  const kp = s.opt('kubeProxy');
  const fail = (path: string, message: string): never => (kp ?? s).fail(path === '' ? message : `${path}: ${message}`);
  const objects: KubeObject[] = [];
  for (const f of s.opt('manifests')?.list() ?? []) {
    const path = f.str();
    for (const o of loadManifests(read(path), path)) {
      if (objects.some((x) => same(x, o))) f.fail(`duplicate name: ${o.kind} "${o.metadata.name}" exists already`);
      objects.push(o);
    }
  }
  for (const o of s.opt('objects')?.list() ?? []) objects.push(...readObjects(o, objects));
  const dns =
    s.opt('coredns')?.only('corefile', 'replicas') ?? (s.opt('coredns') === null && hasKey(s, 'coredns') ? s : null);
  return {
    name: m.req('name').str(),
    description: m.opt('description')?.str() ?? '',
    file,
    seed: s.opt('seed')?.int(0, 2 ** 31) ?? 1,
    nodes,
    hosts,
    podSubnet,
    serviceSubnet: sub('serviceSubnet', '10.96.0.0/12'),
    dnsDomain: net?.opt('dnsDomain')?.str() ?? 'cluster.local',
    cni: cni(s.opt('cni')),
    kubeProxy: parseKubeProxyConfig(kp?.plain() ?? {}, fail),
    coredns:
      dns === null
        ? null
        : dns === s
          ? { corefile: null, replicas: 2 }
          : { corefile: dns.opt('corefile')?.str() ?? null, replicas: dns.opt('replicas')?.int(1, 100) ?? 2 },
    objects,
    steps: (s.opt('steps')?.list() ?? []).map(step),
    untilNs: duration(s.opt('until')),
  };
}

const hasKey = (at: At, key: string): boolean => at.keys().includes(key);
const same = (a: KubeObject, b: KubeObject): boolean =>
  a.kind === b.kind && a.metadata.name === b.metadata.name && a.metadata.namespace === b.metadata.namespace;

function machine(at: At, podSubnet: string | null): Machine {
  at.only('name', 'address', 'addresses', 'labels', ...(podSubnet === null ? [] : ['podCIDR']));
  const list = [at.req('address'), ...(at.opt('addresses')?.list() ?? [])];
  const addresses = list.map((a) => {
    const v = a.str();
    if (!v.includes('/') || !Address4.isValid(v))
      a.fail(`found "${v}", expected an address with its prefix length like 192.168.56.11/24`);
    return v;
  });
  let podCIDR = '';
  if (podSubnet !== null) {
    podCIDR = cidr(at.req('podCIDR'));
    if (!new Address4(podCIDR).isInSubnet(new Address4(podSubnet))) {
      at.req('podCIDR').fail(`found ${podCIDR}, expected a part of the podSubnet ${podSubnet}`);
    }
  }
  const name = at.req('name').str();
  if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name) || ['lan', 'gw', 'root'].includes(name) || name.length > 15) {
    at.req('name').fail(
      `found "${name}", expected a lower-case DNS label of at most 15 characters other than lan, gw, root`,
    );
  }
  return { name, addresses, podCIDR, labels: at.opt('labels')?.strings() ?? {} };
}

function uniqueMachines(s: At, all: Machine[]): void {
  const seen = new Set<string>();
  for (const m of all) {
    for (const key of [m.name, m.podCIDR, ...m.addresses.map((a) => a.split('/')[0]!)]) {
      if (key !== '' && seen.has(key)) s.fail(`duplicate name or address "${key}" among nodes and hosts`);
      seen.add(key);
    }
  }
}

function cni(at: At | null): CniConfig {
  const plugin = at?.opt('plugin')?.str() ?? 'bridge';
  if (plugin !== 'bridge')
    at!.req('plugin').fail(`found "${plugin}", expected bridge (other plugins are not supported yet)`);
  at?.only('plugin', 'bridge', 'ipMasq', 'hairpinMode', 'mtu');
  return {
    plugin: 'bridge',
    bridge: at?.opt('bridge')?.str() ?? 'cni0',
    ipMasq: at?.opt('ipMasq')?.bool() ?? false,
    hairpinMode: at?.opt('hairpinMode')?.bool() ?? false,
    mtu: at?.opt('mtu')?.int(68, 65535) ?? 0,
  };
}

function duration(at: At | null): number | null {
  if (at === null) return null;
  const v = parseDuration(at.str());
  if (v === null) at.fail(`found "${at.str()}", expected a duration like 2s or 500ms`);
  return v;
}

function step(at: At): ScenarioStep {
  at.only('at', 'in', 'run', 'expect');
  const e = at.opt('expect')?.only('exit', 'stdout') ?? null;
  const expect: { exit?: number; stdout?: string } = {};
  const exit = e?.opt('exit');
  const stdout = e?.opt('stdout');
  if (exit) expect.exit = exit.int(0, 255);
  if (stdout) expect.stdout = stdout.str();
  return {
    atNs: duration(at.req('at'))!,
    in: at.opt('in')?.str() ?? '',
    run: at.req('run').str(),
    expect: e === null ? null : expect,
    place: at,
  };
}
