/** Health checks: what they send, when they change a target's state, what they run then. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runLab } from './engine.js';
import { parseLab } from './lab.js';
import { isWhole } from '../apps/probe.js';
import { probeArgs } from '../apps/probe-args.js';

/** A target at 10.0.0.2 and a prober at 10.0.0.1, whose namespace runs `steps`. */
const lab = (probe: string, steps: string, until = '10s') => runLab(parseLab(`kind: Lab
metadata: { name: t }
spec:
  setup: |
    ip netns add a
    ip netns add b
    ip link add eth0 netns a address 02:00:00:00:00:01 type veth peer name eth0 netns b address 02:00:00:00:00:02
    ip -n a addr add 10.0.0.1/24 dev eth0
    ip -n b addr add 10.0.0.2/24 dev eth0
    ip -n a link set eth0 up
    ip -n b link set eth0 up
    ip netns exec a podwire app probe ${probe} &
  steps:
${steps}
  until: ${until}
`, 't.yaml')); // prettier-ignore
const NAT = (name: string): string => `'iptables -t nat -N ${name}'`;
const chains = (s: ReturnType<typeof lab>): string[] => s.steps.filter((x) => x.command.includes('-t nat -S')).map((x) => [...x.stdout.matchAll(/^-N (\w+)/gm)].map((m) => m[1]!).join('')); // prettier-ignore
const look = (at: string): string => `  - { at: ${at}, run: ip netns exec a iptables -t nat -S }\n`;

const Probe = suite('lib/lab/probe');
Probe('a target is healthy after N good answers, and unhealthy after M bad ones', () => {
  const r = lab(
    `--http 10.0.0.2:80/ready --interval 1 --timeout 0.5 --delay 1 --healthy 2 --unhealthy 3 --up ${NAT('UP')} --up ${NAT('UP2')} --down ${NAT('DOWN')}`,
    `  - { at: 0.5s, run: ip netns exec b podwire app http --port 80 & }\n${look('1.5s')}${look('2.5s')}  - { at: 3.5s, run: 'ip netns pids b | xargs kill -KILL' }\n${look('6.5s')}${look('7.5s')}`,
  );
  // Probes at 0 s (nobody there), 1 s, 2 s, 3 s (good), 4 s, 5 s, 6 s (refused).
  assert.equal(chains(r), ['', 'UPUP2', 'DOWNUPUP2', 'DOWNUPUP2']);
});
Probe('over TCP a connection is enough; one that hangs is given up in time', () => {
  const r = lab(
    `--tcp 10.0.0.2:80 --interval 1 --timeout 0.5 --up ${NAT('UP')} --down ${NAT('DOWN')}`,
    `  - { at: 0.5s, run: ip netns exec b podwire app echo --tcp 80 & }\n${look('1.2s')}  - { at: 1.5s, run: ip netns exec b iptables -I INPUT -j DROP }\n${look('2.4s')}${look('2.6s')}`,
    '3s',
  );
  assert.equal(chains(r), ['UP', 'UP', 'DOWNUP']);
});
Probe('one that hangs until the next attempt begins is given up as well', () => {
  const r = lab(
    `--tcp 10.0.0.2:80 --interval 1 --timeout 1 --unhealthy 2 --up ${NAT('UP')} --down ${NAT('DOWN')}`,
    `  - { at: 0.5s, run: ip netns exec b podwire app echo --tcp 80 & }\n${look('1.2s')}  - { at: 1.5s, run: ip netns exec b iptables -I INPUT -j DROP }\n${look('3.9s')}${look('4.1s')}`,
    '5s',
  );
  assert.equal(chains(r), ['UP', 'UP', 'DOWNUP']);
});
Probe('an answer other than 200 is a bad one', () => {
  const health = (n: number): string =>
    `  - { at: 0s, run: ip netns exec b podwire app health --port 80 --service a/b --endpoints ${n} & }\n${look('2s')}`;
  const probe = `--http 10.0.0.2:80/ --interval 1 --timeout 0.5 --up ${NAT('UP')}`;
  assert.equal(chains(lab(probe, health(0), '3s')), ['']);
  assert.equal(chains(lab(probe, health(1), '3s')), ['UP']);
});
Probe('the endpoints that a health server counts may stand in a file; what is no number is none', () => {
  const health = `  - { at: 0s, run: ip netns exec b podwire app health --port 80 --service a/b --endpoints /n & }\n`;
  const write = (at: string, text: string): string => `  - { at: ${at}, run: echo '${text}' > /n }\n`;
  const ask = (at: string): string => `  - { at: ${at}, run: ip netns exec a curl -s http://10.0.0.2/ }\n`;
  const r = lab('--tcp 10.0.0.2:81 --interval 5 --timeout 1', `${health}${ask('1s')}${write('2s', '3')}${ask('3s')}${write('4s', 'x')}${ask('5s')}`, '6s'); // prettier-ignore
  const counts = r.steps.filter((s) => s.command.includes('curl')).map((s) => /"localEndpoints": (.*),/.exec(s.stdout)?.[1]); // prettier-ignore
  assert.equal(counts, ['0', '3', '0']);
});
Probe('isWhole() goes by Content-Length', () => {
  const head = 'HTTP/1.1 200 OK\r\nA: b\r\ncontent-length: 3\r\n\r\n';
  assert.equal(['', 'ab', 'abc', 'abcd'].map((b) => isWhole(head + b)), [false, false, true, true]);
  for (const bad of [head.slice(0, -1), 'HTTP/1.1 200 OK\r\n\r\nContent-Length: 0\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n']) assert.not(isWhole(bad));
}); // prettier-ignore
Probe('an answer is waited for to its end where the target is asked to close', () => {
  const probe = `--close --http 10.0.0.2:80/ --interval 1 --timeout 0.5 --up ${NAT('UP')}`;
  assert.equal(chains(lab(probe, `  - { at: 0s, run: ip netns exec b podwire app http --port 80 & }\n${look('2s')}`, '3s')), ['UP']);
}); // prettier-ignore
Probe('probeArgs() builds the request, and takes nothing that it does not know', () => {
  const args = (text: string): ReturnType<typeof probeArgs> => probeArgs(text.split(' '));
  const ok = '--http 10.0.0.2:80/x --interval 3 --timeout 1.5';
  const request = 'GET /x HTTP/1.1\r\nHost: 10.0.0.2:80\r\nUser-Agent: A/1\r\n\r\n';
  assert.is(args(`${ok} --agent A/1`)!.request, request);
  assert.is(args(`--close ${ok} --agent A/1`)!.request, request.replace('User', 'Connection: close\r\nUser'));
  assert.equal(probeArgs([...ok.split(' '), '--up', ' ipvsadm  -C '])!.up, [['ipvsadm', '-C']]);
  for (const bad of ['', ok.replace('/x', ''), ok.replace('--http', '--tcp'), `${ok} --tcp 10.0.0.2:80`, ok.replace('80', '0'), ok.replace('1.5', '4'), `${ok} --healthy 0`, `${ok} --up`, `${ok} --bogus 1`, `${ok} --interval 3`])
    assert.is(args(bad), null, bad);
}); // prettier-ignore
Probe.run();
