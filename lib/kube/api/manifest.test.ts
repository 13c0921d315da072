/** Manifests: what is refused, where, and in which words; what is accepted, and what of it is read. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../sim/input-error.js';
import { loadManifests } from './manifest.js';
import type { Deployment, Pod, Service } from './types.js';

const read = (text: string): ReturnType<typeof loadManifests> => loadManifests(text, 'm.yaml');
const error = (text: string): string => {
  try {
    read(text);
  } catch (e) {
    if (e instanceof InputError) return e.message;
    throw e;
  }
  return 'accepted';
};
const svc = (spec: string): string => `apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec: ${spec}\n`;
const pod = (spec: string, c = '{ name: a, image: busybox }'): string =>
  `apiVersion: v1\nkind: Pod\nmetadata: { name: web }\nspec: { ${spec}containers: [ ${c} ] }\n`;
const dep = (selector: string, labels: string): string =>
  `apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nspec: { selector: ${selector}, template: { metadata: { labels: ${labels} }, spec: { containers: [ { name: a, image: busybox } ] } } }\n`;
const meta = (m: string): string => `apiVersion: v1\nkind: Namespace\nmetadata: ${m}\n`;

const BAD: [text: string, message: string][] = [
  ['a: [', "m.yaml:1:5: wrong YAML: Flow sequence in block collection must be sufficiently indented and end with a ]"],
  ['kind: Pod\nkind: Pod\n', 'm.yaml:2:1: wrong YAML: found the key "kind" twice, expected it once'],
  ['kind: *x\n', 'm.yaml:1:7: wrong YAML: found an unknown alias *x'],
  ['? [a]\n: b\n', 'm.yaml:1:3: wrong YAML: found a key that is not plain text, expected a name'],
  ['kind: !x Pod\n', 'm.yaml:1:7: wrong YAML: Unresolved tag: !x'],
  ['kind: Pond\n', "m.yaml:1:1: Object 'apiVersion' is missing"],
  ['kind: constructor\n', "m.yaml:1:1: Object 'apiVersion' is missing"],
  ['metadata: {}\n', "m.yaml:1:1: Object 'Kind' is missing"],
  ['- a\n', 'm.yaml:1:1: found a list, expected a map'],
  ['apiVersion: v2\nkind: Pod\n', 'm.yaml:1:13: apiVersion: no matches for kind "Pod" in version "v2", expected "v1"'],
  [meta('{ name: A_b }'), `m.yaml:3:19: metadata.name: Invalid value: "A_b": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`],
  [meta(`{ name: ${'x'.repeat(64)} }`), `m.yaml:3:19: metadata.name: Invalid value: "${'x'.repeat(64)}": must be no more than 63 characters`],
  [meta('{ name: a, namespace: b }'), 'm.yaml:3:33: metadata.namespace: Forbidden: not allowed on this type'],
  [meta('{ name: a, labels: { a/b/c: d } }'), `m.yaml:3:32: metadata.labels: Invalid value: "a/b/c": a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`],
  [meta('{ name: a, labels: { a: "d e" } }'), `m.yaml:3:35: metadata.labels: Invalid value: "d e": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`],
  [meta('{ name: a, labels: { a: 1 } }'), 'm.yaml:3:35: Namespace in version "v1" cannot be handled as a Namespace: json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string'],
  [meta('{ name: a, bogus: 1 }').repeat(1), 'm.yaml:3:22: Namespace in version "v1" cannot be handled as a Namespace: strict decoding error: unknown field "metadata.bogus", expected one of: name, generateName, namespace, selfLink, uid, resourceVersion, generation, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, labels, annotations, ownerReferences, finalizers, managedFields'],
  [meta('{ name: a, creationTimestamp: today }'), 'm.yaml:3:41: Namespace in version "v1" cannot be handled as a Namespace: parsing time "today" as "2006-01-02T15:04:05Z07:00": cannot parse "today" as "2006"'],
  [`${meta('{ name: a }')}---\n${meta('{ name: a }')}`, 'm.yaml:7:19: metadata.name: namespaces "a" already exists'],
  [svc('{ selector: { a: b } }'), 'm.yaml:4:7: spec.ports: Required value'],
  [svc('{ ports: [] }'), 'm.yaml:4:16: spec.ports: Required value'],
  [svc('{ ports: [ { port: 0 } ] }'), 'm.yaml:4:26: spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive'],
  [svc('{ ports: [ { port: 1e400 } ] }'), 'm.yaml:4:26: Service in version "v1" cannot be handled as a Service: json: cannot unmarshal number Infinity into Go struct field ServicePort.spec.ports.port of type int32'],
  [svc('{ ports: [ { port: "80" } ] }'), 'm.yaml:4:26: Service in version "v1" cannot be handled as a Service: json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32'],
  [svc('{ ports: [ { port: 80 }, { port: 81 } ] }'), 'm.yaml:4:18: spec.ports[0].name: Required value'],
  [svc('{ ports: [ { name: a, port: 80 }, { name: a, port: 81 } ] }'), 'm.yaml:4:49: spec.ports[1].name: Duplicate value: "a"'],
  [svc('{ ports: [ { name: a, port: 80 }, { name: b, port: 80 } ] }'), 'm.yaml:4:41: spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}'],
  [svc('{ ports: [ { port: 80, targetPort: too-long-for-a-port } ] }'), 'm.yaml:4:42: spec.ports[0].targetPort: Invalid value: "too-long-for-a-port": must be no more than 15 characters'],
  [svc('{ ports: [ { port: 80, nodePort: 30000 } ] }'), "m.yaml:4:40: spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
  [svc('{ type: NodePort, ports: [ { port: 80, nodePort: 80 } ] }'), 'm.yaml:4:56: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767'],
  [svc('{ type: NodePort, clusterIP: None, ports: [ { port: 80 } ] }'), `m.yaml:4:36: spec.clusterIP: Invalid value: "None": may not be set to 'None' for NodePort services`],
  [svc('{ clusterIP: 10.0.0, ports: [ { port: 80 } ] }'), 'm.yaml:4:20: spec.clusterIP: Invalid value: "10.0.0": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'],
  [svc('{ clusterIP: 10.96.0.1, clusterIPs: [10.96.0.2], ports: [ { port: 80 } ] }'), 'm.yaml:4:43: spec.clusterIPs: Invalid value: ["10.96.0.2"]: first value must match `clusterIP`'],
  [svc('{ type: ExternalName }'), 'm.yaml:4:7: spec.externalName: Required value'],
  [svc('{ type: ExternalName, externalName: a.b, clusterIP: 1.2.3.4 }'), 'm.yaml:4:59: spec.clusterIP: Forbidden: may not be set for ExternalName services'],
  [svc('{ externalTrafficPolicy: Local, ports: [ { port: 80 } ] }'), 'm.yaml:4:32: spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services'],
  [svc('{ externalIPs: [127.0.0.1], ports: [ { port: 80 } ] }'), 'm.yaml:4:23: spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)'],
  [svc('{ trafficDistribution: PreferClose, ports: [ { port: 80 } ] }'), 'm.yaml:4:30: spec.trafficDistribution: trafficDistribution is not supported yet'],
  [svc('{ loadBalancerIP: 1.2.3.4, type: LoadBalancer, ports: [ { port: 80 } ] }'), 'm.yaml:4:25: spec.loadBalancerIP: no cloud hands out addresses; write status.loadBalancer.ingress instead of loadBalancerIP'],
  [pod('bogus: 1, ').replace(/containers.*/, '}'), 'm.yaml:4:9: Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.bogus", expected one of: volumes, initContainers, containers, ephemeralContainers, restartPolicy, terminationGracePeriodSeconds, activeDeadlineSeconds, dnsPolicy, nodeSelector, serviceAccountName, serviceAccount, automountServiceAccountToken, nodeName, hostNetwork, hostPID, hostIPC, shareProcessNamespace, securityContext, imagePullSecrets, hostname, subdomain, affinity, schedulerName, tolerations, hostAliases, priorityClassName, priority, dnsConfig, readinessGates, runtimeClassName, enableServiceLinks, preemptionPolicy, overhead, topologySpreadConstraints, setHostnameAsFQDN, os, hostUsers, schedulingGates, resourceClaims, resources, hostnameOverride'],
  [pod('', '{ name: a, image: busybox, ports: [ { containerPort: 80, hostPort: 80 }, { containerPort: 81, hostPort: 80 } ] }'), 'm.yaml:4:127: spec.containers[0].ports[1].hostPort: Duplicate value: "TCP//80"'],
  [pod('', '{ name: a, image: busybox }, { name: a, image: busybox }'), 'm.yaml:4:60: spec.containers[1].name: Duplicate value: "a"'],
  [pod('', '{ name: a, image: "" }'), 'm.yaml:4:41: spec.containers[0].image: Required value'],
  [pod('initContainers: [ { name: i, image: busybox, livenessProbe: {} } ], '), 'm.yaml:4:69: spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always'],
  [pod('hostAliases: [ { ip: 1.2.3.4 } ], hostNetwork: true, '), 'm.yaml:4:24: spec.hostAliases[0]: hostAliases with hostNetwork are not supported yet'],
  [pod('securityContext: { sysctls: [ { name: net.core.somaxconn, value: "1" } ] }, '), 'm.yaml:4:47: spec.securityContext.sysctls[0].name: forbidden sysctl: "net.core.somaxconn" not allowlisted, expected one of: net.ipv4.tcp_fin_timeout, kernel.shm_rmid_forced, net.ipv4.ping_group_range, net.ipv4.ip_unprivileged_port_start, net.ipv4.tcp_syncookies, net.ipv4.tcp_keepalive_time, net.ipv4.tcp_keepalive_intvl, net.ipv4.tcp_keepalive_probes, net.ipv4.ip_local_port_range, net.ipv4.ip_local_reserved_ports, net.ipv4.tcp_rmem, net.ipv4.tcp_wmem'],
  [pod('affinity: { podAntiAffinity: {} }, '), 'm.yaml:4:38: spec.affinity.podAntiAffinity: affinity between pods is not supported yet; give spec.nodeName instead'],
  [pod('schedulerName: mine, '), 'm.yaml:4:24: spec.schedulerName: found "mine", expected default-scheduler (no other scheduler runs)'],
  [pod('dnsPolicy: None, '), 'm.yaml:4:7: spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None'],
  [pod('terminationGracePeriodSeconds: soon, '), 'm.yaml:4:40: Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal string into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64'],
  [pod('', '{ name: a, image: busybox, resources: { limits: { cpu: much } } }'), `m.yaml:4:78: Pod in version "v1" cannot be handled as a Pod: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`],
  [dep('{}', '{ a: b }'), 'm.yaml:4:19: spec.selector: Invalid value: {}: empty selector is invalid for deployment'],
  [dep('{ matchLabels: { a: b } }', '{ a: c }'), 'm.yaml:4:78: spec.template.metadata.labels: Invalid value: {"a":"c"}: `selector` does not match template `labels`'],
  [dep('{ matchExpressions: [ { key: a, operator: In } ] }', '{ a: c }'), "m.yaml:4:41: spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"],
  [dep('{ matchExpressions: [ { key: a, operator: Exists, values: [ b ] } ] }', '{ a: c }'), "m.yaml:4:77: spec.selector.matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"],
  [dep('{ matchExpressions: [ { key: a, operator: Gt, values: [ "1" ] } ] }', '{ a: c }'), 'm.yaml:4:61: spec.selector.matchExpressions[0].operator: Invalid value: "Gt": not a valid selector operator'],
  ['apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: { name: a }\naddressType: IPv4\nendpoints: [ { addresses: [] } ]\n', 'm.yaml:5:27: endpoints[0].addresses: Required value: must contain at least 1 address'],
  ['apiVersion: v1\nkind: Endpoints\nmetadata: { name: a }\nsubsets: [ { ports: [ { port: 1 } ] } ]\n', 'm.yaml:4:12: subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`'],
  ['apiVersion: v1\nkind: List\nitems: [ { kind: List, apiVersion: v1 } ]\n', 'm.yaml:3:18: items[0].kind: no matches for kind "List" in version "v1", expected one of: Namespace, Node, Pod, Deployment, ReplicaSet, StatefulSet, DaemonSet, Service, Endpoints, EndpointSlice, Ingress, IngressClass, NetworkPolicy, ConfigMap, Secret, ServiceAccount, Role, RoleBinding, ClusterRole, ClusterRoleBinding, PodDisruptionBudget, PriorityClass, LimitRange, PersistentVolume, PersistentVolumeClaim, StorageClass, CustomResourceDefinition'],
  ['apiVersion: v1\nkind: Node\nmetadata: { name: a }\nspec: { taints: [ { key: a, effect: Never } ] }\n', 'm.yaml:4:37: metadata.taints[0].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"'],
]; // prettier-ignore

