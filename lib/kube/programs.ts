/**
 * The programs of a cluster that run inside a Lab: `podwire app coredns|ingress|istio-proxy …`.
 * @module
 */
import type { Program } from '../apps/program.js';
import { corednsProgram } from './coredns/program.js';
import { ingressProgram } from './ingress/program.js';
import { istioProxy } from './istio/program.js';

const PROGRAMS: Readonly<Record<string, Program>> = {
  coredns: corednsProgram,
  ingress: ingressProgram,
  'istio-proxy': istioProxy,
};

/** The program of a command line, or null. */
export const clusterProgram = (argv: readonly string[]): Program | null =>
  argv[0] === 'podwire' && argv[1] === 'app' ? (PROGRAMS[argv[2] ?? ''] ?? null) : null;
