/** A Scenario as input: parsed, reconciled, compiled to its Lab. */
import { type Compiled, compile } from '../kube/compile.js';
import { reconcile } from '../kube/controllers.js';
import { kubectl } from '../kube/kubectl/index.js';
import { parseScenario } from '../kube/scenario.js';
import { type Lab, parseLab } from '../lab/lab.js';
import type { Command } from '../shell/script.js';
import type { Loaded } from './load.js';

/** Loads a Scenario text; `read` gives the manifests it names. */
export function loadScenario(text: string, file: string, read: (path: string) => string): Loaded {
  const cluster = reconcile(parseScenario(text, file, read));
  const c = compile(cluster);
  const lab = placed(parseLab(c.text, file), c);
  return {
    file,
    name: lab.name,
    lab,
    text: c.text,
    cluster: { kubectl: (args, now) => kubectl(args, cluster, now), steps: c.kubectl, warnings: c.warnings },
  };
}

/** The Lab with the places that its commands have in the Scenario; those of the setup stand nowhere in it (line 0). */
function placed(lab: Lab, c: Compiled): Lab {
  const chain = (x: Command, line: number, column: number): Command => ({
    ...x,
    line,
    column,
    pipeFrom: x.pipeFrom === null ? null : chain(x.pipeFrom, line, column),
  });
  return {
    ...lab,
    setup: lab.setup.map((x) => chain(x, 0, 0)),
    steps: lab.steps.map((s, i) => {
      const from = c.steps[i]!;
      const run = s.run.map((x, k) => chain(x, from.commands[k]!.line, from.commands[k]!.column));
      return { ...s, run, line: from.place.position.line };
    }),
  };
}
