/** A Scenario as input: parsed, reconciled, compiled to its Lab. */
import { podNetns } from '../kube/cni/sandbox.js';
import { type Compiled, compile, namespaceOf } from '../kube/compile.js';
import { type Cluster, reconcile } from '../kube/controllers.js';
import { parseChange } from '../kube/kubectl/change/index.js';
import { kubectl } from '../kube/kubectl/index.js';
import { parseScenario } from '../kube/scenario.js';
import { type Lab, parseLab } from '../lab/lab.js';
import type { Command } from '../shell/script.js';
import type { ClusterView, Loaded } from './load.js';

/** Loads a Scenario text; `read` gives the manifests it names, `expand` the files of a folder or pattern. */
export function loadScenario(
  text: string,
  file: string,
  read: (path: string) => string,
  expand: (path: string) => string[],
): Loaded {
  const cluster = reconcile(parseScenario(text, file, read, expand));
  const c = compile(cluster);
  const lab = placed(parseLab(c.text, file), c);
  return {
    file,
    name: lab.name,
    lab,
    text: c.text,
    cluster: {
      kubectl: (args, now) => {
        if (parseChange(args) === null) return kubectl(args, c.at(now), now);
        const stderr = `podwire's kubectl: a change of the cluster is a step of a Scenario\n`;
        return { exit: 2, stdout: '', stderr };
      },
      netnsOf: (where, now) => namespaceOf(c.at(now), where),
      steps: c.kubectl,
      warnings: c.warnings,
      ...describe(cluster, c),
    },
  };
}

/** Names for Wireshark: `NODE`, `HOST`, `POD.NAMESPACE.pod`, `SERVICE.NAMESPACE.svc`. */
function describe(c: Cluster, compiled: Compiled): Pick<ClusterView, 'names' | 'roles'> {
  const names = new Map<string, string[]>();
  const roles = new Map<string, string>();
  const add = (ip: string, name: string): void => {
    if (ip === '' || ip === 'None') return;
    const list = names.get(ip);
    if (list === undefined) names.set(ip, [name]);
    else if (!list.includes(name)) list.push(name);
  };
  for (const [kind, list] of [['node', c.scenario.nodes], ['host', c.scenario.hosts]] as const) {
    for (const m of list) {
      for (const a of m.addresses) add(a.split('/')[0]!, m.name);
      roles.set(m.name, `${kind} ${m.name}`);
    }
  } // prettier-ignore
  const { services, pods } = compiled.ever();
  for (const s of services) {
    add(s.spec.clusterIP, `${s.metadata.name}.${s.metadata.namespace}.svc`);
    for (const ip of [...s.spec.externalIPs, ...s.status.loadBalancer.ingress.map((i) => i.ip)])
      add(ip, `${s.metadata.name}.${s.metadata.namespace}.svc`);
  }
  for (const p of pods) {
    add(p.status.podIP, `${p.metadata.name}.${p.metadata.namespace}.pod`);
    if (!p.spec.hostNetwork) {
      roles.set(podNetns(p, p.spec.nodeName), `pod ${p.metadata.namespace}/${p.metadata.name}`);
    }
  }
  return { names, roles };
}

/** The Lab with the places that its commands have in the Scenario; those of the setup stand nowhere (line 0), but for `podwire.dev/run`. */
function placed(lab: Lab, c: Compiled): Lab {
  const chain = (x: Command, from: Pick<Command, 'file' | 'line' | 'column' | 'stdinLine'>): Command => ({
    ...x,
    file: from.file,
    line: from.line,
    column: from.column,
    stdinLine: from.stdinLine,
    pipeFrom: x.pipeFrom === null ? null : chain(x.pipeFrom, from),
  });
  const nowhere = { file: lab.file, line: 0, column: 0, stdinLine: 0 };
  return {
    ...lab,
    // The commands of annotations stand last.
    setup: lab.setup.map((x, i) => chain(x, c.containers[i - lab.setup.length + c.containers.length] ?? nowhere)),
    steps: lab.steps.map((s, i) => {
      const from = c.steps[i] ?? null;
      if (from === null) return { ...s, run: s.run.map((x) => chain(x, nowhere)), line: 0 };
      const run = s.run.map((x, k) => chain(x, from.commands[k]!));
      return { ...s, run, line: from.place.position.line };
    }),
  };
}
