/**
 * Input files of the verbs: a Lab, or a Scenario that is compiled to one.
 * @module
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isMap } from 'yaml';
import { parseLab, type Lab } from '../lab/lab.js';
import { parseYaml } from '../lab/yaml.js';
import { InputError } from '../sim/input-error.js';
import { UsageError } from './usage.js';

/** A loaded input: the Lab to run, its text form, and what a Scenario adds. */
export interface Loaded {
  file: string;
  name: string;
  lab: Lab;
  /** The Lab as text, as `podwire compile` prints it. */
  text: string;
  cluster: ClusterView | null;
}

/** Answers kubectl, and holds the steps that only podwire itself evaluates. */
export interface ClusterView {
  kubectl(args: string[], nowNs: number): { exit: number; stdout: string; stderr: string };
  /** The namespace of `pod/NAME`, `pod/NAMESPACE/NAME`, `node/NAME` or `host/NAME` at a time; null when there is none. */
  netnsOf(where: string, nowNs: number): string | null;
  steps: {
    at: number;
    index: number;
    command: string;
    args: string[];
    /** Where it stands in the file, 1-based. */
    line: number;
    column: number;
    expect: { exit?: number; stdout?: string } | null;
    /** What a change printed, exit null: it had not ended at the end; null: a view, to be asked for. */
    result: { exit: number | null; stdout: string; stderr: string } | null;
  }[];
  warnings: string[];
  /** IPv4 address → names of pods, services, nodes and hosts. */
  names: Map<string, string[]>;
  /** Namespace → what it is: `pod default/client`, `node node1`. */
  roles: Map<string, string>;
}

export function readInput(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (e) {
    const code = (e as NodeJS.ErrnoException).code ?? String(e);
    const why = { ENOENT: 'no such file', EISDIR: 'found a folder, expected a file' }[code] ?? `cannot read: ${code}`;
    throw new InputError(file, 0, 0, why);
  }
}

/** Every YAML file in and below `scenarios/`, sorted, when none is named; folders named `manifests` hold what scenarios load. */
export function inputFiles(files: string[]): string[] {
  if (files.length > 0) return files;
  const all = existsSync('scenarios') ? yamlFiles('scenarios') : [];
  if (all.length === 0)
    throw new UsageError('found no FILE and no *.yaml in a folder "scenarios" here, expected one of them');
  return all;
}

function yamlFiles(dir: string): string[] {
  const entries = readdirSync(dir, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  return entries.flatMap((e) => {
    if (e.isDirectory()) return e.name === 'manifests' ? [] : yamlFiles(join(dir, e.name));
    return e.name.endsWith('.yaml') ? [join(dir, e.name)] : [];
  });
}

/** Loads a Lab or Scenario. Throws InputError for anything that cannot run. */
export async function load(file: string): Promise<Loaded> {
  const text = readInput(file);
  const doc = parseYaml(text, file).docs[0];
  const kind: unknown = doc !== undefined && isMap(doc.contents) ? doc.contents.get('kind') : undefined;
  if (kind === 'Lab') {
    const lab = parseLab(text, file);
    return { file, name: lab.name, lab, text, cluster: null };
  }
  if (kind === 'Scenario') {
    const { loadScenario } = await import('./load-scenario.js');
    const { manifestFiles } = await import('./manifest-files.js');
    const dir = dirname(file);
    return loadScenario(
      text,
      file,
      (path) => readInput(join(dir, path)),
      (path) => manifestFiles(dir, path),
    );
  }
  throw new InputError(
    file,
    1,
    1,
    `kind: found ${kind === undefined ? 'nothing' : `"${String(kind)}"`}, expected Lab or Scenario`,
  );
}

/** Loads several inputs; two of the same name are refused. */
export async function loadAll(files: string[]): Promise<Loaded[]> {
  const all: Loaded[] = [];
  for (const f of inputFiles(files)) {
    const l = await load(f);
    const twin = all.find((x) => x.name === l.name);
    if (twin !== undefined) throw taken(f, l.name, twin.file);
    all.push(l);
  }
  return all;
}

/** The error at the `metadata.name` of a file. */
function taken(file: string, name: string, twin: string): InputError {
  const { docs, lines } = parseYaml(readInput(file), file);
  const node = docs[0]!.getIn(['metadata', 'name'], true) as { range?: [number, number, number] } | undefined;
  const { line, col } = lines.linePos(node?.range?.[0] ?? 0);
  return new InputError(file, line, col, `found the name "${name}", expected another one: ${twin} has it`);
}
