/**
 * A mesh as one of its proxies sees it: which Service a destination or a Host means, which endpoints take mTLS, what its own ports are.
 * @module
 */
import { aton } from '../../../wire/inet.js';
import type { Endpoint } from '../../apps/l7/io.js';
import type { Rng } from '../../sim/rng.js';
import type { Mesh, MeshPort, MeshProtocol, MeshService, MtlsMode, Workload } from './mesh.js';
import { nameOf } from './mesh.js';

/** A port of this proxy's pod. */
export interface InboundPort {
  readonly protocol: MeshProtocol;
  readonly mtls: MtlsMode;
  /** What x-envoy-decorator-operation says. */
  readonly operation: string;
}

/** A Service's port. */
export interface ServicePort {
  readonly host: string;
  readonly port: MeshPort;
}

/** What an outbound destination means: a Service's address, a port that Services of HTTP have, or nothing known. */
export type Target =
  ({ readonly kind: 'service' } & ServicePort) | { readonly kind: 'http' } | { readonly kind: 'unknown' };

const keyOf = (address: string | number, port: number): string => `${typeof address === 'number' ? address : aton(address)!}:${port}`; // prettier-ignore

/** A mesh indexed for one proxy. */
export class MeshView {
  readonly mesh: Mesh;
  readonly me: Workload;
  private readonly byAddress = new Map<string, ServicePort>();
  /** Virtual hosts of a port that Services of HTTP share, by domain. */
  private readonly byHost = new Map<number, Map<string, ServicePort>>();
  private readonly workloadAt = new Map<string, Workload>();
  private readonly own = new Map<number, InboundPort>();
  private readonly name: string;

  constructor(mesh: Mesh, name: string) {
    this.mesh = mesh;
    this.name = name;
    this.me = mesh.workloads[name]!;
    for (const s of mesh.services) for (const p of s.ports) this.add(s, p);
  }

  private add(s: MeshService, p: MeshPort): void {
    const entry = { host: s.host, port: p };
    if (p.protocol === 'http') {
      const hosts = this.byHost.get(p.port) ?? new Map<string, ServicePort>();
      this.byHost.set(p.port, hosts);
      for (const d of domainsOf(s, nameOf(this.name).namespace, this.mesh.domain))
        if (!hosts.has(d)) hosts.set(d, entry);
    } else for (const a of s.addresses) this.byAddress.set(keyOf(a, p.port), entry);
    for (const e of p.endpoints) {
      const w = this.mesh.workloads[e.workload];
      if (w !== undefined) this.workloadAt.set(keyOf(e.address, e.port), w);
      if (e.workload !== this.name || this.own.has(e.port)) continue;
      // The oldest Service of a port decides (getFilterChainsByServicePort).
      const mtls = this.me.portMtls[e.port] ?? this.me.mtls;
      this.own.set(e.port, { protocol: p.protocol, mtls, operation: `${s.host}:${p.port}/*` });
    }
  }

  /** What is said of a port of this pod by the Services that have it; null: none. */
  ownPort(port: number): InboundPort | null {
    return this.own.get(port) ?? null;
  }

  /** The listener of a destination: that of the address, else the one of the port, else none (listener.go). */
  target(to: Endpoint): Target {
    const s = this.byAddress.get(keyOf(to.address, to.port));
    if (s !== undefined) return { kind: 'service', ...s };
    return { kind: this.byHost.has(to.port) ? 'http' : 'unknown' };
  }

  /** The route of a request: a Service whose protocol is not declared has one route, others are found by Host; null: none. */
  route(host: string, to: Endpoint): ServicePort | null {
    const own = this.byAddress.get(keyOf(to.address, to.port));
    if (own !== undefined) return own;
    const hosts = this.byHost.get(to.port);
    const h = host.toLowerCase();
    return hosts?.get(h) ?? hosts?.get(h.replace(/:\d+$/, '')) ?? null;
  }

  endpointsOf(p: MeshPort): Endpoint[] {
    return p.endpoints.map((e) => ({ address: aton(e.address)!, port: e.port }));
  }

  /** Whether an endpoint's proxy takes mTLS (autoMtls). */
  takesMtls(e: Endpoint): boolean {
    const w = this.workloadAt.get(keyOf(e.address, e.port));
    return w !== undefined && w.sidecar && (w.portMtls[e.port] ?? w.mtls) !== 'DISABLE';
  }
}

/** The names and addresses by which a proxy in `namespace` knows a Service (generateVirtualHostDomains). */
function domainsOf(s: MeshService, namespace: string, domain: string): string[] {
  const [name, ns] = s.host.split('.') as [string, string];
  const short = [`${name}.${ns}.svc`, `${name}.${ns}`, ...(ns === namespace ? [name] : [])];
  return s.host.endsWith(`.svc.${domain}`) ? [s.host, ...short, ...s.addresses] : [s.host, ...s.addresses];
}

/** A port of the pod: what its Services say of it, else the passthrough chains. */
export const inboundPort = (v: MeshView, port: number): InboundPort =>
  v.ownPort(port) ?? {
    protocol: 'auto',
    mtls: v.me.portMtls[port] ?? v.me.mtls,
    operation: ':0/*',
  };

/** LEAST_REQUEST: the better of two drawn at random (LeastRequestLoadBalancer::unweightedHostPick); null: there is none. */
export function balance(list: readonly Endpoint[], draw: Rng, active: (e: Endpoint) => number): Endpoint | null {
  if (list.length < 2) return list[0] ?? null;
  const [a, b] = [list[draw.below(list.length)]!, list[draw.below(list.length)]!];
  return active(b) < active(a) ? b : a;
}
