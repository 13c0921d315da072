/**
 * `podwire bench [CASE…] [--json] [--packets N]`: UDP datagrams pod → bridge → DNAT → route → bridge → pod.
 *
 * Each case is measured uncaptured and with every interface captured (in memory), after a warm-up.
 * @module
 */
import { aton } from '../../wire/inet.js';
import type { Tap } from '../capture/tap.js';
import { runLab } from '../lab/engine.js';
import { parseLab } from '../lab/lab.js';
import type { Kernel } from '../linux/core/kernel.js';
import { UdpSock } from '../linux/ipv4/udp.js';
import { count, parseArgs, UsageError } from './usage.js';

const LAB = `kind: Lab
metadata: { name: bench }
spec:
  seed: 1
  setup: |
    ip netns add node1
    ip netns add node2
    ip netns add pod1
    ip netns add pod2
    ip link add eth0 netns node1 type veth peer name eth0 netns node2
    ip -n node1 link add cni0 type bridge
    ip -n node2 link add cni0 type bridge
    ip link add eth0 netns pod1 type veth peer name veth1 netns node1
    ip link add eth0 netns pod2 type veth peer name veth2 netns node2
    ip -n node1 link set veth1 master cni0
    ip -n node2 link set veth2 master cni0
    ip -n node1 link set cni0 up
    ip -n node2 link set cni0 up
    ip -n node1 link set veth1 up
    ip -n node2 link set veth2 up
    ip -n node1 link set eth0 up
    ip -n node2 link set eth0 up
    ip -n pod1 link set eth0 up
    ip -n pod2 link set eth0 up
    ip -n node1 addr add 192.168.56.11/24 dev eth0
    ip -n node2 addr add 192.168.56.12/24 dev eth0
    ip -n node1 addr add 10.0.1.1/24 dev cni0
    ip -n node2 addr add 10.0.2.1/24 dev cni0
    ip -n pod1 addr add 10.0.1.2/24 dev eth0
    ip -n pod2 addr add 10.0.2.2/24 dev eth0
    ip -n pod1 route add default via 10.0.1.1
    ip -n pod2 route add default via 10.0.2.1
    ip netns exec node1 sysctl -w net.ipv4.ip_forward=1
    ip netns exec node2 sysctl -w net.ipv4.ip_forward=1
    ip -n node1 route add 10.0.2.0/24 via 192.168.56.12
    ip -n node2 route add 10.0.1.0/24 via 192.168.56.11
    ip netns exec node1 iptables-restore <<'EOT'
    *nat
    -A PREROUTING -d 10.96.0.10/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.0.2.2:53
    COMMIT
    EOT
  steps: []
`;

interface Figures {
  case: string;
  packets: number;
  packetsPerSecond: number;
  capturedPacketsPerSecond: number;
  capturedFramesPerSecond: number;
  interfaces: number;
  bytesPerPacket: number;
}

function push(kernel: Kernel, client: UdpSock, server: UdpSock, n: number): number {
  const data = new Uint8Array(18);
  let got = 0;
  for (let i = 0; i < n; i++) {
    client.send(data);
    while (server.recv() !== null) got++;
  }
  kernel.sim.settle();
  return got;
}

const CASES: Record<string, (packets: number) => Figures> = {
  'clusterip-dnat': (packets) => {
    let figures: Figures | null = null;
    runLab(parseLab(LAB, 'bench'), {
      stopAt: 0,
      onReady: (kernel) => {
        figures = measure(kernel, packets);
      },
    });
    return figures!;
  },
};

function measure(kernel: Kernel, packets: number): Figures {
  const server = new UdpSock(kernel.netns.get('pod2')!);
  server.bind(0, 53);
  const client = new UdpSock(kernel.netns.get('pod1')!);
  client.connect(aton('10.96.0.10')!, 53);
  const devs = [...kernel.netns.values()].flatMap((n) => n.devs);
  const taps = devs.map((d) => d.tap);
  for (const d of devs) d.tap = null;
  push(kernel, client, server, 20_000);
  const heap = process.memoryUsage().heapUsed;
  let t = process.hrtime.bigint();
  const got = push(kernel, client, server, packets);
  const bare = Number(process.hrtime.bigint() - t) / 1e9;
  const bytes = Math.max(0, process.memoryUsage().heapUsed - heap) / packets;
  if (got !== packets) throw new Error(`BUG: bench sent ${packets} packets, ${got} arrived`);
  devs.forEach((d, i) => (d.tap = taps[i]!));
  t = process.hrtime.bigint();
  push(kernel, client, server, packets);
  const captured = Number(process.hrtime.bigint() - t) / 1e9;
  const seen = (taps as Tap[]).filter((x) => x !== null && x.frames > 0);
  const frames = seen.reduce((n, x) => n + x.frames, 0);
  return {
    case: 'clusterip-dnat',
    packets,
    packetsPerSecond: Math.round(packets / bare),
    capturedPacketsPerSecond: Math.round(packets / captured),
    capturedFramesPerSecond: Math.round(frames / captured),
    interfaces: seen.length,
    bytesPerPacket: Math.round(bytes),
  };
}

export async function main(args: string[]): Promise<number> {
  const { files, flags, values } = parseArgs('bench', args);
  const packets = count('bench', '--packets', values.get('--packets') ?? '100000');
  const names = files.length > 0 ? files : Object.keys(CASES);
  const rows: Figures[] = [];
  for (const n of names) {
    const run = CASES[n];
    if (run === undefined)
      throw new UsageError(`bench: unknown case "${n}", expected one of: ${Object.keys(CASES).join(', ')}`);
    rows.push(run(packets));
  }
  if (flags.has('--json')) process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  else {
    for (const r of rows) {
      process.stdout.write(
        `${r.case}: ${r.packetsPerSecond} packets/s uncaptured; ${r.capturedPacketsPerSecond} packets/s, ` +
          `${r.capturedFramesPerSecond} frames/s captured on ${r.interfaces} interfaces\n`,
      );
    }
  }
  return 0;
}
