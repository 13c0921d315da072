/** Scenarios: what is refused and where; the places that errors of steps have; machines in several networks. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../sim/input-error.js';
import { compile } from './compile.js';
import { reconcile } from './controllers.js';
import { parseScenario } from './scenario.js';

const build = (text: string): ReturnType<typeof compile> =>
  compile(reconcile(parseScenario(text, 's.yaml', () => fail('no file'))));
const fail = (why: string): never => {
  throw new InputError('m.yaml', 0, 0, why);
};
const error = (text: string): string => {
  try {
    build(text);
  } catch (e) {
    if (e instanceof InputError) return e.message;
    throw e;
  }
  return 'accepted';
};
const N1 = '{ name: node1, address: 192.168.56.11/24, podCIDR: 10.0.1.0/24 }';
const N2 = '{ name: node2, address: 192.168.56.12/24, podCIDR: 10.0.2.0/24 }';
const scenario = (rest: string, nodes = N1): string => `kind: Scenario\nmetadata: { name: t }\nspec:\n  nodes: [ ${nodes} ]\n  ${rest}\n`; // prettier-ignore
const object = (o: string): string => scenario(`objects:\n  - ${o}`);
const POD =
  '{ apiVersion: v1, kind: Pod, metadata: { name: p }, spec: { containers: [ { name: a, image: busybox } ] } }';
const step = (s: string): string => scenario(`objects: [ ${POD} ]\n  steps:\n  - ${s}`);
const svc = (name: string, spec: string): string => `{ apiVersion: v1, kind: Service, metadata: { name: ${name} }, spec: { ${spec} } }`; // prettier-ignore

const BAD: [text: string, message: string][] = [
  ['kind: Lab\n', 's.yaml:1:7: kind: found "Lab", expected one of: Scenario'],
  [scenario('bogus: 1'), 's.yaml:5:3: spec: found unknown field "bogus", expected one of: seed, nodes, networking, cni, kubeProxy, coredns, apiServer, hosts, loadBalancers, metallb, ingressControllers, manifests, objects, steps, until'],
  [scenario('').replace('name: t', 'name: ../t'), `s.yaml:2:19: metadata.name: found "../t", expected letters, digits, '-', '_' and '.'`],
  [scenario('ingressControllers: [ { name: a } ]'), 's.yaml:5:33: spec.ingressControllers[0].name: found "a", expected one of: ingress-nginx, traefik, istio, alb'],
  [scenario('ingressControllers: [ { name: alb, host: nobody } ]'), 's.yaml:5:44: spec.ingressControllers[0].host: found "nobody", expected one of the hosts: '],
  [scenario('ingressControllers: [ { name: istio, class: x } ]'), 's.yaml:5:40: spec.ingressControllers[0]: found unknown field "class", expected one of: name, replicas, service, node'],
  [scenario('cni: { plugin: cilium }'), 's.yaml:5:18: spec.cni.plugin: found "cilium", expected one of: bridge, ptp, flannel, calico, aws-vpc, weave'],
  [scenario('cni: { plugin: calico, ipipMode: Off }'), 's.yaml:5:36: spec.cni.ipipMode: found "Off", expected one of: Always, CrossSubnet, Never'],
  [scenario('cni: { plugin: calico, ipipMode: Always, vxlanMode: CrossSubnet }'), 's.yaml:5:55: spec.cni.vxlanMode: found CrossSubnet beside ipipMode Always, expected one of them Never'],
  [scenario('cni: { plugin: calico, blockSize: 22 }'), 's.yaml:5:37: spec.cni.blockSize: found blocks of /22, expected a blockSize from 24 to 31: the blocks of a node lie in its podCIDR'],
  [scenario('cni: { plugin: calico, backend: { type: vxlan } }'), 's.yaml:5:26: spec.cni: found unknown field "backend", expected one of: plugin, ipipMode, vxlanMode, natOutgoing, blockSize, mtu, portMappings'],
  [scenario('cni: { plugin: ptp, bridge: cni0 }'), 's.yaml:5:23: spec.cni: found unknown field "bridge", expected one of: plugin, ipMasq, mtu, portMappings, ipam'],
  [scenario('cni: { plugin: flannel, ipMasq: true }'), 's.yaml:5:27: spec.cni: found unknown field "ipMasq", expected one of: plugin, backend, portMappings'],
  [scenario('cni: { plugin: flannel, backend: { type: udp } }'), 's.yaml:5:44: spec.cni.backend.type: found "udp", expected one of: vxlan, host-gw'],
  [scenario('cni: { plugin: flannel, backend: { type: host-gw, vni: 2 } }'), 's.yaml:5:53: spec.cni.backend: found unknown field "vni", expected one of: type'],
  [scenario('cni: { plugin: flannel, backend: { vni: 10000000 } }'), 's.yaml:5:43: spec.cni.backend.vni: found 10000000, expected a whole number from 1 to 9999999'],
  [scenario('cni: { ipam: { ranges: [ { subnet: 10.0.9.0/24 } ] } }'), 's.yaml:5:38: spec.cni.ipam.ranges[0].subnet: found "10.0.9.0/24", expected one of: 10.0.1.0/24'],
  [scenario('cni: { ipam: { ranges: [ { subnet: 10.0.1.0/24, gateway: 10.0.1.255 } ] } }'), 's.yaml:5:60: spec.cni.ipam.ranges[0].gateway: found 10.0.1.255, expected an address of a pod in 10.0.1.0/24'],
  [scenario('cni: { ipam: { ranges: [ { subnet: 10.0.1.0/24, rangeStart: 10.0.1.9, rangeEnd: 10.0.1.8 } ] } }'), 's.yaml:5:63: spec.cni.ipam.ranges[0].rangeStart: found 10.0.1.9, expected an address up to rangeEnd 10.0.1.8'],
  [scenario('cni: { bridge: a-name-of-17-char }'), 's.yaml:5:18: spec.cni.bridge: found "a-name-of-17-char", expected an interface name of at most 15 characters that is free'],
  [scenario('kubeProxy: { mode: nftables }'), 's.yaml:5:22: spec.kubeProxy.mode: '],
  [scenario('manifests: [ x.yaml ]'), 's.yaml:5:16: spec.manifests[0]: found "x.yaml", expected a manifest\'s file: no file'],
  [scenario('', ''), 's.yaml:4:10: spec.nodes: found 0 nodes, expected from 1 to 5000'],
  [scenario('', N1.replace('node1', 'gw')), 's.yaml:4:20: spec.nodes[0].name: found "gw", expected a name other than lan, gw, root'],
  [scenario('', N1.replace('.11/24', '.0/24')), 's.yaml:4:36: spec.nodes[0].address: found 192.168.56.0/24, expected the address of a machine'],
  [scenario('', N1.replace('.11/24', '.11')), 's.yaml:4:36: spec.nodes[0].address: found "192.168.56.11", expected an address with its prefix length like 192.168.56.11/24'],
  [scenario('', N1.replace('10.0.1.0', '10.0.1.1')), 's.yaml:4:63: spec.nodes[0].podCIDR: found "10.0.1.1/24", expected a network: 10.0.1.0/24'],
  [scenario('', N1.replace('10.0.1.0', '10.9.1.0')), 's.yaml:4:63: spec.nodes[0].podCIDR: found 10.9.1.0/24, expected a part of the podSubnet 10.0.0.0/16'],
  [scenario('', `${N1}, ${N2.replace('10.0.2.0/24', '10.0.0.0/17')}`), 's.yaml:4:63: spec.nodes[0].podCIDR: found 10.0.1.0/24, expected a network apart from 10.0.0.0/17 of node2'],
  [scenario('', `${N1}, ${N2.replace('.12', '.11')}`), 's.yaml:4:78: spec.nodes[1]: duplicate name or address "192.168.56.11" among nodes and hosts'],
  [scenario('', N1.replace('192.168.56.11', '10.0.1.7')), 's.yaml:4:36: spec.nodes[0].address: found 10.0.1.7/24, expected an address outside 10.0.1.0/24 (node1)'],
  [scenario('networking: { serviceSubnet: 10.0.0.0/8 }'), 's.yaml:5:32: spec.networking.serviceSubnet: found podSubnet 10.0.0.0/16 and serviceSubnet 10.0.0.0/8, expected networks that do not overlap'],
  [scenario('hosts: [ { name: h, address: 203.0.113.1/24, podCIDR: 10.0.3.0/24 } ]'), 's.yaml:5:48: spec.hosts[0]: found unknown field "podCIDR", expected one of: name, address, addresses, resolvConf'],
  [step('{ at: soon, in: pod/p, run: ls }'), 's.yaml:7:11: spec.steps[0].at: found "soon", expected a duration like 2s or 500ms'],
  [step('{ at: 0s, in: pod/q, run: ls }'), 's.yaml:7:19: spec.steps[0].in: found "pod/q", expected pod/NAME, pod/NAMESPACE/NAME, node/NAME or host/NAME that exists'],
  [step('{ at: 0s, run: ls }'), 's.yaml:7:20: spec.steps[0].run: found no "in", expected one for "ls" (only kubectl runs without)'],
  [step('{ at: 0s, in: pod/p, run: "ls $HOME" }'), `s.yaml:7:35: found '$' (a variable or substitution), expected plain text; quote it with '…'`],
  [step('{ at: 0s, run: kubectl scale deployment/a --replica=3 }'), 's.yaml:7:20: spec.steps[0].run: error: unknown flag: --replica (expected --namespace, --filename, --selector, --all, --replicas, --current-replicas)'],
  [step('{ at: 0s, run: kubectl delete pod/a --cascade=foreground }'), "s.yaml:7:20: spec.steps[0].run: podwire's kubectl: --cascade=foreground is not supported yet (expected --namespace, --filename, --selector, --all, --grace-period, --force, --now, --wait, --ignore-not-found, --cascade)"],
  [step('{ at: 0s, run: kubectl get frobs }'), `s.yaml:7:20: spec.steps[0].run: error: the server doesn't have a resource type "frobs" (expected pods, services, daemonsets, deployments, replicasets, statefulsets, configmaps, endpoints, endpointslices, ingresses, ingressclasses, networkpolicies, nodes, namespaces, secrets)`],
  [step('{ at: 0s, run: kubectl frob }'), 's.yaml:7:20: spec.steps[0].run: error: unknown command "frob" for "kubectl" (expected get, describe, apply, create, replace, delete, scale, rollout, label, annotate, patch, cordon, uncordon, drain, taint, set)'],
  [step('{ at: 0s, run: kubectl get rs,svc -A }'), 's.yaml:7:35: spec.steps[0]: found unknown field "svc -A", expected one of: at, in, run, expect (inside { } a comma ends a value: quote one that has a comma)'],
  [step('{ at: 0s, run: "kubectl get svc | cat" }'), 's.yaml:7:20: spec.steps[0].run: found more than a kubectl command, expected one alone (with a heredoc where it reads -f -)'],
  [object('{ apiVersion: v1, kind: Pod, metadata: { name: p, namespace: no }, spec: { containers: [ { name: a, image: b } ] } }'), 's.yaml:6:66: spec.objects[0].metadata.namespace: Pod "p": found namespace "no", expected one that exists: namespaces "no" not found (add a Namespace object)'],
  [object('{ apiVersion: v1, kind: Pod, metadata: { name: p }, spec: { nodeName: no, containers: [ { name: a, image: b } ] } }'), 's.yaml:6:75: spec.objects[0].spec.nodeName: Pod "p": found nodeName "no", expected one of: node1'],
  [object('{ apiVersion: v1, kind: Pod, metadata: { name: p }, spec: { containers: [ { name: a, image: b } ] }, status: { podIP: 10.0.2.2 } }'), 's.yaml:6:123: spec.objects[0].status.podIP: Pod "p": found podIP 10.0.2.2, expected an address in 10.0.1.0/24 of node1'],
  [object('{ apiVersion: v1, kind: Pod, metadata: { name: p }, spec: { containers: [ { name: a, image: b } ] }, status: { podIP: 10.0.1.1 } }'), 's.yaml:6:123: spec.objects[0].status.podIP: Pod "p": found podIP 10.0.1.1, expected one that is free: it is the gateway'],
  [object('{ apiVersion: v1, kind: Node, metadata: { name: x } }'), 's.yaml:6:53: spec.objects[0].metadata.name: Node "x": found a Node without a machine, expected one of spec.nodes: node1'],
  [object(svc('a', 'clusterIP: 10.1.1.1, ports: [ { port: 80 } ]')), 's.yaml:6:80: The Service "a" is invalid: spec.clusterIPs: Invalid value: ["10.1.1.1"]: failed to allocate IP 10.1.1.1: the provided IP (10.1.1.1) is not in the valid range. The range of valid IPs is 10.96.0.0/12'],
  [object(`${svc('a', 'clusterIP: 10.96.1.1, ports: [ { port: 80 } ]')}\n  - ${svc('b', 'clusterIP: 10.96.1.1, ports: [ { port: 80 } ]')}`), 's.yaml:7:80: The Service "b" is invalid: spec.clusterIPs: Invalid value: ["10.96.1.1"]: failed to allocate IP 10.96.1.1: provided IP is already allocated (to Service "a")'],
  [object(`${svc('a', 'type: NodePort, ports: [ { port: 80, nodePort: 30000 } ]')}\n  - ${svc('b', 'type: NodePort, ports: [ { port: 80, nodePort: 30000 } ]')}`), 's.yaml:7:116: The Service "b" is invalid: spec.ports[0].nodePort: Invalid value: 30000: provided port is already allocated (to Service "a")'],
  [object(svc('a', 'ipFamilies: [ IPv6 ], ports: [ { port: 80 } ]')), 's.yaml:6:83: spec.objects[0].spec.ipFamilies[0]: Service "a": found IPv6, expected IPv4 (IPv6 is not supported yet)'],
  [scenario(`coredns: {}\n  objects: [ { apiVersion: v1, kind: Service, metadata: { name: kube-dns, namespace: kube-system }, spec: { ports: [ { port: 53 } ] } } ]`), 's.yaml:6:65: spec.objects[0].metadata.name: Service "kube-dns": duplicate name: "kube-dns" is made by spec.coredns'],
  [object('{ apiVersion: apps/v1, kind: Deployment, metadata: { name: d }, spec: { replicas: 2000000000, selector: { matchLabels: { a: b } }, template: { metadata: { labels: { a: b } }, spec: { containers: [ { name: a, image: b } ] } } } }'), 's.yaml:6:87: spec.objects[0].spec.replicas: Deployment "d": found 2000000000 replicas, expected at most 150000 pods in a cluster'],
  [object('{ apiVersion: apps/v1, kind: Deployment, metadata: { name: d }, spec: { replicas: 254, selector: { matchLabels: { a: b } }, template: { metadata: { labels: { a: b } }, spec: { containers: [ { name: a, image: b } ] } } } }'), 's.yaml:6:75: spec.objects[0].spec: Deployment "d": no IP addresses available in 10.0.1.0/24 of node1, expected a free one for each of 254 pods'],
  [scenario('coredns: {}\n  objects: [ { apiVersion: v1, kind: Service, metadata: { name: a }, spec: { clusterIP: 10.96.0.10, ports: [ { port: 53 } ] } } ]'), 's.yaml:6:89: The Service "a" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: provided IP is already allocated (to Service "kube-dns")'],
  [scenario('apiServer: node9'), 's.yaml:5:14: spec.apiServer: found "node9", expected one of: node1'],
  [scenario('apiServer: node1\n  objects: [ { apiVersion: v1, kind: Service, metadata: { name: kubernetes }, spec: { ports: [ { port: 443 } ] } } ]'), 's.yaml:6:65: spec.objects[0].metadata.name: Service "kubernetes": duplicate name: "kubernetes" is made by spec.apiServer'],
]; // prettier-ignore

const Scenario = suite('lib/kube/scenario');
for (const [text, message] of BAD) {
  Scenario(`refuses ${message.slice(7, 110)}`, () => {
    const actual = error(text).replace(/^s\.yaml: /, '');
    assert.is(message.endsWith(': ') ? actual.slice(0, message.length) : actual.replace(/^(.*): Pod "d-.*?":/, '$1: Deployment "d":'), message); // prettier-ignore
  });
}

Scenario('each part of a pipeline runs in the namespace, a heredoc stays whole', () => {
  const c = build(
    step(
      "at: 0s\n    in: pod/p\n    run: |\n      echo a | cat # c\n      nc -w 1 10.0.1.1 80 <<'X'\n      a | b\n      X",
    ),
  );
  const run = (c.text.match(/run: \|-\n([\s\S]*)$/)?.[1] ?? '').replace(/^ {8}/gm, '');
  assert.is(run, "ip netns exec default_p echo a | ip netns exec default_p cat\nip netns exec default_p nc -w 1 10.0.1.1 80 <<'X'\na | b\nX\n".replace(/\n$/, '\n')); // prettier-ignore
});

Scenario('the files and rules of thousands of Services are no more than a call takes', () => {
  const ports = Array.from({ length: 100 }, (_, i) => `{ name: p${i}, port: ${i + 1} }`).join(', ');
  const list = Array.from({ length: 450 }, (_, i) => svc(`s${i}`, `clusterIP: None, ports: [ ${ports} ]`));
  const c = build(scenario(`coredns: { replicas: 1 }\n  objects:\n  - ${list.join('\n  - ')}`));
  const n = c.text.split('\n').length;
  assert.ok(n > 130_000, `${n} lines show nothing`);
});

Scenario('a router joins networks that differ, and knows the podCIDRs of nodes behind it', () => {
  const nodes = `${N1}, ${N2.replace('192.168.56.12/24', '172.16.0.18/28')}`;
  const c = build(scenario('hosts: [ { name: laptop, address: 172.16.0.17/28 } ]', nodes));
  const lines = c.text.split('\n').map((l) => l.trim());
  for (const l of [
    'ip -n gw addr add 192.168.56.1/24 dev eth0',
    'ip -n gw addr add 172.16.0.30/28 dev eth1',
    'ip -n node1 route add default via 192.168.56.1',
    'ip -n laptop route add default via 172.16.0.30',
    'ip -n gw route add 10.0.1.0/24 via 192.168.56.11',
    'ip -n gw route add 10.0.2.0/24 via 172.16.0.18',
  ]) assert.ok(lines.includes(l), l); // prettier-ignore
  assert.not(c.text.includes('node1 route add 10.0.2.0/24'));
});

Scenario('a node whose name is no interface name has a numbered port on the switch', () => {
  const c = build(scenario('', `${N1.replace('node1', 'br0')}, ${N2.replace('node2', 'ip-10-0-0-2.ec2.internal')}`));
  assert.match(c.text, /ip -n br0 link add eth0 .* peer name port0 /);
  assert.match(c.text, /ip -n ip-10-0-0-2\.ec2\.internal link add eth0 .* peer name port1 /);
});

Scenario('probes are named on stderr, since none is sent', () => {
  const c = build(object('{ apiVersion: v1, kind: Pod, metadata: { name: p }, spec: { containers: [ { name: a, image: busybox, livenessProbe: { tcpSocket: { port: 80 } } } ] } }')); // prettier-ignore
  assert.equal(c.warnings, [
    'livenessProbe: none is sent: the first containers are ready, later ones when their readiness probe could have succeeded',
  ]);
});

Scenario('what a container of a server says that podwire does not do is said', () => {
  const said = (container: string): readonly string[] =>
    build(object(`{ apiVersion: v1, kind: Pod, metadata: { name: p }, spec: { containers: [ { name: a, ${container} } ] } }`)).warnings; // prettier-ignore
  for (const fine of ['image: nginx', 'image: nginx, command: [ /usr/sbin/nginx, -g, daemon off; ]', 'image: traefik/whoami, args: [ -name, x ]', 'image: registry.k8s.io/e2e-test-images/agnhost:2.53, command: [ /agnhost, pause ]'])
    assert.equal(said(fine), [], fine);
  assert.equal(said('image: nginx, command: [ sh, -c, nginx ]'), [
    'container "a" of image "nginx" serves nothing: podwire does not run its command "sh", expected nginx',
  ]);
  assert.match(said('image: nginx, args: [ -c, /x.conf ]').join(), /^container "a": found the arguments "-c \/x\.conf"/);
}); // prettier-ignore

Scenario('what is fine and seldom meant is said: a selector that chooses no pod, a policy that nobody enforces', () => {
  const policy =
    '{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: deny }, spec: { podSelector: {} } }';
  const c = build(object(`${svc('a', 'selector: { app: web, tier: x }, ports: [ { port: 80 } ]')}\n  - ${policy}`));
  assert.equal(c.warnings, [
    'Service "a": its selector app=web,tier=x chooses no pod of namespace default',
    'NetworkPolicy "deny" has no effect: the CNI plugin bridge enforces none',
  ]);
});

Scenario('a targetPort by a name that no pod behind the Service has is said', () => {
  const pod = (port: string): string => `{ apiVersion: v1, kind: Pod, metadata: { name: p, labels: { app: web } }, spec: { containers: [ { name: a, image: busybox, ports: [ { name: ${port}, containerPort: 80 } ] } ] } }`; // prettier-ignore
  const service = svc('a', 'selector: { app: web }, ports: [ { port: 80, targetPort: http } ]');
  assert.equal(build(object(`${service}\n  - ${pod('http')}`)).warnings, []);
  assert.equal(build(object(`${service}\n  - ${pod('htp')}`)).warnings, [
    'Service "a": its targetPort http names no TCP port of its pods',
  ]);
});

Scenario('hostAliases are in /etc/hosts as kubelet writes it, sysctls are set in the pod', () => {
  const c = build(object('{ apiVersion: v1, kind: Pod, metadata: { name: p }, spec: { hostname: h, subdomain: s, hostAliases: [ { ip: 1.2.3.4, hostnames: [ a, b.c ] } ], securityContext: { sysctls: [ { name: net/ipv4/tcp_fin_timeout, value: "5" } ] }, containers: [ { name: a, image: busybox } ] } }')); // prettier-ignore
  for (const l of ["ip netns exec default_p sysctl -q -w net.ipv4.tcp_fin_timeout='5'", "cat > /etc/netns/default_p/hosts <<'EOF'", '10.0.1.2\th.s.default.svc.cluster.local\th', '1.2.3.4\ta\tb.c'])
    assert.ok(c.text.includes(l), l); // prettier-ignore
});

Scenario('host-local gives the addresses of a range in turn, without its gateway', () => {
  const p = (name: string, ip = ''): string => POD.replace('name: p }', `name: ${name} }`).replace(/}$/, ip === '' ? '}' : `, status: { podIP: ${ip} } }`); // prettier-ignore
  const ipam = '{ subnet: 10.0.1.0/24, rangeStart: 10.0.1.252, rangeEnd: 10.0.1.254, gateway: 10.0.1.253 }';
  const text = (...pods: string[]): string =>
    scenario(`cni: { plugin: ptp, ipam: { ranges: [ ${ipam} ] } }\n  objects: [ ${pods.join(', ')} ]`);
  const c = build(text(p('a'), p('b')));
  for (const l of ['ip -n default_a addr add 10.0.1.252/24 dev eth0', 'ip -n default_b addr add 10.0.1.254/24 dev eth0', 'ip -n default_b route add default via 10.0.1.253 dev eth0'])
    assert.ok(c.text.includes(l), l); // prettier-ignore
  assert.match(
    error(text(p('a'), p('b'), p('c'))),
    /no IP addresses available in 10\.0\.1\.252-10\.0\.1\.254 of node1/,
  );
  assert.match(error(text(p('a', '10.0.1.7'))), /found podIP 10\.0\.1\.7, expected an address in 10\.0\.1\.252-/);
  assert.match(
    error(text(p('a', '10.0.1.253'))),
    /found podIP 10\.0\.1\.253, expected one that is free: it is the gateway/,
  );
});

Scenario('a hostPort without the plugin portmap is said to have no effect; one port of a node is given once', () => {
  const p = (name: string, port: string): string => POD.replace('name: p', `name: ${name}`).replace('image: busybox', `image: busybox, ports: [ { containerPort: 80, hostPort: ${port} } ]`); // prettier-ignore
  const warnings = (cni: string, ...pods: string[]): string[] => build(scenario(`cni: { ${cni} }\n  objects: [ ${pods.join(', ')} ]`)).warnings; // prettier-ignore
  assert.equal(warnings('plugin: bridge', p('a', '80')), ['Pod "a": hostPort has no effect, cni.portMappings is false (no plugin portmap)']); // prettier-ignore
  assert.equal(warnings('plugin: flannel', p('a', '80')), []);
  const tcp = p('a', '80, hostIP: 192.168.56.11');
  assert.equal(warnings('plugin: flannel', tcp, p('b', '80, hostIP: 10.0.1.1'), p('c', '80, protocol: UDP')), []);
  assert.equal(warnings('plugin: flannel', tcp, p('b', '80')), [`Pod "b" stays Pending: 0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports`]); // prettier-ignore
});

Scenario('a folder and a pattern of manifests are all their files', () => {
  const read = (path: string): string =>
    `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${path.replace(/\W/g, '-')} }\n`;
  const expand = (path: string): string[] =>
    path === 'dir' ? ['dir/a.yaml', 'dir/b.json'] : path === 'none' ? [] : [path];
  const s = parseScenario(scenario('manifests: [ dir, x.yaml ]'), 's.yaml', read, expand);
  assert.equal(s.objects.map((o) => o.metadata.name), ['dir-a-yaml', 'dir-b-json', 'x-yaml']); // prettier-ignore
  assert.throws(() => parseScenario(scenario('manifests: [ none ]'), 's.yaml', read, expand), /^s\.yaml:5:16: .*found "none", expected manifests: no/); // prettier-ignore
});
Scenario.run();
