/**
 * CoreDNS's kubernetes plugin: what a query is answered (plugin/kubernetes/handler.go, plugin/backend_lookup.go).
 * Not here: zone transfer, the time before the API server was first heard.
 * @module
 */
import { addressRr, labelsOf, nameRr, type Rr, soaRr, srvRr, TYPE, txtRr } from '../../../wire/dns.js';
import { addressText } from '../../../wire/inet6.js';
import type { KubeObject } from '../api/types.js';
import { Cluster, type Entry, type Found } from './cluster.js';
import type { KubernetesConfig } from './corefile-kubernetes.js';
import { below, fromReverse } from './zones.js';

/** An answer in the making: `exists` false is NXDOMAIN. */
export interface Answer {
  exists: boolean;
  answer: Rr[];
  additional: Rr[];
  truncated: boolean;
}
/** Asks the whole server again (an ExternalName outside the zone). */
export type Lookup = (name: string, type: number, then: (answer: Rr[], truncated: boolean) => void) => void;

/** CNAMEs already followed beyond which no further one is. */
const MAX_CHAIN = 10;
const DNS_VERSION = '1.1.0';

export class KubernetesPlugin {
  readonly config: KubernetesConfig;
  private readonly localAddresses: string[];
  /** 0: the newest creationTimestamp of the objects. */
  private readonly given: number;
  private cluster: Cluster;
  private readonly primary: string | undefined;

  /** `serial` 0: the newest creationTimestamp of the objects. */
  constructor(config: KubernetesConfig, objects: KubeObject[], serial: number, localAddresses: string[]) {
    this.config = config;
    this.localAddresses = localAddresses;
    this.given = serial;
    this.cluster = new Cluster(config, objects, localAddresses);
    this.primary = config.zones.find((z) => !/(^|\.)(in-addr|ip6)\.arpa\.$/.test(z));
  }

  /** The cluster is this now. */
  update(objects: KubeObject[]): void {
    this.cluster = new Cluster(this.config, objects, this.localAddresses);
  }

  private get serial(): number {
    return this.given > 0 ? this.given : this.cluster.newest;
  }

  /** The zone's SOA, spelled as the query spells the zone. */
  soa(zone: string): Rr {
    const { ttl } = this.config;
    const five = [this.serial, 7200, 1800, 86400, ttl];
    return soaRr(zone, Math.min(ttl, 300), join('ns.dns.', zone), join('hostmaster.', zone), five);
  }

  /** Namespace of the Pod with this address; null: none is known, or Pods are not watched. */
  namespaceOf(ip: string): string | null {
    return this.config.pods === 'verified' ? this.cluster.podNamespace(ip) : null;
  }

  /** Answers a name within `zone` (the query's spelling). */
  query(qname: string, type: number, zone: string, lookup: Lookup, then: (a: Answer) => void): void {
    const a: Answer = { exists: true, answer: [], additional: [], truncated: false };
    const { ttl } = this.config;
    if (type === TYPE.A || type === TYPE.AAAA) return this.addresses(a, qname, type, zone, [], lookup, () => then(a));
    if (type === TYPE.SOA) {
      if (qname === zone) a.answer.push(this.soa(zone));
    } else if (type === TYPE.NS && qname.toLowerCase() === zone) this.ns(a, qname, zone);
    else if (type === TYPE.PTR) {
      const ip = fromReverse(qname.toLowerCase());
      if (ip !== null && this.primary !== undefined)
        for (const t of this.cluster.reverse(ip, this.primary)) a.answer.push(nameRr(qname, TYPE.PTR, ttl, t));
      a.exists = a.answer.length > 0 || (ip === null && this.find(qname, zone, type) !== null);
    } else if (type === TYPE.TXT) {
      const left = qname.slice(0, below(qname, zone)).toLowerCase();
      if (left === 'dns-version.') a.answer.push(txtRr(qname, 28800, DNS_VERSION));
      else {
        const f = this.find(qname, zone, 0);
        a.exists = f !== null && (!Array.isArray(f) || f.length > 0);
      }
    } else if (type === TYPE.CNAME || type === TYPE.MX || type === TYPE.SRV) {
      const f = this.find(qname, zone, type);
      a.exists = f !== null;
      if (type === TYPE.CNAME && f !== null && !Array.isArray(f)) a.answer.push(nameRr(qname, type, ttl, f.cname));
      if (type === TYPE.SRV && Array.isArray(f)) this.srv(a, qname, f);
    } else {
      // Whether the name exists is found out by a lookup of A, which may ask upstream for an ExternalName.
      return this.addresses(a, qname, TYPE.A, zone, [], lookup, () => then({ ...a, answer: [], truncated: false }));
    }
    then(a);
  }

