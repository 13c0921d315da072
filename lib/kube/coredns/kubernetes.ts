/**
 * CoreDNS's kubernetes plugin: names of a cluster to records (plugin/kubernetes, plugin/backend_lookup.go).
 * Not here: AAAA and ip6.arpa data, NS at the apex, zone transfer.
 * @module
 */
import { addressRr, labelsOf, nameRr, type Rr, soaRr, srvRr, TYPE, txtRr } from '../../../wire/dns.js';
import { aton } from '../../../wire/inet.js';
import type { EndpointSlice, KubeObject, Pod, Service } from '../api/types.js';
import type { CoreConfig } from './corefile.js';

/** One (host, port) of a name; a CNAME target when `cname` is set. */
interface Entry {
  address: number;
  port: number;
  target: string;
  cname: string;
}
export interface Lookup {
  exists: boolean;
  answer: Rr[];
  additional: Rr[];
  /** Zone as the query spells it, for the SOA. */
  zone: string;
  /** ExternalName target that must be resolved and appended. */
  cname: string;
}

const bytesOf = (a: number): Uint8Array => Uint8Array.of(a >>> 24, (a >>> 16) & 255, (a >>> 8) & 255, a & 255);

/** Unix seconds of an RFC 3339 time in UTC; 0 if it is not one. */
export function unixSeconds(text: string): number {
  const m = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))$/.exec(text);
  if (m === null) return 0;
  const [y0, mon, d, h, min, s] = m.slice(1, 7).map(Number) as [number, number, number, number, number, number];
  const y = mon > 2 ? y0 : y0 - 1;
  const days =
    365 * y +
    Math.floor(y / 4) -
    Math.floor(y / 100) +
    Math.floor(y / 400) +
    Math.floor((153 * ((mon + 9) % 12) + 2) / 5) +
    d -
    1 -
    719468;
  const zone = m[7] === undefined ? 0 : (Number(m[8]) * 60 + Number(m[9])) * (m[7] === '-' ? -60 : 60);
  return ((days * 24 + h) * 60 + min) * 60 + s - zone;
}

export class KubernetesPlugin {
  private readonly config: CoreConfig;
  private readonly services: Service[] = [];
  private readonly slices: EndpointSlice[] = [];
  private readonly pods: Pod[] = [];
  private readonly namespaces = new Set<string>();
  readonly serial: number;

  /** `serial` 0: the newest creationTimestamp of the objects. */
  constructor(config: CoreConfig, objects: KubeObject[], serial: number) {
    this.config = config;
    let newest = 0;
    for (const o of objects) {
      newest = Math.max(newest, unixSeconds(o.metadata.creationTimestamp));
      if (o.kind === 'Service') this.services.push(o);
      else if (o.kind === 'EndpointSlice') this.slices.push(o);
      else if (o.kind === 'Pod') this.pods.push(o);
      if (o.kind === 'Namespace') this.namespaces.add(o.metadata.name);
      else if (o.metadata.namespace !== '') this.namespaces.add(o.metadata.namespace);
    }
    this.slices.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
    this.serial = serial > 0 ? serial : newest;
  }

  /** Longest configured zone of a name, in the query's case; null if none. */
  zoneOf(qname: string): string | null {
    let best: string | null = null;
    for (const z of this.config.zones) {
      const tail = qname.slice(-z.length);
      const cut = qname.length - z.length;
      const at = cut === 0 || z === '.' || qname[cut - 1] === '.';
      if (at && tail.toLowerCase() === z && (best === null || z.length > best.length)) best = tail;
    }
    return best;
  }

  soa(zone: string): Rr {
    const { ttl } = this.config;
    return soaRr(zone, Math.min(ttl, 300), `ns.dns.${zone}`, `hostmaster.${zone}`, [
      this.serial,
      7200,
      1800,
      86400,
      ttl,
    ]);
  }

  /** What the plugin answers for a name inside `zone`. */
  lookup(qname: string, type: number, zone: string): Lookup {
    const out: Lookup = { exists: true, answer: [], additional: [], zone, cname: '' };
    const { ttl } = this.config;
    const left = qname.slice(0, qname.length - zone.length).toLowerCase();
    if (/(^|\.)(in-addr|ip6)\.arpa\.$/i.test(zone)) {
      out.exists = false;
      if (type === TYPE.SOA) return { ...out, exists: true, answer: qname === zone ? [this.soa(zone)] : [] };
      if (type === TYPE.PTR) for (const t of this.reverse(qname)) out.answer.push(nameRr(qname, TYPE.PTR, ttl, t));
      return { ...out, exists: out.answer.length > 0 };
    }
    if (type === TYPE.SOA) {
      if (qname === zone) out.answer.push(this.soa(zone));
      return out;
    }
    if (type === TYPE.TXT && left === 'dns-version.') {
      out.answer.push(txtRr(qname, 28800, '1.1.0'));
      return out;
    }
    const entries = this.entries(labelsOf(left).reverse(), zone);
    out.exists = entries !== null && (type !== TYPE.TXT || entries.length > 0);
    if (entries === null || entries.length === 0) return out;
    const cname = entries[0]!.cname;
    if (cname !== '') {
      if (type === TYPE.A || type === TYPE.AAAA || type === TYPE.CNAME)
        out.answer.push(nameRr(qname, TYPE.CNAME, ttl, cname));
      if (type === TYPE.A || type === TYPE.AAAA) out.cname = cname;
    } else if (type === TYPE.A) {
      for (const a of new Set(entries.map((e) => e.address))) out.answer.push(addressRr(qname, ttl, bytesOf(a)));
    } else if (type === TYPE.SRV) {
      const weight = Math.max(1, Math.floor((100 / (100 * entries.length)) * 100));
      const seen = new Set<string>();
      for (const e of entries) {
        if (e.port < 0) continue;
        const srv = `${e.target} ${e.port}`;
        if (!seen.has(srv)) out.answer.push(srvRr(qname, ttl, 0, weight, e.port, e.target));
        const add = `${e.target} a ${e.address}`;
        if (!seen.has(add)) out.additional.push(addressRr(e.target, ttl, bytesOf(e.address)));
        seen.add(srv).add(add);
      }
    }
    return out;
  }

