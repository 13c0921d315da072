/**
 * kubectl's output, command by command, as kubectl itself prints it.
 *
 * testdata/transcript.txt was recorded with kubectl v1.33.1, answered by the codecs, defaults and printers of the Kubernetes
 * v1.34.3 API server for the objects that podwire's controllers make of testdata/cluster.yaml (names, uids, addresses and states
 * are podwire's; pods, Deployments and Services were given without their defaults). Lines `E: …` are stderr.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseScript } from '../../shell/script.js';
import { reconcile } from '../controllers.js';
import { parseScenario } from '../scenario.js';
import { humanDuration } from './age.js';
import { kubectl } from './index.js';

const DATA = join('lib', 'kube', 'kubectl', 'testdata');
/** When the transcript was recorded, from EPOCH. */
const RECORDED = 91448697e9;
const file = join(DATA, 'cluster.yaml');
const cluster = reconcile(parseScenario(readFileSync(file, 'utf8'), file, () => ''));
const run = (line: string, now = RECORDED): string => {
  const v = kubectl(parseScript(line, 'test')[0]!.argv.slice(1), cluster, now);
  const err = v.stderr === '' ? '' : `${v.stderr.replace(/\n$/, '').replace(/^/gm, 'E: ')}\n`;
  return v.stdout + err + (v.exit === 0 ? '' : `[exit ${v.exit}]\n`);
};

const Kubectl = suite('lib/kube/kubectl');
// Output without a newline at its end has the next command behind it.
const transcript = readFileSync(join(DATA, 'transcript.txt'), 'utf8')
  .split(/\$ (?=kubectl )/)
  .slice(1);
Kubectl('the transcript is whole', () => assert.ok(transcript.length >= 300, `${transcript.length} commands`));
for (const part of transcript) {
  const [line, ...rest] = part.split('\n') as [string, ...string[]];
  Kubectl(`prints what the real one does: ${line}`, () => assert.fixture(run(line), rest.join('\n')));
}

Kubectl('refuses with exit 2 what the real one knows and podwire does not', () => {
  for (const line of ['scale deploy/backend --replicas=3', 'get svc -o go-template=x', 'get svc -w', 'get jobs', 'describe sa', 'get svc --context=x'])
    assert.match(run(`kubectl ${line}`), /^E: podwire's kubectl: .* is not supported yet\n\[exit 2\]\n$/); // prettier-ignore
});
Kubectl('a pod that is placed and does not run yet is being created', () => {
  const pods = cluster.pods.map((p) =>
    p.metadata.name === 'client'
      ? { ...p, status: { podIP: '', hostIP: '192.168.56.11', phase: 'Pending' as const, ready: false, restarts: 0 } }
      : p,
  );
  const seen = kubectl(['get', 'pod', 'client'], { ...cluster, pods }, 0).stdout;
  assert.match(seen, /\nclient {3}0\/2 {5}ContainerCreating {3}0 {10}0s\n$/);
  assert.match(kubectl(['describe', 'pod', 'client'], { ...cluster, pods }, 0).stdout, /State: +Waiting\n +Reason: +ContainerCreating\n +Ready: +False\n/); // prettier-ignore
});
Kubectl('init containers have ended, sidecars run and are counted; before the start the pod is initializing', () => {
  const text = `kind: Scenario
metadata: { name: t }
spec:
  nodes: [ { name: n, address: 192.168.56.11/24, podCIDR: 10.0.1.0/24 } ]
  objects:
  - { apiVersion: v1, kind: Pod, metadata: { name: p }, spec: { initContainers: [ { name: i, image: x }, { name: s, image: x, restartPolicy: Always } ], containers: [ { name: a, image: x } ] } }
`;
  const c = reconcile(parseScenario(text, 's.yaml', () => ''));
  const ask = (words: string, pods = c.pods): string => kubectl(words.split(' '), { ...c, pods }, 0).stdout;
  assert.match(ask('get pod p'), /\np {6}2\/2 {5}Running /);
  assert.match(ask('describe pod p'), /\n {2}i:\n {4}Container ID: .*[^]*State: +Terminated\n +Reason: +Completed\n +Exit Code: +0\n[^]*\n {2}s:\n[^]*State: +Running\n/); // prettier-ignore
  const pods = c.pods.map((p) => ({ ...p, status: { ...p.status, phase: 'Pending' as const, ready: false } }));
  assert.match(ask('get pod p', pods), /\np {6}0\/2 {5}Init:0\/2 /);
  assert.match(ask('get pod p -o jsonpath={.status.conditions[1].message}', pods), /^containers with incomplete status: \[i s\]$/); // prettier-ignore
});
Kubectl('AGE counts on the virtual clock', () => {
  assert.match(run('kubectl get svc ext', 0), / 0s\n$/);
  assert.match(run('kubectl get svc ext', 61.9e9), / 61s\n$/);
});
Kubectl('humanDuration() changes its units where kubectl does', () => {
  const [m, h, d] = [60, 3600, 86400];
  const cases: [number, string][] = [
    [-2, '<invalid>'], [-1, '0s'], [119, '119s'], [120, '2m'], [121, '2m1s'], [9 * m + 59, '9m59s'], [10 * m + 1, '10m'],
    [3 * h - 1, '179m'], [3 * h, '3h'], [3 * h + m, '3h1m'], [8 * h + m, '8h'], [2 * d - 1, '47h'], [2 * d, '2d'], [2 * d + h, '2d1h'],
    [8 * d + h, '8d'], [730 * d - 1, '729d'], [730 * d, '2y'], [731 * d, '2y1d'], [8 * 365 * d + d, '8y'],
  ]; // prettier-ignore
  for (const [s, text] of cases) assert.is(humanDuration(s), text, String(s));
});
Kubectl.run();
