#!/usr/bin/env node
/**
 * `podwire VERB …`: finds the verb, runs it, turns every ending into an exit code.
 *
 *   0 fine or equal   1 a difference or a failed expectation   2 usage or bad input   3 a bug in podwire
 * @module
 */
import { InputError } from '../sim/input-error.js';
import { usage, UsageError, verbUsage, VERBS } from './usage.js';

const LOAD: Readonly<Record<string, () => Promise<{ main(args: string[]): Promise<number> }>>> = {
  run: () => import('./run.js'),
  check: () => import('./check.js'),
  kernel: () => import('./kernel.js'),
  diff: () => import('./diff.js'),
  walk: () => import('./walk.js'),
  compile: () => import('./compile.js'),
  show: () => import('./show.js'),
  bench: () => import('./bench.js'),
  fuzz: () => import('./fuzz.js'),
  app: () => import('./app.js'),
};

async function main(argv: string[]): Promise<number> {
  const [name, ...args] = argv;
  if (name === '--version') {
    const { readFileSync } = await import('node:fs');
    const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
    process.stdout.write(`podwire ${(JSON.parse(text) as { version: string }).version}\n`);
    return 0;
  }
  if (name === undefined) {
    process.stderr.write(usage());
    return 2;
  }
  if (name === 'help' || name === '--help' || name === '-h') {
    if (args[0] !== undefined && !Object.hasOwn(VERBS, args[0])) throw new UsageError(unknown(args[0]));
    process.stdout.write(args[0] === undefined ? usage() : verbUsage(args[0]));
    return 0;
  }
  const load = Object.hasOwn(LOAD, name) ? LOAD[name] : undefined;
  if (load === undefined) throw new UsageError(unknown(name));
  const end = args.indexOf('--');
  if ((end < 0 ? args : args.slice(0, end)).some((a) => a === '--help' || a === '-h')) {
    process.stdout.write(verbUsage(name));
    return 0;
  }
  return (await load()).main(args);
}

const unknown = (name: string): string => `unknown verb "${name}", expected one of: ${Object.keys(VERBS).join(', ')}`;

// A reader that has seen enough (`| head`) ends the program quietly; what cannot be written at all (a full disk) is no difference.
process.stdout.on('error', (e: NodeJS.ErrnoException) => {
  if (e.code === 'EPIPE') process.exit(0);
  process.stderr.write(`podwire: standard output: ${e.message}\n`);
  process.exit(2);
});

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (e: unknown) => {
    if (e instanceof InputError) {
      process.stderr.write(`${e.message}\n`);
      process.exitCode = 2;
    } else if (e instanceof UsageError) {
      process.stderr.write(`podwire: ${e.message}\n`);
      process.exitCode = 2;
    } else if (e instanceof Error && 'syscall' in e) {
      // What the operating system refuses (a full disk, a path that is none, a port in use) is no bug.
      process.stderr.write(`podwire: ${e.message}\n`);
      process.exitCode = 2;
    } else {
      process.stderr.write(
        `podwire: this is a bug in podwire, please report it\n${e instanceof Error ? e.stack : String(e)}\n`,
      );
      process.exitCode = 3;
    }
  },
);
