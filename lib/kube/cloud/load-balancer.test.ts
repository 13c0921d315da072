/** Load balancers and MetalLB of a Scenario: what they become, and what is refused and where. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseLab } from '../../lab/lab.js';
import { InputError } from '../../sim/input-error.js';
import { type Compiled, compile } from '../compile.js';
import { reconcile } from '../controllers.js';
import { kubectl } from '../kubectl/index.js';
import { parseScenario } from '../scenario.js';

const POD = (name: string, node: string): string =>
  `{ apiVersion: v1, kind: Pod, metadata: { name: ${name}, labels: { app: web } }, spec: { nodeName: ${node}, containers: [ { name: a, image: busybox } ] } }`;
const SVC = (spec = '', ports = '{ port: 80, nodePort: 30080 }', name = 'web'): string =>
  `{ apiVersion: v1, kind: Service, metadata: { name: ${name} }, spec: { type: LoadBalancer, ${spec} selector: { app: web }, ports: [ ${ports} ] } }`;
const HOST = 'hosts: [ { name: laptop, address: 203.0.113.10/24 } ]';
const LB = (rest: string): string => `loadBalancers: [ { name: lb, ip: 198.51.100.7, service: web, ${rest} } ]`;
const PASS = LB('class: pass-through, address: 192.168.56.5/24');

/** `more` stands on line 7 and perhaps 8, the first object two lines below. */
function build(
  more: string,
  objects: string[] = [POD('p', 'node2'), SVC()],
  steps: string[] = [],
  node1 = '',
): Compiled {
  const text = `kind: Scenario
metadata: { name: t }
spec:
  nodes:
  - { name: node1, address: 192.168.56.11/24, podCIDR: 10.0.1.0/24${node1} }
  - { name: node2, address: 192.168.56.12/24, podCIDR: 10.0.2.0/24 }
  ${more}
  objects:
${objects.map((o) => `  - ${o}\n`).join('')}  steps: [ ${steps.join(', ')} ]
  until: 30s
`;
  return compile(reconcile(parseScenario(text, 's.yaml', () => '')));
}
const refused = (...a: Parameters<typeof build>): string => {
  try {
    build(...a);
  } catch (e) {
    if (e instanceof InputError) return e.message;
    throw e;
  }
  return 'accepted';
};
/** Lines of the setup and of components' steps that match, without `ip netns exec`. */
const lines = (c: Compiled, of: RegExp): string[] => {
  const lab = parseLab(c.text, 't');
  const all = [...lab.setup.map((x) => x.text), ...lab.steps.filter((s) => s.by !== undefined).flatMap((s) => s.run.map((x) => x.text))];
  return all.filter((l) => of.test(l)).map((l) => l.replace('ip netns exec ', ''));
}; // prettier-ignore
const external = (c: Compiled): string =>
  kubectl(['get', 'svc', '-o', 'jsonpath={.items[*].status.loadBalancer.ingress}'], c.at(0), 0).stdout;

