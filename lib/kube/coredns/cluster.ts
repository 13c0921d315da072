/**
 * What the names of a cluster stand for: the kubernetes plugin's indexes over the API objects
 * (plugin/kubernetes/kubernetes.go, ns.go, reverse.go).
 * @module
 */
import { addressBytes, addressText } from '../../../wire/inet6.js';
import { unixSeconds } from '../../sim/calendar.js';
import type { Endpoint, EndpointSlice, KubeObject, Pod, Service } from '../api/types.js';
import { selects } from '../api/selector.js';
import type { KubernetesConfig } from './corefile-kubernetes.js';

/** One address and port a name stands for; port -1: none declared. */
export interface Entry {
  address: Uint8Array;
  port: number;
  /** Name of the owner of the address, for SRV and NS. */
  target: string;
}
/** A name: an alias, or addresses (none: it exists without records); null: it does not exist. */
export type Found = { cname: string } | Entry[] | null;

/** Phases of Pods that the plugin does not watch. */
const UNWATCHED: readonly string[] = ['Succeeded', 'Failed', 'Unknown'];
const NO_PORT = [{ name: '', protocol: 'TCP', port: -1 }];

export class Cluster {
  private readonly config: KubernetesConfig;
  private readonly services = new Map<string, Service>();
  private readonly slices = new Map<string, EndpointSlice[]>();
  private readonly pods: Pod[] = [];
  private readonly namespaces = new Set<string>();
  private readonly localAddresses: string[];
  /** Newest creationTimestamp of what the plugin watches, in Unix seconds. */
  readonly newest: number = 0;

  constructor(config: KubernetesConfig, objects: KubeObject[], localAddresses: string[]) {
    this.config = config;
    this.localAddresses = localAddresses.filter((a) => addressBytes(a) !== null && !/^127\.|^::1$/.test(a));
    const slices: EndpointSlice[] = [];
    const implied = new Set<string>();
    for (const o of objects) {
      const labels = o.kind === 'Namespace' ? [] : config.labels;
      if (o.kind === 'Namespace') this.addNamespace(o.metadata.name, o.metadata.labels);
      else if (o.metadata.namespace !== '') implied.add(o.metadata.namespace);
      if (!selects(labels, o.metadata.labels)) continue;
      this.newest = Math.max(this.newest, unixSeconds(o.metadata.creationTimestamp));
      if (o.kind === 'Service') this.services.set(`${o.metadata.name}.${o.metadata.namespace}`, o);
      else if (o.kind === 'EndpointSlice') slices.push(o);
      else if (o.kind === 'Pod' && !UNWATCHED.includes(o.status.phase)) this.pods.push(o);
      if (o.kind === 'Namespace') implied.delete(o.metadata.name);
    }
    for (const ns of implied)
      if (!objects.some((o) => o.kind === 'Namespace' && o.metadata.name === ns)) this.addNamespace(ns, {});
    slices.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
    for (const s of slices) {
      const key = `${s.metadata.labels['kubernetes.io/service-name'] ?? ''}.${s.metadata.namespace}`;
      const list = this.slices.get(key);
      if (list === undefined) this.slices.set(key, [s]);
      else list.push(s);
    }
  }

  /** A namespace that `namespace_labels` lets be seen; every one carries its name as a label. */
  private addNamespace(name: string, labels: Record<string, string>): void {
    const all = { 'kubernetes.io/metadata.name': name, ...labels };
    if (selects(this.config.namespaceLabels ?? [], all)) this.namespaces.add(name);
  }

  private exposed(ns: string): boolean {
    const { namespaces } = this.config;
    return this.namespaces.has(ns) && (namespaces.length === 0 || namespaces.includes(ns));
  }

  /** What `labels` (left of the zone, lower case, left to right) stand for; targets are built with `zone`'s spelling. */
  find(labels: readonly string[], zone: string): Found {
    const [kind, ns, name, ...more] = [...labels].reverse();
    if (kind === undefined || (labels.length === 1 && (kind === 'svc' || kind === 'pod'))) return [];
    if (kind !== 'svc' && kind !== 'pod') return null;
    if (more.length > 2) return null;
    if (/(^|\.)(in-addr|ip6)\.arpa\.$/i.test(zone) || !this.exposed(ns!)) return null;
    const found =
      kind === 'pod'
        ? this.pod(ns!, name, zone)
        : name === undefined
          ? []
          : this.service(ns!, name, more.reverse(), zone);
    return found;
  }

  private pod(ns: string, label: string | undefined, zone: string): Found {
    const { pods } = this.config;
    if (pods === 'disabled') return null;
    if (label === undefined) return [];
    const v4 = label.split('-').length === 4 && !label.includes('--');
    const address = addressBytes(label.replaceAll('-', v4 ? '.' : ':'));
    if (address === null) return null;
    const text = addressText(address);
    if (pods === 'verified' && !this.pods.some((p) => p.metadata.namespace === ns && p.status.podIP === text))
      return null;
    return [{ address, port: 0, target: `${label}.${ns}.pod.${zone}` }];
  }

