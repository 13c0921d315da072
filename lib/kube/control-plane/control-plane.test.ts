/** The control plane over time: what kubectl's changes become, instant by instant. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseLab } from '../../lab/lab.js';
import { type Compiled, compile } from '../compile.js';
import { reconcile } from '../controllers.js';
import { kubectl } from '../kubectl/index.js';
import { parseScenario } from '../scenario.js';

const NODES = `
  - { name: node1, address: 192.168.56.11/24, podCIDR: 10.0.1.0/24 }
  - { name: node2, address: 192.168.56.12/24, podCIDR: 10.0.2.0/24 }`;
const template = (name: string, spec = ''): string =>
  `selector: { matchLabels: { app: ${name} } }, template: { metadata: { labels: { app: ${name} }, annotations: { podwire.dev/run: podwire app echo --tcp 80 } }, spec: { ${spec} containers: [ { name: a, image: x } ] } }`;
const workload = (kind: string, name: string, spec: string, pod = ''): string =>
  `{ apiVersion: apps/v1, kind: ${kind}, metadata: { name: ${name} }, spec: { ${spec} ${template(name, pod)} } }`;
const svc = (name: string): string =>
  `{ apiVersion: v1, kind: Service, metadata: { name: ${name} }, spec: { selector: { app: ${name} }, ports: [ { port: 80 } ] } }`; // prettier-ignore

/** A scenario of these objects and steps `TIME COMMAND`, compiled. */
function cluster(objects: string[], steps: string[], until = '60s', more = ''): Compiled {
  const list = steps.map((s) => `  - { at: ${s.split(' ')[0]}, run: ${JSON.stringify(s.slice(s.indexOf(' ') + 1))} }`);
  const text = `kind: Scenario\nmetadata: { name: t }\nspec:\n  nodes:${NODES}\n${more}  objects:\n${objects.map((o) => `  - ${o}`).join('\n')}\n  steps:\n${list.join('\n')}\n  until: ${until}\n`; // prettier-ignore
  return compile(reconcile(parseScenario(text, 's.yaml', () => '')));
}
/** What the changes printed and how they ended. */
const said = (c: Compiled): string[] =>
  c.kubectl.map((k) => `${k.result!.stdout}${k.result!.stderr}`.trim() + (k.result!.exit === 0 ? '' : ` [${k.result!.exit}]`)); // prettier-ignore
const S = 1e9;
/** ReplicaSets' sizes and ready pods at a time. */
const sizes = (c: Compiled, at: number): string => {
  const now = c.at(at * S);
  const live = now.pods.filter((p) => p.metadata.deletionTimestamp === undefined);
  return `${now.replicaSets.map((r) => r.spec.replicas).join('+')} ready ${live.filter((p) => p.status.ready).length}`;
};
/** `time by` of the components' steps. */
const instants = (c: Compiled, by: RegExp): string[] =>
  parseLab(c.text, 't').steps.filter((s) => s.by !== undefined && by.test(s.by)).map((s) => `${s.atNs / S} ${s.by}`); // prettier-ignore

