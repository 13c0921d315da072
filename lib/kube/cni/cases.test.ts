/**
 * One case file for all plugins: scenarios/cni/PLUGIN-CASE.yaml (PLUGIN.yaml for the ways through a cluster) is made of a row of
 * PLUGINS (cases-plugins.test.data.ts) and one of CASES (cases-list.test.data.ts), and every pair is there or has its reason in SKIPS.
 *
 * After a change here: `node dist/lib/kube/cni/cases.test.js --write`, then `podwire kernel scenarios/cni/… --record`. A new
 * plugin is a row.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { type LabRun, runLab, type StepResult } from '../../lab/engine.js';
import { parseLab } from '../../lab/lab.js';
import { compile } from '../compile.js';
import { reconcile } from '../controllers.js';
import { parseScenario } from '../scenario.js';
import { cniPlugin } from './index.js';
import { type Case, CASES, later } from './cases-list.test.data.js';
import { PLUGINS, type Row, TWO } from './cases-plugins.test.data.js';

/** Why a case makes no sense for a plugin; `holds` asks the plugin whether it is so. */
interface Skip {
  case: string;
  plugins: string[];
  reason: string;
  holds: (p: Row) => boolean;
}

const SKIPS: Skip[] = [
  {
    case: 'vtep',
    plugins: [
      'bridge',
      'ptp',
      'flannel-host-gw',
      'calico-ipip-always',
      'calico-ipip-cross-subnet',
      'calico-never',
      'aws-vpc',
    ],
    reason: 'there is no VXLAN device',
    holds: (p) => !commands(p).includes('type vxlan'),
  },
  {
    case: 'vtep',
    plugins: ['weave'],
    reason: "nobody knows the tunnel device's address",
    holds: (p) => commands(p).includes('type vxlan external'),
  },
  {
    case: 'mac',
    plugins: ['weave'],
    reason: 'flows are written for known addresses, and nobody listens for others',
    holds: (p) => commands(p).includes('ovs-dpctl add-flows'),
  },
  {
    case: 'moved',
    plugins: ['bridge', 'ptp', 'flannel-vxlan', 'flannel-direct', 'flannel-host-gw', 'aws-vpc', 'weave'],
    reason: 'the addresses of a podCIDR, an ENI or a peer stay on its node',
    holds: (p) => pluginOf(p).plugin.ipam.reserve(pluginOf(p).nodes[0]!, p.c, 'x').startsWith('an address in'),
  },
];

const nameOf = (p: Row, c: Case): string => (c.name === '' ? p.name : `${p.name}-${c.name}`);
const fileOf = (p: Row, c: Case): string => `scenarios/cni/${nameOf(p, c)}.yaml`;
const skipOf = (p: Row, c: Case): Skip | undefined =>
  SKIPS.find((s) => s.case === c.name && s.plugins.includes(p.name));

function textOf(p: Row, c: Case): string {
  const nodes = c.nodes?.(p) ?? p.nodes ?? TWO;
  const manifests = [p.manifests ?? 'manifests/pods.yaml', ...(c.more === undefined ? [] : [c.more])];
  return `kind: Scenario
metadata: { name: cni-${nameOf(p, c)}, description: "${p.title}${c.what}" }
spec:
  nodes:
${nodes.map((n) => `  - ${n}\n`).join('')}${p.networking === undefined ? '' : `  networking: { ${p.networking} }\n`}  cni: { ${p.cni} }
  kubeProxy: { mode: ${c.mode ?? 'iptables'} }
  hosts: [ { name: internet, address: 203.0.113.10/24 } ]
  manifests: [ ${manifests.join(', ')} ]
  steps:
${c.name === 'node' ? c.steps(p) : later(p.first, c.steps(p), c.pace ?? 2)}`;
}

function pluginOf(p: Row) {
  const text = textOf(p, { ...CASES[0]!, steps: () => '' }).replace(/ {2}(manifests|steps):.*\n/g, '');
  const s = parseScenario(text, 's.yaml', () => '');
  return { plugin: cniPlugin(s), nodes: s.nodes };
}

/** What a plugin does on nodes before there are pods. */
function commands(p: Row): string {
  const { plugin, nodes } = pluginOf(p);
  return nodes.flatMap((n) => [...plugin.nodeAdd(n), ...plugin.peersAdd(n)]).join('\n');
}

