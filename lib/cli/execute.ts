/**
 * Runs a loaded input on podwire's own kernel and writes its tree.
 * @module
 */
import { mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Program } from '../apps/program.js';
import { ntoa } from '../../wire/inet.js';
import type { Explainer } from '../capture/narrator.js';
import { writeCaptures } from '../capture/pcap-writer.js';
import { type LabOptions, type LabRun, reasonOf, runLab, type StepResult } from '../lab/engine.js';
import type { Loaded } from './load.js';

export interface Outcome {
  run: LabRun;
  steps: StepResult[];
  failures: string[];
  /** What the user should look at: commands that failed although nobody expects it. */
  notes: string[];
}

/** Loaded where a Lab has one of them. */
let cluster: ((argv: readonly string[]) => Program | null) | null = null;
const CLUSTER_APP = /podwire app (coredns|ingress|istio-proxy)\b/;

/** Runs the Lab and the kubectl steps of a Scenario. */
export async function execute(l: Loaded, options: LabOptions = {}): Promise<Outcome> {
  if (cluster === null && CLUSTER_APP.test(l.text)) cluster = (await import('../kube/programs.js')).clusterProgram;
  const run = runLab(l.lab, { ...options, programFor: (argv) => cluster?.(argv) ?? null });
  const steps = [...run.steps];
  const failures = [...run.failures];
  const notes = [...run.notes];
  for (const s of l.cluster?.steps ?? []) {
    const r = s.result ?? l.cluster!.kubectl(s.args, s.at);
    steps.splice(s.index, 0, { at: s.at, command: s.command, exit: r.exit, stdout: r.stdout, stderr: r.stderr });
    if (s.expect?.exit === undefined && r.exit !== 0) {
      const how = r.exit === null ? 'still waiting at the end' : `exit ${r.exit}${reasonOf(r.stderr)}`;
      notes.push(`${l.file}:${s.line}:${s.column}: note: ${how}`);
    }
    if (s.expect?.exit !== undefined && s.expect.exit !== r.exit) {
      failures.push(
        `${l.file}:${s.line}: ${s.command}: expected exit ${s.expect.exit}, got ${r.exit ?? 'none (still waiting)'}${reasonOf(r.stderr)}`,
      );
    }
    if (s.expect?.stdout !== undefined && !r.stdout.includes(s.expect.stdout)) {
      failures.push(
        `${l.file}:${s.line}: ${s.command}: expected stdout with "${s.expect.stdout}", got "${r.stdout.trim()}"`,
      );
    }
  }
  return { run, steps, failures, notes };
}

/** Writes `dir`: captures, all.pcapng with names and the explainer's comments, steps.json. Nothing half-written is ever seen. */
export function writeTree(dir: string, l: Loaded, o: Outcome, explainer?: Explainer): void {
  mkdirSync(dirname(dir), { recursive: true });
  const roles = l.cluster?.roles;
  writeCaptures(dir, o.run.taps, {
    files: { 'steps.json': `${JSON.stringify(o.steps, null, 2)}\n` },
    about: [l.lab.description === '' ? l.name : `${l.name}: ${l.lab.description}`, `seed ${l.lab.seed}`],
    names: namesOf(l, o),
    secrets: o.run.secrets,
    describe: (iface) => roles?.get(iface.split('/')[0]!),
    ...(explainer === undefined ? {} : { comments: explainer.commentsOf }),
  });
}

/** The cluster's names, then for every other address the namespaces that have it. */
function namesOf(l: Loaded, o: Outcome): Map<string, string[]> {
  const own = new Map<string, string[]>();
  for (const net of o.run.kernel.netns.values()) {
    for (const { addr } of net.devs.flatMap((d) => (d === net.lo ? [] : d.addrs))) {
      const list = own.get(ntoa(addr)) ?? [];
      if (!list.includes(net.name)) own.set(ntoa(addr), [...list, net.name]);
    }
  }
  return new Map([...own, ...(l.cluster?.names ?? [])]);
}

/** Removes a tree that only served a comparison. */
export const removeTree = (dir: string): void => rmSync(dir, { recursive: true, force: true });

/** Interfaces with frames, and how many. */
export function count(o: Outcome): { interfaces: number; frames: number } {
  const seen = o.run.taps.filter((t) => t.frames > 0);
  return { interfaces: seen.length, frames: seen.reduce((n, t) => n + t.frames, 0) };
}
