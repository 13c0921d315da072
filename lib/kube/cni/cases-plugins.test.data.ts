/** The plugins of the case file (cases.test.ts): a row each. */
/** A plugin, and where the case file finds what it speaks with. */
export interface Row {
  name: string;
  title: string;
  cni: string;
  /** Lines of `nodes`; absent: two nodes of 192.168.56.0/24. */
  nodes?: string[];
  manifests?: string;
  /** Pods by address: `b` on node1 beside `a`, `c` on node2; `gw`: what the pods of node2 have as their gateway. */
  b: string;
  c: string;
  gw: string;
  node1: string;
  node2: string;
  /** What the host outside knows node1 by; absent: node1. */
  public?: string;
  /** Payloads of ICMP echo requests: one that fits every plugin's pods, one that just fits the network, a large one; absent: 1422, 1472, 4000. */
  sizes?: [number, number, number];
  /** A pod whose MAC address changes has lost its gateway, which is a static neighbour entry. */
  lost?: true;
  /** The node that is reached through a VXLAN device, a pod there, and its podCIDR; the device, the MAC address of node1's, how its routes end. */
  far?: { node: string; address: string; pod: string; podCIDR: string; dev: string; mac: string; route: string };
  /** A manifest of pod c on node1, with the address that it had on node2. */
  moved?: string;
  /** A manifest of pod c that asks for the address it had; absent: a podCIDR with room for one gives it back. */
  again?: string;
  /** `networking` of the cluster; absent: the usual subnets. */
  networking?: string;
  /** A third thing to ping in the ways through a cluster; absent: node2. */
  third?: string;
  /** Commands 2 s before the first step (`in` and the line); the others come slower: in one segment everybody sees all ARP. */
  first?: [string, string][];
  /**
   * Options of curl from a node to a Service. Weave's bridge shows only the answers, already translated back, and a random port that no
   * frame brings as its source is not compared: there it is given.
   */
  curl?: string;
  /** What else is listed of a node. */
  listings?: string[];
  /** The pods' devices announce a new address of theirs (arp_notify). */
  notify: boolean;
}

export const TWO = [
  '{ name: node1, address: 192.168.56.11/24, podCIDR: 10.0.1.0/24 }',
  '{ name: node2, address: 192.168.56.12/24, podCIDR: 10.0.2.0/24 }',
];
const ROUTER = [...TWO, '{ name: node3, address: 192.168.57.13/24, podCIDR: 10.0.3.0/24 }'];
const USUAL = { b: '10.0.1.3', c: '10.0.2.2', gw: '10.0.2.1', node1: '192.168.56.11', node2: '192.168.56.12' };

const FLANNEL = { dev: 'flannel.1', mac: '02:f1:0a:00:01:00', route: 'onlink' };

/** Its pods' gateway is nobody's address: they ping their node. */
const CALICO = {
  b: '10.0.1.2',
  c: '10.0.2.1',
  gw: '192.168.56.12',
  node1: '192.168.56.11',
  node2: '192.168.56.12',
  moved: 'manifests/calico-c-moved.yaml',
  again: 'manifests/calico-c-again.yaml',
  notify: false,
};
const VTEP = { dev: 'vxlan.calico', mac: '66:f9:37:c3:7e:94', route: 'proto 80 onlink mtu 1450' };
const BEHIND = { nodes: ROUTER, manifests: 'manifests/pods.yaml, manifests/node3.yaml' };

const patient = (dev: string): string =>
  `sysctl -q -w net.ipv4.neigh.${dev}.base_reachable_time=3600 net.ipv4.neigh.${dev}.delay_first_probe_time=300`;

const WEAVE: Row = {
  name: 'weave',
  title: 'Weave Net',
  cni: 'plugin: weave, peers: [ { node: node1, name: "9a:11:22:33:44:01", shortID: 0x5a1 }, { node: node2, name: "9a:11:22:33:44:02", shortID: 0x0c7 } ]',
  nodes: [
    '{ name: node1, address: 192.168.56.11/24, podCIDR: 10.32.0.0/13 }',
    '{ name: node2, address: 192.168.56.12/24, podCIDR: 10.40.0.0/13 }',
  ],
  networking: 'podSubnet: 10.32.0.0/12',
  b: '10.32.0.3',
  c: '10.40.0.1',
  gw: '10.40.0.0',
  node1: '192.168.56.11',
  node2: '192.168.56.12',
  // Weave's own times are short, and when a neighbour is asked again is drawn at random.
  first: [
    ...['pod/a', 'pod/b', 'pod/c'].map((p): [string, string] => [p, patient('eth0')]),
    ...['node/node1', 'node/node2'].map((n): [string, string] => [
      n,
      `${patient('weave')} net.ipv4.neigh.eth0.delay_first_probe_time=300`,
    ]),
  ],
  sizes: [1348, 1472, 4000],
  curl: '--local-port 40001 ',
  listings: ['ovs-dpctl show', 'ovs-dpctl dump-flows'],
  notify: false,
};

