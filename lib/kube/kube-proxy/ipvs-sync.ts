/**
 * kube-proxy's IPVS mode over time: sets, virtual servers and the addresses of kube-ipvs0 as they are and as they should be,
 * the commands between the two, and graceful termination (pkg/proxy/ipvs/proxier.go, graceful_termination.go).
 * @module
 */
import type { KubeProxyConfig } from './config.js';
import type { RuleContext } from './iptables.js';
import { IPVS_SETS, ipvsRestoreInput } from './ipvs.js';
import { inCidr, type ProxyPort } from './service-port.js';

/** Active and inactive connections of destination `ip:port` of the virtual server `10.96.0.1:80/TCP`, as `ipvsadm -Ln` has them. */
export type Connections = (server: string, dest: string) => number;

interface Server {
  /** `-s rr`, with what else ipvsadm -A is given. */
  options: string;
  dests: Set<string>;
}

const FLAGS: Readonly<Record<string, string>> = { TCP: '-t', UDP: '-u', SCTP: '--sctp-service' };

/** `-t 10.96.0.1:80` for `10.96.0.1:80/TCP`. */
function serverFlag(key: string): string {
  const [address, protocol] = key.split('/');
  return `${FLAGS[protocol!]!} ${address!}`;
}

/** `ipset list` shows a host without its prefix length, so the real program replaces such an entry at every sync. */
const listed = (entry: string): string => entry.replace(/\/32$/, '');

/** The sets, virtual servers and addresses that one sync wants. */
class Wanted {
  readonly sets = new Map<string, Set<string>>(IPVS_SETS.map(([name]) => [name, new Set<string>()]));
  readonly servers = new Set<string>();
  readonly bound = new Set<string>();
  readonly outFilter: string[] = [];

  add(set: string, entry: string): void {
    this.sets.get(set)!.add(entry);
  }
}

/** The kernel's side as kube-proxy left it, and the syncs that change it. */
export class IpvsSync {
  private readonly config: KubeProxyConfig;
  private readonly servers = new Map<string, Server>();
  private readonly sets = new Map<string, Set<string>>(IPVS_SETS.map(([name]) => [name, new Set<string>()]));
  private bound = new Set<string>();
  /** `server/dest` of weight 0 whose connections are waited for. */
  private readonly draining = new Set<string>();
  // Of the sync that runs:
  private out: string[] = [];
  private want = new Wanted();
  private ctx!: RuleContext;
  private connections!: Connections;
  /** Where NodePorts are served: IPVS has no wildcard address. */
  private nodeIPs: string[] = [];

  constructor(config: KubeProxyConfig) {
    this.config = config;
  }

  /** One sync from the virtual servers on: commands in the order of the real program, `restore` where it calls iptables-restore. */
  sync(ports: ProxyPort[], ctx: RuleContext, connections: Connections, restore: (input: string) => string): string[] {
    this.out = [];
    this.want = new Wanted();
    this.ctx = ctx;
    this.connections = connections;
    this.nodeIPs = (ctx.nodePortIPs ?? ctx.nodeIPs).filter((ip) => !ip.startsWith('127.'));
    for (const s of ports) this.port(s);
    for (const ip of this.want.bound) this.want.add('KUBE-IPVS-IPS', ip);
    for (const [name] of IPVS_SETS) this.syncSet(name);
    this.out.push(restore(ipvsRestoreInput(this.want, ctx)));
    this.removeOld();
    return this.out;
  }

  /** Every minute: destinations being drained whose last connection is gone are deleted (tryDeleteRs). */
  drain(connections: Connections): string[] {
    this.out = [];
    this.connections = connections;
    for (const entry of [...this.draining].sort()) {
      const at = entry.lastIndexOf('/');
      const key = entry.slice(0, at);
      const dest = entry.slice(at + 1);
      // A destination that its server lost meanwhile is forgotten.
      if (this.servers.get(key)?.dests.has(dest) !== true || this.deleteDest(key, dest)) this.draining.delete(entry);
    }
    return this.out;
  }

  private port(s: ProxyPort): void {
    const { want } = this;
    const entry = (ip: string): string => `${ip},${s.proto}:${s.port}`;
    for (const e of s.endpoints) if (e.local) want.add('KUBE-LOOP-BACK', `${e.ip},${s.proto}:${e.port},${e.ip}`);
    want.add('KUBE-CLUSTER-IP', entry(s.clusterIP));
    this.server(s, s.clusterIP, s.port, s.internalLocal, true);
    for (const ip of s.externalIPs) {
      want.add(s.externalLocal ? 'KUBE-EXTERNAL-IP-LOCAL' : 'KUBE-EXTERNAL-IP', entry(ip));
      this.server(s, ip, s.port, s.externalLocal, !this.ctx.nodeIPs.includes(ip));
    }
    for (const ip of s.vips) {
      want.add('KUBE-LOAD-BALANCER', entry(ip));
      if (s.externalLocal) want.add('KUBE-LOAD-BALANCER-LOCAL', entry(ip));
      if (s.sourceRanges.length > 0) this.firewall(s, ip, entry(ip));
      this.server(s, ip, s.port, s.externalLocal, !this.ctx.nodeIPs.includes(ip));
    }
    if (s.nodePort !== 0) {
      // Without an address the real program leaves the service port here, its health check port included.
      if (this.nodeIPs.length === 0) return;
      this.nodePort(s);
    }
    if (s.healthCheckNodePort !== 0) want.add('KUBE-HEALTH-CHECK-NODE-PORT', `${s.healthCheckNodePort}`);
  }

