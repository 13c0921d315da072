/** `podwire walk FILE [--packet N] [--json]`: each packet's way, told by the code that took the decisions. */
import { print } from '../../wire/print.js';
import { Narrator } from '../capture/narrator.js';
import type { Tap } from '../capture/tap.js';
import { TX } from '../linux/core/netdev.js';
import type { Netns } from '../linux/core/netns.js';
import { execute } from './execute.js';
import { load } from './load.js';
import { parseArgs, UsageError } from './usage.js';

interface Note {
  where: string;
  text: string;
}

/** Decisions and frames of each packet in the order in which they happen. */
class Walk extends Narrator {
  readonly packets = new Map<number, Note[]>();

  private add(id: number, where: string, text: string): void {
    const list = this.packets.get(id);
    if (list === undefined) this.packets.set(id, [{ where, text }]);
    else list.push({ where, text });
  }

  protected override note(id: number, net: Netns, dev: string | null, text: string): void {
    this.add(id, dev === null ? net.name : `${net.name}/${dev}`, text);
  }

  protected override frame(tap: Tap, _i: number, _net: Netns, id: number, bytes: Uint8Array, direction: 1 | 2): void {
    this.add(id, tap.iface, `${direction === TX ? 'out' : 'in '} ${print(bytes, tap.linktype)}`);
  }
}

export async function main(args: string[]): Promise<number> {
  const { files, values, flags } = parseArgs('walk', args, ['--json'], ['--packet']);
  if (files.length !== 1) throw new UsageError('walk: expected one FILE');
  const text = values.get('--packet');
  const wanted = text === undefined ? null : Number(text);
  if (wanted !== null && !(Number.isInteger(wanted) && wanted > 0))
    throw new UsageError(`walk: --packet: found "${text}", expected a number from 1`);
  const l = await load(files[0]!);
  const walk = new Walk();
  await execute({ ...l, lab: { ...l.lab, captures: null } }, { narrator: walk });
  const all = [...walk.packets.values()].map((notes, i) => ({ packet: i + 1, notes }));
  if (wanted !== null && wanted > all.length)
    throw new UsageError(
      `walk: --packet: found ${wanted}, expected at most ${all.length}: ${l.name} has no more packets`,
    );
  const list = wanted === null ? all : [all[wanted - 1]!];
  if (flags.has('--json')) process.stdout.write(`${JSON.stringify(list, null, 2)}\n`);
  else {
    for (const { packet, notes } of list) {
      process.stdout.write(`packet ${packet}\n`);
      for (const n of notes) process.stdout.write(`  ${n.where.padEnd(28)} ${n.text}\n`);
    }
  }
  return 0;
}