  private find(qname: string, zone: string, type: number): Found {
    const left = labelsOf(qname.slice(0, below(qname, zone)).toLowerCase());
    if (left.length === 2 && left[0] === 'ns' && left[1] === 'dns' && type !== 0 && type !== TYPE.PTR) {
      const size = type === TYPE.A ? 4 : type === TYPE.AAAA ? 16 : -1;
      return this.cluster.nameServers(zone).filter((e) => e.address.length === size);
    }
    return this.cluster.find(left, zone);
  }

  /** A or AAAA, following ExternalName (backend_lookup.go A, AAAA). */
  private addresses(
    a: Answer,
    qname: string,
    type: number,
    zone: string,
    previous: Rr[],
    lookup: Lookup,
    then: () => void,
  ): void {
    const apex = qname.toLowerCase() === zone.toLowerCase();
    const found = apex ? [] : this.find(qname, zone, type);
    const { ttl } = this.config;
    if (found === null) a.exists = false;
    else if (Array.isArray(found)) {
      const seen = new Set<string>();
      for (const e of found) {
        if ((e.address.length === 4) !== (type === TYPE.A) || seen.has(addressText(e.address))) continue;
        seen.add(addressText(e.address));
        a.answer.push(addressRr(qname, ttl, e.address));
      }
    } else {
      const { cname } = found;
      const alias = nameRr(qname, TYPE.CNAME, ttl, cname);
      const again = previous.some((r) => r.data.some((p) => !(p instanceof Uint8Array) && p.name === cname));
      if (below(cname, qname) >= 0 || previous.length > MAX_CHAIN || again) return then();
      if (below(cname, zone) < 0) {
        return lookup(cname, type, (answer, truncated) => {
          a.answer.push(alias, ...answer);
          a.truncated ||= truncated;
          then();
        });
      }
      const inner: Answer = { exists: true, answer: [], additional: [], truncated: false };
      return this.addresses(inner, cname, type, zone, [...previous, alias], lookup, () => {
        if (inner.answer.length > 0) a.answer.push(alias, ...inner.answer);
        a.truncated ||= inner.truncated;
        then();
      });
    }
    then();
  }

  private srv(a: Answer, qname: string, entries: readonly Entry[]): void {
    const weight = Math.max(1, Math.floor((100 / (100 * entries.length)) * 100));
    const { ttl } = this.config;
    const seen = new Set<string>();
    for (const e of entries) {
      if (e.port < 0) continue;
      const key = `${e.target} ${e.port}`;
      const add = `${e.target} ${addressText(e.address)}`;
      if (!seen.has(key)) a.answer.push(srvRr(qname, ttl, 0, weight, e.port, e.target));
      if (!seen.has(add)) a.additional.push(addressRr(e.target, ttl, e.address));
      seen.add(key).add(add);
    }
  }

  private ns(a: Answer, qname: string, zone: string): void {
    const { ttl } = this.config;
    const seen = new Set<string>();
    for (const e of this.cluster.nameServers(zone)) {
      a.additional.push(addressRr(e.target, ttl, e.address));
      if (!seen.has(e.target)) a.answer.push(nameRr(qname, TYPE.NS, ttl, e.target));
      seen.add(e.target);
    }
  }
}

const join = (left: string, zone: string): string => (zone === '.' ? left : left + zone);