const pairs = PLUGINS.flatMap((p) => CASES.map((c) => ({ p, c })));
const all = pairs.filter(({ p, c }) => skipOf(p, c) === undefined);

const Cases = suite('lib/kube/cni/cases');

Cases('every case is there for every plugin, as the table says', () => {
  for (const { p, c } of all) {
    const file = fileOf(p, c);
    assert.ok(existsSync(file), `${file} is missing: node dist/lib/kube/cni/cases.test.js --write`);
    assert.fixture(readFileSync(file, 'utf8'), textOf(p, c), file);
  }
  for (const { p, c } of pairs.filter((x) => !all.includes(x)))
    assert.not.ok(existsSync(fileOf(p, c)), `${fileOf(p, c)} is there, and said to be skipped`);
});

Cases('every case was recorded by the kernel', () => {
  for (const { p, c } of all) {
    const origin = parse(readFileSync(`golden/cni-${nameOf(p, c)}/origin.yaml`, 'utf8')) as { recordedBy: string };
    assert.is(origin.recordedBy, 'kernel', nameOf(p, c));
  }
});

/** A case in podwire. */
function run(p: Row, c: Case): LabRun {
  const read = (path: string): string => readFileSync(`scenarios/cni/${path}`, 'utf8');
  const compiled = compile(reconcile(parseScenario(textOf(p, c), `${nameOf(p, c)}.yaml`, read)));
  return runLab(parseLab(compiled.text, nameOf(p, c)));
}

/** What a ping that is not answered is told. */
const told = (s: StepResult): string => {
  const m = /^From (\S+) icmp_seq=1 (Destination .*)$/m.exec(s.stdout);
  return m === null ? 'nothing' : `${m[2]!} from ${m[1]!}`;
};

/** When a pod with another MAC address is reached again. */
function mac(p: Row, steps: (name: string) => StepResult[]): string {
  if (
    skipOf(
      p,
      CASES.find((c) => c.name === 'mac')!,
    ) !== undefined
  )
    return '–';
  const [, moved, spoken] = steps('mac');
  return moved!.exit === 0 ? 'at once' : spoken!.exit === 0 ? 'once the pod speaks' : 'never';
}

/** A plugin's row in README's table of what breaks. */
function faults(p: Row): string {
  const steps = (name: string): StepResult[] => run(p, CASES.find((c) => c.name === name)!).steps.filter((s) => / (default_a ping|internet nc) /.test(s.command)); // prettier-ignore
  const [down] = steps('down');
  const [, gone, back] = steps('restart');
  const [first] = steps('pmtu');
  const cells = [
    told(down!),
    told(gone!),
    Number(/ time=([\d.]+) ms/.exec(back!.stdout)![1]) > 100 ? "once the node's next ARP request is answered" : 'at once',
    mac(p, steps),
    first!.stdout === '' ? 'the second one, in fragments' : 'the first one',
  ]; // prettier-ignore
  return `| \`${p.name}\` | ${cells.join(' | ')} |`;
}

Cases("README's table of what breaks is what a run shows", () => {
  const readme = readFileSync('README.md', 'utf8').split('\n');
  const table = readme.slice(readme.findIndex((l) => l.includes('`down`: a ping')) + 2);
  const rows = table.slice(0, table.indexOf(''));
  assert.is(rows.length, PLUGINS.length);
  for (const row of rows) assert.is(row, faults(PLUGINS.find((p) => row.startsWith(`| \`${p.name}\` |`))!));
});

Cases('a skip names a plugin and a case, and its reason holds', () => {
  for (const s of SKIPS) {
    assert.ok(CASES.some((c) => c.name === s.case), s.case); // prettier-ignore
    for (const name of s.plugins) {
      const p = PLUGINS.find((x) => x.name === name)!;
      assert.ok(p, `${name} is no plugin`);
      assert.ok(s.holds(p), `${name} without ${s.case}: ${s.reason}`);
      assert.is(SKIPS.filter((x) => x.case === s.case && x.plugins.includes(name)).length, 1);
    }
    for (const p of PLUGINS.filter((x) => !s.plugins.includes(x.name)))
      assert.not.ok(s.holds(p), `${p.name} is not excused from ${s.case}`);
  }
});

if (process.argv.includes('--write')) for (const { p, c } of all) writeFileSync(fileOf(p, c), textOf(p, c));
else Cases.run();
