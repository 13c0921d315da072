/**
 * Random networks: routers that join their own Pods, and each other, by plain links, a shared segment or a tunnel.
 *
 *   pod ─ bridge or one veth each ─ router ─ link | lan bridge | VXLAN | IPIP ─ router ─ … ─ pod
 *
 * Everything is a list of command texts that can be left out one by one; MAC addresses are always given.
 * @module
 */
import type { Draw } from './draw.js';

/** A namespace that sends and answers. */
export interface Pod {
  netns: string;
  addr: string;
  router: Router;
  /** The router's device towards it: its veth, or the bridge. */
  via: string;
  /** The router's end of the veth. */
  port: string;
  servers: { proto: 'udp' | 'tcp'; port: number }[];
}

export interface Router {
  netns: string;
  n: number;
  bridge: boolean;
  /** An address of its own towards its Pods. */
  addr: string;
  /** Its address between routers, '' when it is alone. */
  transit: string;
  devices: string[];
  pods: Pod[];
}

export interface Topology {
  setup: string[];
  routers: Router[];
  pods: Pod[];
  /** A machine behind the last router that has no route back to the Pods, or null. */
  outside: Pod | null;
}

export class Builder {
  readonly setup: string[] = [];
  readonly draw: Draw;
  private macs = 0;

  constructor(draw: Draw) {
    this.draw = draw;
  }

  add(...lines: string[]): void {
    this.setup.push(...lines);
  }

  mac(): string {
    const n = ++this.macs;
    return `02:00:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`;
  }

  netns(name: string): void {
    this.add(`ip netns add ${name}`, `ip -n ${name} link set lo up`);
  }

  /** A veth pair with both ends up; an MTU goes to both. */
  veth(a: string, devA: string, b: string, devB: string, mtu = 1500): void {
    this.add(
      `ip link add ${devA} netns ${a} address ${this.mac()} mtu ${mtu} type veth peer name ${devB} netns ${b} address ${this.mac()} mtu ${mtu}`,
      `ip -n ${a} link set ${devA} up`,
      `ip -n ${b} link set ${devB} up`,
    );
  }

  sysctl(netns: string, key: string, value: number): void {
    this.add(`ip netns exec ${netns} sysctl -w ${key}=${value}`);
  }
}

/** A network of one to three routers with one to three Pods each. */
export function topology(draw: Draw): Topology {
  const b = new Builder(draw);
  // Neighbours are not probed again while the Lab lasts, however long that is on a slow machine.
  b.add('sysctl -w net.ipv4.neigh.default.delay_first_probe_time=300');
  const count = draw.weighted([
    [5, 1],
    [4, 2],
    [1, 3],
  ]);
  const routers: Router[] = [];
  for (let n = 1; n <= count; n++) routers.push(router(b, n));
  if (count > 1) join(b, routers);
  const outside = draw.chance(30) ? addOutside(b, routers.at(-1)!) : null;
  for (const r of routers) quirks(b, r);
  return { setup: b.setup, routers, pods: routers.flatMap((r) => r.pods), outside };
}

function router(b: Builder, n: number): Router {
  const netns = `r${n}`;
  const { draw } = b;
  const r: Router = { netns, n, bridge: draw.chance(60), addr: `10.${n}.0.1`, transit: '', devices: [], pods: [] };
  b.netns(netns);
  b.sysctl(netns, 'net.ipv4.ip_forward', 1);
  if (r.bridge) {
    b.add(
      `ip -n ${netns} link add br0 address ${b.mac()} type bridge`,
      `ip -n ${netns} addr add ${r.addr}/24 dev br0`,
      `ip -n ${netns} link set br0 up`,
    );
    r.devices.push('br0');
  }
  const pods = draw.int(1, 3);
  for (let i = 1; i <= pods; i++) pod(b, r, i);
  return r;
}

function pod(b: Builder, r: Router, i: number): void {
  const netns = `p${r.n}${i}`;
  const port = `v${i}`;
  const mtu = b.draw.weighted([
    [8, 1500],
    [1, 1400],
    [1, 1280],
  ]);
  b.netns(netns);
  b.veth(r.netns, port, netns, 'eth0', mtu);
  const p: Pod = { netns, addr: '', router: r, via: r.bridge ? 'br0' : port, port, servers: [] };
  if (r.bridge) {
    p.addr = `10.${r.n}.0.${i + 1}`;
    b.add(
      `ip -n ${r.netns} link set ${port} master br0`,
      `ip -n ${netns} addr add ${p.addr}/24 dev eth0`,
      `ip -n ${netns} route add default via ${r.addr}`,
    );
    if (b.draw.chance(25)) b.add(`bridge -n ${r.netns} link set dev ${port} hairpin on`);
  } else {
    p.addr = `10.${r.n}.${i}.2`;
    b.add(
      `ip -n ${r.netns} addr add 10.${r.n}.${i}.1/30 dev ${port}`,
      `ip -n ${netns} addr add ${p.addr}/30 dev eth0`,
      `ip -n ${netns} route add default via 10.${r.n}.${i}.1`,
    );
    if (i === 1) r.addr = `10.${r.n}.1.1`;
    r.devices.push(port);
  }
  r.pods.push(p);
}

