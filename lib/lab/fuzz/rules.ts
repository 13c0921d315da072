/**
 * Random firewall rules, NAT, sets and IPVS services for the routers of a topology.
 *
 * Nothing whose outcome the kernel draws at random is generated: no `statistic --mode random`, no `--random`, no range of
 * ports (the search begins at a random one).
 * @module
 */
import type { Draw } from './draw.js';
import type { Router, Topology } from './topology.js';

export const VIP = '10.96.0.10';
export const PORTS = [53, 80, 5000, 5001, 8080] as const;

type Table = 'raw' | 'mangle' | 'nat' | 'filter';
const CHAINS: Record<Table, readonly string[]> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
};

/** Command lines that give some routers rules. */
export function rules(draw: Draw, t: Topology): string[] {
  const out: string[] = [];
  for (const r of t.routers) {
    if (draw.chance(25)) continue;
    const g = new Rules(draw, t, r);
    const n = draw.int(1, 8);
    if (draw.chance(25)) g.set();
    if (draw.chance(30)) g.userChain();
    for (let i = 0; i < n; i++) g.rule();
    if (draw.chance(20)) g.ipvs();
    out.push(...g.lines);
  }
  return out;
}

class Rules {
  readonly lines: string[] = [];
  private readonly draw: Draw;
  private readonly t: Topology;
  private readonly r: Router;
  private readonly sets: string[] = [];
  private readonly chains: string[] = [];

  constructor(draw: Draw, t: Topology, r: Router) {
    this.draw = draw;
    this.t = t;
    this.r = r;
  }

  private exec(line: string): void {
    this.lines.push(`ip netns exec ${this.r.netns} ${line}`);
  }

  set(): void {
    const [name, type, member] = this.draw.pick([
      ['ADDRS', 'hash:ip', () => this.address()],
      ['PAIRS', 'hash:ip,port', () => `${this.address()},${this.draw.pick(['udp', 'tcp'])}:${this.draw.pick(PORTS)}`],
      ['NETS', 'hash:net', () => this.prefix()],
    ] as const);
    this.exec(`ipset create ${name} ${type}`);
    const members = new Set(Array.from({ length: this.draw.int(1, 3) }, () => member()));
    for (const m of members) this.exec(`ipset add ${name} ${m}`);
    this.sets.push(name);
  }

  userChain(): void {
    this.exec('iptables -N SIDE');
    this.chains.push('SIDE');
    for (let i = this.draw.int(1, 3); i > 0; i--) {
      const target = this.draw.pick(['RETURN', 'ACCEPT', 'DROP', 'REJECT']);
      this.exec(`iptables -A SIDE${this.matches('filter', 'FORWARD', '')} -j ${target}`);
    }
  }

  rule(): void {
    const { draw } = this;
    const table = draw.weighted<Table>([
      [4, 'nat'],
      [4, 'filter'],
      [2, 'mangle'],
      [1, 'raw'],
    ]);
    const chain = draw.pick(CHAINS[table]);
    const [proto, target] = this.target(table, chain);
    const where = table === 'filter' ? '' : ` -t ${table}`;
    const matches = this.matches(table, chain, proto);
    const loops = this.catchesTunnel(chain, target, matches);
    this.exec(`iptables${where} -A ${chain}${matches} -j ${loops ? 'ACCEPT' : target}`);
  }

  /** A tunnel's own datagrams sent into the tunnel again: the kernel's stack is full before its limit of eight is reached. */
  private catchesTunnel(chain: string, target: string, matches: string): boolean {
    const tunnel = this.r.devices.some((d) => d === 'vx0' || d === 'tunl0');
    return tunnel && chain === 'OUTPUT' && target.startsWith('DNAT') && !/[^!] -d /.test(matches);
  }

  /** A protocol the target needs ('' for any) and the target with its options. */
  private target(table: Table, chain: string): [string, string] {
    const { draw } = this;
    if (table === 'raw') return ['', draw.pick(['CT --notrack', 'ACCEPT'])];
    if (table === 'mangle') {
      return [
        '',
        draw.pick([
          `MARK --set-mark ${draw.int(1, 3)}`,
          `MARK --or-mark 0x${draw.int(1, 8)}000`,
          'CONNMARK --save-mark',
          'CONNMARK --restore-mark',
          'ACCEPT',
        ]),
      ];
    }
    if (table === 'nat') return this.natTarget(chain);
    if (draw.chance(20)) return ['tcp', 'REJECT --reject-with tcp-reset'];
    const plain = draw.weighted([
      [5, 'ACCEPT'],
      [2, 'DROP'],
      [1, 'REJECT'],
      [1, 'REJECT --reject-with icmp-host-prohibited'],
      [1, 'REJECT --reject-with icmp-admin-prohibited'],
    ]);
    return ['', this.chains.length > 0 && draw.chance(40) ? draw.pick(this.chains) : plain];
  }