const Balancers = suite('lib/kube/cloud/load-balancer');
Balancers('pass-through is IPVS direct routing, and kube-proxy has a rule for the address', () => {
  const c = build(`${HOST}\n  ${PASS}`);
  assert.equal(lines(c, /ipvsadm|198\.51\.100\.7[/ ](32|via)/), [
    'ip -n lb addr add 198.51.100.7/32 dev lo',
    'ip -n gw route add 198.51.100.7 via 192.168.56.5',
    'lb ipvsadm -A -t 198.51.100.7:80 -s mh -b mh-fallback,mh-port',
    'lb ipvsadm -a -t 198.51.100.7:80 -r 192.168.56.11 -g -w 1',
    'lb ipvsadm -a -t 198.51.100.7:80 -r 192.168.56.12 -g -w 1',
  ]);
  assert.match(c.text, 'default/web loadbalancer IP" -m tcp -p tcp -d 198.51.100.7 --dport 80 -j KUBE-EXT-');
  assert.is(external(c), '[{"ip":"198.51.100.7","ipMode":"VIP"}]');
});
Balancers('an address of the network of the nodes needs no route and no router', () => {
  const c = build(PASS.replace('198.51.100.7', '192.168.56.77'));
  assert.equal(lines(c, /56\.77\/32|route add 192\.168\.56\.77/), ['ip -n lb addr add 192.168.56.77/32 dev lo']);
});
Balancers('dnat is IPVS NAT on the router, with the security group and the affinity of the Service', () => {
  const spec = 'sessionAffinity: ClientIP, loadBalancerSourceRanges: [ 203.0.113.0/28 ],';
  const c = build(`${HOST}\n  ${LB('class: dnat')}`, [POD('p', 'node2'), SVC(spec)]);
  assert.equal(lines(c, /ipvsadm|198\.51\.100\.7/), [
    'ip -n gw addr add 198.51.100.7/32 dev lo',
    'gw iptables -A INPUT -d 198.51.100.7 -p tcp --dport 80 -s 203.0.113.0/28 -j ACCEPT',
    'gw iptables -A INPUT -d 198.51.100.7 -p tcp --dport 80 -j DROP',
    'gw ipvsadm -A -t 198.51.100.7:80 -s mh -b mh-fallback',
    'gw ipvsadm -a -t 198.51.100.7:80 -r 192.168.56.11:30080 -m -w 1',
    'gw ipvsadm -a -t 198.51.100.7:80 -r 192.168.56.12:30080 -m -w 1',
  ]);
  assert.is(external(c), '[{"ip":"198.51.100.7","ipMode":"Proxy"}]');
});
Balancers('proxy is a program, whose own address may be the clients', () => {
  const c = build(LB('class: proxy, address: 192.168.56.5/24, proxyProtocol: v2').replace('ip: 198.51.100.7, ', ''));
  assert.equal(lines(c, /tcp-proxy|addr add 192\.168\.56\.5/), [
    'ip -n lb addr add 192.168.56.5/24 dev eth0',
    'lb podwire app tcp-proxy --listen 192.168.56.5:80 --to 192.168.56.11:30080 --to 192.168.56.12:30080 --send-proxy v2 &',
  ]);
});
Balancers('policy Local is checked over HTTP on the healthCheckNodePort, put apart by node; nodes start out of use', () => {
  const c = build(`${HOST}\n  ${PASS}`, [POD('p', 'node2'), SVC('externalTrafficPolicy: Local, healthCheckNodePort: 32000,')]);
  const edit = (node: number, w: number): string => `'ipvsadm -e -t 198.51.100.7:80 -r 192.168.56.1${node} -g -w ${w}'`;
  const probe = (node: number, delay: number): string =>
    `lb podwire app probe --http 192.168.56.1${node}:32000/healthz --agent GoogleHC/1.0 --interval 3 --timeout 1 --delay ${delay} --healthy 1 --unhealthy 2 --up ${edit(node, 1)} --down ${edit(node, 0)} &`;
  assert.equal(lines(c, /app probe/), [probe(1, 1.3), probe(2, 2.8)]);
  assert.equal(lines(c, /ipvsadm -a/).map((l) => l.slice(-2)), [' 0', ' 0']);
}); // prettier-ignore
Balancers('healthCheck fills in what the class has by default', () => {
  const check = (text: string, spec = ''): string[] =>
    lines(build(`${HOST}\n  ${LB(`class: dnat, healthCheck: ${text}`)}`, [SVC(spec)]), /app probe/).slice(0, 1).map((l) => l.replace(/ --up.*/, '')); // prettier-ignore
  assert.equal(check('{}'), ['gw podwire app probe --tcp 192.168.56.11:30080 --interval 10 --timeout 10 --delay 1.3 --healthy 3 --unhealthy 3']); // prettier-ignore
  assert.equal(check('{ protocol: HTTP, port: 8080, path: /ready, interval: 2500ms, timeout: 1s, unhealthyThreshold: 4 }'), ['gw podwire app probe --http 192.168.56.11:8080/ready --close --agent ELB-HealthChecker/2.0 --interval 2.5 --timeout 1 --delay 1.3 --healthy 2 --unhealthy 4']); // prettier-ignore
  assert.equal(check('{ protocol: TCP, interval: 20s }', 'externalTrafficPolicy: Local,'), ['gw podwire app probe --tcp 192.168.56.11:30080 --interval 20 --timeout 10 --delay 1.3 --healthy 3 --unhealthy 3']); // prettier-ignore
});
Balancers('a node with the excluding label is no target', () => {
  const c = build(
    `${HOST}\n  ${PASS}`,
    [SVC()],
    [],
    ', labels: { node.kubernetes.io/exclude-from-external-load-balancers: "" }',
  );
  assert.equal(lines(c, /ipvsadm -a/), ['lb ipvsadm -a -t 198.51.100.7:80 -r 192.168.56.12 -g -w 1']);
});

