/** Dense random rules: what a chain's index leaves out changes no verdict, mark, counter or walk. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { aton } from '../../wire/inet.js';
import * as ipv4 from '../../wire/ipv4.js';
import { put16 } from '../../wire/bytes.js';
import { Rng } from '../sim/rng.js';
import type { Kernel } from '../linux/core/kernel.js';
import { bootKernel, createNetns } from '../linux/core/machine.js';
import type { Netdev } from '../linux/core/netdev.js';
import type { Netns } from '../linux/core/netns.js';
import { FORWARD } from '../linux/core/nf-hook.js';
import type { Tracer } from '../linux/core/tracer.js';
import { commands } from './registry.js';
import { iptablesRestore } from './iptables-restore.js';
import { iptablesSave } from './iptables-save.js';
import { iptables } from './iptables.js';

const T = suite('lib/shell/iptables-index');

const ADDRS = ['10.0.0.1', '10.0.0.2', '10.0.1.1', '10.0.1.2', '10.1.0.1'];
const PREFIXES = ['10.0.0.0/24', '10.0.0.0/16', '10.0.1.0/31', '0.0.0.0/0'];
const PORTS = [1, 53, 80];
const DEVS = ['d0', 'd1', 'd2'];
const CHAINS = ['FORWARD', 'A', 'B', 'C'];

/** One rule of table mangle; a chain jumps only to those behind it. */
function randomRule(r: Rng, chain: string): string {
  const one = <X>(list: readonly X[]): X => list[r.below(list.length)]!;
  const may = (percent: number, text: () => string): string => (r.below(100) < percent ? text() : '');
  const not = (): string => may(15, () => ' !');
  const addr = (): string => (r.below(4) > 0 ? one(ADDRS) : one(PREFIXES));
  const proto = one(['', '', 'udp', 'udp', 'tcp', 'sctp', 'icmp']);
  let s = may(35, () => `${not()} -s ${addr()}`) + may(50, () => `${not()} -d ${addr()}`);
  s += may(20, () => `${not()} -i ${one([...DEVS, 'd+', '+'])}`) + may(20, () => `${not()} -o ${one(DEVS)}`);
  if (proto !== '') s += `${proto === 'icmp' ? not() : ''} -p ${proto}`;
  s += may(10, () => ' -m comment --comment x') + may(10, () => ` -m mark${not()} --mark 0x1/0x1`);
  s += may(10, () => ` -m statistic --mode nth --every ${2 + r.below(3)} --packet 0`);
  s += may(8, () => ` -m limit --limit 1/hour --limit-burst ${1 + r.below(9)}`);
  if (['udp', 'tcp', 'sctp'].includes(proto)) {
    s += may(70, () => ` -m ${proto}${not()} --dport ${one(PORTS)}`);
    s += may(10, () => ` -m multiport --sports 1:60`);
  }
  const behind = CHAINS.slice(CHAINS.indexOf(chain) + 1);
  const jump = (): string => (behind.length > 0 ? `${one(['-j', '-j', '-g'])} ${one(behind)}` : '-j RETURN');
  const target = [
    jump, () => '-j ACCEPT', () => '-j DROP', () => '-j RETURN', () => '-j MARK --xor-mark 0x1', () => '-j MARK --xor-mark 0x1',
    () => '-j TOS --set-tos 4', () => '', () => '', jump,
  ]; // prettier-ignore
  return `-A ${chain}${s} ${one(target)()}`;
}

interface Side {
  kernel: Kernel;
  net: Netns;
  devs: (Netdev | null)[];
  /** Every rule that was met, as the tracer tells it. */
  walk: string[];
}

function side(indexFrom: number, text: string): Side {
  const kernel = bootKernel(1);
  const net = createNetns(kernel, 'n');
  for (const d of DEVS) commands['ip']!(kernel, net, ['ip', 'link', 'add', d, 'type', 'dummy'], '');
  const walk: string[] = [];
  const tell = (...x: unknown[]): void => void walk.push(x.join(' '));
  kernel.tracer = {
    rule: (_n: Netns, _s: unknown, table: string, chain: string, rule: number | null, v: string) => tell(table, chain, rule, v), // prettier-ignore
    drop: () => {},
  } as unknown as Tracer;
  const done = iptablesRestore(net, [], text);
  assert.is(done.exit, 0, `${done.err}\n${text}`);
  const t = net.xt!.get('mangle')!;
  t.indexFrom = indexFrom;
  for (const c of t.chains.values()) c.least = 1;
  return { kernel, net, devs: [null, ...DEVS.map((d) => net.dev(d)!)], walk };
}