  private firewall(s: ProxyPort, ip: string, entry: string): void {
    const { want } = this;
    want.add('KUBE-LOAD-BALANCER-FW', entry);
    for (const cidr of s.sourceRanges) want.add('KUBE-LOAD-BALANCER-SOURCE-CIDR', `${entry},${cidr}`);
    const primary = this.ctx.nodeIPs[0];
    if (primary !== undefined && s.sourceRanges.some((cidr) => inCidr(cidr, primary))) {
      want.add('KUBE-LOAD-BALANCER-SOURCE-IP', `${entry},${ip}`);
      return;
    }
    const match = `-m ipvs --vaddr ${ip} --vproto ${s.proto} --vport ${s.port}`;
    want.outFilter.push(`-A KUBE-IPVS-OUT-FILTER -s ${ip} ${match} -j DROP`);
  }

  private nodePort(s: ProxyPort): void {
    for (const kind of s.externalLocal ? ['', 'LOCAL-'] : ['']) {
      if (s.proto !== 'sctp') this.want.add(`KUBE-NODE-PORT-${kind}${s.proto.toUpperCase()}`, `${s.nodePort}`);
      else for (const ip of this.nodeIPs) this.want.add(`KUBE-NODE-PORT-${kind}SCTP-HASH`, `${ip},sctp:${s.nodePort}`);
    }
    for (const ip of this.nodeIPs) this.server(s, ip, s.nodePort, s.externalLocal, false);
  }

  /** A virtual server with its destinations (syncService, syncEndpoint); `bind`: its address belongs on kube-ipvs0. */
  private server(s: ProxyPort, ip: string, port: number, localOnly: boolean, bind: boolean): void {
    const key = `${ip}:${port}/${s.proto.toUpperCase()}`;
    const persist = s.affinity > 0 ? ` -p ${s.affinity}` : '';
    const options = `-s ${this.config.scheduler}${persist}${this.config.scheduler === 'mh' ? ' -b mh-port' : ''}`;
    let server = this.servers.get(key);
    if (server === undefined) {
      this.out.push(`ipvsadm -A ${serverFlag(key)} ${options}`);
      this.servers.set(key, (server = { options, dests: new Set() }));
    } else if (server.options !== options) {
      this.out.push(`ipvsadm -E ${serverFlag(key)} ${options}`);
      server.options = options;
    }
    this.want.servers.add(key);
    if (bind) {
      if (!this.bound.has(ip) && !this.want.bound.has(ip)) this.out.push(`ip addr add ${ip}/32 dev kube-ipvs0`);
      this.want.bound.add(ip);
    }
    // Without local endpoints the proxy falls back to every cluster endpoint.
    this.endpoints(
      key,
      server,
      (localOnly && s.local.length > 0 ? s.local : s.cluster).map((e) => e.key),
    );
  }

  private endpoints(key: string, server: Server, wanted: string[]): void {
    const before = [...server.dests];
    for (const dest of wanted) {
      if (server.dests.has(dest)) {
        if (!this.draining.delete(`${key}/${dest}`)) continue;
        this.out.push(`ipvsadm -d ${serverFlag(key)} -r ${dest}`);
      }
      this.out.push(`ipvsadm -a ${serverFlag(key)} -r ${dest} -m -w 1`);
      server.dests.add(dest);
    }
    for (const dest of before.filter((d) => !wanted.includes(d)).sort()) {
      if (this.draining.has(`${key}/${dest}`) || this.deleteDest(key, dest)) continue;
      this.out.push(`ipvsadm -e ${serverFlag(key)} -r ${dest} -m -w 0`);
      this.draining.add(`${key}/${dest}`);
    }
  }

  /** False: not while it has connections, which only TCP's are waited for (deleteRsFunc). */
  private deleteDest(key: string, dest: string): boolean {
    if (key.endsWith('/TCP') && this.connections(key, dest) > 0) return false;
    this.out.push(`ipvsadm -d ${serverFlag(key)} -r ${dest}`);
    this.servers.get(key)!.dests.delete(dest);
    return true;
  }

  private syncSet(name: string): void {
    const wanted = this.want.sets.get(name)!;
    const now = new Set([...this.sets.get(name)!].map(listed));
    for (const e of [...now].sort()) if (!wanted.has(e)) this.out.push(`ipset del ${name} ${e}`);
    for (const e of [...wanted].sort()) if (!now.has(e)) this.out.push(`ipset add ${name} ${e} -exist`);
    this.sets.set(name, wanted);
  }

  /** Addresses and virtual servers that no service port has any more. */
  private removeOld(): void {
    for (const ip of [...this.bound].sort()) {
      if (!this.want.bound.has(ip)) this.out.push(`ip addr del ${ip}/32 dev kube-ipvs0`);
    }
    this.bound = this.want.bound;
    for (const key of [...this.servers.keys()].sort()) {
      const ip = key.slice(0, key.indexOf(':'));
      if (this.want.servers.has(key) || this.config.excludeCIDRs.some((c) => inCidr(c, ip))) continue;
      this.out.push(`ipvsadm -D ${serverFlag(key)}`);
      this.servers.delete(key);
    }
  }
}
