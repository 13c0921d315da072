/**
 * The kubelets: pods started and ended by commands on their nodes, and what becomes of their status.
 *
 *   bound ─POD_START▶ netns, CNI ADD, processes ─next relist▶ Running ─readiness probe▶ Ready
 *   deletion ─preStop▶ SIGTERM ─grace▶ SIGKILL ─SANDBOX_STOP▶ CNI DEL, netns deleted ─next relist▶ ended ▶ gone
 *
 * A pod's own programs end at SIGTERM, as servers do. A pod of which podwire runs no program (`sleep` or a shell as process 1,
 * which the kernel shields from signals it does not handle) stays until SIGKILL.
 * Upstream: pkg/kubelet, kuberuntime_container.go (killContainer), status_manager.go.
 * @module
 */
import { SEC } from '../../sim/sim.js';
import { keyOf, withMeta } from '../api-server/store.js';
import type { Pod } from '../api/types.js';
import type { CniPlugin, CniResult } from '../cni/plugin.js';
import { podNetns, sandboxOf } from '../cni/sandbox.js';
import { isRunning } from '../controllers/ipam.js';
import type { Machine } from '../scenario.js';
import { MINIMUM_GRACE, nextRelist, POD_START, REACTION, SANDBOX_STOP } from './delays.js';
import { type Loop, splitKey } from './loop.js';

/** Writes commands of a component at the present time. */
export type Emit = (by: string, lines: readonly string[]) => void;

/** A pod's commands beyond the network: its files before, its programs after the sandbox. */
export interface PodCommands {
  sandbox(p: Pod): string[];
  files(p: Pod): string[];
  programs(p: Pod): string[];
}

interface Local {
  pod: Pod;
  sandbox: boolean;
  /** Its programs run. */
  running: boolean;
  /** Programs that end at SIGTERM. */
  programs: boolean;
  ending: boolean;
  /** SIGKILL is at this time. */
  killAt: number;
  ended: boolean;
}

/** Starts the kubelets of all nodes; pods that run already are theirs. Returns what they could not do, in words. */
export function kubelets(loop: Loop, cni: CniPlugin, commands: PodCommands, emit: Emit): string[] {
  const k = new Kubelets(loop, cni, commands, emit);
  loop.controller(
    // A kubelet watches the pods that are bound to its node.
    (e) =>
      e.kind === 'Pod' && ((e.object ?? e.before) as Pod).spec.nodeName !== '' ? [`${e.namespace}/${e.name}`] : [],
    (key) => k.see(key),
  );
  return k.warnings;
}

class Kubelets {
  readonly warnings: string[] = [];
  private readonly loop: Loop;
  private readonly cni: CniPlugin;
  private readonly commands: PodCommands;
  private readonly emit: Emit;
  private readonly machines: Map<string, Machine>;
  private readonly pods = new Map<string, Local>();

  constructor(loop: Loop, cni: CniPlugin, commands: PodCommands, emit: Emit) {
    this.loop = loop;
    this.cni = cni;
    this.commands = commands;
    this.emit = emit;
    this.machines = new Map(loop.scenario.nodes.map((m) => [m.name, m]));
    for (const p of loop.store.list('Pod').filter(isRunning)) {
      const programs = commands.programs(p).length > 0;
      this.pods.set(keyOf(p), { pod: p, sandbox: !p.spec.hostNetwork, running: true, programs, ending: false, killAt: Infinity, ended: false }); // prettier-ignore
    }
  }

  see(key: string): void {
    const p = this.loop.store.get('Pod', ...splitKey(key));
    const local = this.pods.get(key);
    if (p === null) {
      // Deleted with no grace: the API server has forgotten it, the kubelet leaves it a second.
      if (local !== undefined) this.end(key, local, SEC);
      return;
    }
    if (p.spec.nodeName === '' || p.status.phase === 'Succeeded' || p.status.phase === 'Failed') return;
    if (local === undefined) return this.start(key, p);
    local.pod = p;
    const by = p.metadata.deletionAtNs;
    if (by !== undefined) this.end(key, local, Math.max(SEC, by - this.loop.now + REACTION));
  }

  private start(key: string, pod: Pod): void {
    const local: Local = { pod, sandbox: false, running: false, programs: false, ending: false, killAt: Infinity, ended: false }; // prettier-ignore
    this.pods.set(key, local);
    const node = this.machines.get(pod.spec.nodeName)!;
    const hostIP = node.addresses[0]!.split('/')[0]!;
    this.loop.at(this.loop.now + POD_START, () => {
      if (local.ending) return;
      const ip = pod.spec.hostNetwork ? hostIP : this.address(node, pod);
      if (ip === null) return;
      local.pod = { ...local.pod, status: { ...local.pod.status, podIP: ip, hostIP } };
      this.sandbox(node, local);
      this.run(key, node, local);
    });
  }