/** Sends the packet that `r` draws through FORWARD; the verdict, the mark and the TOS afterwards. */
function packet(r: Rng, { kernel, net, devs }: Side): string {
  const s = kernel.skbs.alloc();
  const ip = (): number => aton(ADDRS[r.below(ADDRS.length)]!)!;
  const [src, dst] = [ip(), ip()];
  const proto = [ipv4.UDP, ipv4.UDP, ipv4.TCP, ipv4.SCTP, ipv4.ICMP, 47][r.below(6)]!;
  const data = r.below(8) === 0 ? r.below(20) : 24;
  const frag = r.below(10) === 0 ? r.below(3) : 0;
  s.tail = s.head + 20 + data;
  s.buf.fill(0, s.head, s.tail);
  ipv4.write(s.buf, s.net, 0, 20 + data, 1, frag, 64, proto, src, dst);
  put16(s.buf, s.net + 20, PORTS[r.below(3)]!);
  put16(s.buf, s.net + 22, PORTS[r.below(3)]!);
  const [from, to] = [devs[r.below(4)]!, devs[r.below(4)]!];
  const v = net.xt!.get('mangle')!.run(net, s, FORWARD, from, to);
  const out = `${v} ${s.mark} ${s.buf[s.net + 1]}`;
  kernel.skbs.free(s);
  return out;
}

/** A change of the table, in the words of iptables. */
function change(r: Rng, n: Record<string, number>): string[] {
  const chain = CHAINS[r.below(CHAINS.length)]!;
  const kind = r.below(3);
  const words = randomRule(r, chain).split(/\s+/).filter((w) => w !== ''); // prettier-ignore
  if (kind === 0 && n[chain]! > 1) return ['-D', chain, String(1 + r.below(n[chain]!))];
  if (kind === 1) return ['-I', chain, String(1 + r.below(n[chain]! + 1)), ...words.slice(2)];
  return words;
}

function sizes(net: Netns): Record<string, number> {
  const { chains } = net.xt!.get('mangle')!;
  return Object.fromEntries(CHAINS.map((c) => [c, chains.get(c)!.rules.length]));
}

T('a table gives the same verdicts, marks, counters and walks with and without indexes, through changes of it', () => {
  let indexed = 0;
  for (let seed = 1; seed <= 60; seed++) {
    const r = new Rng(seed, 'rules');
    const lines = CHAINS.flatMap((c) => Array.from({ length: 10 + r.below(40) }, () => randomRule(r, c)));
    const text = ['*mangle', ':A - [0:0]', ':B - [0:0]', ':C - [0:0]', ...lines, 'COMMIT', ''].join('\n');
    const a = side(2, text);
    const b = side(Number.POSITIVE_INFINITY, text);
    for (let round = 0; round < 4; round++) {
      const [pa, pb] = [new Rng(seed, `packets ${round}`), new Rng(seed, `packets ${round}`)];
      for (let i = 0; i < 60; i++) assert.is(packet(pa, a), packet(pb, b), `seed ${seed} round ${round} packet ${i}`);
      assert.equal(a.walk, b.walk, `seed ${seed}: walks`);
      assert.is(iptablesSave(a.net, ['-c']).out, iptablesSave(b.net, ['-c']).out, `seed ${seed}: counters`);
      const [ta, tb] = [a.net.xt!.get('mangle')!, b.net.xt!.get('mangle')!];
      assert.is(ta.visited, tb.visited, `seed ${seed}: rules visited`);
      for (const c of ta.chains.values()) indexed += c.indexed().classes.length;
      const words = change(r, sizes(a.net));
      assert.equal(iptables(a.net, ['-t', 'mangle', ...words]), iptables(b.net, ['-t', 'mangle', ...words]));
    }
  }
  assert.ok(indexed > 500, `only ${indexed} classes of rules`);
});
T.run();
