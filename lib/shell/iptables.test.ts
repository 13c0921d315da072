import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { aton } from '../../wire/inet.js';
import * as icmp from '../../wire/icmp.js';
import * as ipv4 from '../../wire/ipv4.js';
import * as udp from '../../wire/udp.js';
import { Kernel } from '../linux/core/kernel.js';
import { NeighTable } from '../linux/ipv4/neighbour.js';
import { Netns } from '../linux/core/netns.js';
import { FORWARD, nfHook, POST_ROUTING, PRE_ROUTING } from '../linux/core/nf-hook.js';
import type { Skb } from '../linux/core/skb.js';
import { jhash2 } from '../linux/netfilter/nat.js';
import { conntrack } from './conntrack.js';
import { ipset } from './ipset.js';
import { iptables } from './iptables.js';
import { iptablesRestore } from './iptables-restore.js';
import { iptablesSave } from './iptables-save.js';

const T = suite('lib/shell/iptables');
const ip = (t: string): number => aton(t)!;

function setup(): Netns {
  const k = new Kernel(1, { ipRcv: () => {}, arpRcv: () => {}, ipipRcv: () => {} });
  const net = new Netns(k, 'n');
  net.neigh = new NeighTable(net);
  return net;
}

function datagram(net: Netns, src: string, sport: number, dst: string, dport: number): Skb {
  const s = net.kernel.skbs.alloc();
  s.tail = s.head + 32;
  ipv4.write(s.buf, s.net, 0, 32, 1, ipv4.DF, 64, ipv4.UDP, ip(src), ip(dst));
  udp.write(s.buf, s.net + 20, s.tail, sport, dport, ip(src), ip(dst));
  return s;
}

/** Through PREROUTING, FORWARD and POSTROUTING; `addr:port > addr:port`, or `drop`. */
function forward(net: Netns, s: Skb): string {
  let out = 'drop';
  nfHook(PRE_ROUTING, net, s, null, null, () =>
    nfHook(FORWARD, net, s, null, null, () =>
      nfHook(POST_ROUTING, net, s, null, null, () => {
        const th = s.net + 20;
        assert.ok(ipv4.csumOk(s.buf, s.net));
        assert.ok(udp.csumOk(s.buf, th, s.tail, ipv4.src(s.buf, s.net), ipv4.dst(s.buf, s.net)));
        const a = (n: number): string => `${n >>> 24}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}`;
        out = `${a(ipv4.src(s.buf, s.net))}:${udp.sport(s.buf, th)} > ${a(ipv4.dst(s.buf, s.net))}:${udp.dport(s.buf, th)}`;
        return 0;
      }),
    ),
  );
  return out;
}

const ok = (r: { exit: number; err: string }): void => assert.is(r.exit, 0, r.err);

const KUBE = `*filter
:KUBE-SERVICES - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-FIREWALL - [0:0]
-A KUBE-FIREWALL -m comment --comment "block incoming localnet connections" -d 127.0.0.0/8 ! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x00004000/0x00004000 -j ACCEPT
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-SVC-CDGGSHYLG3RE2FKL - [0:0]
:KUBE-SEP-BQ6CYJXGREWSNKJL - [0:0]
:KUBE-SEP-AFGSLHOD2HFNCBX4 - [0:0]
-A KUBE-POSTROUTING -m mark ! --mark 0x00004000/0x00004000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x00004000
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-MARK-MASQ -j MARK --or-mark 0x00004000
-A KUBE-SERVICES -m comment --comment "default/web:http cluster IP" -m udp -p udp -d 10.96.0.20 --dport 80 -j KUBE-SVC-CDGGSHYLG3RE2FKL
-A KUBE-SVC-CDGGSHYLG3RE2FKL -m comment --comment "default/web:http -> 10.244.1.12:8080" -m statistic --mode random --probability 0.3333333333 -j KUBE-SEP-BQ6CYJXGREWSNKJL
-A KUBE-SVC-CDGGSHYLG3RE2FKL -m comment --comment "default/web:http -> 10.244.1.5:8080" -j KUBE-SEP-AFGSLHOD2HFNCBX4
-A KUBE-SEP-BQ6CYJXGREWSNKJL -m comment --comment default/web:http -s 10.244.1.12 -j KUBE-MARK-MASQ
-A KUBE-SEP-BQ6CYJXGREWSNKJL -m comment --comment default/web:http -m udp -p udp -j DNAT --to-destination 10.244.1.12:8080
-A KUBE-SEP-AFGSLHOD2HFNCBX4 -m comment --comment default/web:http -m udp -p udp -j DNAT --to-destination 10.244.1.5:8080
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-MARK-MASQ
COMMIT
`;