  /** The pod's address; null: there is none, which is said. */
  private address(node: Machine, pod: Pod): string | null {
    const { ipam } = this.cni;
    const owner = `that of Pod "${pod.metadata.name}"`;
    const wrong = ipam.refused?.(pod.metadata.annotations) ?? '';
    if (wrong !== '') {
      this.warnings.push(`Pod "${pod.metadata.name}" stays in ContainerCreating: ${wrong}`);
      return null;
    }
    const asked = ipam.asked?.(pod.metadata.annotations) ?? '';
    const refused = asked === '' ? '' : ipam.reserve(node, asked, owner);
    const ip = asked === '' ? ipam.allocate(node, owner, this.loop.now) : refused === '' ? asked : null;
    if (ip === null) {
      const why = refused === '' ? `no IP addresses available in ${ipam.rangeOf(node)} of ${node.name}` : `asked for ${asked}, expected ${refused}`;
      this.warnings.push(`Pod "${pod.metadata.name}" stays in ContainerCreating: ${why}`);
    }
    return ip;
  } // prettier-ignore

  private sandbox(node: Machine, local: Local): void {
    const { pod } = local;
    const lines: string[] = [];
    if (!pod.spec.hostNetwork) {
      local.sandbox = true;
      const netns = podNetns(pod, '');
      const added = this.cni.podAdd(node, sandboxOf(pod));
      lines.push(
        `ip netns add ${netns}`,
        `ip -n ${netns} link set lo up`,
        ...this.commands.sandbox(pod),
        ...added.commands,
        ...added.chained,
      );
      this.elsewhere(added);
    }
    this.emit(`kubelet ${node.name}`, [...lines, ...this.commands.files(pod)]);
  }

  private elsewhere(r: Pick<CniResult, 'elsewhere'>): void {
    for (const e of r.elsewhere) this.emit(`cni ${e.node}`, e.commands);
  }

  private run(key: string, node: Machine, local: Local): void {
    const lines = this.commands.programs(local.pod);
    local.running = true;
    local.programs = lines.length > 0;
    this.emit(`kubelet ${node.name}`, lines);
    const started = this.loop.now;
    const relist = nextRelist(started);
    const ready = Math.max(relist, started + Math.max(0, ...local.pod.spec.containers.map((c) => c.readySeconds ?? 0)) * SEC); // prettier-ignore
    this.loop.at(relist, () => this.report(key, local, ready === relist));
    if (ready > relist) this.loop.at(ready, () => this.report(key, local, true));
  }

  /** The status manager: the pod runs; its conditions as they are now. */
  private report(key: string, local: Local, ready: boolean): void {
    const p = this.loop.store.get('Pod', ...splitKey(key));
    if (p === null || local.ended || this.pods.get(key) !== local) return;
    const { podIP, hostIP } = local.pod.status;
    const since = ready ? { readySinceNs: this.loop.now } : {};
    const next = {
      ...withMeta(p, {}),
      status: { ...p.status, podIP, hostIP, phase: 'Running' as const, ready, ...since },
    };
    this.loop.store.put(next);
  }

  /** SyncTerminatingPod: `grace` ns from now to SIGKILL; asked again, only a shorter one counts. */
  private end(key: string, local: Local, grace: number): void {
    const { now } = this.loop;
    const at = now + grace;
    if (local.ended || (local.ending && at >= local.killAt)) return;
    const again = local.ending;
    local.ending = true;
    local.killAt = at;
    if (!local.running) return this.stopped(key, local);
    const hook = Math.max(0, ...local.pod.spec.containers.map((c) => c.preStopSeconds ?? 0)) * SEC;
    const term = now + Math.min(hook, grace);
    if (local.programs && !again) this.loop.at(term, () => this.signal(key, local, 'TERM'));
    const kill = Math.max(at, hook > 0 ? term + MINIMUM_GRACE : at);
    this.loop.at(kill, () => this.signal(key, local, 'KILL'));
  }

  private signal(key: string, local: Local, name: 'TERM' | 'KILL'): void {
    const { pod } = local;
    if (local.ended) return;
    if (local.sandbox) {
      const pids = `ip netns pids ${podNetns(pod, '')}`;
      this.emit(`kubelet ${pod.spec.nodeName}`, [`${pids} | xargs -r kill -${name}`]);
    } else if (local.programs) {
      this.warnings.push(`Pod "${pod.metadata.name}" is on the host network: its programs go on after its end`);
    }
    this.stopped(key, local);
  }

  /** The last process is gone: the sandbox goes, the status says so, the object is deleted. */
  private stopped(key: string, local: Local): void {
    const { pod } = local;
    const { now } = this.loop;
    local.ended = true;
    const over = now + SANDBOX_STOP;
    this.loop.at(over, () => this.removeSandbox(local));
    const seen = nextRelist(now);
    this.loop.at(seen, () => {
      const p = this.loop.store.get('Pod', ...splitKey(key));
      if (p !== null && this.pods.get(key) === local && local.running)
        this.loop.store.put({ ...withMeta(p, {}), status: { ...p.status, phase: 'Succeeded', ready: false } });
    });
    this.loop.at(Math.max(seen, over) + REACTION, () => {
      if (this.pods.get(key) !== local) return;
      this.pods.delete(key);
      this.loop.store.remove('Pod', pod.metadata.namespace, pod.metadata.name);
    });
  }

  private removeSandbox(local: Local): void {
    const { pod } = local;
    if (!local.sandbox) return;
    const node = this.machines.get(pod.spec.nodeName)!;
    const sandbox = sandboxOf(pod);
    const r = this.cni.podDel(node, sandbox);
    this.emit(`kubelet ${node.name}`, [...r.commands, `ip netns del ${sandbox.netns}`]);
    this.elsewhere(r);
    this.cni.ipam.release(node, pod.status.podIP, this.loop.now);
  }
}
