/** Outputs of steps: what may differ, how much, and that nothing else may. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compareSteps, stepDifferenceText, type StepOutput } from './compare-steps.js';
import { Mappings } from './equivalence.js';

const step = (stdout: string, more: Partial<StepOutput> = {}): StepOutput => ({
  at: 0,
  command: 'cmd',
  exit: 0,
  stdout,
  stderr: '',
  ...more,
});

/** The rules that were needed, or the first difference. */
function run(e: string, a: string, maps = new Mappings(), text = ''): string {
  const r = compareSteps([step(e)], [step(a)], { maps, text });
  const d = r.differences[0];
  return d === undefined ? Object.keys(r.equivalences).sort().join(' ') : `${d.field}: ${d.expected} | ${d.actual}`;
}

const Steps = suite('lib/capture/compare-steps');

Steps('compareSteps() names step, command, field, and both values', () => {
  const e = [step('a\n'), step('a\nb\nc\n', { command: 'ip netns exec x cat <<E\nb\nE\n' })];
  const a = [step('a\n'), step('a\nx\nc\n', { command: 'ip netns exec x cat <<E\nb\nE\n' })];
  const { differences } = compareSteps(e, a, { maps: new Mappings() });
  assert.equal(
    differences.map((d) => stepDifferenceText('demo', d)),
    ['demo: step 2 (ip netns exec x cat <<E): stdout line 2: expected "b", actual "x"'],
  );
});
Steps('compareSteps() compares exit codes, stderr, the number of lines and of steps', () => {
  const first = (e: StepOutput, a: StepOutput): string => {
    const d = compareSteps([e], [a], { maps: new Mappings() }).differences[0];
    return d === undefined ? '' : `${d.field}: ${d.expected} | ${d.actual}`;
  };
  assert.is(first(step('', { exit: 1 }), step('', { exit: 0 })), 'exit: 1 | 0');
  assert.is(first(step('', { exit: null }), step('', { exit: 0 })), 'exit: still running | 0');
  assert.is(first(step('', { stderr: 'x\n' }), step('')), 'stderr line 1: "x" | no line');
  assert.is(first(step('a\n'), step('a\nb\n')), 'stdout line 2: no line | "b"');
  assert.is(first(step('a\n'), step('a')), 'stdout line 2: no line | "\\ no newline at the end"');
  assert.is(first(step('', { command: 'x' }), step('', { command: 'y' })), 'command: x | y');
  assert.is(compareSteps([step('')], [], { maps: new Mappings() }).differences[0]!.field, 'steps');
});
Steps('steps of kubectl are ours alone', () => {
  const k = step('NAME\n', { command: 'kubectl get svc' });
  assert.equal(compareSteps([step('a')], [k, step('a')], { maps: new Mappings() }).differences, []);
  assert.is(compareSteps([k], [{ ...k, stdout: 'x' }], { maps: new Mappings() }).differences.length, 1);
});

const REPLY = '64 bytes from 10.0.1.2: icmp_seq=1 ttl=64 time=0.112 ms\n';
Steps('ping: times may be near, everything else is equal', () => {
  assert.is(run(REPLY, REPLY.replace('0.112', '0.001')), 'ping-time');
  assert.is(run(REPLY.replace('0.112', '100'), REPLY.replace('0.112', '112')), 'ping-time');
  for (const [from, to] of [['0.112', '50.1'], ['ttl=64', 'ttl=63'], ['seq=1', 'seq=2'], [' ms', '']] as const) {
    assert.match(run(REPLY, REPLY.replace(from, to)), /^stdout line 1/);
  } // prettier-ignore
  const rtt = 'rtt min/avg/max/mdev = 0.113/0.146/0.179/0.033 ms\n';
  assert.is(run(rtt, 'rtt min/avg/max/mdev = 0.000/0.000/0.000/0.000 ms\n'), 'ping-time');
  assert.match(run(rtt, 'rtt min/avg/max/mdev = 0.113/0.146/90.179/0.033 ms\n'), /^stdout/);
  const sum = '2 packets transmitted, 2 received, 0% packet loss, time 1003ms\n';
  assert.is(run(sum, sum.replace('1003', '1000')), 'ping-time');
  assert.match(run(sum, sum.replace('1003', '2000')), /^stdout/);
  assert.match(run(sum, sum.replace('2 received', '1 received')), /^stdout/);
});

const CT = (s: number, port: number, dst = '10.0.1.3'): string =>
  `udp      17 ${s} src=10.0.1.2 dst=${dst} sport=${port} dport=53 src=${dst} dst=10.0.1.2 sport=53 dport=${port} mark=0 use=1\n`;