  private natTarget(chain: string): [string, string] {
    const { draw } = this;
    const proto = draw.pick(['udp', 'tcp']);
    if (chain === 'PREROUTING' || chain === 'OUTPUT') {
      return draw.weighted<[string, string]>([
        [5, [proto, `DNAT --to-destination ${this.podAddress()}:${draw.pick(PORTS)}`]],
        [2, ['', `DNAT --to-destination ${this.podAddress()}`]],
        [1, [proto, `REDIRECT --to-ports ${draw.pick(PORTS)}`]],
        [1, ['', 'ACCEPT']],
      ]);
    }
    if (chain === 'INPUT') return ['', draw.chance(50) ? `SNAT --to-source ${this.r.addr}` : 'ACCEPT'];
    return draw.weighted<[string, string]>([
      [5, ['', 'MASQUERADE']],
      [2, ['', `SNAT --to-source ${this.r.addr}`]],
      [1, [proto, `SNAT --to-source ${this.r.addr}:${draw.pick(['6000', '6001'])}`]],
      [1, ['', 'ACCEPT']],
    ]);
  }

  private matches(table: Table, chain: string, need: string): string {
    const { draw } = this;
    const proto = need !== '' ? need : draw.weighted([[5, ''], [2, 'udp'], [2, 'icmp'], [1, 'tcp']]); // prettier-ignore
    let s = '';
    if (draw.chance(35)) s += `${this.not()} -s ${draw.chance(70) ? this.address() : this.prefix()}`;
    if (draw.chance(35)) s += `${this.not()} -d ${draw.chance(70) ? this.address() : this.prefix()}`;
    if (draw.chance(20) && !/OUTPUT|POSTROUTING/.test(chain)) s += `${this.not()} -i ${draw.pick(this.r.devices)}`;
    if (draw.chance(20) && !/PREROUTING|INPUT/.test(chain)) s += `${this.not()} -o ${draw.pick(this.r.devices)}`;
    if (proto !== '') s += ` -p ${proto}`;
    if ((proto === 'udp' || proto === 'tcp') && draw.chance(50)) {
      s += draw.weighted([
        [4, ` -m ${proto} --dport ${draw.pick(PORTS)}`],
        [1, ` -m ${proto} --sport 1024:65535`],
        [1, ` -m multiport --dports ${draw.pick(PORTS)},5353,8000:9000`],
      ]);
    }
    if (proto === 'icmp' && draw.chance(40)) s += ` -m icmp --icmp-type ${draw.pick(['8', '0', '3', '3/3', '11'])}`;
    return s + this.extra(table, chain);
  }

  private extra(table: Table, chain: string): string {
    const { draw } = this;
    if (draw.chance(15) && table !== 'raw') {
      return ` -m conntrack --ctstate ${draw.pick(['NEW', 'ESTABLISHED', 'RELATED,ESTABLISHED', 'INVALID', 'DNAT', 'SNAT', 'UNTRACKED'])}`;
    }
    if (draw.chance(10)) return ` -m mark${this.not()} --mark 0x${draw.int(1, 3)}`;
    if (draw.chance(8)) return ` -m statistic --mode nth --every ${draw.int(2, 3)} --packet 0`;
    if (draw.chance(8)) return ` -m addrtype${this.not()} --dst-type ${draw.pick(['LOCAL', 'UNICAST', 'BROADCAST'])}`;
    if (draw.chance(6) && this.r.bridge && chain === 'FORWARD') return ` -m physdev${this.not()} --physdev-is-bridged`;
    if (this.sets.length > 0 && draw.chance(50)) {
      const name = draw.pick(this.sets);
      return ` -m set${this.not()} --match-set ${name} ${name === 'PAIRS' ? 'dst,dst' : draw.pick(['src', 'dst'])}`;
    }
    return draw.chance(10) ? ' -m comment --comment "a comment"' : '';
  }

  private not(): string {
    return this.draw.chance(15) ? ' !' : '';
  }

  private podAddress(): string {
    return this.draw.pick(this.t.pods).addr;
  }

  private address(): string {
    return this.draw.weighted([
      [6, this.podAddress()],
      [2, this.r.addr],
      [2, VIP],
      [1, '203.0.113.9'],
    ]);
  }

  private prefix(): string {
    return this.draw.pick(['10.0.0.0/8', `10.${this.r.n}.0.0/16`, '10.96.0.0/12', '192.168.0.0/24']);
  }

  /** A virtual service on this router, its address on a dummy device. */
  ipvs(): void {
    const { draw } = this;
    const flag = draw.pick(['-u', '-t']);
    const port = draw.pick(PORTS);
    const scheduler = draw.pick(['rr', 'wrr', 'lc', 'wlc', 'sh', 'dh', 'sed', 'nq']);
    const persistent = draw.chance(20) ? ' -p 60' : '';
    this.exec('ip link add vip0 type dummy');
    this.exec(`ip addr add ${VIP}/32 dev vip0`);
    if (draw.chance(60)) this.exec(`sysctl -w net.ipv4.vs.conntrack=1`);
    this.exec(`ipvsadm -A ${flag} ${VIP}:${port} -s ${scheduler}${persistent}`);
    const servers = new Set(this.t.pods.filter(() => draw.chance(70)).map((p) => p.addr));
    for (const s of servers)
      this.exec(`ipvsadm -a ${flag} ${VIP}:${port} -r ${s}:${draw.pick(PORTS)} -m -w ${draw.int(0, 3)}`);
  }
}
