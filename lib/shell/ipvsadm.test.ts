import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootKernel } from '../linux/core/machine.js';
import type { Netns } from '../linux/core/netns.js';
import { aton } from '../../wire/inet.js';
import { schedule } from '../linux/ipvs/core.js';
import { ipvs } from '../linux/ipvs/ctl.js';
import { setTcpState } from '../linux/ipvs/proto.js';
import { ipvsadm } from './ipvsadm.js';

const fresh = (): Netns => bootKernel(1).netns.get('root')!;
const run = (net: Netns, line: string): string => {
  const r = ipvsadm(net, line.split(' '), '');
  assert.is(r.err, '');
  return r.out;
};

/** Last octets that 16 connections of clients 10.1.0.1 .. .8 get; X: refused. */
function picks(net: Netns, proto: number, n = 16, cport = 2000): string {
  const v = ipvs(net);
  const vaddr = aton('10.96.0.1')!;
  const s = v.find(proto, vaddr, 53, 0)!;
  let out = '';
  for (let k = 0; k < n; k++) {
    const caddr = aton(`10.1.0.${(k % 8) + 1}`)!;
    const c = schedule(v, s, { proto, caddr, cport: cport + k, vaddr, vport: 53 });
    if (c !== null && proto === 6) setTcpState(v.timeouts, c, 0, 2);
    out += c === null ? 'X' : String(c.daddr & 255);
  }
  return out;
}

function sequence(sched: string, weights: number[], proto = 't', cport = 2000): string {
  const net = fresh();
  run(net, `-A -${proto} 10.96.0.1:53 -s ${sched}`);
  weights.forEach((w, i) => run(net, `-a -${proto} 10.96.0.1:53 -r 10.2.0.${i + 1}:53 -m -w ${w}`));
  return picks(net, proto === 't' ? 6 : 17, 16, cport);
}

const Ipvsadm = suite('lib/shell/ipvsadm');
Ipvsadm('schedulers serve in the order that the kernel was seen to serve', () => {
  assert.is(sequence('rr', [1, 1, 1], 'u'), '3213213213213213');
  assert.is(sequence('wrr', [1, 2, 3]), '3213323213323213');
  assert.is(sequence('wrr', [2, 4, 6]), '3213323213323213');
  assert.is(sequence('wrr', [5, 1, 1]), '3211111321111132');
  assert.is(sequence('wrr', [3, 0, 5]), '3133313131333131');
  assert.is(sequence('lc', [1, 2, 3]), '3213213213213213');
  assert.is(sequence('wlc', [1, 2, 3]), '3213233213233213');
  assert.is(sequence('sed', [1, 2, 3]), '3233213233213233');
  assert.is(sequence('sed', [1, 2, 3], 'u'), '3333333333333333');
  assert.is(sequence('nq', [1, 2, 3]), '3213323233213233');
  assert.is(sequence('ovf', [1, 2, 3]), '333322211XXXXXXX');
  assert.is(sequence('fo', [3, 3, 1]), '2222222222222222');
  assert.is(sequence('lblc', [1, 2, 3]), '3333222111111111');
  assert.is(sequence('lblcr', [1, 2, 3]), '3333222113231233');
  assert.is(sequence('sh', [1, 1, 1]).slice(0, 8), '33121313');
  assert.is(sequence('sh', [1, 2, 3]).slice(0, 8), '32131333');
  assert.is(sequence('sh', [1, 0, 1]).slice(0, 8), '331X1313');
  assert.is(sequence('sh -b sh-fallback', [1, 0, 1]).slice(0, 8), '33111313');
  assert.is(sequence('mh', [1, 1, 1]).slice(0, 8), '23322131');
  assert.is(sequence('mh', [1, 2, 3]).slice(0, 8), '23322133');
  assert.is(sequence('mh', [1, 0, 1]).slice(0, 8), '33333131');
  assert.is(sequence('mh -b mh-port', [1, 1, 1], 't', 14600), '3333133113311131');
});
Ipvsadm('a server of mh keeps its slots when its weight becomes 0', () => {
  for (const [sched, expected] of [
    ['mh', 'X33XX131'],
    ['mh -b mh-fallback', '13333131'],
  ]) {
    const net = fresh();
    run(net, `-A -t 10.96.0.1:53 -s ${sched}`);
    for (const i of [1, 2, 3]) run(net, `-a -t 10.96.0.1:53 -r 10.2.0.${i}:53 -m -w 1`);
    run(net, '-e -t 10.96.0.1:53 -r 10.2.0.2:53 -m -w 0');
    assert.is(picks(net, 6, 8), expected);
  }
});
Ipvsadm('save and restore round trip, list prints the padded form', () => {
  const net = fresh();
  const text =
    '-A -t 10.96.0.1:53 -s rr -p 360\n-a -t 10.96.0.1:53 -r 10.2.0.1:53 -m -w 1\n-A -u 10.96.0.1:53 -s sh -b sh-port\n' +
    '-A --sctp-service 10.96.0.1:53 -s mh -b mh-fallback,mh-port\n';
  assert.is(ipvsadm(net, ['-R'], text).exit, 0);
  assert.is(run(net, '-Sn'), text);
  assert.is(run(net, '-Ln').split('\n')[4], '  -> 10.2.0.1:53                  Masq    1      0          0         ');
});
Ipvsadm('lists sort addresses by their signed difference, as ipvsadm does', () => {
  const net = fresh();
  for (const a of ['10.96.0.1', '192.0.2.22', '198.51.100.4']) run(net, `-A -t ${a}:80 -s rr`);
  const order = run(net, '-Sn').split('\n').map((l) => l.split(' ')[2]); // prettier-ignore
  assert.equal(order.slice(0, 3), ['192.0.2.22:80', '198.51.100.4:80', '10.96.0.1:80']);
});
Ipvsadm.run();
