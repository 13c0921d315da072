#!/usr/bin/env node
/**
 * `podwire VERB …`: finds the verb, runs it, turns every ending into an exit code.
 *
 *   0 fine or equal   1 a difference or a failed expectation   2 usage or bad input   3 a bug in podwire
 * @module
 */
import { InputError } from '../sim/input-error.js';
import { UsageError } from './usage.js';

type Verb = (args: string[]) => Promise<number>;

const VERBS: Record<string, { help: string; load: () => Promise<{ main: Verb }> }> = {
  run: { help: 'run FILE… [-o DIR] [--no-explain]  run scenarios or Labs, write captures', load: () => import('./run.js') },
  check: { help: 'check [FILE…] [-u] [-o DIR]   run, compare with golden/', load: () => import('./check.js') },
  kernel: { help: 'kernel FILE… [-o DIR] [--record]  record on the real Linux kernel', load: () => import('./kernel.js') },
  diff: { help: 'diff A B                      compare two captures or trees', load: () => import('./diff.js') },
  walk: { help: 'walk FILE [--packet N]        the way of each packet, hop by hop', load: () => import('./walk.js') },
  compile: { help: 'compile FILE                  the Lab that a scenario compiles to', load: () => import('./compile.js') },
  show: { help: 'show FILE [--in NETNS] [--at TIME] -- COMMAND   what a command prints there', load: () => import('./show.js') },
  bench: { help: 'bench [CASE…] [--json]        throughput', load: () => import('./bench.js') },
  app: { help: 'app echo|coredns …            podwire\'s own servers on real sockets', load: () => import('./app.js') },
}; // prettier-ignore

const USAGE = `usage: podwire VERB …\n\n${Object.values(VERBS)
  .map((v) => `  ${v.help}`)
  .join('\n')}\n`;

async function main(argv: string[]): Promise<number> {
  const [name, ...args] = argv;
  if (name === '--version') {
    const { readFileSync } = await import('node:fs');
    const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
    process.stdout.write(`podwire ${(JSON.parse(text) as { version: string }).version}\n`);
    return 0;
  }
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(USAGE);
    return name === undefined ? 2 : 0;
  }
  const verb = VERBS[name];
  if (verb === undefined)
    throw new UsageError(`unknown verb "${name}", expected one of: ${Object.keys(VERBS).join(', ')}`);
  return (await verb.load()).main(args);
}

// A reader that has seen enough (`| head`) ends the program quietly.
process.stdout.on('error', (e: NodeJS.ErrnoException) => {
  if (e.code === 'EPIPE') process.exit(0);
  throw e;
});

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (e: unknown) => {
    if (e instanceof InputError) {
      process.stderr.write(`${e.text}\n`);
      process.exitCode = 2;
    } else if (e instanceof UsageError) {
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
