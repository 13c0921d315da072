/**
 * Stale conntrack entries of UDP Services (pkg/proxy/conntrack/cleanup.go). The real program reads the table and deletes
 * each entry to a UDP frontend whose replies come from no serving endpoint. Commands are written before the table is known,
 * so they name every endpoint that such an entry can have: those the frontend had, and none, from before it was one.
 * Not here: entries to a NodePort's number at an address that is not the node's.
 * @module
 */
import type { ProxyPort } from './service-port.js';

interface Frontend {
  serving: string[];
  /** Endpoints that new entries can have. */
  used: string[];
  /** Where replies come from without NAT. */
  own: string[];
}

export class UdpCleanup {
  /** Endpoints that entries of each frontend may have. */
  private readonly seen = new Map<string, Set<string>>();
  /** Frontends that have no entry without NAT: they have been there since the start or since their last cleanup. */
  private readonly claimed = new Set<string>();
  private started = false;

  /** `conntrack -D` commands after a sync; each exits with 1 when it finds nothing. `required`: UDP endpoints changed. */
  sync(ports: ProxyPort[], nodeIPs: string[], required: boolean): string[] {
    const frontends = new Map<string, Frontend>();
    for (const p of ports) {
      if (p.proto !== 'udp') continue;
      const serving = p.endpoints.filter((e) => e.serving).map((e) => e.key);
      const used = p.all.map((e) => e.key);
      const add = (frontend: string, own: string[]): void => {
        // Of two Services with one address the last one that has serving endpoints counts, as in the real program's map.
        const other = frontends.get(frontend) ?? { serving, used: [] };
        const counted = serving.length > 0 ? serving : other.serving;
        frontends.set(frontend, { serving: counted, used: [...other.used, ...used], own });
        const seen = this.seen.get(frontend) ?? new Set();
        for (const e of used) seen.add(e);
        this.seen.set(frontend, seen);
      };
      for (const ip of [p.clusterIP, ...p.vips, ...p.externalIPs]) add(`${ip}:${p.port}`, [`${ip}:${p.port}`]);
      if (p.nodePort !== 0) add(`:${p.nodePort}`, nodeIPs.map((ip) => `${ip}:${p.nodePort}`)); // prettier-ignore
    }
    for (const f of this.claimed) if (!frontends.has(f)) this.claimed.delete(f);
    if (!this.started) for (const f of frontends.keys()) this.claimed.add(f);
    const out: string[] = [];
    if (required && this.started) for (const [name, f] of frontends) out.push(...this.clean(name, f));
    this.started = true;
    return out;
  }

  private clean(frontend: string, { serving, used, own }: Frontend): string[] {
    if (serving.length === 0) return [];
    const seen = [...this.seen.get(frontend)!];
    const stale = seen.filter((e) => !serving.includes(e)).sort();
    if (!this.claimed.has(frontend)) stale.push(...own);
    this.claimed.add(frontend);
    this.seen.set(frontend, new Set([...seen.filter((e) => serving.includes(e)), ...used]));
    const [ip, port] = frontend.split(':');
    const to = `${ip === '' ? '' : `--orig-dst ${ip!} `}--orig-port-dst ${port!}`;
    return stale.map((e) => {
      const [src, sport] = e.split(':');
      return `conntrack -D -p udp ${to} --reply-src ${src!} --reply-port-src ${sport!}`;
    });
  }
}