const P = 'class: pass-through, address: 192.168.56.5/24';
const BAD: [more: string, objects: string[] | undefined, message: string][] = [
  [`${HOST}\n  ${LB(`${P}, bogus: 1`)}`, undefined, 's.yaml:8:111: spec.loadBalancers[0]: found unknown field "bogus", expected one of: name, address, class, ip, service, proxyProtocol, healthCheck'],
  [`${HOST}\n  ${LB('class: dnat, address: 192.168.56.5/24')}`, undefined, 's.yaml:8:77: spec.loadBalancers[0]: found unknown field "address", expected one of: name, class, ip, service, healthCheck'],
  [`${HOST}\n  ${LB(`${P}, proxyProtocol: v1`)}`, undefined, 's.yaml:8:111: spec.loadBalancers[0]: found unknown field "proxyProtocol", expected one of: name, class, ip, service, address, healthCheck'],
  [`${HOST}\n  ${LB(`${P}, healthCheck: { interval: 1h }`)}`, undefined, 's.yaml:8:136: spec.loadBalancers[0].healthCheck.interval: found "1h", expected a duration from 100ms to 300s'],
  [`${HOST}\n  ${LB(`${P}, healthCheck: { interval: 1s, timeout: 2s, port: 80 }`)}`, undefined, 's.yaml:8:124: spec.loadBalancers[0].healthCheck: found a timeout of 2s, expected at most the interval of 1s'],
  [`${HOST}\n  ${LB(`${P}, healthCheck: { path: healthz }`)}`, undefined, 's.yaml:8:132: spec.loadBalancers[0].healthCheck.path: found "healthz", expected a path like /healthz'],
  [`${HOST}\n  ${LB(`${P}, healthCheck: { path: /healthz }`)}`, undefined, 's.yaml:8:124: spec.loadBalancers[0].healthCheck: found no port, expected one: Service "web" has no healthCheckNodePort'],
  [PASS, undefined, 's.yaml:7:36: spec.loadBalancers[0].ip: found machines in one network only, expected a host in another: 198.51.100.7 is reached by the router gw'],
  [LB('class: dnat'), undefined, 's.yaml:7:71: spec.loadBalancers[0].class: found machines in one network only, expected a host in another: class dnat is done by the router gw'],
  [`${HOST}\n  ${PASS.replace('198.51.100.7', '192.168.56.11')}`, undefined, "s.yaml:8:36: spec.loadBalancers[0].ip: found 192.168.56.11, expected an address that no machine has: it is node1's"],
  [`${HOST}\n  ${PASS.replace('198.51.100.7', '10.96.0.9')}`, undefined, 's.yaml:8:36: spec.loadBalancers[0].ip: found 10.96.0.9, expected an address outside of 10.96.0.0/12'],
  [`${HOST}\n  ${PASS.replace('198.51.100.7', '203.0.113.99')}`, undefined, 's.yaml:8:36: spec.loadBalancers[0].ip: found 203.0.113.99, expected an address outside of 203.0.113.0/24: the balancer is in 192.168.56.0/24'],
  [`${HOST}\n  ${PASS.replace('192.168.56.5', '203.0.113.5')}`, undefined, 's.yaml:8:94: spec.loadBalancers[0].address: found 203.0.113.5/24, expected the network of every node: class pass-through delivers frames to them, and node1 is elsewhere'],
  [`${HOST}\n  ${PASS.replace('service: web', 'service: a/b/c')}`, undefined, 's.yaml:8:59: spec.loadBalancers[0].service: found "a/b/c", expected NAME or NAMESPACE/NAME'],
  [`${HOST}\n  ${PASS.replace('service: web', 'service: other')}`, undefined, 's.yaml:8:59: spec.loadBalancers[0].service: found "other", expected a Service of type LoadBalancer in namespace default: web'],
  [`${HOST}\n  ${PASS}`, [SVC().replace('spec:', 'status: { loadBalancer: { ingress: [ { ip: 1.2.3.4 } ] } }, spec:')], 's.yaml:10:87: spec.objects[0].status.loadBalancer: Service "web": found an address, expected none: the load balancer lb gives it'],
  [`${HOST}\n  ${LB('class: proxy, address: 192.168.56.5/24')}`, [SVC('', '{ port: 53, protocol: UDP }')], 's.yaml:10:147: spec.objects[0].spec.ports[0].protocol: Service "web": found UDP, expected TCP: the load balancer lb has class proxy'],
  [`${HOST}\n  ${LB('class: dnat')}`, [SVC('allocateLoadBalancerNodePorts: false,', '{ port: 80 }')], 's.yaml:10:122: spec.objects[0].spec.allocateLoadBalancerNodePorts: Service "web": found no nodePort, expected one: class dnat sends to it'],
  [`${HOST}\n  loadBalancers: [ { name: a, class: dnat, ip: 198.51.100.7, service: web }, { name: b, class: dnat, ip: 198.51.100.8, service: web } ]`, undefined, 's.yaml:8:129: spec.loadBalancers[1].service: found "web" again, expected one load balancer for a Service'],
  [`${HOST}\n  loadBalancers: [ { name: a, class: dnat, ip: 198.51.100.7, service: web }, { name: b, class: dnat, ip: 198.51.100.7, service: x } ]`, undefined, 's.yaml:8:106: spec.loadBalancers[1].ip: found 198.51.100.7 again, expected an address of its own'],
  ['metallb: { protocol: arp, addresses: [] }', undefined, 's.yaml:7:24: spec.metallb.protocol: found "arp", expected one of: layer2, bgp'],
  ['metallb: { protocol: layer2, addresses: [ 192.168.56.250-192.168.56.240 ] }', undefined, 's.yaml:7:45: spec.metallb.addresses[0]: found "192.168.56.250-192.168.56.240", expected addresses like 192.168.56.240/28 or 192.168.56.240-192.168.56.250, at most 65536'],
  ['metallb: { protocol: layer2, addresses: [ 10.1.2.0/28 ] }', undefined, "s.yaml:7:45: spec.metallb.addresses[0]: found \"10.1.2.0/28\", expected addresses of the nodes' network 192.168.56.0/24: nobody asks for others by ARP"],
  ['metallb: { protocol: layer2, addresses: [ 192.168.56.0/28 ] }', undefined, 's.yaml:7:45: spec.metallb.addresses[0]: found "192.168.56.0/28", expected addresses that no machine has: 192.168.56.11 is one'],
  ['metallb: { protocol: bgp, addresses: [ 198.51.100.0/28 ] }', undefined, 's.yaml:7:24: spec.metallb.protocol: found machines in one network only, expected a host in another: the peer of protocol bgp is the router gw'],
  [`${HOST}\n  metallb: { protocol: bgp, addresses: [ 192.168.56.64/28 ] }`, undefined, 's.yaml:8:42: spec.metallb.addresses[0]: found "192.168.56.64/28", expected addresses outside of 192.168.56.0/24'],
  ['metallb: { protocol: layer2, addresses: [ 192.168.56.240/32 ] }', [SVC(), SVC('', '{ port: 81 }', 'web2')], 's.yaml:10:78: spec.objects[1].spec.type: Service "web2": found no free address in metallb.addresses, expected one more'],
  ['metallb: { protocol: layer2, addresses: [ 192.168.56.240/30 ] }', [SVC().replace('name: web', "name: web, annotations: { metallb.io/loadBalancerIPs: '192.168.56.9' }")], 's.yaml:9:104: spec.objects[0].metadata.annotations.metallb.io/loadBalancerIPs: found "192.168.56.9", expected one address of metallb.addresses'],
  [`${HOST}\n  networking: { serviceSubnet: 198.51.100.64/28 }\n  metallb: { protocol: bgp, addresses: [ 198.51.100.0/24 ] }`, undefined, 's.yaml:9:42: spec.metallb.addresses[0]: found "198.51.100.0/24", expected addresses outside of 198.51.100.64/28'],
  ['metallb: { protocol: layer2, addresses: [ 192.168.56.240/30 ] }', [SVC().replace('name: web', "name: web, annotations: { metallb.io/allow-shared-ip: a }")], 's.yaml:9:74: spec.objects[0].metadata.annotations: Service "web": metallb.io/allow-shared-ip is not supported yet'],
]; // prettier-ignore
Balancers('what cannot be is refused at its place', () => {
  assert.equal(BAD.map(([more, objects]) => refused(more, objects)), BAD.map(([, , message]) => message)); // prettier-ignore
});