const Manifest = suite('lib/kube/api/manifest');
for (const [text, message] of BAD) {
  Manifest(`refuses ${message.slice(7, 110)}`, () => {
    const actual = error(text);
    // Long lists of known fields are compared as far as the test has them.
    assert.is(message.endsWith('nodeName') ? actual.slice(0, message.length) : actual, message);
  });
}

Manifest('every prefix of a manifest is read or refused with a place', () => {
  const text = `${svc('{ ports: [ { port: 80 } ] }')}---\n${pod('hostname: a, ')}`;
  for (let n = 0; n < text.length; n++) assert.match(error(text.slice(0, n)), /^(accepted|m\.yaml:\d+:\d+: )/);
});

Manifest('an alias stands for its anchor; a bomb of them is refused', () => {
  const [a, b] = read('apiVersion: v1\nkind: List\nitems:\n- { apiVersion: v1, kind: Namespace, metadata: { name: a, labels: &l { x: y } } }\n- { apiVersion: v1, kind: Namespace, metadata: { name: b, labels: *l } }\n'); // prettier-ignore
  assert.equal(b!.metadata.labels, a!.metadata.labels);
  const bomb = ['a0: &a0 [x, x]', ...Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`)];
  assert.match(
    error(`kind: List\napiVersion: v1\nmetadata:\n  ${bomb.join('\n  ')}\nitems: *a30\n`),
    /^m\.yaml:\d+:\d+: /,
  );
  assert.match(error('kind: &k [*k]\n'), /^m\.yaml:1:\d+: /);
});

Manifest('nesting is bounded, however deep', () => {
  const deep = (n: number): string => `kind: ${'['.repeat(n)}${']'.repeat(n)}\n`;
  assert.match(error(deep(101)), /^m\.yaml:1:106: wrong YAML: found nesting of more than 100 levels/);
  assert.match(error(deep(20_000)), /^m\.yaml:1:106: wrong YAML: found nesting of more than 100 levels/);
  assert.match(error(`kind:\n${Array.from({ length: 200 }, (_, i) => `${' '.repeat(i)}-`).join('\n')}\n`), /nesting/);
});

Manifest('twenty thousand keys are read in linear time', () => {
  const keys = Array.from({ length: 20_000 }, (_, i) => `  k${i}: v`).join('\n');
  assert.match(error(`kind: Namespace\napiVersion: v1\nmetadata:\n${keys}\n`), /^m\.yaml:4:3: .*unknown field "metadata\.k0"/); // prettier-ignore
});

Manifest('names of the prototype are ordinary keys', () => {
  const [o] = read(meta('{ name: a, labels: { constructor: x, toString: y } }'));
  assert.is(Object.hasOwn(o!.metadata.labels, 'constructor'), true);
  assert.match(error(meta('{ name: a, labels: { __proto__: x } }')), /__proto__/);
});

Manifest('defaults are those of the API server', () => {
  const [s] = read(svc('{ ports: [ { port: 80 } ] }')) as [Service];
  assert.equal(s.spec.ports, [{ name: '', protocol: 'TCP', port: 80, targetPort: 80, nodePort: 0 }]);
  assert.is(s.spec.type, 'ClusterIP');
  const [p] = read(pod('')) as [Pod];
  assert.equal([p.spec.dnsPolicy, p.spec.hostNetwork, p.metadata.namespace], ['ClusterFirst', false, 'default']);
  const [d] = read(dep('{ matchExpressions: [ { key: a, operator: NotIn, values: [ x ] } ] }', '{ a: b }')) as [Deployment];
  assert.is(d.spec.replicas, 1);
}); // prettier-ignore

Manifest('of a given status: phase, readiness and restarts', () => {
  const text = `${pod('nodeName: n, ')}status: { podIP: 10.0.1.9, podIPs: [ { ip: 10.0.1.9 } ], phase: Running, conditions: [ { type: Ready, status: "False" } ], containerStatuses: [ { name: a, restartCount: 2 }, { name: b, restartCount: 3 } ] }\n`; // prettier-ignore
  const [p] = read(text) as [Pod];
  assert.equal(p.status, { podIP: '10.0.1.9', hostIP: '', phase: 'Running', ready: false, restarts: 5 });
});
const STORED_KINDS = `apiVersion: v1
kind: List
items:
- { apiVersion: v1, kind: ConfigMap, metadata: { name: a }, data: { k: v } }
- { apiVersion: v1, kind: Secret, metadata: { name: a }, stringData: { k: v } }
- { apiVersion: v1, kind: ServiceAccount, metadata: { name: a } }
- { apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: { name: "system:a" }, rules: [ { apiGroups: [ "" ], resources: [ pods ], verbs: [ get ] } ] }
- { apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: { name: a }, spec: { minAvailable: 50% } }
- { apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: a }, spec: { podSelector: {} } }
- { apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: { name: ts.x.io }, spec: { group: x.io, names: { kind: T, plural: ts }, scope: Namespaced, versions: [ { name: v1, served: true, storage: true } ] } }
- { apiVersion: x.io/v1, kind: T, metadata: { name: a }, spec: { any: [ thing ] } }
`;

Manifest(
  'objects that no frame depends on are kept; kinds that a CustomResourceDefinition before them defines, too',
  () => {
    const kinds = read(STORED_KINDS).map((o) => [o.kind, o.metadata.namespace]);
    assert.equal(kinds.slice(3, 4), [['ClusterRole', '']]);
    assert.equal(kinds.slice(-1), [['CustomResource', 'default']]);
    assert.match(error('apiVersion: x.io/v1\nkind: T\nmetadata: { name: a }\n'), /^m\.yaml:2:7: kind: no matches for kind "T" in version "x\.io\/v1", /); // prettier-ignore
    assert.match(
      error(STORED_KINDS.replace('k: v', 'a b: v')),
      /^m\.yaml:4:69: data\[a b\]: Invalid value: "a b": a valid config key/,
    );
    assert.match(error(STORED_KINDS.replace('k: v', 'k: 1')), /^m\.yaml:4:72: .*cannot unmarshal number into Go struct field ConfigMap\.data of type string/); // prettier-ignore
    assert.match(
      error('apiVersion: v1\nkind: ResourceQuota\nmetadata: { name: a }\n'),
      /kind ResourceQuota is not supported yet/,
    );
  },
);

Manifest('sidecars are containers, init containers are named', () => {
  const [p] = read(pod('initContainers: [ { name: i, image: busybox }, { name: s, image: busybox, restartPolicy: Always } ], ')) as [Pod]; // prettier-ignore
  assert.equal(p.spec.initContainers, ['i']);
  assert.equal(p.spec.containers.map((c) => c.name), ['s', 'a']); // prettier-ignore
});

Manifest('JSON is read, indented with tabs as well', () => {
  const json = JSON.stringify(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a', labels: { b: 'c' } } },
    null,
    '\t',
  );
  assert.equal(read(json)[0]!.metadata.labels, { b: 'c' });
});
Manifest.run();
