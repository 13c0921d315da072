/** Where errors of a Scenario stand: in the user's own file, never in the Lab it compiles to. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const MAIN = resolve('dist', 'lib', 'cli', 'main.js');
const dir = mkdtempSync(join(tmpdir(), 'podwire-places-'));
const podwire = (...args: string[]): { code: number | null; out: string; err: string } => {
  const r = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', cwd: dir });
  return { code: r.status, out: r.stdout, err: r.stderr };
};

const HEAD = `kind: Scenario
metadata: { name: s }
spec:
  nodes:
  - { name: node1, address: 192.168.56.11/24, podCIDR: 10.0.1.0/24 }
  hosts:
  - { name: laptop, address: 192.168.56.9/24 }
`;
const POD = `  objects:
  - apiVersion: v1
    kind: Pod
    metadata: { name: client }
    spec: { containers: [ { name: c, image: busybox } ] }
`;
/** Exit code and stderr of a run, without what is said of every run. */
function run(text: string): [number | null, string] {
  writeFileSync(join(dir, 's.yaml'), text);
  const r = podwire('run', 's.yaml');
  return [r.code, r.err];
}
const steps = (...list: string[]): string =>
  `${HEAD}${POD}  steps:\n${list.map((s) => `  - { at: 0s, ${s} }\n`).join('')}`;

const Places = suite('lib/cli/places');
Places.after(() => rmSync(dir, { recursive: true, force: true }));

for (const [what, text, code, err] of [
  ['an expectation', steps('in: pod/client, run: ip link show lo, expect: { exit: 3 }'), 1, /^s\.yaml:14: expected exit 3, got 0\n$/],
  ['an expectation of kubectl', steps('run: kubectl get pods, expect: { stdout: nosuch }'), 1, /^s\.yaml:14: kubectl get pods: expected stdout with "nosuch", got /],
  ['an unknown command', steps('in: node/node1, run: frobnicate'), 2, /^s\.yaml:14:36: unknown command "frobnicate"/],
  ['an unsupported option', steps('in: pod/client, run: ping -A x'), 2, /^s\.yaml:14:36: ping: option -A is not supported yet/],
  ['an unknown kubectl verb', steps('run: kubectl gte pods'), 2, /^s\.yaml:14:20: .*gte/],
  ['a command that fails', steps('in: pod/client, run: ip link frob'), 0, /^s\.yaml:14:36: note: exit 255: Command "frob" is unknown/],
  ['an expectation whose command says why', steps('in: pod/client, run: ip link show nosuch, expect: { exit: 0 }'), 1, /^s\.yaml:14: expected exit 0, got 1: Device "nosuch" does not exist\.\n$/],
  ['a file that kubectl does not find', steps('run: kubectl apply -f nosuch.yaml'), 2, /^s\.yaml:14:20: .*nosuch\.yaml: no such file/],
  ['a kubectl command that fails', steps('run: kubectl get pod nosuch'), 0, /^s\.yaml:14:20: note: exit 1: Error from server/],
  ['a pod that is not there', steps('in: pod/nosuch, run: ip link'), 2, /^s\.yaml:14:19: spec.*found "pod\/nosuch", expected pod\/NAME/],
  ['a manifest that is not there', `${HEAD}  manifests: [ nosuch.yaml ]\n`, 2, /^s\.yaml:8:16: .*found "nosuch\.yaml", expected a manifest's file: no such file/],
  ['a pattern of manifests that nothing matches', `${HEAD}  manifests:\n  - no*.yaml\n`, 2, /^s\.yaml:9:5: .*found "no\*\.yaml", expected manifests: no \*\.yaml, /],
  ['a Corefile', `${HEAD}  coredns:\n    corefile: |\n      .:53 {\n        frobnicate\n      }\n`, 2, /^s\.yaml:11:9: .*frobnicate/],
  ['a kind that is not read yet', `${HEAD}  objects: [ { apiVersion: apps/v1, kind: HorizontalPodAutoscaler } ]\n`, 2, /^s\.yaml:8:43: .*kind HorizontalPodAutoscaler is not supported yet, expected one of: Namespace/],
  ['two documents', `${HEAD}---\nkind: Lab\n`, 2, /^s\.yaml:9:1: .*found 2 documents, expected one Scenario/],
] as const) {
  Places(`${what}: in the Scenario's own lines`, () => {
    const [c, e] = run(text);
    assert.ok(err.test(e), e);
    assert.is(c, code);
  });
} // prettier-ignore
Places('podwire.dev/run: in the lines of its manifest', () => {
  const pod = 'apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  annotations:\n    podwire.dev/run: |\n';
  const spec = 'spec: { containers: [ { name: c, image: busybox } ] }\n';
  writeFileSync(join(dir, 'web.yaml'), `${pod}      podwire app echo --udp 80\n      frobnicate\n${spec}`);
  const [code, err] = run(`${HEAD}  manifests: [ web.yaml ]\n`);
  assert.match(err, /^web\.yaml:8:7: unknown command "frobnicate"/);
  assert.is(code, 2);
});
Places('show takes pod/, node/ and host/', () => {
  run(steps('run: kubectl get pods'));
  const show = (where: string): ReturnType<typeof podwire> => podwire('show', 's.yaml', '--in', where, '--', 'ip', '-br', 'addr'); // prettier-ignore
  assert.match(show('pod/client').out, /eth0@\S+ +UP +10\.0\.1\.2\/24/);
  assert.is(show('pod/default/client').out, show('default_client').out);
  assert.match(show('node/node1').out, /192\.168\.56\.11\/24/);
  assert.match(show('host/laptop').out, /192\.168\.56\.9\/24/);
  const r = show('pod/nosuch');
  assert.is(r.code, 2);
  assert.match(r.err, /--in: found "pod\/nosuch", expected one of: .*node1/);
});
Places.run();
