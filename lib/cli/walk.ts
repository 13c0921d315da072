/** `podwire walk FILE [--packet N] [--json]`: each packet's way, told by the code that took the decisions. */
import { print } from '../../wire/print.js';
import { Narrator } from '../capture/narrator.js';
import type { Tap } from '../capture/tap.js';
import { TX } from '../linux/core/netdev.js';
import type { Netns } from '../linux/core/netns.js';
import { execute } from './execute.js';
import { load } from './load.js';
import { count, parseArgs, UsageError } from './usage.js';

interface Note {
  where: string;
  text: string;
}

/** Decisions and frames of each packet, by the id that its frames have in all.pcapng, in the order in which they happen. */
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
  const { files, values, flags } = parseArgs('walk', args);
  if (files.length !== 1) throw new UsageError('walk: expected one FILE');
  const text = values.get('--packet');
  const wanted = text === undefined ? null : count('walk', '--packet', text);
  const l = await load(files[0]!);
  const walk = new Walk();
  await execute({ ...l, lab: { ...l.lab, captures: null } }, { narrator: walk });
  const all = [...walk.packets].map(([packet, notes]) => ({ packet, notes }));
  const list = wanted === null ? all : all.filter((p) => p.packet === wanted);
  if (wanted !== null && list.length === 0) throw new UsageError(noPacket(wanted, all));
  if (flags.has('--json')) process.stdout.write(`${JSON.stringify(list, null, 2)}\n`);
  else {
    const width = Math.max(0, ...list.flatMap((p) => p.notes.map((n) => n.where.length)));
    for (const { packet, notes } of list) {
      process.stdout.write(`packet ${packet}\n`);
      for (const n of notes) process.stdout.write(`  ${n.where.padEnd(width)}  ${n.text}\n`);
    }
  }
  return 0;
}

function noPacket(wanted: number, all: readonly { packet: number }[]): string {
  const ids = all.map((p) => p.packet);
  const some =
    ids.length === 0 ? 'expected a file with packets' : `expected one from ${Math.min(...ids)} to ${Math.max(...ids)}`;
  return `walk: --packet: there is no packet ${wanted}, ${some}`;
}
