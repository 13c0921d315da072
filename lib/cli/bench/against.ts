/**
 * `podwire bench --against kernel`: the same cluster and the same datagrams in podwire and on this machine's kernel, in turn.
 *
 * Both are timed from the first datagram sent to the last, by the clock on the wall: the kernel's tcpdumps may use every other
 * processor, podwire writes its captures itself. On a machine that others use the CPU times say more: those of the kernel's
 * sender alone, and of the whole process here. What is quoted is the ratio within each pair of neighbouring rounds.
 * @module
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { EN10MB, RAW } from '../../../wire/pcap.js';
import { FileTap } from '../../capture/file-tap.js';
import { CaptureClock } from '../../capture/tap.js';
import { ARPHRD_LOOPBACK, ARPHRD_TUNNEL } from '../../linux/core/netdev.js';
import { CASES, withCluster } from './cases.js';
import { KernelCluster, type KernelTraffic } from './kernel.js';
import { cpuNs, type Flows, type Spread, spread } from './measure.js';
import { CLIENT, CLUSTER_IP, clusterLab, NEAR, SERVER, SERVICE_PORT, UDP_PORT } from './topology.js';
import type { Traffic } from './traffic.js';

/** Cases that the kernel can run here: all that UDP datagrams between two pods make. */
export const AGAINST: readonly string[] = ['same-node', 'routed', 'vxlan', 'clusterip-iptables'];

export interface Against {
  case: string;
  flows: Flows;
  captured: boolean;
  pairs: number;
  kernelPacketsPerSecond: Spread;
  podwirePacketsPerSecond: Spread;
  /** podwire's packets a second through the kernel's, pair by pair. */
  ratio: Spread;
  /** The same per second of CPU time. */
  cpuRatio: Spread;
  /** Frames that the kernel's tcpdumps wrote and lost, and those of podwire. */
  kernelFrames: number;
  kernelLost: number;
  podwireFrames: number;
}

/** The datagrams of a case as the kernel's programs need them. */
function kernelTraffic(name: string, flows: Flows, packets: number, serverIp: string): KernelTraffic {
  const service = name.startsWith('clusterip');
  const to = service ? `${CLUSTER_IP} ${SERVICE_PORT}` : `${serverIp} ${UDP_PORT}`;
  return { client: CLIENT, server: name === 'same-node' ? NEAR : SERVER, to, port: UDP_PORT, flows, packets };
}

interface Tapped {
  run(n: number, captured: boolean): { seconds: number; cpuSeconds: number; frames: number };
}

/** podwire's side: rounds by the wall clock. */
function rounds(k: Parameters<Parameters<typeof withCluster>[1]>[0], traffic: Traffic, flows: Flows, dir: string): Tapped {
  const devs = [...k.netns.values()].flatMap((n) => n.devs).filter((d) => d.type !== ARPHRD_LOOPBACK);
  return {
    run: (n, captured) => {
      if (flows === 'new') traffic.prepare(n);
      const clock = new CaptureClock();
      const taps = devs.map((d) => (captured ? new FileTap(clock, join(dir, `podwire-${d.net.name}-${d.name}.pcap`), d.type === ARPHRD_TUNNEL ? RAW : EN10MB) : null)); // prettier-ignore
      devs.forEach((d, i) => (d.tap = taps[i]!));
      const cpu = cpuNs();
      const t = process.hrtime.bigint();
      const got = flows === 'known' ? traffic.known(n) : traffic.fresh();
      for (const x of taps) x?.close();
      const seconds = Number(process.hrtime.bigint() - t) / 1e9;
      const cpuSeconds = (cpuNs() - cpu) / 1e9;
      for (const d of devs) d.tap = null;
      if (got !== n) throw new Error(`BUG: bench: sent ${n}, ${got} arrived`);
      return { seconds, cpuSeconds, frames: taps.reduce((m, x) => m + (x?.frames ?? 0), 0) };
    },
  };
} // prettier-ignore

/** Measures one case both ways; `packets` are those of the kernel's rounds, podwire's have ten times as many of known flows. */
export async function against(name: string, flows: Flows, packets: number, pairs: number, dir: string): Promise<Against[]> {
  const c = CASES[name]!;
  const text = clusterLab(c.cluster);
  const { spec } = parse(text) as { spec: { setup: string } };
  const kernel = new KernelCluster(dir);
  const out: Against[] = [];
  try {
    await kernel.setup(spec.setup);
    const devices = await kernel.devices();
    const serverIp = name === 'same-node' ? '10.0.1.3' : '10.0.2.2';
    const want = kernelTraffic(name, flows, packets, serverIp);
    const mine = flows === 'known' ? packets * 10 : packets;
    let side: Tapped | null = null;
    withCluster(c, (k) => (side = rounds(k, c.traffic(k), flows, dir)));
    const podwire = side!;
    podwire.run(mine, false);
    podwire.run(mine, true);
    for (const captured of [false, true]) {
      const [theirs, ours, ratio, cpu]: number[][] = [[], [], [], []];
      let [kernelFrames, kernelLost, podwireFrames] = [0, 0, 0];
      for (let i = 0; i < pairs; i++) {
        const r = await kernel.round(want, captured ? devices : []);
        if (r.got < packets * 0.99) throw new Error(`bench: the kernel delivered ${r.got} of ${packets} datagrams`);
        const o = podwire.run(mine, captured);
        theirs!.push(r.got / r.seconds);
        ours!.push(mine / o.seconds);
        ratio!.push(ours!.at(-1)! / theirs!.at(-1)!);
        cpu!.push(mine / o.cpuSeconds / (r.got / r.cpuSeconds));
        kernelFrames += r.frames;
        kernelLost += r.lost;
        podwireFrames += o.frames;
      }
      out.push({ case: name, flows, captured, pairs, kernelPacketsPerSecond: spread(theirs!), podwirePacketsPerSecond: spread(ours!), ratio: spread(ratio!), cpuRatio: spread(cpu!), kernelFrames, kernelLost, podwireFrames }); // prettier-ignore
    }
  } finally {
    kernel.close();
    rmSync(dir, { recursive: true, force: true });
  }
  return out;
} // prettier-ignore
