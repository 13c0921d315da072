/** What becomes of commands that podwire cannot do, that fail, and of servers that die. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../sim/input-error.js';
import { runLab } from './engine.js';
import { parseLab } from './lab.js';

const lab = (steps: string, setup = ''): ReturnType<typeof runLab> =>
  runLab(
    parseLab(
      `kind: Lab\nmetadata: { name: x }\nspec:\n  setup: |\n    ip netns add a\n    ip -n a link set lo up\n${setup}  steps:${steps === '' ? ' []' : `\n${steps}`}\n`,
      'x.yaml',
    ),
  );
const step = (run: string, more = ''): string => `  - { at: 0s, run: ip netns exec a ${run}${more} }\n`;
const refused = (steps: string, setup = ''): string => {
  try {
    lab(steps, setup);
  } catch (e) {
    if (e instanceof InputError) return e.message;
    throw e;
  }
  return 'not refused';
};

const Engine = suite('lib/lab/engine');

for (const [run, why] of [
  ['ping -A 127.0.0.1', 'ping: option -A is not supported yet'],
  ['curl --http2 http://127.0.0.1/', 'curl: option --http2 is not supported yet'],
  ['nc -q 1 127.0.0.1 80', 'nc: option -q is not supported yet'],
  ['dig +keepopen x', 'dig: +keepopen is not supported yet'],
  ['getent passwd x', 'getent: "passwd x" is not supported yet, only hosts'],
  ['ip -j addr', '"ip -j" is not supported yet'],
  ['ip link add d type macvlan', '"ip link add … type macvlan" is not supported yet'],
  ['iptables -A INPUT -m quota --quota 1 -j DROP', 'iptables: match quota is not supported yet'],
  ['iptables -A INPUT -j TEE --gateway 10.0.0.1', 'iptables: target TEE is not supported yet'],
  ['ipvsadm --start-daemon master', 'ipvsadm: --start-daemon is not supported yet'],
  ['ipset create x hash:mac', 'ipset: type hash:mac is not supported yet'],
  ['ipset create x hash:ip counters', 'ipset: counters is not supported yet'],
  ['conntrack -I', 'conntrack: -I is not supported yet'],
  ['ip link add d type macvlan 2>/dev/null', '"ip link add … type macvlan" is not supported yet'],
  ['nmap 127.0.0.1', 'unknown command "nmap", expected one of: arping, bridge, cat, '],
  ['constructor', 'unknown command "constructor", expected one of: '],
  ['ip netns exec root toString x', 'unknown command "toString", expected one of: '],
  ['podwire app frob', 'unknown command "podwire app frob", expected one of: '],
  [
    'podwire fault conntrack-race twice',
    'fault: found "conntrack-race twice", expected conntrack-race drop|resolve|off',
  ],
  ['podwire app echo --udp 7 --stray 9', 'app echo: found "--udp 7 --stray 9", expected '],
  ['podwire app echo --tcp 7 --stray 0', 'app echo: found "--tcp 7 --stray 0", expected '],
  ['podwire app echo --tcp 7 --stray', 'app echo: found "--tcp 7 --stray", expected '],
  ['tc qdisc add dev lo root htb', '"tc qdisc … htb" is not supported yet'],
  [
    'tc qdisc add dev lo root netem delay 1ms 1ms distribution normal',
    '"netem distribution normal" is not supported yet',
  ],
  ['kubectl get pods', 'kubectl needs a cluster'],
] as const) {
  Engine(`a step "${run}" is refused with its place`, () => {
    assert.ok(refused(step(run)).startsWith(`x.yaml:8:20: ${why}`), refused(step(run)));
  });
}
Engine('what podwire cannot do in a heredoc is refused at its line', () => {
  const rules = "    iptables-restore <<'E'\n    *filter\n    -A INPUT -m quota --quota 1\n    COMMIT\n    E\n";
  assert.is(refused('', rules), 'x.yaml:9:5: iptables: match quota is not supported yet');
});
Engine('a setup line of a heredoc that fails is named', () => {
  const rules = "    iptables-restore <<'E'\n    *filter\n    -A INPUT --frob\n    COMMIT\n    E\n";
  assert.match(refused('', rules), /^x\.yaml:9:5: setup command failed: iptables-restore .*unknown option "--frob"/);
});
Engine('a command that fails as the real one would is a result, and a note unless its exit is expected', () => {
  const { steps, notes } = lab(step('iptables -A INPUT -m geoip -j DROP') + step('ip link frob', ', expect: { exit: 255 }')); // prettier-ignore
  assert.equal(steps.map((s) => s.exit), [2, 255]); // prettier-ignore
  assert.equal(notes, [
    "x.yaml:8:20: note: exit 2: iptables v1.8.9 (legacy): Couldn't load match `geoip':No such file or directory",
  ]);
});
Engine('a namespace that is not there is noted', () => {
  const { notes } = lab('  - { at: 0s, run: ip netns exec b ping 127.0.0.1 }\n');
  assert.equal(notes, ['x.yaml:8:20: note: exit 255: Cannot open network namespace "b": No such file or directory']);
});
Engine('sleep takes units and refuses what is no time in its own words', () => {
  const { steps } = lab('  - at: 0s\n    run: |\n      sleep 0.5 1m\n      sleep x\n');
  assert.is(steps[0]!.exit, 1);
  assert.match(steps[0]!.stderr, /^sleep: invalid time interval 'x'\n/);
});
Engine('a server that dies at once is an error of the setup', () => {
  const twice = '    ip netns exec a podwire app echo --udp 53 &\n'.repeat(2);
  assert.is(refused('', twice), 'x.yaml:8:5: "ip netns exec a podwire app echo --udp 53" ended at once with exit 1: podwire app echo: port 53 is in use'); // prettier-ignore
});
Engine('a server of a step that dies is noted', () => {
  const { notes } = lab('  - at: 0s\n    run: |\n      nc -l 80 &\n      podwire app http --port 80 &\n');
  assert.equal(notes.length, 1);
  assert.match(
    notes[0]!,
    /^x\.yaml:11:7: note: "podwire app http --port 80" ended with exit 1: podwire app http: port 80/,
  );
});
Engine('a client that runs to the end has no exit code, though its server was killed first', () => {
  const server = '    ip netns exec a podwire app echo --tcp 7 &\n';
  const { steps } = lab(step('nc 127.0.0.1 7 <<< x') + '  until: 2s\n', server);
  assert.is(steps[0]!.exit, null);
  assert.is(steps[0]!.stdout, 'x\n');
});
Engine('a capture of a device that never was is refused at its entry', () => {
  const text = `kind: Lab\nmetadata: { name: x }\nspec:\n  setup: ip link set lo up\n  captures: [ root/lo, zz/eth0 ]\n`;
  assert.throws(() => runLab(parseLab(text, 'x.yaml')), /^x\.yaml:5:24: captures: there was never a device "zz\/eth0"/);
});
Engine.run();