T('iptablesSave() prints kube-proxy rules in the kernel form, and they restore to the same', () => {
  const net = setup();
  const warned = iptablesRestore(net, ['-w', '5', '-W', '100000', '--noflush', '--counters'], KUBE);
  assert.equal(warned, { exit: 0, out: '', err: 'Ignoring deprecated --wait-interval option.\n' });
  const { out } = iptablesSave(net, []);
  for (const line of [
    '-A KUBE-SERVICES -d 10.96.0.20/32 -p udp -m comment --comment "default/web:http cluster IP" -m udp --dport 80 -j KUBE-SVC-CDGGSHYLG3RE2FKL',
    '-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP',
    '-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0',
    '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000',
    '--mode random --probability 0.33333333349 -j KUBE-SEP',
    '-m comment --comment "default/web:http" -m udp -j DNAT --to-destination 10.244.1.5:8080',
    '-j MASQUERADE --random-fully',
  ]) assert.ok(out.includes(line), line); // prettier-ignore
  ok(iptablesRestore(net, [], out));
  assert.is(iptablesSave(net, []).out, out);
});

T('a name that every object has is no protocol', () => {
  const net = setup();
  for (const name of ['constructor', 'toString', '__proto__'])
    assert.match(iptables(net, ['-A', 'INPUT', '-p', name]).err, `unknown protocol "${name.toLowerCase()}" specified`);
  assert.is(ipset(net, ['create', 's', 'hash:ip,port']).exit, 0);
  assert.is(ipset(net, ['add', 's', '10.0.0.1,constructor:1']).exit, 2);
  assert.match(conntrack(net, ['-L', '-p', 'constructor']).err, 'unsupported protocol');
});

T('-W is refused without -w, in each program in its own words', () => {
  const net = setup();
  const warning = 'Ignoring deprecated --wait-interval option.\n';
  assert.equal(iptablesRestore(net, ['-W', '5'], ''), {
    exit: 1,
    out: '',
    err: `${warning}Option --wait-interval requires option --wait\n`,
  });
  assert.equal(iptables(net, ['-W', '5', '-S']), {
    exit: 2,
    out: '',
    err: `${warning}iptables v1.8.9 (legacy): --wait-interval only makes sense with --wait\n\nTry \`iptables -h' or 'iptables --help' for more information.\n`,
  });
  assert.is(iptables(net, ['-w', '5', '-W', '5', '-N', 'X']).err, warning);
});
T('natHook() sends a service to an endpoint and translates the reply back', () => {
  const net = setup();
  ok(iptablesRestore(net, ['--noflush'], KUBE));
  ok(iptables(net, ['-t', 'nat', '-I', 'PREROUTING', '-d', '10.96.0.20', '-j', 'KUBE-SERVICES']));
  const way = forward(net, datagram(net, '10.244.1.9', 4000, '10.96.0.20', 80));
  assert.match(way, /^10\.244\.1\.9:4000 > 10\.244\.1\.(5|12):8080$/);
  assert.is(forward(net, datagram(net, '10.244.1.9', 4000, '10.96.0.20', 80)), way);
  const ep = way.split(' > ')[1]!.split(':')[0]!;
  assert.is(forward(net, datagram(net, ep, 8080, '10.244.1.9', 4000)), '10.96.0.20:80 > 10.244.1.9:4000');
  const l = conntrack(net, ['-L']);
  assert.is(
    l.out,
    `udp      17 29 src=10.244.1.9 dst=10.96.0.20 sport=4000 dport=80 src=${ep} dst=10.244.1.9 sport=8080 dport=4000 mark=0 use=1\n`,
  );
  assert.match(l.err, /: 1 flow entries have been shown\.\n$/);
  net.kernel.sim.now += 31e9;
  assert.is(conntrack(net, ['-L']).out, '');
});

