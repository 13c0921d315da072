/** Flows as text: what is read, what is printed, what is refused. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Kernel } from '../linux/core/kernel.js';
import { bootKernel } from '../linux/core/machine.js';
import { datapathOf } from '../linux/openvswitch/datapath.js';
import { ovsDpctl } from './ovs-dpctl.js';

const machine = (): { kernel: Kernel; run: (line: string, stdin?: string) => ReturnType<typeof ovsDpctl> } => {
  const kernel = bootKernel(1);
  const net = kernel.netns.get('root')!;
  const words = (l: string): string[] => [...l.matchAll(/'([^']*)'|(\S+)/g)].map((m) => m[1] ?? m[2]!);
  return { kernel, run: (line, stdin = '') => ovsDpctl(net, words(line), stdin) };
};
/** A flow added to a fresh datapath and dumped: the line without its statistics, or the message. */
function round(flow: string, actions: string): string {
  const { run } = machine();
  run('add-dp dp');
  const r = run(`add-flow dp '${flow}' '${actions}'`);
  if (r.exit !== 0) return r.err;
  return run('dump-flows').out.replace(',eth_type(0/0x0000), packets:0, bytes:0, used:never, actions:', ' ');
}

const Odp = suite('lib/shell/odp-text');

Odp('a flow is printed as the real program prints it', () => {
  const eth = 'eth(src=02:00:00:00:00:0a,dst=02:00:00:00:00:0c)';
  assert.is(round(`in_port(1),${eth}`, '2'), `in_port(1),${eth} 2\n`);
  assert.is(round(`in_port(1), ${eth.toUpperCase().replace('ETH', 'eth').replace('SRC', 'src').replace('DST', 'dst')}`, ''), `in_port(1),${eth} drop\n`);
  assert.is(round('in_port(dp),eth()', '1,0x2'), 'in_port(0),eth() 1,2\n');
  assert.is(round('eth(dst=01:00:00:00:00:00/01:00:00:00:00:00)', '0'), 'eth(dst=01:00:00:00:00:00/01:00:00:00:00:00) 0\n');
  assert.is(
    round('tunnel(tun_id=0x5a10c7,src=10.0.0.0/255.0.0.0,dst=192.168.56.11,ttl=0/0,flags(-csum+key)),in_port(2),eth()', '1'),
    'tunnel(tun_id=0x5a10c7,src=10.0.0.0/255.0.0.0,dst=192.168.56.11,flags(-csum+key)),in_port(2),eth() 1\n',
  );
  const set = 'set(tunnel(tun_id=0xc75a1,src=192.168.56.11,dst=192.168.56.12,tos=0x10,ttl=64,tp_dst=6784,flags(df|csum|key))),2';
  assert.is(round('in_port(1),eth()', set), `in_port(1),eth() ${set}\n`);
}); // prettier-ignore

Odp('what cannot be read, what the kernel refuses and what is not here have their own messages', () => {
  const key = (rest: string): string => `ovs-dpctl: parsing flow key (syntax error at ${rest}) (Invalid argument)\n`;
  assert.is(round('in_port(1),eth(src=02:00:00:00:00)', '2'), key('eth(src=02:00:00:00:00)'));
  assert.is(round('in_port(x)', '2'), key('in_port(x)'));
  assert.is(round('foo(1)', '2'), key('foo(1)'));
  assert.is(round('in_port(1),eth()', 'foo'), 'ovs-dpctl: parsing actions (Invalid argument)\n');
  assert.is(round('tunnel(tun_id=1,dst=1.2.3.4),eth()', '2'), 'ovs-dpctl: updating flow table (Invalid argument)\n');
  assert.is(round('in_port(1),eth_type(0x0806)', '2'), 'podwire: "ovs-dpctl … eth_type" is not supported yet\n');
  assert.is(round('in_port(1),eth()', 'ct(commit),1'), 'podwire: "ovs-dpctl … ct" is not supported yet\n');
}); // prettier-ignore

Odp('commands know their datapaths, ports and flows', () => {
  const { kernel, run } = machine();
  assert.equal(run('dump-flows'), { exit: 1, out: '', err: 'ovs-dpctl: no datapaths exist\novs-dpctl: datapath not found (Invalid argument)\n' });
  assert.is(run('add-dp dp').exit, 0);
  assert.is(run('add-dp dp').err, 'ovs-dpctl: add_dp (File exists)\n');
  assert.is(run('add-if dp nodev').err, 'ovs-dpctl: nodev: failed to open network device (No such device)\n');
  assert.is(run('add-if dp in0,type=internal').exit, 0);
  assert.is(run('add-if dp lo').exit, 1);
  assert.is(run('dump-dps').out, 'system@dp\n');
  assert.match(run('show').out, /  port 0: dp \(internal\)\n  port 1: in0 \(internal\)\n$/);
  assert.is(run('nonsense').err, "ovs-dpctl: unknown command 'nonsense'; use --help for help\n");
  assert.is(run('add-if dp').err, "ovs-dpctl: 'add-if' command requires at least 2 arguments\n");
  assert.is(run("add-flow dp 'in_port(1),eth()' 0").exit, 0);
  assert.is(run("add-flow dp 'in_port(1),eth(src=02:00:00:00:00:01)' 0").exit, 1);
  assert.is(run("mod-flow dp 'in_port(2),eth()' 0").err, 'ovs-dpctl: updating flow table (No such file or directory)\n');
  assert.is(run("mod-flow dp 'in_port(1),eth()' ''").exit, 0);
  assert.is(run('add-flows dp -', "# a comment\nin_port(2),eth() 1\nbroken\ndelete in_port(1),eth()\n").err, 'ovs-dpctl: Failed parsing line number 3, skipped!\n');
  assert.match(run('dump-flows').out, /^in_port\(2\),eth\(\),eth_type\(0\/0x0000\), packets:0, bytes:0, used:never, actions:1\n$/);
  assert.is(run('del-if dp in0').exit, 0);
  assert.is(datapathOf(kernel.netns.get('root')!, 'in0'), null);
  assert.is(run('del-dp dp').exit, 0);
  assert.is(kernel.netns.get('root')!.dev('dp'), null);
}); // prettier-ignore

Odp.run();
