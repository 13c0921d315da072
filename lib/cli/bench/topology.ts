/**
 * The clusters that the bench measures: two nodes and a few pods, as the real plugins, kube-proxy and CoreDNS set them up.
 *
 * A Scenario is compiled to its Lab, the same text that `podwire compile` prints and a kernel executes. Where there are no
 * machines but the two nodes, a cable joins them instead of the switch.
 * @module
 */
import { loadScenario } from '../load-scenario.js';

export const NODES = ['node1', 'node2'] as const;
export const CLIENT = 'default_client';
export const SERVER = 'default_server';
/** A server on the client's own node. */
export const NEAR = 'default_near';
export const CLIENT_NODE = 'node1';
/** Address of the Service `svc`, whose only endpoint is the pod `server` on the other node. */
export const CLUSTER_IP = '10.96.0.50';
export const DNS_IP = '10.96.0.10';
export const HOST_IP = '203.0.113.10';
export const UDP_PORT = 5000;
export const TCP_PORT = 5001;
/** The ports of the Service. */
export const SERVICE_PORT = 53;
export const SERVICE_TCP_PORT = 80;

export interface ClusterOptions {
  /** The value of `cni:`. */
  cni: string;
  mode: 'iptables' | 'ipvs';
  /** With CoreDNS, or with a host outside the cluster behind a router. */
  coredns?: boolean;
  host?: boolean;
}

const pod = (name: string, node: string): string =>
  `  - { apiVersion: v1, kind: Pod, metadata: { name: ${name}, labels: { app: ${name} } }, spec: { nodeName: ${node}, containers: [ { name: c, image: busybox } ] } }\n`;

/** The text of the Scenario. */
export function scenarioText(o: ClusterOptions): string {
  return `kind: Scenario
metadata: { name: bench }
spec:
  nodes:
  - { name: node1, address: 192.168.56.11/24, podCIDR: 10.0.1.0/24 }
  - { name: node2, address: 192.168.56.12/24, podCIDR: 10.0.2.0/24 }
  cni: ${o.cni}
  kubeProxy: { mode: ${o.mode} }
${o.coredns === true ? '  coredns: { replicas: 1 }\n' : ''}${o.host === true ? `  hosts: [ { name: internet, address: ${HOST_IP}/24 } ]\n` : ''}  objects:
${pod('client', 'node1')}${pod('near', 'node1')}${pod('server', 'node2')}  - apiVersion: v1
    kind: Service
    metadata: { name: svc }
    spec:
      clusterIP: ${CLUSTER_IP}
      selector: { app: server }
      ports:
      - { name: udp, port: ${SERVICE_PORT}, targetPort: ${UDP_PORT}, protocol: UDP }
      - { name: tcp, port: ${SERVICE_TCP_PORT}, targetPort: ${TCP_PORT}, protocol: TCP }
  steps: []
`;
}

/** The Lab as text. */
export function clusterLab(o: ClusterOptions): string {
  const { text } = loadScenario(
    scenarioText(o),
    'bench',
    () => '',
    () => [],
  );
  return o.host === true ? text : cabled(text);
}

/**
 * The nodes' switch and its ports taken out, the two uplinks joined. Each has the other as its way out: without any, Calico's
 * node does not answer its pods' ARP requests.
 */
function cabled(text: string): string {
  const uplink = /^(\s*ip -n )node1 (link add eth0 address \S+ type veth peer name )node1 (address )\S+ netns lan$/m;
  const far = /^\s*ip -n node2 link add eth0 address (\S+) type veth peer name node2 .*$/m.exec(text)!;
  const lines = text.replace(far[0], '').split('\n');
  const at = lines.findIndex((l) => uplink.test(l));
  const cable = lines[at]!.replace(uplink, `$1node1 $2eth0 $3${far[1]!} netns node2`);
  // The far end can be there only once its namespace is.
  lines.splice(at, 1);
  const born = lines.findIndex((l) => l.trim() === 'ip netns add node2');
  const first = lines.findIndex((l) => l.trim() === 'ip netns add node1');
  lines.splice(born, 1);
  lines.splice(first + 1, 0, lines[first]!.replace('node1', 'node2'), cable);
  const up = (node: string): number => lines.findIndex((l) => l.trim() === `ip -n ${node} link set eth0 up`);
  for (const [node, other] of [['node1', '192.168.56.12'], ['node2', '192.168.56.11']] as const) {
    lines.splice(up(node) + 1, 0, `    ip -n ${node} route add default via ${other}`);
  } // prettier-ignore
  return lines.filter((l) => !/ (-n|exec|add) lan( |$)/.test(l) && l !== '').join('\n');
}