T('natSetup() moves a source port that is taken, and keeps one mapping per source', () => {
  const net = setup();
  ok(iptables(net, ['-t', 'nat', '-A', 'POSTROUTING', '-s', '10.1.0.0/16', '-j', 'SNAT', '--to-source', '10.3.0.254']));
  assert.is(forward(net, datagram(net, '10.1.0.1', 5000, '10.3.0.1', 53)), '10.3.0.254:5000 > 10.3.0.1:53');
  assert.is(forward(net, datagram(net, '10.1.0.1', 5000, '10.3.0.2', 53)), '10.3.0.254:5000 > 10.3.0.2:53');
  const other = forward(net, datagram(net, '10.1.0.2', 5000, '10.3.0.1', 53));
  assert.match(other, /^10\.3\.0\.254:\d+ > 10\.3\.0\.1:53$/);
  assert.is.not(other, '10.3.0.254:5000 > 10.3.0.1:53');
});

T('jhash2() chooses SNAT addresses as the kernel was seen to', () => {
  const net = setup();
  ok(iptables(net, ['-t', 'nat', '-A', 'POSTROUTING', '-j', 'SNAT', '--to-source', '10.3.0.100-10.3.0.107']));
  assert.is(forward(net, datagram(net, '10.1.0.1', 5000, '10.3.0.1', 53)), '10.3.0.107:5000 > 10.3.0.1:53');
  assert.is(forward(net, datagram(net, '10.2.0.1', 5000, '10.3.0.1', 53)), '10.3.0.101:5000 > 10.3.0.1:53');
  assert.type(jhash2([1, 2, 3, 4], 5), 'number');
});

