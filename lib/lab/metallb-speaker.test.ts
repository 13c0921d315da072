/** MetalLB's speakers: who announces, the frames of it, what happens when a node is lost. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hex } from '../../wire/bytes.js';
import { type PcapFrame, readPcap } from '../../wire/pcap.js';
import { runLab } from './engine.js';
import { parseLab } from './lab.js';

/** Three speakers at 10.0.0.1 to .3 on a switch, and a client at .9. */
function lab(config: string, steps: string, until: string): { ns: number; data: Uint8Array }[] {
  const names = ['n1', 'n2', 'n3', 'c'];
  const address = (n: string): string => `10.0.0.${n === 'c' ? 9 : n.slice(1)}`;
  const links = names.map((n, i) => `    ip netns add ${n}
    ip link add eth0 netns ${n} address 02:00:00:00:00:0${i + 1} type veth peer name ${n} netns sw
    ip -n ${n} addr add ${address(n)}/24 dev eth0
    ip -n ${n} link set eth0 up
    ip -n sw link set ${n} master br0
    ip -n sw link set ${n} up
`); // prettier-ignore
  const speakers = names.slice(0, 3).map((n) => {
    const peers = names.slice(0, 3).filter((x) => x !== n).map((x) => ` --peer ${x}=${address(x)}`); // prettier-ignore
    return `  - { at: 0s, run: ip netns exec ${n} podwire app metallb-speaker --node ${n} --address ${address(n)}${peers.join('')} --config /run/config & }\n`; // prettier-ignore
  });
  const text = `kind: Lab
metadata: { name: t }
spec:
  setup: |
    ip netns add sw
    ip -n sw link add br0 type bridge
    ip -n sw link set br0 up
${links.join('')}    echo '${config}' > /run/config
  steps:
${speakers.join('')}${steps}  until: ${until}
`;
  const tap = runLab(parseLab(text, 't.yaml')).taps.find((t) => t.iface === 'c/eth0')!;
  if (tap.frames === 0) return [];
  const frames: PcapFrame[] = readPcap(Buffer.concat(tap.pcap())).frames;
  return frames.map((f, i) => ({ ns: tap.stampOf(i), data: f.data }));
}
/** `time node request|reply target` of the ARP frames that announce an address other than the nodes' own. */
function announced(frames: ReturnType<typeof lab>): string[] {
  const out: string[] = [];
  for (const f of frames) {
    if (f.data.length !== 60 || hex(f.data, 12, 14) !== '0806') continue;
    const to = hex(f.data, 0, 6) === 'ffffffffffff' ? 'all' : 'one';
    out.push(
      `${(f.ns / 1e9).toFixed(2)} n${f.data[11]} ${f.data[21] === 1 ? 'request' : 'reply'} .${f.data[31]} ${to}`,
    );
  }
  return out;
}

const Speaker = suite('lib/lab/metallb-speaker');
Speaker('the first of an address announces it in five rounds of a request and a reply, and answers', () => {
  const tap = lab('10.0.0.100 n2 n1 n3', "  - { at: 5s, run: 'ip netns exec c ping -c 1 -W 1 10.0.0.100' }\n", '7s');
  const t = tap[0]!.ns / 1e9;
  const rounds = [0, 1.1, 2.2, 3.3, 4.4].map((x) => (t + x).toFixed(2));
  assert.equal(announced(tap), [...rounds.flatMap((x) => [`${x} n2 request .100 all`, `${x} n2 reply .100 all`]), `${(t + 5).toFixed(2)} n2 reply .100 one`]); // prettier-ignore
  const first = tap[0]!.data;
  assert.is(hex(first, 0, 60), `ffffffffffff020000000002080600010800060400010200000000020a000064ffffffffffff0a000064${'00'.repeat(18)}`);
}); // prettier-ignore
Speaker('the next one takes over 4 s after an answer is missing', () => {
  const tap = lab('10.0.0.100 n2 n3 n1', '  - { at: 6.5s, run: ip -n n2 link set eth0 down }\n', '16s');
  const t = tap[0]!.ns / 1e9;
  const by = announced(tap).filter((l) => l.includes(' n3 ') || l.includes(' n1 '));
  assert.ok(by.every((l) => l.includes(' n3 ')), by.join('\n')); // prettier-ignore
  const after = Number(by[0]!.split(' ')[0]) - t - 6.5;
  assert.ok(after > 5 && after < 8, `after ${after} s`);
});
Speaker('a line without nodes is announced by nobody; a change of the file by somebody else', () => {
  assert.equal(announced(lab('10.0.0.100', '  - { at: 1s, run: ip netns exec c ping -c 1 -W 1 10.0.0.100 }\n', '3s')), []);
  const tap = lab('10.0.0.100 n1', "  - { at: 1.5s, run: echo '10.0.0.100 n3' > /run/config }\n", '2s');
  assert.equal(announced(tap).map((l) => l.split(' ')[1]), ['n1', 'n1', 'n1', 'n1', 'n3', 'n3']);
}); // prettier-ignore
Speaker.run();