Steps('conntrack -L: any order, seconds near, the ports of the frames', () => {
  assert.is(run(CT(29, 40000), CT(28, 40000)), 'seconds-left');
  assert.match(run(CT(29, 40000), CT(26, 40000)), /^stdout/);
  assert.is(run(CT(29, 40000) + CT(9, 40001), CT(9, 50001) + CT(29, 50000)), 'order port');
  assert.match(run(CT(29, 40000) + CT(29, 40001), CT(29, 50001) + CT(29, 50001)), /^stdout line 2/);
  assert.match(run(CT(29, 40000), CT(29, 53)), /^stdout/);
  assert.match(run(CT(29, 40000), CT(29, 40000).replace('mark=0', 'mark=1')), /^stdout/);
  assert.match(run(CT(29, 40000), CT(29, 40000) + CT(29, 40001)), /^stdout line 2: no line/);
  const maps = new Mappings();
  maps.pair('port', '17', 40000, 50000);
  assert.is(run(CT(29, 40000), CT(29, 50000), maps), 'port');
  assert.match(run(CT(29, 40000), CT(29, 40000), maps), /^stdout/, 'equal text, but not the port of the frames');
  assert.match(run(CT(29, 40000), CT(29, 50001), maps), /^stdout/);
});
Steps('conntrack -L: pairs known from the frames go before guesses', () => {
  const maps = new Mappings();
  maps.pair('port', '17', 40002, 50002);
  const e = CT(29, 40001) + CT(29, 40002);
  assert.is(run(e, CT(29, 50002) + CT(29, 50001), maps), 'order port');
});
Steps('a printed address and port is equal or the one of the frames', () => {
  const maps = new Mappings();
  maps.pair('port', '6', 40000, 50000);
  assert.is(run('RemoteAddr: 10.0.1.2:40000\n', 'RemoteAddr: 10.0.1.2:50000\n', maps), 'port');
  assert.match(run('RemoteAddr: 10.0.1.2:40001\n', 'RemoteAddr: 10.0.1.2:50001\n', maps), /^stdout/);
  assert.match(run('to:10.0.1.3:5353\n', 'to:10.0.1.3:5354\n', maps), /^stdout/);
});
Steps('ipset: members of hash sets in any order, of others in order; the initval is random', () => {
  const list = (type: string, ...m: string[]): string =>
    `Name: A\nType: ${type}\nHeader: family inet initval 0x01234567\nMembers:\n${m.join('\n')}\n`;
  assert.is(run(list('hash:ip', '10.0.0.1', '10.0.0.2'), list('hash:ip', '10.0.0.2', '10.0.0.1')), 'order');
  assert.match(run(list('hash:ip', '10.0.0.1'), list('hash:ip', '10.0.0.2')), /^stdout line 5/);
  assert.match(run(list('list:set', 'a', 'b'), list('list:set', 'b', 'a')), /^stdout line 5/);
  const save = (a: string, b: string): string => `create A hash:ip initval 0x${a}\nadd A 10.0.0.1\nadd A ${b}\n`;
  assert.is(run(save('00000001', '10.0.0.2'), save('0000000f', '10.0.0.2')), 'initval');
  assert.match(run('add A 1\nadd A 2\n', 'add A 2\nadd A 1\n'), /^stdout line 1/);
});
Steps("ip -d link: a bridge's timer runs since the setup, the rest of its line is equal", () => {
  const line = (gc: string, age = 30000): string =>
    `    bridge forward_delay 1500 hello_time 200 max_age 2000 ageing_time ${age} stp_state 0 gc_timer  ${gc} vlan_default_pvid 1 \n`;
  assert.is(run(line('299.10'), line('283.54')), 'bridge-timer');
  assert.match(run(line('299.10'), line('183.54')), /^stdout line 1/);
  assert.match(run(line('299.10'), line('299.10', 20000)), /^stdout line 1/);
});
Steps('ovs-dpctl: flows in any order, used at about the same time, masks in an order of their own', () => {
  const flow = (port: number, used = '1.200s', packets = 3): string =>
    `in_port(${port}),eth(src=02:00:00:00:00:01),eth_type(0/0x0000), packets:${packets}, bytes:98, used:${used}, flags:S, actions:2\n`;
  assert.is(run(flow(1) + flow(2), flow(2) + flow(1)), 'order');
  assert.is(run(flow(1), flow(1, '2.900s')), 'seconds-since');
  assert.match(run(flow(1), flow(1, '3.900s')), /^stdout line 1/);
  assert.match(run(flow(1), flow(1, 'never')), /^stdout line 1/);
  assert.match(run(flow(1), flow(1, '1.200s', 4)), /^stdout line 1/);
  const masks = (hit: number, total: number): string => `  masks: hit:${hit} total:${total} hit/pkt:1.50\n`;
  assert.is(run(masks(23, 2), masks(21, 2)), 'mask-order');
  assert.match(run(masks(23, 2), masks(23, 3)), /^stdout line 1/);
  assert.match(run(masks(23, 2), masks(29, 2)), /^stdout line 1/);
  assert.is(run('  cache: hit:6 hit-rate:31.58%\n', '  cache: hit:5 hit-rate:26.32%\n'), 'mask-order');
  assert.match(run('  lookups: hit:6 missed:0 lost:0\n', '  lookups: hit:6 missed:1 lost:0\n'), /^stdout line 1/);
});
Steps('dates, random addresses, IPVS connections', () => {
  const d = '# Generated by iptables-save v1.8.9 on ';
  assert.is(run(`${d}Tue Nov  3 10:00:00 2026\n`, `${d}Mon Jan  1 00:00:05 2024\n`), 'date');
  assert.match(run(`${d}Tue Nov  3 10:00:00 2026\n`, `${d}today\n`), /^stdout/);
  const mac = (x: string): string => `    link/ether ${x} brd ff:ff:ff:ff:ff:ff\n`;
  assert.is(run(mac('02:00:00:00:00:01'), mac('ae:00:00:00:00:02')), 'mac');
  assert.match(run(mac('02:00:00:00:00:01'), mac('ae:00:00:00:00:02'), new Mappings(), '02:00:00:00:00:01'), /^stdout/);
  assert.match(run(mac('00:00:00:00:00:01'), mac('00:00:00:00:00:02')), /^stdout/);
  const conn = (t: string, p: number): string =>
    `UDP 04:${t}  UDP         10.0.1.2:${p}     10.96.0.10:53      10.0.1.3:53\n`;
  assert.is(
    run(conn('59', 40000) + conn('10', 40001), conn('11', 50001) + conn('58', 50000)),
    'order port seconds-left',
  );
  assert.match(run(conn('59', 40000), conn('56', 40000)), /^stdout/);
});
Steps.run();
