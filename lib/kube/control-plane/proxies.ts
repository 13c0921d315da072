/**
 * The nodes' kube-proxies at work: each syncs at once when it hears of a change, in iptables mode at most once a second.
 *
 * Upstream: pkg/proxy/runner (no bursts since 1.34), pkg/proxy/ipvs/graceful_termination.go. Syncs after syncPeriod without a
 * change write what is there already and are left out.
 * @module
 */
import { ntoa } from '../../../wire/inet.js';
import type { Kernel } from '../../linux/core/kernel.js';
import type { WatchEvent } from '../api-server/store.js';
import { type Connections, healthChanges, type KubeProxy, type ProxyNode } from '../kube-proxy/index.js';
import { DRAIN_CHECK, MIN_SYNC } from './delays.js';
import type { Emit } from './kubelet.js';
import type { Loop, Seen } from './loop.js';

/** One node's kube-proxy, started; `node` tells where it stands now. */
export interface NodeProxy {
  name: string;
  proxy: KubeProxy;
  node(): ProxyNode;
}

/** What IPVS on a node says of its connections at a time; asked only where graceful termination asks. */
export type Observe = (node: string, now: number) => Connections;

/** The connections of destinations in a kernel, as `ipvsadm -Ln` counts them. */
export function ipvsConnections(kernel: Kernel, node: string): Connections {
  const services = kernel.netns.get(node)?.ipvs?.services ?? [];
  return (server, dest) => {
    for (const v of services) {
      const of = `${ntoa(v.addr)}:${v.port}/${PROTOCOLS[v.proto] ?? ''}`;
      if (of !== server) continue;
      for (const d of v.dests) if (`${ntoa(d.addr)}:${d.port}` === dest) return d.active + d.inactive;
    }
    return 0;
  };
}

const PROTOCOLS: Readonly<Record<number, string>> = { 6: 'TCP', 17: 'UDP', 132: 'SCTP' };

export function kubeProxies(loop: Loop, proxies: readonly NodeProxy[], observe: Observe, emit: Emit): void {
  const ipvs = loop.scenario.kubeProxy.mode === 'ipvs';
  const runners = proxies.map((p) => new Runner(loop, p, observe, emit));
  loop.informer(concerns, (seen) => {
    for (const r of runners) r.run(seen);
  });
  if (!ipvs) return;
  // Ticks keep the clock going, so only a scenario with an end has them.
  const end = loop.scenario.untilNs ?? 0;
  for (let at = DRAIN_CHECK; at <= end; at += DRAIN_CHECK) loop.at(at, () => runners.forEach((r) => r.drain()));
}

/** Headless Services' slices are not watched (the label selector of kube-proxy's informers). */
function concerns(e: WatchEvent): boolean {
  if (e.kind === 'EndpointSlice')
    return !Object.hasOwn((e.object ?? e.before)!.metadata.labels, 'service.kubernetes.io/headless');
  if (e.kind === 'Node') return e.object !== null;
  return e.kind === 'Service';
}

class Runner {
  private readonly loop: Loop;
  private readonly p: NodeProxy;
  private readonly observe: Observe;
  private readonly emit: Emit;
  private asked = false;
  private seen: Seen = { services: [], slices: [] };
  /** When the next sync may start. */
  private free = 0;

  constructor(loop: Loop, p: NodeProxy, observe: Observe, emit: Emit) {
    this.loop = loop;
    this.p = p;
    this.observe = observe;
    this.emit = emit;
  }

  /** A change was heard of: a sync as soon as may be (BoundedFrequencyRunner.Run). */
  run(seen: Seen): void {
    this.seen = seen;
    if (this.asked) return;
    this.asked = true;
    this.loop.at(Math.max(this.loop.now, this.free), () => this.sync());
  }

  private sync(): void {
    const { now } = this.loop;
    this.asked = false;
    const world = { node: this.p.node(), ...this.seen };
    const before = this.p.proxy.healthChecks;
    const lines = this.p.proxy.sync(world, now, this.connections(now));
    lines.push(...healthChanges(this.p.name, before, this.p.proxy.healthChecks));
    if (lines.length === 0) return;
    this.free = now + MIN_SYNC[this.loop.scenario.kubeProxy.mode];
    this.write(lines);
  }

  /** Asked for only once it is needed. */
  private connections(now: number): Connections {
    let known: Connections | null = null;
    return (server, dest) => (known ??= this.observe(this.p.name, now))(server, dest);
  }

  drain(): void {
    this.write(this.p.proxy.drain(this.connections(this.loop.now)));
  }

  /** conntrack says on stderr how many entries it deleted, and fails when there were none; kube-proxy does not mind. */
  private write(lines: readonly string[]): void {
    const quiet = (l: string): string => (l.startsWith('conntrack ') ? `${l} 2>/dev/null` : l);
    const all = lines.map((l) => `ip netns exec ${this.p.name} ${quiet(l)}`);
    if (all.length > 0) this.emit(`kube-proxy ${this.p.name}`, all);
  }
}
