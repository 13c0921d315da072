/** `podwire walk FILE [--packet N]`: each packet's way, told by the code that took the decisions. */
import { TX } from '../linux/core/netdev.js';
import type { Kernel } from '../linux/core/kernel.js';
import type { Netns } from '../linux/core/netns.js';
import type { Skb } from '../linux/core/skb.js';
import type { Tracer } from '../linux/core/tracer.js';
import { print } from '../../wire/print.js';
import { execute } from './execute.js';
import { load } from './load.js';
import { parseArgs, UsageError } from './usage.js';

interface Note {
  packet: number;
  at: number;
  where: string;
  text: string;
}

/** Collects decisions and frames in the order they happen. */
class Recorder implements Tracer {
  readonly notes: Note[] = [];
  kernel: Kernel | null = null;

  note(packet: number, where: string, text: string): void {
    this.notes.push({ packet, at: this.kernel?.sim.now ?? 0, where, text });
  }

  rule(net: Netns, skb: Skb, table: string, chain: string, rule: number | null, verdict: string): void {
    this.note(skb.id, net.name, `${table}/${chain} ${rule === null ? 'policy' : `rule ${rule}`}: ${verdict}`);
  }

  conntrack(net: Netns, skb: Skb, state: string): void {
    this.note(skb.id, net.name, `conntrack: ${state}`);
  }

  nat(net: Netns, skb: Skb, kind: 'SNAT' | 'DNAT', before: string, after: string): void {
    this.note(skb.id, net.name, `${kind}: ${before} → ${after}`);
  }

  route(net: Netns, skb: Skb, text: string): void {
    this.note(skb.id, net.name, `route: ${text}`);
  }

  bridge(net: Netns, skb: Skb, dev: { name: string }, text: string): void {
    this.note(skb.id, `${net.name}/${dev.name}`, `bridge: ${text}`);
  }

  drop(net: Netns, skb: Skb, reason: string): void {
    this.note(skb.id, net.name, `dropped: ${reason}`);
  }
}

export async function main(args: string[]): Promise<number> {
  const { files, values, flags } = parseArgs('walk', args, ['--json'], ['--packet']);
  if (files.length !== 1) throw new UsageError('walk: expected one FILE');
  const wanted = values.has('--packet') ? Number(values.get('--packet')) : null;
  if (wanted !== null && !(Number.isInteger(wanted) && wanted > 0))
    throw new UsageError('walk: --packet expects a number from 1');
  const l = await load(files[0]!);
  const rec = new Recorder();
  await execute(l, {
    onReady: (kernel) => {
      rec.kernel = kernel;
      kernel.tracer = rec;
      for (const net of kernel.netns.values()) {
        for (const dev of net.devs) {
          const inner = dev.tap;
          dev.tap = {
            frame: (now, dir, buf, start, end, id) => {
              rec.note(
                id,
                `${net.name}/${dev.name}`,
                `${dir === TX ? 'out' : 'in '} ${print(buf.subarray(start, end), dev.type === 768 ? 101 : 1)}`,
              );
              inner?.frame(now, dir, buf, start, end, id);
            },
          };
        }
      }
    },
  });
  const order = [...new Set(rec.notes.map((n) => n.packet))];
  if (flags.has('--json')) {
    process.stdout.write(
      `${JSON.stringify(
        order.map((id, i) => ({ packet: i + 1, notes: rec.notes.filter((n) => n.packet === id) })),
        null,
        2,
      )}\n`,
    );
    return 0;
  }
  order.forEach((id, i) => {
    if (wanted !== null && wanted !== i + 1) return;
    process.stdout.write(`packet ${i + 1}\n`);
    for (const n of rec.notes) if (n.packet === id) process.stdout.write(`  ${n.where.padEnd(28)} ${n.text}\n`);
  });
  return wanted !== null && wanted > order.length ? 1 : 0;
}