/** Gives every router an address on one segment, and routes to the others' Pods over it or over a tunnel. */
function join(b: Builder, routers: Router[]): void {
  const { draw } = b;
  const direct = routers.length === 2 && draw.chance(50);
  if (direct) b.veth('r1', 'up0', 'r2', 'up0');
  else {
    b.netns('lan');
    b.add(`ip -n lan link add sw0 address ${b.mac()} type bridge`, 'ip -n lan link set sw0 up');
    for (const r of routers) {
      b.veth(r.netns, 'up0', 'lan', `s${r.n}`);
      b.add(`ip -n lan link set s${r.n} master sw0`);
    }
  }
  for (const r of routers) {
    r.transit = `192.168.0.${r.n}`;
    r.devices.push('up0');
    b.add(`ip -n ${r.netns} addr add ${r.transit}/24 dev up0`);
  }
  const kind = draw.weighted([
    [6, 'plain'],
    [2, 'vxlan'],
    [2, 'ipip'],
  ] as const);
  if (kind === 'vxlan') vxlan(b, routers);
  else if (kind === 'ipip') ipip(b, routers);
  else {
    for (const r of routers)
      for (const o of routers)
        if (o !== r) b.add(`ip -n ${r.netns} route add 10.${o.n}.0.0/16 via ${o.transit} dev up0`);
  }
}

/** As flannel lays it: one VTEP each, neighbours and FDB entries given. */
function vxlan(b: Builder, routers: Router[]): void {
  const macs = routers.map(() => b.mac());
  routers.forEach((r, i) => {
    b.add(
      `ip -n ${r.netns} link add vx0 address ${macs[i]!} type vxlan id 1 local ${r.transit} dev up0 dstport 8472 nolearning`,
      `ip -n ${r.netns} addr add 10.${r.n}.255.0/32 dev vx0`,
      `ip -n ${r.netns} link set vx0 up`,
    );
    r.devices.push('vx0');
  });
  for (const r of routers) {
    routers.forEach((o, i) => {
      if (o === r) return;
      b.add(
        `ip -n ${r.netns} route add 10.${o.n}.0.0/16 via 10.${o.n}.255.0 dev vx0 onlink`,
        `ip -n ${r.netns} neigh add 10.${o.n}.255.0 lladdr ${macs[i]!} dev vx0 nud permanent`,
        `bridge -n ${r.netns} fdb add ${macs[i]!} dev vx0 dst ${o.transit} self permanent`,
      );
    });
  }
}

/** As Calico lays it: tunl0 up, routes through it. */
function ipip(b: Builder, routers: Router[]): void {
  for (const r of routers) {
    b.add(
      `ip -n ${r.netns} addr add 10.${r.n}.255.0/32 dev tunl0`,
      `ip -n ${r.netns} link set tunl0 mtu 1480`,
      `ip -n ${r.netns} link set tunl0 up`,
    );
    r.devices.push('tunl0');
    for (const o of routers)
      if (o !== r) b.add(`ip -n ${r.netns} route add 10.${o.n}.0.0/16 via ${o.transit} dev tunl0 onlink`);
  }
}

function addOutside(b: Builder, r: Router): Pod {
  b.netns('out');
  b.veth(r.netns, 'ext0', 'out', 'eth0');
  b.add(`ip -n ${r.netns} addr add 203.0.113.1/24 dev ext0`, 'ip -n out addr add 203.0.113.9/24 dev eth0');
  if (b.draw.chance(50)) b.add('ip -n out route add default via 203.0.113.1');
  r.devices.push('ext0');
  return { netns: 'out', addr: '203.0.113.9', router: r, via: 'ext0', port: 'ext0', servers: [] };
}

/** Switches and odd routes that real machines have. */
function quirks(b: Builder, r: Router): void {
  const { draw } = b;
  if (draw.chance(15)) b.sysctl(r.netns, 'net.bridge.bridge-nf-call-iptables', 0);
  if (draw.chance(15)) b.sysctl(r.netns, 'net.ipv4.conf.all.rp_filter', draw.int(1, 2));
  if (draw.chance(10)) b.sysctl(r.netns, 'net.ipv4.conf.all.arp_ignore', draw.int(1, 2));
  if (draw.chance(10)) b.sysctl(r.netns, 'net.ipv4.conf.all.arp_announce', draw.int(1, 2));
  if (draw.chance(10)) b.sysctl(r.netns, 'net.ipv4.conf.all.send_redirects', 0);
  if (draw.chance(10)) b.sysctl(r.netns, 'net.ipv4.ip_default_ttl', draw.pick([1, 2, 3, 128]));
  if (draw.chance(15)) {
    const type = draw.pick(['blackhole', 'unreachable', 'prohibit', 'throw']);
    b.add(`ip -n ${r.netns} route add ${type} 10.${draw.int(1, 4)}.0.${draw.int(0, 3)}/32`);
  }
  if (draw.chance(10)) {
    const mark = draw.int(1, 3);
    b.add(
      `ip -n ${r.netns} route add ${draw.pick(['prohibit', 'unreachable', 'blackhole'])} default table 100`,
      `ip -n ${r.netns} rule add fwmark ${mark} table 100`,
    );
  }
  if (draw.chance(8) && r.pods.length > 0) {
    const p = draw.pick(r.pods);
    b.add(
      `ip -n ${r.netns} rule add from ${p.addr} iif ${p.via} table 101`,
      `ip -n ${r.netns} route add unreachable 10.9.0.0/16 table 101`,
    );
  }
}