export const PLUGINS: Row[] = [
  {
    ...USUAL,
    name: 'bridge',
    title: 'The bridge plugin with ipMasq',
    cni: 'plugin: bridge, ipMasq: true, hairpinMode: true, portMappings: true',
    notify: true,
  },
  {
    ...USUAL,
    name: 'ptp',
    title: 'The ptp plugin with ipMasq',
    cni: 'plugin: ptp, ipMasq: true, portMappings: true',
    notify: false,
  },
  {
    ...USUAL,
    name: 'flannel-vxlan',
    title: 'flannel, VXLAN',
    cni: 'plugin: flannel, backend: { type: vxlan }',
    far: { node: 'node2', address: '192.168.56.12', pod: '10.0.2.2', podCIDR: '10.0.2.0', ...FLANNEL },
    notify: true,
  },
  {
    ...USUAL,
    name: 'flannel-direct',
    title: 'flannel, VXLAN where a router is between',
    cni: 'plugin: flannel, backend: { type: vxlan, directRouting: true }',
    nodes: ROUTER,
    manifests: 'manifests/pods.yaml, manifests/node3.yaml',
    far: { node: 'node3', address: '192.168.57.13', pod: '10.0.3.2', podCIDR: '10.0.3.0', ...FLANNEL },
    third: '10.0.3.2',
    notify: true,
  },
  {
    ...USUAL,
    name: 'flannel-host-gw',
    title: 'flannel, host-gw',
    cni: 'plugin: flannel, backend: { type: host-gw }',
    notify: true,
  },
  {
    ...CALICO,
    name: 'calico-ipip-always',
    title: 'Calico, IPIP',
    cni: 'plugin: calico, ipipMode: Always, blockSize: 24',
  },
  {
    ...CALICO,
    ...BEHIND,
    name: 'calico-ipip-cross-subnet',
    title: 'Calico, IPIP where a router is between',
    cni: 'plugin: calico, ipipMode: CrossSubnet, blockSize: 24',
    third: '10.0.3.1',
  },
  {
    ...CALICO,
    name: 'calico-vxlan-always',
    title: 'Calico, VXLAN',
    cni: 'plugin: calico, vxlanMode: Always, blockSize: 24',
    far: { node: 'node2', address: '192.168.56.12', pod: '10.0.2.1', podCIDR: '10.0.2.0', ...VTEP },
  },
  {
    ...CALICO,
    ...BEHIND,
    name: 'calico-vxlan-cross-subnet',
    title: 'Calico, VXLAN where a router is between',
    cni: 'plugin: calico, vxlanMode: CrossSubnet, blockSize: 24',
    far: { node: 'node3', address: '192.168.57.13', pod: '10.0.3.1', podCIDR: '10.0.3.0', ...VTEP },
    third: '10.0.3.1',
  },
  {
    ...CALICO,
    ...BEHIND,
    name: 'calico-never',
    title: 'Calico without encapsulation',
    cni: 'plugin: calico, ipipMode: Never, blockSize: 24',
    b: '10.0.1.1',
    c: '10.0.2.0',
    third: '10.0.3.0',
    moved: 'manifests/calico-never-c-moved.yaml',
    again: 'manifests/calico-never-c-again.yaml',
  },
  {
    name: 'aws-vpc',
    title: 'Amazon VPC, the second pod on the second ENI',
    cni: 'plugin: aws-vpc, ipv4AddressesPerInterface: 2, env: { IP_COOLDOWN_PERIOD: 0 }',
    nodes: [
      '{ name: node1, address: 10.0.1.11/24, publicAddress: 198.51.100.11 }',
      '{ name: node2, address: 10.0.2.11/24, publicAddress: 198.51.100.12 }',
    ],
    b: '10.0.1.6',
    c: '10.0.2.4',
    gw: '10.0.2.11',
    node1: '10.0.1.11',
    node2: '10.0.2.11',
    public: '198.51.100.11',
    sizes: [8972, 8973, 20000],
    lost: true,
    notify: false,
  },
  WEAVE,
];