const Living = suite('lib/kube/control-plane');
Living('a cluster that nothing changes has no steps of components', () => {
  const c = cluster([workload('Deployment', 'web', 'replicas: 2,')], ['1s kubectl get pods']);
  assert.equal(instants(c, /./), []);
});
Living('a healthCheckNodePort follows: its servers read the number of endpoints from files', () => {
  const local = (name: string, port: number): string => svc(name).replace('spec: {', `spec: { type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: ${port},`); // prettier-ignore
  const objects = [workload('Deployment', 'web', 'replicas: 1,'), local('web', 32000)];
  const lines = (step: string): string[] => {
    const lab = parseLab(cluster(objects, [step]).text, 't');
    const all = [...lab.setup.map((c) => `0 ${c.text}`), ...lab.steps.flatMap((s) => s.run.map((c) => `${s.atNs / S} ${c.text}`))];
    return all.filter((l) => /podwire(-| app )health/.test(l)).map((l) => l.replaceAll('ip netns exec ', ''));
  };
  const app = (node: string, count: string): string => `0 ${node} podwire app health --port 32000 --service default/web --endpoints ${count} &`;
  const file = (node: string, name = 'web'): string => `/run/podwire-health.${node}.default.${name}`;
  assert.equal(lines('1s kubectl get pods'), [app('node1', '1'), app('node2', '0')]);
  assert.equal(lines('1s kubectl scale deployment/web --replicas=0'), [
    `0 node1 echo 1 > ${file('node1')}`, app('node1', file('node1')), `0 node2 echo 0 > ${file('node2')}`, app('node2', file('node2')),
    `1.04 node1 echo 0 > ${file('node1')}`,
  ]);
  const later = lines(`1s kubectl apply -f - <<'EOF'\n${local('other', 32001)}\nEOF`);
  assert.equal(later.slice(4), ['node1', 'node2'].flatMap((n) => [
    `1.01 ${n} echo 0 > ${file(n, 'other')}`, `1.01 ${n} podwire app health --port 32001 --service default/other --endpoints ${file(n, 'other')} &`,
  ]));
  assert.equal(lines('1s kubectl delete svc web').slice(4), [`1.01 node1 echo 0 > ${file('node1')}`, `1.01 node2 echo 0 > ${file('node2')}`]);
}); // prettier-ignore
Living('kubectl taint: a taint goes by its key, by key and effect, and with its value; what is new comes first', () => {
  const c = cluster([workload('Deployment', 'web', 'replicas: 1,')], [
    '1s kubectl taint nodes node1 a=b:NoSchedule c:NoExecute', '2s kubectl taint nodes node1 a=b:NoSchedule-', '3s kubectl taint nodes node1 a=b:NoSchedule-',
    '4s kubectl taint nodes node1 d=e:NoSchedule c-', '5s kubectl taint nodes node1 d=f:NoSchedule', '6s kubectl taint nodes node1 d=f:NoSchedule --overwrite',
    '7s kubectl taint nodes node1 a=b=c:NoSchedule', '8s kubectl taint nodes node1 x:NoSchedule x=1:NoSchedule', '9s kubectl taint nodes node1 g=h:NoSchedule',
  ]); // prettier-ignore
  assert.equal(said(c), [
    'node/node1 tainted', 'node/node1 untainted', 'error: taint "a:NoSchedule" not found [1]', 'node/node1 modified',
    'error: node node1 already has d taint(s) with same effect(s) and --overwrite is false [1]', 'node/node1 modified',
    'error: invalid taint spec: a=b=c:NoSchedule [1]', 'error: duplicated taints with the same key and effect: {x 1 NoSchedule <nil>} [1]', 'node/node1 tainted',
  ]); // prettier-ignore
  assert.equal(c.at(9.5 * S).nodes[0]!.spec.taints.map((t) => `${t.key}=${t.value}:${t.effect}`), ['g=h:NoSchedule', 'd=f:NoSchedule']); // prettier-ignore
});
Living('annotations of controllers that somebody has overwritten with nonsense count as none', () => {
  const [w, s] = [workload('Deployment', 'web', 'replicas: 4,'), svc('web')];
  const rs = `rs/${cluster([w, s], []).at(0).replicaSets[0]!.metadata.name}`;
  const c = cluster([w, s], [
    '1s kubectl set image deployment/web a=y',
    `1200ms kubectl annotate ${rs} deployment.kubernetes.io/revision=abc deployment.kubernetes.io/max-replicas=x --overwrite`,
    '1500ms kubectl scale deployment/web --replicas=8',
  ]); // prettier-ignore
  assert.is(sizes(c, 1.9), '6+4 ready 3');
  const now = c.at(59 * S).replicaSets;
  const revision = (r: (typeof now)[number]): string => r.metadata.annotations['deployment.kubernetes.io/revision']!;
  assert.equal(
    now.map((r) => `${r.spec.replicas} ${revision(r)}`),
    ['0 abc', '8 2'],
  );
});
Living('kubectl get shows what is being deleted as it is: the phase of a namespace, the grace of a pod', () => {
  const ns = '{ apiVersion: v1, kind: Namespace, metadata: { name: n } }';
  const inside = workload('Deployment', 'web', 'replicas: 1,').replace('{ name: web }', '{ name: web, namespace: n }');
  const own = workload('Deployment', 'own', 'replicas: 1,');
  const before = cluster([ns, inside, own], []).at(0);
  const pod = before.pods.find((p) => p.metadata.namespace === 'default')!.metadata.name;
  const rs = before.replicaSets.find((r) => r.metadata.namespace === 'default')!.metadata.name;
  const c = cluster([ns, inside, own], [
    '1s kubectl delete ns n --wait=false', `3s kubectl delete pod ${pod} --grace-period=7 --wait=false`,
    `5s kubectl annotate rs ${rs} deployment.kubernetes.io/max-replicas=77 --overwrite`,
  ]); // prettier-ignore
  const get = (at: number, args: string): string => kubectl(['get', ...args.split(' ')], c.at(at * S), at * S).stdout;
  assert.match(get(0, 'ns n --no-headers'), /^n +Active +/);
  assert.match(get(2, 'ns n --no-headers'), /^n +Terminating +/);
  assert.is(get(4, `pod ${pod} -o jsonpath={.metadata.deletionGracePeriodSeconds}`), '7');
  assert.is(get(6, `rs ${rs} -o jsonpath={.metadata.annotations.deployment\\.kubernetes\\.io/max-replicas}`), '77');
});
Living('a startup probe keeps a pod from being ready', () => {
  const probed = workload('Deployment', 'web', 'replicas: 1,').replace('image: x', 'image: x, startupProbe: { initialDelaySeconds: 5, tcpSocket: { port: 80 } }, readinessProbe: { tcpSocket: { port: 80 } }'); // prettier-ignore
  const c = cluster([probed, svc('web')], ['1s kubectl scale deployment/web --replicas=2']);
  assert.is(sizes(c, 6.4), '2 ready 1');
  assert.is(sizes(c, 8), '2 ready 2');
});
Living('scaling: each component acts at its instant', () => {
  const c = cluster([workload('Deployment', 'web', 'replicas: 1,'), svc('web')], ['1s kubectl scale deployment/web --replicas=2']); // prettier-ignore
  assert.equal(said(c), ['deployment.apps/web scaled']);
  // Deployment, ReplicaSet, scheduler, kubelet: 10 ms each; the pod 500 ms, relist at 2 s, slice, proxy.
  const expected = ['1.54 kubelet node2', '2.02 kube-proxy node1', '2.02 kube-proxy node2'];
  assert.equal(instants(c, /./), expected);
  assert.is(sizes(c, 1.99), '2 ready 1');
  assert.is(sizes(c, 2), '2 ready 2');
});
Living('in IPVS mode kube-proxy waits for nothing between two syncs', () => {
  const steps = [
    '1s kubectl label pod/p app=web',
    '1200ms kubectl label pod/p app-',
    '1400ms kubectl label pod/p app=web',
  ];
  const pod = `{ apiVersion: v1, kind: Pod, metadata: { name: p, annotations: { podwire.dev/run: podwire app echo --tcp 80 } }, spec: { nodeName: node1, containers: [ { name: a, image: x } ] } }`; // prettier-ignore
  const at = (mode: string): string[] =>
    instants(cluster([pod, svc('web')], steps, '60s', `  kubeProxy: { mode: ${mode} }\n`), /kube-proxy node1/);
  assert.equal(at('ipvs'), ['1.02 kube-proxy node1', '1.22 kube-proxy node1', '1.42 kube-proxy node1']);
  assert.equal(at('iptables'), ['1.02 kube-proxy node1', '2.02 kube-proxy node1']);
});
Living('a new size and a new template in one write: the old ReplicaSet is scaled, then rolled over', () => {
  const both = JSON.stringify({ spec: { replicas: 5, template: { metadata: { annotations: { a: 'b' } } } } });
  const c = cluster([workload('Deployment', 'web', 'replicas: 2,')], [`1s kubectl patch deploy/web -p '${both}'`]);
  // maxSurge is 2: two new ones beside five; maxUnavailable is 1: 7 - 4 - 2 that are not ready = one old one goes.
  assert.equal(
    [1.015, 1.025].map((t) => sizes(c, t)),
    ['5 ready 2', '4+2 ready 2'],
  );
  assert.is(sizes(c, 59), '0+5 ready 5');
});
Living('more pods than a cluster may have are refused at the step that asks for them', () => {
  for (const [kind, spec] of [['Deployment', ''], ['StatefulSet', 'serviceName: a,'], ['StatefulSet', 'serviceName: a, podManagementPolicy: Parallel,']] as const) {
    const run = () => cluster([workload(kind, 'web', `replicas: 1, ${spec}`)], ['1s kubectl get pods', `1s kubectl scale ${kind}/web --replicas=2147483647`]); // prettier-ignore
    assert.throws(run, /^s\.yaml:\d+:\d+: spec\.steps\[1\]\.run: (ReplicaSet|StatefulSet) "web[-\w]*": found 2147483647 replicas, expected at most 150000 pods in a cluster$/); // prettier-ignore
  } // prettier-ignore
});
Living('a cluster whose components write too much is refused at the step', () => {
  const web = workload('Deployment', 'web', 'replicas: 1,').replace(
    'podwire app echo',
    `podwire app echo ${'x'.repeat(2e5)}`,
  );
  const run = () => cluster([web], ['1s kubectl scale deploy/web --replicas=100']);
  assert.throws(run, /^s\.yaml:\d+:\d+: spec\.steps\[0\]\.run: the commands of the cluster's components have more than 16777216 characters by now, expected fewer/); // prettier-ignore
});
Living('a rolling update keeps within maxSurge and maxUnavailable', () => {
  const c = cluster([workload('Deployment', 'web', 'replicas: 4, strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 1 } },')], ['0s kubectl rollout restart deployment/web', '1ms kubectl rollout status deploy/web']); // prettier-ignore
  for (let t = 0; t < 20; t += 0.05) {
    const now = c.at(t * S);
    const live = now.pods.filter((p) => p.metadata.deletionTimestamp === undefined);
    assert.ok(live.length <= 5, `${live.length} pods at ${t}`);
    assert.ok(live.filter((p) => p.status.ready).length >= 3, `at ${t}`);
  }
  assert.is(sizes(c, 20), '0+4 ready 4');
  const [restart, status] = said(c);
  assert.is(restart, 'deployment.apps/web restarted');
  assert.match(
    status!,
    /^Waiting for deployment "web" rollout to finish: .*\n[^]*deployment "web" successfully rolled out$/,
  );
});
Living('25% and 25% of one replica are one more and none missing', () => {
  const c = cluster([workload('Deployment', 'web', 'replicas: 1,')], ['0s kubectl rollout restart deploy web']);
  assert.is(sizes(c, 0.5), '1+1 ready 1');
  assert.is(sizes(c, 0.99), '1+1 ready 1');
  assert.is(sizes(c, 1.1), '0+1 ready 1');
});
Living('Recreate ends all pods before it makes the first', () => {
  const c = cluster([workload('Deployment', 'web', 'replicas: 2, strategy: { type: Recreate },')], ['0s kubectl rollout restart deploy web']); // prettier-ignore
  assert.is(sizes(c, 0.5), '0 ready 0');
  assert.is(sizes(c, 10), '0+2 ready 2');
});
Living('undo goes back to the ReplicaSet of before, under its old name', () => {
  const c = cluster([workload('Deployment', 'web', 'replicas: 1,')], ['0s kubectl set image deploy/web a=y', '5s kubectl rollout undo deploy/web', '9s kubectl rollout undo deploy/web --to-revision=7']); // prettier-ignore
  assert.equal(said(c), ['deployment.apps/web image updated', 'deployment.apps/web rolled back', 'error: unable to find specified revision 7 in history [1]']); // prettier-ignore
  assert.is(sizes(c, 4), '0+1 ready 1');
  assert.is(sizes(c, 20), '1+0 ready 1');
  assert.is(c.at(20 * S).deployments[0]!.spec.template.spec.containers[0]!.image, 'x');
});
Living('termination: endpoint at once, SIGTERM, SIGKILL after the grace, then the sandbox', () => {
  const grace = cluster([workload('Deployment', 'web', 'replicas: 1,', 'nodeName: node1, terminationGracePeriodSeconds: 4,').replace('podwire.dev/run: podwire app echo --tcp 80', ''), svc('web')], ['1s kubectl delete pod -l app=web']); // prettier-ignore
  const e = (t: number) => grace.at(t * S).slices[0]!.endpoints[0]?.conditions;
  assert.equal(e(1.005), { ready: true, serving: true, terminating: false });
  assert.equal(e(1.01), { ready: false, serving: true, terminating: true });
  const kills = parseLab(grace.text, 't').steps.filter((s) => /kill|netns del/.test(s.text)).map((s) => [s.atNs / S, /kill -(\w+)|netns (del)/.exec(s.text)!.slice(1).join('')]); // prettier-ignore
  // No program of podwire's: nothing to hear SIGTERM.
  assert.equal(kills, [[5.01, 'KILL'], [5.51, 'del']]); // prettier-ignore
  assert.match(said(grace)[0]!, /^pod "web-\w+-\w+" deleted from default namespace$/);
});
Living('a preStop hook puts SIGTERM off, and leaves two seconds at least', () => {
  const hook = (n: number): Compiled => cluster([workload('Deployment', 'web', 'replicas: 1,', 'terminationGracePeriodSeconds: 4,').replace('image: x', `image: x, lifecycle: { preStop: { sleep: { seconds: ${n} } } }`)], ['1s kubectl delete pod -l app=web']); // prettier-ignore
  const term = (c: Compiled): number | undefined => parseLab(c.text, 't').steps.find((s) => s.text.includes('kill -TERM'))?.atNs; // prettier-ignore
  assert.is(term(hook(3)), 4.01 * S);
  assert.is(term(hook(9)), 5.01 * S);
});
Living('labels decide what a ReplicaSet and a Service have', () => {
  const c = cluster([workload('Deployment', 'web', 'replicas: 1,'), svc('web')], ['1s kubectl label pod -l app=web app=x --overwrite', '5s kubectl patch svc web -p \'{"spec":{"selector":{"app":"x"}}}\'']); // prettier-ignore
  const names = (t: number) => c.at(t * S).slices[0]!.endpoints.map((x) => x.targetRef!.name);
  const first = names(0);
  assert.equal(
    c.at(4 * S).pods.map((p) => p.metadata.ownerReferences.length),
    [0, 1],
  );
  assert.is.not(names(4)[0], first[0]);
  assert.equal(names(6), first);
  assert.is(said(c)[1], 'service/web patched');
});
Living('a StatefulSet goes up by ordinals, down from the last, and updates from the last', () => {
  const c = cluster([workload('StatefulSet', 's', 'replicas: 1, serviceName: s,')], ['0s kubectl scale sts/s --replicas=3', '10s kubectl rollout restart sts/s', '30s kubectl scale sts/s --replicas=1']); // prettier-ignore
  const names = (t: number): string[] => c.at(t * S).pods.filter((p) => p.metadata.deletionTimestamp === undefined).map((p) => p.metadata.name).sort(); // prettier-ignore
  assert.equal(names(0.9), ['s-0', 's-1']);
  assert.equal(names(5), ['s-0', 's-1', 's-2']);
  assert.equal(names(10.1), ['s-0', 's-1']);
  assert.is(c.at(30 * S).pods.filter((p) => p.status.ready).length, 3);
  assert.equal(names(30.5), ['s-0', 's-1']);
  assert.equal(names(33), ['s-0']);
});
Living('a DaemonSet restarts one node after the other', () => {
  const c = cluster([workload('DaemonSet', 'd', '')], ['0s kubectl rollout restart ds/d', '1ms kubectl rollout status ds/d']); // prettier-ignore
  for (let t = 0; t < 20; t += 0.05)
    assert.ok(c.at(t * S).pods.filter((p) => p.status.ready && p.metadata.deletionTimestamp === undefined).length >= 1);
  assert.match(said(c)[1]!, /daemon set "d" successfully rolled out$/);
});
Living('drain: cordon, evict, wait; what it will not touch is an error', () => {
  const pod = '{ apiVersion: v1, kind: Pod, metadata: { name: bare }, spec: { nodeName: node1, containers: [ { name: a, image: busybox } ] } }'; // prettier-ignore
  const c = cluster([workload('Deployment', 'web', 'replicas: 2,'), workload('DaemonSet', 'd', ''), pod], ['0s kubectl drain node1', '1s kubectl delete pod bare --now', '5s kubectl drain node1 --ignore-daemonsets', '20s kubectl uncordon node1', '21s kubectl uncordon node1', '22s kubectl cordon node9']); // prettier-ignore
  const [first, , second, ...rest] = said(c);
  assert.match(first!, /^node\/node1 cordoned\nerror: unable to drain node "node1" due to error: \[cannot delete .*, cannot delete .*\], continuing command\.\.\.\nThere are pending nodes to be drained:\n node1\nerror: .* \[1\]$/); // prettier-ignore
  assert.match(second!, /^node\/node1 already cordoned\nevicting pod default\/(web-\S+)\npod\/\1 evicted\nnode\/node1 drained\nWarning: ignoring DaemonSet-managed Pods: default\/d-\w{5}$/); // prettier-ignore
  assert.equal(rest, ['node/node1 uncordoned', 'node/node1 already uncordoned', 'Error from server (NotFound): nodes "node9" not found [1]']); // prettier-ignore
  assert.equal(c.at(19 * S).pods.filter((p) => p.metadata.name.startsWith('web')).map((p) => p.spec.nodeName), ['node2', 'node2']); // prettier-ignore
});
Living('a Service comes and goes: its address is allotted, its slice follows', () => {
  const make = `kubectl apply -f - <<'EOF'\n${JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'late' }, spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } })}\nEOF`;
  const c = cluster([workload('Deployment', 'web', 'replicas: 1,'), svc('web')], [`1s ${make}`, `2s ${make}`, '5s kubectl delete svc late', '6s kubectl delete svc late']); // prettier-ignore
  assert.equal(said(c), ['service/late created', 'service/late unchanged', 'service "late" deleted from default namespace', 'Error from server (NotFound): services "late" not found [1]']); // prettier-ignore
  const late = c.at(3 * S).services.find((s) => s.metadata.name === 'late')!;
  assert.is(late.spec.clusterIP, '10.96.1.2');
  assert.is(c.at(3 * S).slices.length, 2);
  assert.is(c.at(6 * S).slices.length, 1);
  assert.equal(instants(c, /kube-proxy node1/), ['1.01 kube-proxy node1', '2.01 kube-proxy node1', '5.01 kube-proxy node1', '6.01 kube-proxy node1']); // prettier-ignore
});
Living('apply merges three ways: what others have changed stays', () => {
  const manifest = (replicas: string) => `kubectl apply -f - <<'EOF'\n${workload('Deployment', 'web', replicas)}\nEOF`;
  const c = cluster([workload('Deployment', 'web', '')], ['1s kubectl scale deploy/web --replicas=3', '2s kubectl label deploy/web by=hand', `3s ${manifest('')}`, `4s ${manifest('replicas: 2,')}`, `5s ${manifest('')}`]); // prettier-ignore
  assert.equal(said(c).slice(2), ['deployment.apps/web unchanged', 'deployment.apps/web configured', 'deployment.apps/web configured']); // prettier-ignore
  const d = (t: number) => c.at(t * S).deployments[0]!;
  assert.is(d(3).spec.replicas, 3);
  assert.is(d(4).spec.replicas, 2);
  assert.equal(d(4).metadata.labels, { by: 'hand' });
  assert.is(d(5).spec.replicas, 1);
});
Living('what the API server refuses is said in its words, with exit 1', () => {
  const c = cluster([workload('Deployment', 'web', ''), svc('web')], [
    '1s kubectl patch deploy web -p \'{"spec":{"selector":{"matchLabels":{"app":"other"}}}}\'',
    '2s kubectl patch svc web --type merge -p \'{"spec":{"clusterIP":"10.96.0.77"}}\'',
    '3s kubectl scale deploy nope --replicas=1',
    '4s kubectl label pod -l app=web app=other',
    '5s kubectl delete nothing x',
    '6s kubectl scale deploy web --replicas=-1',
    '7s kubectl patch svc web --type json -p \'[{"op":"replace","path":"/spec/ports/0/port","value":99999}]\'',
  ]); // prettier-ignore
  const texts = said(c);
  assert.match(texts[0]!, /^The Deployment "web" is invalid: .* \[1\]$/);
  assert.is(texts[1], 'The Service "web" is invalid: spec.clusterIPs[0]: Invalid value: ["10.96.0.77"]: may not change once set [1]'); // prettier-ignore
  assert.is(texts[2], 'Error from server (NotFound): deployments.apps "nope" not found [1]');
  assert.is(texts[3], "error: 'app' already has a value (web), and --overwrite is false [1]");
  assert.is(texts[4], 'error: the server doesn\'t have a resource type "nothing" [1]');
  assert.match(texts[5]!, /^error: The --replicas=COUNT flag is required.* \[1\]$/);
  assert.match(texts[6]!, /^The Service "web" is invalid: .*99999[^]* \[1\]$/);
});
Living('drain does not touch pods with an emptyDir unless told to, nor pods beside a PodDisruptionBudget', () => {
  const pods = [workload('Deployment', 'web', 'replicas: 1,', 'volumes: [ { name: v, emptyDir: {} } ],')];
  const c = cluster(pods, ['0s kubectl drain node1 node2', '5s kubectl drain node1 node2 --delete-emptydir-data']);
  assert.match(said(c)[0]!, /cannot delete Pods with local storage \(use --delete-emptydir-data to override\): default\/web-.* \[1\]$/s); // prettier-ignore
  assert.match(said(c)[1]!, /evicting pod default\/web-/);
  const budget =
    '{ apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: { name: b }, spec: { minAvailable: 1 } }';
  assert.throws(() => cluster([...pods, budget], ['1s kubectl drain node1 node2 --delete-emptydir-data']), /^s\.yaml:\d+:\d+: .*drain beside PodDisruptionBudget "b" is not supported yet$/); // prettier-ignore
});
Living('what podwire cannot do is an error of the scenario, with its place', () => {
  const one = (run: string) => () => cluster([workload('Deployment', 'web', '')], [`1s kubectl ${run}`]);
  assert.throws(one('rollout pause deploy/web'), /^s\.yaml:\d+:\d+: spec\.steps\[0\]\.run: podwire's kubectl: rollout pause is not supported yet$/); // prettier-ignore
  assert.throws(one('scale deploy/web --replicas=2000000000'), /^s\.yaml.*ReplicaSet "web-\w+": found 2000000000 replicas, expected at most 150000 pods in a cluster$/); // prettier-ignore
});
Living('a deleted namespace takes its objects with it; a deleted Deployment its pods, unless orphaned', () => {
  const c = cluster([workload('Deployment', 'web', ''), workload('Deployment', 'own', '')], ['1s kubectl create namespace n', '2s kubectl delete deploy web', '2s kubectl delete deploy own --cascade=orphan', '3s kubectl delete ns n']); // prettier-ignore
  assert.equal(said(c), ['namespace/n created', 'deployment.apps "web" deleted from default namespace', 'deployment.apps "own" deleted from default namespace', 'namespace "n" deleted']); // prettier-ignore
  const end = c.at(59 * S);
  assert.equal(
    end.pods.map((p) => p.metadata.name.slice(0, 3)),
    ['own'],
  );
  assert.equal(end.namespaces.some((n) => n.metadata.name === 'n'), false); // prettier-ignore
});
Living('the same scenario has the same timeline', () => {
  const make = (): string => cluster([workload('Deployment', 'web', 'replicas: 3,'), svc('web')], ['1s kubectl rollout restart deploy web']).text; // prettier-ignore
  assert.is(make(), make());
});
Living.run();