  /** Entries of a name given right to left; null: NXDOMAIN, empty: the name exists without records. */
  private entries(labels: string[], zone: string): Entry[] | null {
    const [kind, ns, svc, ...more] = labels;
    if (kind === undefined) return [];
    if (kind !== 'svc' && kind !== 'pod') return null;
    if (kind === 'pod' && this.config.pods === 'disabled') return null;
    if (ns === undefined) return [];
    if (!this.namespaces.has(ns)) return null;
    if (svc === undefined) return [];
    const found = kind === 'pod' ? this.pod(ns, svc, more) : more.length > 2 ? [] : this.service(ns, svc, more, zone);
    return found.length > 0 ? found : null;
  }

  private pod(ns: string, label: string, more: string[]): Entry[] {
    const a = /^[^-]+(-[^-]+){3}$/.test(label) && more.length === 0 ? aton(label.replaceAll('-', '.')) : null;
    if (a === null) return [];
    if (
      this.config.pods === 'verified' &&
      !this.pods.some((p) => p.metadata.namespace === ns && aton(p.status.podIP) === a)
    )
      return [];
    return [{ address: a, port: -1, target: '', cname: '' }];
  }

  private service(ns: string, name: string, more: string[], zone: string): Entry[] {
    const out: Entry[] = [];
    const strip = (s: string): string => s.replace(/^_/, '');
    const proto = more.length === 2 ? strip(more[0]!) : '';
    const port = more.length === 2 ? strip(more[1]!) : '';
    const matches = (p: { name: string; protocol: string }): boolean =>
      (port === '' || p.name.toLowerCase() === port) && (proto === '' || p.protocol.toLowerCase() === proto);
    for (const s of this.services) {
      if (s.metadata.namespace !== ns || s.metadata.name !== name) continue;
      const base = `${name}.${ns}.svc.${zone}`;
      const none = [{ name: '', protocol: 'TCP', port: -1 }];
      if (s.spec.type === 'ExternalName') {
        if (more.length === 0 && aton(s.spec.externalName) === null && !s.spec.externalName.includes(':')) {
          out.push({ address: 0, port: 0, target: '', cname: s.spec.externalName.replace(/\.?$/, '.') });
        }
        continue;
      }
      if (s.spec.clusterIPs[0] !== 'None' && more.length !== 1) {
        const ports = s.spec.ports.length > 0 ? s.spec.ports : none;
        for (const p of ports.filter(matches))
          for (const ip of s.spec.clusterIPs) {
            const address = aton(ip);
            if (address !== null) out.push({ address, port: p.port, target: base, cname: '' });
          }
        continue;
      }
      for (const slice of this.slicesOf(s))
        for (const e of slice.endpoints) {
          if (!e.conditions.ready) continue;
          for (const ip of e.addresses) {
            const host = e.hostname !== '' ? e.hostname : ip.replaceAll('.', '-');
            if (more.length === 1 && host.toLowerCase() !== more[0]) continue;
            const address = aton(ip);
            if (address === null) continue;
            const ports = slice.ports.length > 0 ? slice.ports : none;
            for (const p of ports.filter(matches))
              out.push({ address, port: p.port, target: `${host}.${base}`, cname: '' });
          }
        }
    }
    return out;
  }

  private slicesOf(s: Service): EndpointSlice[] {
    return this.slices.filter(
      (x) =>
        x.metadata.namespace === s.metadata.namespace &&
        x.metadata.labels['kubernetes.io/service-name'] === s.metadata.name,
    );
  }

  /** Targets of a reverse name: the first service with that cluster IP, else each endpoint with that address. */
  private reverse(qname: string): string[] {
    const m = /^([\d.]+)\.in-addr\.arpa\.$/i.exec(qname);
    const ip = m === null ? '' : m[1]!.split('.').reverse().join('.');
    const zone = this.config.zones.find((z) => !/(^|\.)(in-addr|ip6)\.arpa\.$/.test(z));
    if (zone === undefined || aton(ip) === null) return [];
    const svc = this.services.find((s) => s.spec.clusterIPs.includes(ip));
    if (svc !== undefined) return [`${svc.metadata.name}.${svc.metadata.namespace}.svc.${zone}`];
    const out = new Set<string>();
    for (const s of this.slices)
      for (const e of s.endpoints) {
        const name = s.metadata.labels['kubernetes.io/service-name'];
        if (name === undefined || !e.conditions.ready || !e.addresses.includes(ip)) continue;
        out.add(
          `${e.hostname !== '' ? e.hostname : ip.replaceAll('.', '-')}.${name}.${s.metadata.namespace}.svc.${zone}`,
        );
      }
    return [...out];
  }
}
