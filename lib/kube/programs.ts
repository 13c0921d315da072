/**
 * The programs of a cluster that run inside a Lab: `podwire app coredns|ingress|istio-proxy …`.
 * @module
 */
import type { Program } from '../apps/program.js';
import { corednsProgram } from './coredns/program.js';
import { ingressProgram } from './ingress/program.js';
import { istioProxy } from './istio/program.js';

const PROGRAMS: ReadonlyMap<string, Program> = new Map([
  ['coredns', corednsProgram],
  ['ingress', ingressProgram],
  ['istio-proxy', istioProxy],
]);

/** The program of a command line, or null. */
export const clusterProgram = (argv: readonly string[]): Program | null =>
  argv[0] === 'podwire' && argv[1] === 'app' ? (PROGRAMS.get(argv[2] ?? '') ?? null) : null;
