/**
 * The data path allocates nothing per hop: heap growth over many forwarded, translated packets.
 *
 * Measured in a process of its own (this file, run with the word `measure`), where no other test has made the code polymorphic.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as eth from '../../wire/ethernet.js';
import { aton } from '../../wire/inet.js';
import * as ipv4 from '../../wire/ipv4.js';
import * as udp from '../../wire/udp.js';
import { bootKernel, createNetns } from '../linux/core/machine.js';
import { netifRx } from '../linux/core/netdev.js';
import { addDummy, addVeth } from '../linux/device/devices.js';
import { addAddress, devOpen } from '../linux/ipv4/devinet.js';
import { iptablesRestore } from './iptables-restore.js';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** Few enough that no scavenge hides what was allocated. */
const PACKETS = 50_000;

/** Heap bytes per packet of an established DNATed flow through a router. */
function measure(): number {
  const kernel = bootKernel(1);
  const net = createNetns(kernel, 'router');
  const [a] = addVeth(net, 'a', createNetns(kernel, 'x'), 'b');
  const out = addDummy(net, 'out');
  for (const d of [a, out]) {
    devOpen(d);
    d.conf.forwarding = 1;
  }
  const src = aton('10.0.1.2')!;
  const vip = aton('10.96.0.10')!;
  addAddress(a, aton('10.0.1.1')!, 24, null, 0);
  addAddress(out, aton('10.0.2.1')!, 24, null, 0);
  const r = iptablesRestore(
    net,
    [],
    '*nat\n-A PREROUTING -d 10.96.0.10/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.0.2.2:53\nCOMMIT\n',
  );
  assert.is(r.exit, 0, r.err);
  const push = (n: number): void => {
    for (let i = 0; i < n; i++) {
      const skb = kernel.skbs.alloc();
      const o = skb.head;
      eth.write(skb.buf, o, a.mac, eth.BROADCAST, eth.P_IP);
      skb.buf[o + 6] = 2;
      ipv4.write(skb.buf, o + 14, 0, 28 + 18, 1, ipv4.DF, 64, ipv4.UDP, src, vip);
      skb.tail = o + 14 + 46;
      udp.write(skb.buf, o + 34, skb.tail, 40000, 53, src, vip);
      netifRx(a, skb);
      kernel.sim.drain();
    }
  };
  push(300_000);
  // V8 compiles on a second thread, on a busy machine late; what allocates by itself does so every time.
  let least = Infinity;
  for (let i = 0; i < 5; i++) {
    gc();
    const before = process.memoryUsage().heapUsed;
    const sent = out.txPackets;
    push(PACKETS);
    least = Math.min(least, (process.memoryUsage().heapUsed - before) / PACKETS);
    assert.is(out.txPackets - sent, PACKETS);
    assert.is(kernel.skbs.live, 0);
  }
  return least;
}

const Alloc = suite('lib/shell/alloc');

Alloc('an established DNATed packet through a router grows the heap by less than 8 bytes', () => {
  const r = spawnSync(process.execPath, [fileURLToPath(import.meta.url), 'measure'], { encoding: 'utf8' });
  assert.is(r.status, 0, r.stderr);
  assert.ok(Number(r.stdout) < 8, `${r.stdout} bytes per packet`);
});

if (process.argv[2] === 'measure') process.stdout.write(measure().toFixed(1));
else Alloc.run();
