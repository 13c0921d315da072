/** A Scenario as input: parsed, reconciled, compiled to its Lab. */
import { compile } from '../kube/compile.js';
import { reconcile } from '../kube/controllers.js';
import { kubectl } from '../kube/kubectl.js';
import { parseScenario } from '../kube/scenario.js';
import { parseLab } from '../lab/lab.js';
import type { Loaded } from './load.js';

/** Loads a Scenario text; `read` gives the manifests it names. */
export function loadScenario(text: string, file: string, read: (path: string) => string): Loaded {
  const cluster = reconcile(parseScenario(text, file, read));
  const c = compile(cluster);
  const lab = parseLab(c.text, file);
  return {
    file,
    name: lab.name,
    lab,
    text: c.text,
    cluster: { kubectl: (args, now) => kubectl(args, cluster, now), steps: c.kubectl, warnings: c.warnings },
  };
}
