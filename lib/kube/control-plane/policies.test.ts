/** What the agents of Calico write when policies, pods and labels change. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { InputError } from '../../sim/input-error.js';
import { compile } from '../compile.js';
import { reconcile } from '../controllers.js';
import { parseScenario } from '../scenario.js';

const Policies = suite('lib/kube/control-plane/policies');

const pod = (name: string, node: string, labels: string): string =>
  `{ apiVersion: v1, kind: Pod, metadata: { name: ${name}, labels: { ${labels} } }, spec: { nodeName: ${node}, terminationGracePeriodSeconds: 1, containers: [ { name: c, image: busybox } ] } }`;
const POLICY = '{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: p }, spec: { podSelector: { matchLabels: { app: web } }, ingress: [ { from: [ { podSelector: { matchLabels: { role: client } } } ] } ] } }'; // prettier-ignore

interface Step {
  at: string;
  by?: string;
  run: string;
}

function steps(objects: string[], changes: [at: string, run: string][], plugin = 'calico'): Step[] {
  const text = `kind: Scenario
metadata: { name: t }
spec:
  nodes:
  - { name: node1, address: 192.168.56.11/24, podCIDR: 10.0.1.0/24 }
  - { name: node2, address: 192.168.56.12/24, podCIDR: 10.0.2.0/24 }
  cni: { plugin: ${plugin} }
  objects:
${objects.map((o) => `  - ${o}`).join('\n')}
  steps:
${changes.map(([at, run]) => `  - at: ${at}\n    run: |\n${run.replace(/^/gm, '      ')}`).join('\n')}
  until: 10s
`;
  const c = compile(reconcile(parseScenario(text, 's.yaml', () => '')));
  return (parse(c.text) as { spec: { steps: Step[] } }).spec.steps;
}

const PODS = [pod('web', 'node1', 'app: web'), pod('c', 'node2', 'role: client'), pod('d', 'node2', '')];
/** The lines of ipset and the first words of iptables, of each component at each time. */
const told = (all: Step[]): string[] =>
  all.map((s) => `${s.at} ${s.by}: ${s.run.split('\n').filter((l) => /^(create|add|del) cali40s:|ipset destroy|^(:|-X )cali-pi-/.test(l)).map((l) => l.replace(/^ip netns exec /, '').replace(/cali40s:\S+/, 'SET').replace(/cali-pi-\S+/, 'CHAIN').replace(/ family.*/, '')).join(', ')}`); // prettier-ignore

Policies('a label changes an ipset on the node of the pods that are chosen, after the reaction of a watcher', () => {
  assert.equal(told(steps([...PODS, POLICY], [['1s', 'kubectl label pod d role=client'], ['2s', 'kubectl label pod c role-'], ['3s', 'kubectl label pod d x=y']])), [
    '1010ms cni node1: add SET 10.0.2.2/32',
    '2010ms cni node1: del SET 10.0.2.1/32',
  ]); // prettier-ignore
});

Policies('a policy comes with its ipset before its chain, and goes with the ipset after the chain', () => {
  const all = told(steps(PODS, [['1s', `kubectl apply -f - <<'EOF'\n${POLICY}\nEOF`], ['2s', 'kubectl delete networkpolicy p']])); // prettier-ignore
  assert.equal(all, [
    '1010ms cni node1: create SET hash:net, add SET 10.0.2.1/32, :CHAIN - [0:0]',
    '2010ms cni node1: :CHAIN - [0:0], -X CHAIN, node1 ipset destroy SET',
  ]);
});

Policies('a pod that starts or ends is told to the nodes whose policies are about it', () => {
  const all = steps([...PODS, POLICY], [['1s', `kubectl apply -f - <<'EOF'\n${pod('e', 'node2', 'role: client')}\nEOF`], ['4s', 'kubectl delete pod e --grace-period=1']]); // prettier-ignore
  assert.equal(told(all.filter((s) => s.by === 'cni node1')), ['1510ms cni node1: add SET 10.0.2.3/32', '5510ms cni node1: del SET 10.0.2.3/32']); // prettier-ignore
});

Policies("Calico's kinds are refused beside another plugin, at the start and by kubectl", () => {
  const own = '{ apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: { name: g }, spec: {} }';
  try {
    steps([own], [['1s', 'kubectl get pods']], 'flannel');
    assert.unreachable();
  } catch (e) {
    if (!(e instanceof InputError)) throw e;
    assert.match(e.message, /^s\.yaml:9:47: spec\.objects\[0\]\.kind: no matches for kind "GlobalNetworkPolicy" in version "projectcalico\.org\/v3" \(cni\.plugin is flannel, expected calico\)$/); // prettier-ignore
  }
});

Policies.run();
