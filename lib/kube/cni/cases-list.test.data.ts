/** The cases of the case file (cases.test.ts), written for any plugin of cases-plugins.test.data.ts. */
import { type Row, TWO } from './cases-plugins.test.data.js';

export interface Case {
  /** The end of the scenario's and the file's name; empty: none. */
  name: string;
  /** Behind the plugin's title. */
  what: string;
  mode?: 'ipvs';
  /** How much slower a plugin with first commands of its own is led through; absent: 2. */
  pace?: number;
  /** Instead of the plugin's. */
  nodes?: (p: Row) => string[];
  more?: string;
  /** YAML of the steps and the end. */
  steps: (p: Row) => string;
}

/** What a plugin leaves on a node. */
const LISTINGS = [
  'ip neigh',
  'ip route',
  'ip rule',
  'ip addr',
  'ip -d link',
  'bridge fdb',
  'iptables-save',
  'ipset save',
];
const lines = (list: string[]): string => list.map((l) => `      ${l}\n`).join('');

export const CASES: Case[] = [
  {
    name: '',
    pace: 1.5,
    what: ': pods, nodes, Services, hostPorts and a host outside',
    steps: (p) => `  - at: 0s
    in: pod/a
    run: |
      ping -c 1 ${p.b}
      ping -c 1 ${p.c}
      ping -c 1 ${p.third ?? p.node2}
      ping -c 1 203.0.113.10
      curl -s http://10.96.0.20/
      sleep 0.1
      curl -s http://10.96.0.21/
    expect: { exit: 0, stdout: hello }
  - at: 1500ms
    in: node/node1
    run: |
      ping -c 1 ${p.c}
      curl -s http://127.0.0.1:8000/
    expect: { exit: 0, stdout: hello }
  - { at: 3s, in: host/internet, run: curl -s http://${p.public ?? p.node1}:8000/, expect: { exit: 0, stdout: hello } }
  until: 4900ms
`,
  },
  {
    name: 'pod-node',
    what: ': a pod and its own node, a pod and another node, both ways; a hostPort of the own node',
    steps: (p) => `  - at: 0s
    in: pod/a
    run: |
      ping -c 1 ${p.node1}
      ping -c 1 ${p.node2}
      curl -s http://${p.node1}:8000/
    expect: { exit: 0, stdout: hello }
  - at: 1500ms
    in: node/node1
    run: |
      ping -c 1 ${p.b}
      curl -s ${p.curl ?? ''}http://10.96.0.20/
    expect: { exit: 0, stdout: hello }
  - { at: 3s, in: node/node2, run: ping -c 1 ${p.b}, expect: { exit: 0 } }
  until: 4500ms
`,
  },
  {
    name: 'ipvs',
    what: ', kube-proxy in IPVS mode: Services from a pod and from a node',
    mode: 'ipvs',
    steps: (p) => `  - at: 0s
    in: pod/a
    run: |
      curl -s http://10.96.0.20/
      sleep 0.1
      curl -s http://10.96.0.21/
    expect: { exit: 0, stdout: hello }
  - { at: 2s, in: node/node1, run: curl -s ${p.curl ?? ''}http://10.96.0.20/, expect: { exit: 0, stdout: hello } }
  - at: 3s
    in: node/node1
    run: |
      ipset save
      ipvsadm -Sn
      iptables-save -t nat
  until: 4s
`,
  },
  {
    name: 'mtu',
    what: ': datagrams that just fit and larger ones, with and without DF; then the other node is down',
    steps: ({ c, sizes: [small, fits, large] = [1422, 1472, 4000] }) => `  - at: 0s
    in: pod/a
    run: |
      ping -c 1 -M do -s ${small} ${c}
      ping -c 1 -M do -s ${fits} ${c}
      ping -c 1 -M dont -s ${fits} ${c}
      ping -c 1 -M dont -s ${large} ${c}
      ping -c 1 -M do -s ${fits + 1} ${c}
    expect: { exit: 1 }
  - { at: 2s, in: node/node2, run: ip link set eth0 down }
  - { at: 3500ms, in: pod/a, run: ping -c 1 -W 0.3 ${c}, expect: { exit: 1 } }
  until: 4500ms
`,
  },
  {
    name: 'pmtu',
    what: ": datagrams with DF from outside that fit every network but perhaps the pods', to a hostPort",
    more: 'manifests/udp.yaml',
    steps: (
      p,
    ) => `  - { at: 0s, in: host/internet, run: nc -u -w 1 ${p.public ?? p.node1} 5353 <<< ${'x'.repeat(1471)} }
  - { at: 1500ms, in: host/internet, run: nc -u -w 1 ${p.public ?? p.node1} 5353 <<< ${'y'.repeat(1471)}, expect: { exit: 0, stdout: yyyy } }
  until: 4s
`,
  },
  {
    name: 'down',
    pace: 5,
    what: ': the other node is down before anybody has spoken with it',
    steps: (p) => `  - { at: 0s, in: node/node2, run: ip link set eth0 down }
  - { at: 200ms, in: pod/a, run: ping -c 1 -W 4 ${p.c}, expect: { exit: 1 } }
  until: 6s
`,
  },
  {
    name: 'restart',
    what: ': a pod is deleted and comes back on its node, with the same address',
    nodes: (p) => (p.nodes ?? TWO).map((n) => (p.again === undefined ? n.replace('10.0.2.0/24', '10.0.2.0/30') : n)),
    steps: (p) => `  - { at: 0s, in: pod/a, run: ping -c 1 ${p.c}, expect: { exit: 0 } }
  - { at: 1s, run: kubectl delete pod c --wait=false, expect: { exit: 0 } }
  - at: 5500ms
    in: node/node2
    run: |
      ip neigh
      ip route
      bridge fdb
      iptables-save -t nat
  - { at: 6500ms, in: pod/a, run: ping -c 1 -W 0.4 ${p.c}, expect: { exit: 1 } }
  - { at: 10500ms, run: kubectl apply -f ${p.again ?? 'manifests/pod-c.yaml'}, expect: { exit: 0 } }
  - { at: 15s, in: pod/a, run: ping -c 1 ${p.c}, expect: { exit: 0 } }
  - at: 16s
    in: node/node2
    run: |
      ip neigh
      ip route
      bridge fdb
      iptables-save -t nat
  until: 18s
`,
  },
  {
    name: 'mac',
    what: ': the address of a pod moves to another MAC address; those who knew the old one, and what heals them',
    steps: (p) => `  - { at: 0s, in: pod/a, run: ping -c 1 ${p.c}, expect: { exit: 0 } }
  - { at: 1s, in: pod/c, run: ip link set eth0 address 0a:58:0a:00:02:99 }
  - { at: 2s, in: pod/a, run: ping -c 1 -W 0.4 ${p.c}, expect: { exit: ${p.notify ? 0 : 1} } }
  - { at: 3s, in: node/node2, run: ip neigh }
  - { at: 3500ms, in: pod/c, run: ping -c 1${p.lost ? ' -W 0.4' : ''} ${p.gw}, expect: { exit: ${p.lost ? 1 : 0} } }
  - { at: 4500ms, in: pod/a, run: ping -c 1${p.lost ? ' -W 0.4' : ''} ${p.c}, expect: { exit: ${p.lost ? 1 : 0} } }
  - { at: 5500ms, in: node/node2, run: ip neigh }
  until: 6500ms
`,
  },
  {
    name: 'vtep',
    what: ': a node comes back with another MAC address of its VXLAN device, before and after the others hear of it',
    steps: ({ far }) => {
      const mac = '02:f1:0a:00:09:99';
      return `  - { at: 0s, in: pod/a, run: ping -c 1 ${far!.pod}, expect: { exit: 0 } }
  - at: 500ms
    in: node/${far!.node}
    run: |
      ip link set ${far!.dev} address ${mac}
      ip neigh replace 10.0.1.0 lladdr ${far!.mac} dev ${far!.dev} nud permanent
  - { at: 1s, in: pod/a, run: ping -c 1 -W 0.4 ${far!.pod}, expect: { exit: 1 } }
  - at: 2s
    in: node/node1
    run: |
      ip neigh replace ${far!.podCIDR} lladdr ${mac} dev ${far!.dev} nud permanent
      bridge fdb replace ${mac} dev ${far!.dev} dst ${far!.address} self permanent
      ip route replace ${far!.podCIDR}/24 via ${far!.podCIDR} dev ${far!.dev} ${far!.route}
  - { at: 2500ms, in: pod/a, run: ping -c 1 ${far!.pod}, expect: { exit: 0 } }
  - at: 3s
    in: node/node1
    run: |
      ip neigh
      bridge fdb show dev ${far!.dev}
  until: 4s
`;
    },
  },
  {
    name: 'moved',
    what: ': a pod comes back on another node, with the same address',
    steps: (p) => `  - { at: 0s, in: pod/a, run: ping -c 1 ${p.c}, expect: { exit: 0 } }
  - { at: 1s, run: kubectl delete pod c --wait=false, expect: { exit: 0 } }
  - { at: 5600ms, in: pod/a, run: ping -c 1 -W 0.4 ${p.c}, expect: { exit: 1 } }
  - { at: 6600ms, run: kubectl apply -f ${p.moved}, expect: { exit: 0 } }
  - { at: 11200ms, in: pod/a, run: ping -c 1 ${p.c}, expect: { exit: 0 } }
  until: 13s
`,
  },
  {
    name: 'node',
    what: ': what it leaves on a node and in a pod',
    steps: (p) => `  - at: 0s
    in: node/node1
    run: |
${lines([...LISTINGS, ...(p.listings ?? [])])}  - { at: 2s, in: pod/a, run: ip route }
`,
  },
];

/** A plugin's own first steps, and the case 2 s later and slower: by 1.5 where the router `gw` asks its neighbours again after 5 s. */
export function later(first: [string, string][] | undefined, steps: string, pace: number): string {
  if (first === undefined || steps === '') return steps;
  const shifted = steps.replace(/\b(at|until): (\d+)(m?s)\b/g, (_, key, n, unit) => {
    const t = pace * Number(n) + (unit === 's' ? 2 : 2000);
    return `${key}: ${Number.isInteger(t) ? `${t}${unit}` : `${t * 1000}ms`}`;
  });
  return first.map(([place, run]) => `  - { at: 0s, in: ${place}, run: ${run} }\n`).join('') + shifted;
}
