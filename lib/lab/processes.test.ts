/** Programs found by their namespace and ended by signals. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runLab, type StepResult } from './engine.js';
import { parseLab } from './lab.js';

const steps = (...runs: string[]): StepResult[] => {
  const list = runs.map((r, i) => `  - { at: ${i}s, by: kubelet n, run: ${JSON.stringify(r)} }\n`);
  const setup = 'ip netns add a\n    ip -n a link set lo up\n    ip netns exec a podwire app echo --tcp 80 &';
  const text = `kind: Lab\nmetadata: { name: t }\nspec:\n  setup: |\n    ${setup}\n  steps:\n${list.join('')}`;
  return runLab(parseLab(text, 't.yaml')).steps;
};

const Processes = suite('lib/lab/processes');
Processes('ip netns pids names what runs there; kill ends it, and its port is closed', () => {
  const talk = 'ip netns exec a nc -N 127.0.0.1 80 <<< hello';
  const r = steps(talk, 'ip netns pids a', 'ip netns pids a | xargs -r kill -TERM', 'ip netns pids a', talk);
  assert.is(r[0]!.stdout, 'hello\n');
  assert.match(r[1]!.stdout, /^\d+\n$/);
  assert.equal(r.slice(2).map((x) => [x.exit, x.stdout]), [[0, ''], [0, ''], [1, '']]); // prettier-ignore
  assert.is(r[0]!.by, 'kubelet n');
});
Processes('a program in the foreground has the exit code of its signal', () => {
  const r = steps('ip netns exec a nc -l 81', 'ip netns pids a | xargs -r kill -KILL');
  assert.equal(r.map((x) => x.exit), [137, 0]); // prettier-ignore
});
Processes('a server that has ended because one of its ports is taken serves none of the others', () => {
  const ask = (port: number): string => `ip netns exec a curl -s http://127.0.0.1:${port}/hostname`;
  const agnhost = (tcp: number, udp: number): string =>
    `ip netns exec a podwire app agnhost --hostname h${tcp} netexec --http-port=${tcp} --udp-port=${udp} &`;
  const r = steps(agnhost(81, 8081), agnhost(82, 8081), agnhost(81, 8082), agnhost(83, 8082), ...[81, 82, 83].map(ask));
  assert.is(r[1]!.stderr, 'podwire app agnhost: port 8081: Address already in use\n');
  assert.is(r[2]!.stderr, 'podwire app agnhost: port 81: Address already in use\n');
  assert.equal(r.slice(4).map((x) => [x.exit, x.stdout]), [[0, 'h81'], [7, ''], [0, 'h83']]);
}); // prettier-ignore
Processes('xargs -r runs nothing without words, kill says what it does not find', () => {
  assert.equal(steps('true | xargs -r kill -TERM').map((x) => x.exit), [0]); // prettier-ignore
  const [r] = steps('echo 99 | xargs kill -TERM');
  assert.equal([r!.exit, r!.stderr], [123, 'kill: (99): No such process\n']);
});
Processes('refuses what it does not know', () => {
  for (const run of ['echo 1 | xargs -n 1 kill -TERM', 'echo 1 | xargs kill -WINCH', 'true | xargs kill'])
    assert.throws(() => steps(run), /^(?:InputError: )?t\.yaml:\d+:\d+: found "/);
});
Processes.run();