const L2 = 'metallb: { protocol: layer2, addresses: [ 192.168.56.240-192.168.56.250 ] }';
Balancers('MetalLB gives addresses in order, and the ones asked for', () => {
  const asked = SVC('', '{ port: 82 }', 'c').replace('name: c', 'name: c, annotations: { metallb.io/loadBalancerIPs: 192.168.56.240 }'); // prettier-ignore
  const own = SVC('loadBalancerClass: x/y,', '{ port: 83 }', 'd');
  const c = build(L2, [SVC(), SVC('', '{ port: 81 }', 'b'), asked, own]);
  const of = (name: string): string => kubectl(['get', 'svc', name, '-o', 'jsonpath={.status.loadBalancer.ingress[0].ip}'], c.at(0), 0).stdout; // prettier-ignore
  assert.equal(['web', 'b', 'c', 'd'].map(of), ['192.168.56.241', '192.168.56.242', '192.168.56.240', '']);
});
Balancers('layer 2: the lowest hash is first; with policy Local only nodes with a pod; without a pod nobody', () => {
  const local = SVC('externalTrafficPolicy: Local,', '{ port: 81 }', 'b');
  const none = SVC('', '{ port: 82 }', 'c').replace('app: web', 'app: none');
  const c = build(L2, [POD('p', 'node2'), SVC(), local, none]);
  assert.equal(lines(c, /podwire-metallb <</)[0]!.split('\n').slice(2, -1), ['192.168.56.240 node1 node2', '192.168.56.241 node2', '192.168.56.242']); // prettier-ignore
  assert.equal(lines(c, /speaker/), [
    'node1 podwire app metallb-speaker --node node1 --address 192.168.56.11 --peer node2=192.168.56.12 --delay 2.3 --config /run/podwire-metallb &',
    'node2 podwire app metallb-speaker --node node2 --address 192.168.56.12 --peer node1=192.168.56.11 --delay 2.35 --config /run/podwire-metallb &',
  ]);
});
Balancers('BGP: a next hop for every node that advertises; routes follow the pods', () => {
  const local = SVC('externalTrafficPolicy: Local,', '{ port: 81 }', 'b');
  const step = '{ at: 1s, run: kubectl delete pod p --grace-period=1 }';
  const pool = `${HOST}\n  metallb: { protocol: bgp, addresses: [ 198.51.100.0/29 ] }`;
  const c = build(pool, [POD('p', 'node2'), POD('q', 'node1'), SVC(), local], [step]);
  const hops = 'proto bgp metric 20 nexthop via 192.168.56.11 weight 1 nexthop via 192.168.56.12 weight 1';
  assert.equal(lines(c, /198\.51\.100\.\d proto bgp/), [
    `ip -n gw route add 198.51.100.0 ${hops}`,
    `ip -n gw route add 198.51.100.1 ${hops}`,
    'ip -n gw route replace 198.51.100.1 proto bgp metric 20 via 192.168.56.11',
  ]);
  const last = build(pool, [POD('p', 'node2'), SVC(), local], [step]);
  assert.equal(lines(last, /route del/), ['198.51.100.0', '198.51.100.1'].map((ip) => `ip -n gw route del ${ip} proto bgp metric 20`)); // prettier-ignore
});
Balancers.run();
