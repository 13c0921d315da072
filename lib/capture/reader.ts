/**
 * Captures from disk: a tree `<netns>/<dev>.pcap`, or one file.
 * @module
 */
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { PcapError, readPcap, type Pcap } from '../../wire/pcap.js';
import { isPcapng, type NamedPcap, readPcapng } from '../../wire/pcapng-reader.js';
import { InputError } from '../sim/input-error.js';
import type { StepOutput } from './compare-steps.js';

/** Captures by interface name (`netns/dev`), sorted by name. */
export type Captures = Map<string, Pcap>;

/** Runs a reader over a file; damage is an `InputError` that names the byte. */
function readWith<T>(path: string, parse: (bytes: Uint8Array) => T): T {
  try {
    return parse(readFileSync(path));
  } catch (e) {
    if (e instanceof PcapError) throw new InputError(path, 0, 0, e.message);
    if (e instanceof Error && 'code' in e) throw new InputError(path, 0, 0, `cannot read: ${String(e.code)}`);
    throw e;
  }
}

/** Reads one pcap file; damage is an `InputError` that names the byte. */
export const readPcapFile = (path: string): Pcap => readWith(path, readPcap);

/** The interfaces of a pcapng file by name; two of one name are told apart by their numbers. */
function byName(list: readonly NamedPcap[]): Captures {
  const found: Captures = new Map();
  list.forEach(({ name, linktype, frames }, i) =>
    found.set(found.has(name) ? `${name}#${i}` : name, { linktype, frames }),
  );
  return new Map([...found].filter(([, c]) => c.frames.length > 0).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Reads a tree, a pcapng file (its interfaces by name), or a pcap file (named after its folder and itself). Other files in a
 * tree are left alone.
 */
export function readCaptures(path: string): Captures {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new InputError(path, 0, 0, 'not found, expected a capture or a tree of captures');
  if (!stat.isDirectory()) {
    const whole = resolve(path);
    const name = `${basename(dirname(whole))}/${basename(whole, '.pcap')}`;
    return readWith(path, (b) => (isPcapng(b) ? byName(readPcapng(b)) : new Map([[name, readPcap(b)]])));
  }
  const found: [string, string][] = [];
  for (const netns of readdirSync(path, { withFileTypes: true })) {
    if (!netns.isDirectory()) continue;
    for (const dev of readdirSync(join(path, netns.name))) {
      if (dev.endsWith('.pcap')) found.push([`${netns.name}/${dev.slice(0, -5)}`, join(path, netns.name, dev)]);
    }
  }
  found.sort(([a], [b]) => (a < b ? -1 : 1));
  return new Map(found.map(([iface, file]) => [iface, readPcapFile(file)]));
}

const isStep = (x: unknown): x is StepOutput => {
  const s = x as StepOutput | null;
  return (
    typeof s === 'object' &&
    s !== null &&
    [s.command, s.stdout, s.stderr].every((t) => typeof t === 'string') &&
    (s.exit === null || typeof s.exit === 'number')
  );
};

/** The steps.json of a tree, or null when it has none; anything else than a list of steps is an `InputError`. */
export function readSteps(dir: string): StepOutput[] | null {
  const path = join(dir, 'steps.json');
  if (!existsSync(path)) return null;
  let list: unknown;
  try {
    list = JSON.parse(readFileSync(path, 'utf8'));
  } catch (e) {
    throw new InputError(path, 0, 0, `cannot read: ${(e as Error).message}`);
  }
  const wrong = Array.isArray(list) ? list.findIndex((s) => !isStep(s)) : 0;
  if (wrong < 0) return list as StepOutput[];
  throw new InputError(path, 0, 0, `found no step at index ${wrong}, expected command, exit, stdout and stderr`);
}
