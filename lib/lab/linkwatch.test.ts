/** What a bridge hears of its ports' carriers, and when (net/core/link_watch.c). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runLab } from './engine.js';
import { parseLab } from './lab.js';

const SETUP = ['n', 'a', 'b'].map((n) => `ip netns add ${n}`).concat(
  'ip -n n link add cni0 type bridge',
  'ip -n n addr add 10.0.0.1/24 dev cni0',
  'ip -n n link set cni0 up',
  ...['a', 'b'].flatMap((n, i) => [
    `ip -n ${n} link add eth0 address 02:00:00:00:00:0${n} type veth peer name v${n} netns n`,
    `ip -n n link set v${n} up`,
    `ip -n n link set v${n} master cni0`,
    `ip netns exec ${n} sysctl -q -w net.ipv4.conf.eth0.arp_notify=1`,
    `ip -n ${n} addr add 10.0.0.${i + 2}/24 dev eth0`,
  ]),
  'ip -n a link set eth0 up',
); // prettier-ignore
const run = (...steps: string[]) => {
  const text = (lines: string[], n: number): string => lines.map((l) => `${' '.repeat(n)}${l}\n`).join('');
  const list = steps.map((s, i) => `  - at: ${i}s\n    run: |\n${text(s.split('\n'), 6)}`).join('');
  return runLab(
    parseLab(`kind: Lab\nmetadata: { name: t }\nspec:\n  setup: |\n${text(SETUP, 4)}  steps:\n${list}`, 't'),
  );
};

const Linkwatch = suite('lib/lab/linkwatch');
Linkwatch('a gratuitous ARP reaches the port, not the bridge: it hears of the carrier afterwards', () => {
  const r = run('ip -n b link set eth0 up');
  const seen = r.taps.filter((t) => t.frames > 0).map((t) => `${t.iface} ${t.frames}`);
  assert.equal(seen.sort(), ['b/eth0 1', 'n/vb 1']);
  const after = run('ip -n b link set eth0 up\nip netns exec b ping -c 1 -W 1 10.0.0.2');
  assert.is(after.steps[0]!.exit, 0);
});
Linkwatch('neighbours behind a bridge go with its last carrier', () => {
  const r = run('ip netns exec n ping -c 1 -W 1 10.0.0.2', 'ip -n n neigh', 'ip -n a link del eth0\nip -n n neigh');
  assert.match(r.steps[1]!.stdout, /^10\.0\.0\.2 dev cni0 lladdr 02:00:00:00:00:0a /);
  assert.is(r.steps[2]!.stdout, '');
});
Linkwatch.run();