  /** `more`: [endpoint], or [port, protocol], or nothing. */
  private service(ns: string, name: string, more: string[], zone: string): Found {
    const s = this.services.get(`${name}.${ns}`);
    if (s === undefined) return null;
    if (this.config.ignoreEmptyService && s.spec.type !== 'ExternalName' && s.spec.clusterIPs[0] !== 'None') {
      if (!this.slicesOf(s).some((x) => x.endpoints.some((e) => e.conditions.ready && e.addresses.length > 0)))
        return null;
    }
    const base = `${s.metadata.name}.${s.metadata.namespace}.svc.${zone}`;
    const [port, proto] = more.length === 2 ? more.map((x) => x.replace(/^_/, '')) : ['', ''];
    if (s.spec.type === 'ExternalName') {
      if (more.length === 1 || port !== '' || proto !== '' || addressBytes(s.spec.externalName) !== null) return null;
      return { cname: s.spec.externalName.replace(/\.?$/, '.') };
    }
    const ports = (list: readonly { name: string; protocol: string; port: number }[]): { port: number }[] =>
      (list.length > 0 ? list : NO_PORT).filter(
        (p) => (port === '' || p.name.toLowerCase() === port) && (proto === '' || p.protocol.toLowerCase() === proto),
      );
    const out: Entry[] = [];
    const add = (ip: string, p: { port: number }, target: string): void => {
      const address = addressBytes(ip);
      if (address !== null) out.push({ address, port: p.port, target });
    };
    if (s.spec.clusterIPs[0] === 'None' || more.length === 1) {
      for (const [ip, host, slice] of this.endpoints(s)) {
        if (more.length === 1 && host.toLowerCase() !== more[0]) continue;
        for (const p of ports(slice.ports)) add(ip, p, `${host}.${base}`);
      }
    } else for (const p of ports(s.spec.ports)) for (const ip of s.spec.clusterIPs) add(ip, p, base);
    return out.length > 0 ? out : null;
  }

  private slicesOf(s: Service): EndpointSlice[] {
    return this.slices.get(`${s.metadata.name}.${s.metadata.namespace}`) ?? [];
  }

  /** Ready addresses of a Service with the name of their endpoint. */
  private *endpoints(s: Service): Generator<[ip: string, host: string, slice: EndpointSlice]> {
    if (this.config.noEndpoints) return;
    for (const slice of this.slicesOf(s))
      for (const e of slice.endpoints)
        if (e.conditions.ready) for (const ip of e.addresses) yield [ip, this.hostOf(e, ip), slice];
  }

  private hostOf(e: Endpoint, ip: string): string {
    if (e.hostname !== '') return e.hostname;
    if (this.config.endpointPodNames && e.targetRef !== null && e.targetRef.name !== '' && e.targetRef.name.length < 64)
      return e.targetRef.name;
    return ip.replaceAll(/[.:]/g, '-');
  }

  /** Names an address has: its Service's, else those of the endpoints with it. */
  reverse(ip: Uint8Array, zone: string): string[] {
    const text = addressText(ip);
    for (const s of this.services.values())
      if (s.spec.clusterIPs.includes(text) && this.exposed(s.metadata.namespace))
        return [`${s.metadata.name}.${s.metadata.namespace}.svc.${zone}`];
    const out = new Set<string>();
    for (const [key, list] of this.config.noEndpoints ? [] : this.slices)
      for (const slice of list)
        for (const e of slice.endpoints)
          if (e.conditions.ready && e.addresses.includes(text) && this.exposed(slice.metadata.namespace))
            out.add(`${this.hostOf(e, text)}.${key}.svc.${zone}`);
    return [...out];
  }

  /** Namespace of the Pod with this address, or null. */
  podNamespace(ip: string): string | null {
    return this.pods.find((p) => p.status.podIP === ip)?.metadata.namespace ?? null;
  }

  /** The zone's name servers: the Services with an endpoint on one of our addresses, else our addresses themselves. */
  nameServers(zone: string): Entry[] {
    const out: Entry[] = [];
    let found = false;
    for (const local of this.localAddresses)
      for (const [key, list] of this.slices) {
        if (!list.some((x) => x.endpoints.some((e) => e.conditions.ready && e.addresses.includes(local)))) continue;
        found = true;
        const s = this.services.get(key);
        if (s === undefined) continue;
        const base = `${key}.svc.${zone}`;
        const all: [string, string][] =
          s.spec.clusterIPs[0] === 'None'
            ? [...this.endpoints(s)].map(([ip, host]) => [ip, `${host}.${base}`])
            : s.spec.clusterIPs.map((ip) => [ip, base]);
        for (const [ip, target] of all) out.push({ address: addressBytes(ip)!, port: 0, target });
      }
    if (!found)
      for (const ip of this.localAddresses) out.push({ address: addressBytes(ip)!, port: 0, target: `ns.dns.${zone}` });
    return out;
  }
}
