/**
 * Weave Net's row of the case file of all plugins (../cases.test.ts), and how its steps are timed.
 * @module
 */
const patient = (dev: string): string =>
  `sysctl -q -w net.ipv4.neigh.${dev}.base_reachable_time=3600 net.ipv4.neigh.${dev}.delay_first_probe_time=300`;

export const WEAVE = {
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
  sizes: [1348, 1472, 4000] as [number, number, number],
  listings: ['ovs-dpctl show', 'ovs-dpctl dump-flows'],
  notify: false,
};

/** A plugin's own first steps, and the case 2 s later and slower: by 1.5 where the router `gw` asks its neighbours again after 5 s. */
export function later(first: [string, string][] | undefined, steps: string, pace: number): string {
  if (first === undefined || steps === '') return steps;
  const shifted = steps.replace(/\b(at|until): (\d+)(m?s)\b/g, (_, key, n, unit) => {
    const t = pace * Number(n) + (unit === 's' ? 2 : 2000);
    return `${key}: ${Number.isInteger(t) ? `${t}${unit}` : `${t * 1000}ms`}`;
  });
  return first.map(([place, run]) => `  - { at: 0s, in: ${place}, run: ${run} }\n`).join('') + shifted;
}
