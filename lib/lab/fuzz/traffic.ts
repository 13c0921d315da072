/**
 * Random traffic: servers in the Pods, then one program after the other.
 * @module
 */
import type { Draw } from './draw.js';
import { PORTS, VIP } from './rules.js';
import type { Pod, Topology } from './topology.js';

/** Servers for some Pods: they answer the first peer with a word. A TCP client says nothing, or both would speak at once. */
export function servers(draw: Draw, t: Topology): string[] {
  const out: string[] = [];
  for (const p of t.outside === null ? t.pods : [...t.pods, t.outside]) {
    if (draw.chance(50)) continue;
    const proto = draw.chance(70) ? 'udp' : 'tcp';
    const port = draw.pick(PORTS);
    p.servers.push({ proto, port });
    out.push(`ip netns exec ${p.netns} nc -l ${proto === 'udp' ? '-u ' : ''}${port} <<< pong > /dev/null &`);
  }
  return out;
}

/** Two to six programs, then what the routers say about them: one after the other, so that a slow machine changes nothing. */
export function traffic(draw: Draw, t: Topology): string[] {
  const lines: string[] = [];
  for (let i = draw.int(2, 6); i > 0; i--) lines.push(one(draw, t));
  // A listener sends its SYN-ACKs again after 1, 3 and 7 s: while the routers are asked, a slow machine would see one more.
  for (const p of t.outside === null ? t.pods : [...t.pods, t.outside]) {
    if (p.servers.some((s) => s.proto === 'tcp')) lines.push(`ip netns pids ${p.netns} | xargs -r kill -KILL`);
  }
  for (const r of t.routers) {
    for (const c of ['iptables-save -c', 'conntrack -L', 'ipvsadm -Ln', 'ip neigh']) {
      lines.push(`ip netns exec ${r.netns} ${c}`);
    }
  }
  return lines;
}

function one(draw: Draw, t: Topology): string {
  const everyone: { netns: string; addr: string }[] = [
    ...t.pods,
    ...(t.outside === null ? [] : [t.outside]),
    ...t.routers,
  ];
  const from = draw.weighted([
    [7, draw.pick(t.pods)],
    [2, draw.pick(t.routers)],
    [1, draw.pick(everyone)],
  ]);
  const exec = `ip netns exec ${from.netns}`;
  const served = servedBy(draw, t);
  const to = draw.weighted([
    [4, served?.pod.addr ?? draw.pick(t.pods).addr],
    [3, draw.pick(everyone).addr],
    [3, VIP],
    [1, '10.9.9.9'],
    [1, from.addr],
    [1, '127.0.0.1'],
  ]);
  const port = to === served?.pod.addr && draw.chance(80) ? served.port : draw.pick(PORTS);
  const drawn = draw.weighted([
    [4, 'ping'],
    [5, 'udp'],
    [2, 'tcp'],
  ] as const);
  // Both ends of a connection in one namespace close in the order in which their processes get the CPU.
  const own = to === from.addr || to === '127.0.0.1';
  const kind = drawn === 'tcp' && own ? 'udp' : drawn;
  if (kind === 'ping') {
    const size = draw.weighted([[6, ''], [2, ' -s 8'], [2, ' -s 1300'], [1, ' -s 1452'], [1, ' -s 2000'], [1, ' -s 4000']]); // prettier-ignore
    const extra = draw.weighted([[8, ''], [2, ` -t ${draw.int(1, 3)}`], [1, ' -Q 0xb8'], [1, ' -M dont'], [1, ' -M do']]); // prettier-ignore
    return `${exec} ping -c 1 -W 1${size}${extra} ${to}`;
  }
  // TCP waits for 2 s: a SYN is sent again after 1 s and 3 s.
  const source = draw.chance(40) ? ` -p ${draw.int(4000, 4002)}` : '';
  return `${exec} nc ${kind === 'udp' ? `-u -w 1${source} ${to} ${port} <<< ping` : `-d -w 2${source} ${to} ${port}`}`;
}

function servedBy(draw: Draw, t: Topology): { pod: Pod; port: number } | null {
  const all = t.pods.flatMap((pod) => pod.servers.map((s) => ({ pod, port: s.port })));
  return all.length === 0 ? null : draw.pick(all);
}