T('iptablesRestore() refuses what it does not know and leaves the table as it was', () => {
  const net = setup();
  const bad = iptablesRestore(net, [], '*filter\n-A FORWARD -j DROP\n-A FORWARD --foo\nCOMMIT\n');
  assert.is(bad.exit, 2);
  assert.match(bad.err, /unknown option "--foo"\nError occurred at line: 3/);
  assert.is(iptables(net, ['-S', 'FORWARD']).out, '-P FORWARD ACCEPT\n');
  assert.match(
    iptables(net, ['-A', 'FORWARD', '-j', 'DNAT', '--to-destination', '1.2.3.4']).err,
    /^iptables: Invalid argument\. Run `dmesg' for more information\.$/m,
  );
  assert.is(iptables(net, ['-A', 'FORWARD', '-j', 'NOPE']).exit, 2);
  assert.is(net.ct, null);
});

T('walk() counts, returns from user chains, and falls to the policy', () => {
  const net = setup();
  ok(
    iptablesRestore(
      net,
      [],
      '*filter\n:FORWARD DROP [0:0]\n:A - [0:0]\n-A FORWARD -j A\n-A FORWARD -p udp --dport 7 -j ACCEPT\n-A A -s 10.0.0.1 -j RETURN\n-A A -s 10.0.0.2 -j ACCEPT\nCOMMIT\n',
    ),
  );
  assert.is(forward(net, datagram(net, '10.0.0.1', 1, '10.9.9.9', 8)), 'drop');
  assert.is.not(forward(net, datagram(net, '10.0.0.1', 1, '10.9.9.9', 7)), 'drop');
  assert.is.not(forward(net, datagram(net, '10.0.0.2', 1, '10.9.9.9', 8)), 'drop');
  assert.match(iptablesSave(net, ['-c', '-t', 'filter']).out, /\[3:96\] -A FORWARD -j A\n/);
});

T('ipset() sets match packets', () => {
  const net = setup();
  ok(ipset(net, ['create', 'S', 'hash:ip,port', 'family', 'inet', 'hashsize', '1024', 'maxelem', '65536', '-exist']));
  ok(ipset(net, ['create', 'N', 'hash:net']));
  ok(ipset(net, ['restore'], 'add S 10.9.9.9,udp:53\nadd N 10.0.0.0/24\n'));
  assert.match(
    ipset(net, ['save', 'S']).out,
    /^create S hash:ip,port family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x[0-9a-f]{8}\nadd S 10\.9\.9\.9,udp:53\n$/,
  );
  ok(
    iptables(net, [
      '-A',
      'FORWARD',
      '-m',
      'set',
      '--match-set',
      'S',
      'dst,dst',
      '-m',
      'set',
      '--match-set',
      'N',
      'src',
      '-j',
      'DROP',
    ]),
  );
  assert.is(forward(net, datagram(net, '10.0.0.1', 1, '10.9.9.9', 53)), 'drop');
  assert.is.not(forward(net, datagram(net, '10.0.0.1', 1, '10.9.9.9', 54)), 'drop');
  assert.is.not(forward(net, datagram(net, '10.0.1.1', 1, '10.9.9.9', 53)), 'drop');
});

T('natHook() translates an ICMP error and the packet it quotes', () => {
  const net = setup();
  ok(iptables(net, ['-t', 'nat', '-A', 'POSTROUTING', '-p', 'udp', '-j', 'SNAT', '--to-source', '10.3.0.254:6000']));
  const s = datagram(net, '10.1.0.1', 5000, '10.3.0.1', 9);
  assert.is(forward(net, s), '10.3.0.254:6000 > 10.3.0.1:9');
  const e = net.kernel.skbs.alloc();
  e.tail = e.head + 60;
  e.buf.set(s.buf.subarray(s.net, s.net + 32), e.net + 28);
  ipv4.write(e.buf, e.net, 0xc0, 60, 2, 0, 64, ipv4.ICMP, ip('10.3.0.1'), ip('10.3.0.254'));
  icmp.write(e.buf, e.net + 20, e.tail, 3, 3, 0);
  nfHook(PRE_ROUTING, net, e, null, null, () => nfHook(POST_ROUTING, net, e, null, null, () => 0));
  assert.is(ipv4.dst(e.buf, e.net), ip('10.1.0.1'));
  const quoted = datagram(net, '10.1.0.1', 5000, '10.3.0.1', 9);
  assert.equal(e.buf.slice(e.net + 48, e.net + 60), quoted.buf.slice(quoted.net + 20, quoted.net + 32));
  assert.is(ipv4.src(e.buf, e.net + 28), ip('10.1.0.1'));
  assert.ok(ipv4.csumOk(e.buf, e.net + 28) && ipv4.csumOk(e.buf, e.net) && icmp.csumOk(e.buf, e.net + 20, e.tail));
});

T('ruleText() prints back the rules that CNI plugins write', () => {
  const net = setup();
  // libxt_set prints a name as it is, whatever iptables-restore makes of it.
  for (const name of ['all', 'a:b']) ok(ipset(net, ['create', name, 'hash:net']));
  const rules = [
    '-A FORWARD -i cali+ -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    '-A FORWARD -p ipencap -m set ! --match-set all src -m addrtype --dst-type LOCAL -j DROP',
    '-A FORWARD -m set --match-set a:b src -j ACCEPT',
    '-A FORWARD -p udp -m multiport --dports 4789,8000:8010 -j REJECT --reject-with icmp-port-unreachable',
    '-A FORWARD -m recent --rcheck --seconds 10800 --reap --name X --mask 255.255.255.255 --rsource -j ACCEPT',
    '-A FORWARD -m physdev --physdev-in vethwe --physdev-is-bridged -j ACCEPT',
    '-A FORWARD ! -o vlan+ -m state --state NEW -m comment --comment "name: \\"cbr0\\" id: \\"6b\\"" -j A',
    '-A FORWARD -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -g A',
    '-A A -m statistic --mode nth --every 3 --packet 1 -j LOG --log-prefix "a b"',
    '-A A -p icmp -m icmp --icmp-type 8 -m limit --limit 3/min -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80',
  ];
  ok(iptablesRestore(net, [], `*filter\n:A - [0:0]\n${rules.join('\n')}\nCOMMIT\n`));
  const printed = iptablesSave(net, ['-t', 'filter'])
    .out.split('\n')
    .filter((l) => l.startsWith('-A'));
  assert.equal(printed, rules);
  assert.is(ipset(net, ['destroy', 'all']).exit, 1);
});

T('-m ipvs is read and printed in the order of libxt_ipvs', () => {
  const net = setup();
  const rule = (text: string): string => {
    const r = iptables(net, ['-A', 'OUTPUT', ...text.split(' '), '-j', 'DROP']);
    return r.exit === 0 ? iptablesSave(net, ['-t', 'filter']).out.split('\n').filter((l) => l.startsWith('-A')).pop()! : r.err; // prettier-ignore
  };
  assert.is(
    rule('-s 1.2.3.4 -m ipvs --vport 80 --vaddr 1.2.3.0/24 ! --vproto tcp --vdir REPLY --vmethod GATE --vportctl 21'),
    '-A OUTPUT -s 1.2.3.4/32 -m ipvs ! --vproto 6 --vaddr 1.2.3.0/24 --vport 80 --vdir REPLY --vmethod GATE --vportctl 21 -j DROP',
  );
  assert.is(rule('-m ipvs ! --ipvs'), '-A OUTPUT -m ipvs ! --ipvs -j DROP');
  assert.match(rule('-m ipvs --vdir BOTH'), 'expected ORIGINAL or REPLY');
});
T.run();
