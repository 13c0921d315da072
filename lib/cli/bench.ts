/**
 * `podwire bench [CASE[:known|:new]…]`: packets a second on every data path, without captures and with all of them written to files.
 *
 * Every measurement runs in a process of its own, so that none has the memory or the compiled code of another.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Figures, Flows, Spread } from './bench/measure.js';
import { CASE_NAMES, count, parseArgs, SERVICES, UsageError } from './usage.js';

interface Row extends Figures {
  case: string;
  flows: Flows;
}

interface Options {
  packets: number;
  rounds: number;
  /** Folder for CPU profiles, null: none. */
  profile: string | null;
  /** Folder that keeps the captures, null: they go once they are verified. */
  out: string | null;
}

export async function main(args: string[]): Promise<number> {
  const { files, flags, values } = parseArgs('bench', args);
  const options: Options = {
    packets: count('bench', '--packets', values.get('--packets') ?? '20000'),
    rounds: count('bench', '--rounds', values.get('--rounds') ?? '5'),
    profile: values.get('--profile') ?? null,
    out: values.get('--out') ?? null,
  };
  const against = values.get('--against');
  if (against !== undefined) return againstKernel(against, files, flags, options);
  const wanted = (files.length > 0 ? files : CASE_NAMES).flatMap(named);
  const rows: Row[] = [];
  if (!flags.has('--json')) process.stdout.write(HEAD);
  for (const [name, flows] of wanted) {
    const row = wanted.length === 1 ? await one(name, flows, options) : child(name, flows, options);
    if (row === null) return 3;
    rows.push(row);
    if (!flags.has('--json')) process.stdout.write(line(row));
  }
  if (flags.has('--json')) process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  else process.stdout.write(`${TAIL}${verifiedLine(rows)}`);
  return 0;
}

/** `--against kernel`. */
async function againstKernel(what: string, files: readonly string[], flags: Set<string>, o: Options): Promise<number> {
  if (what !== 'kernel') throw new UsageError(`bench: --against: found "${what}", expected kernel`);
  if (o.profile !== null || o.out !== null)
    throw new UsageError('bench: --against kernel goes with neither -o nor --profile');
  if (process.platform !== 'linux' || process.getuid?.() !== 0) throw new UsageError('bench: --against kernel needs Linux and root'); // prettier-ignore
  const { against, AGAINST } = await import('./bench/against.js');
  const wanted = (files.length > 0 ? files : ['clusterip-iptables']).flatMap(named);
  const not = wanted.find(([name]) => !AGAINST.includes(name));
  if (not !== undefined) throw new UsageError(`bench: --against kernel: found case "${not[0]}", expected one of: ${AGAINST.join(', ')}`); // prettier-ignore
  const rows = [];
  for (const [name, flows] of wanted) {
    for (const r of await against(name, flows, o.packets, o.rounds, mkdtempSync(join(tmpdir(), 'podwire-bench-')))) {
      rows.push(r);
      if (flags.has('--json')) continue;
      const how = `${r.case} ${r.flows}, ${r.captured ? 'captured' : 'not captured'}`;
      const ratio = (s: Spread): string => `${s.median.toFixed(1)} (${s.min.toFixed(1)}-${s.max.toFixed(1)})`;
      process.stdout.write(
        `${how}: kernel ${range(r.kernelPacketsPerSecond)}, podwire ${range(r.podwirePacketsPerSecond)} packets/s; ` +
          `ratio ${ratio(r.ratio)}, by CPU time ${ratio(r.cpuRatio)}` +
          `${r.captured ? `; the tcpdumps wrote ${r.kernelFrames} frames and lost ${r.kernelLost}` : ''}\n`,
      );
    }
  }
  if (flags.has('--json')) process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  else
    process.stdout.write(
      `Median (least-most) of ${o.rounds} pairs of rounds in turn; packets/s by the clock on the wall.\n`,
    );
  return 0;
}

/** `vxlan` is `vxlan:known` and `vxlan:new`. */
function named(text: string): [string, Flows][] {
  const [name, flows] = text.split(':') as [string, string?];
  if (
    !(CASE_NAMES.includes(name) || SERVICES.test(name)) ||
    !(flows === undefined || flows === 'known' || flows === 'new')
  ) {
    throw new UsageError(`bench: unknown case "${text}", expected one of: ${CASE_NAMES.join(', ')}, services-MODE-N, or one with :known or :new`); // prettier-ignore
  }
  return flows === undefined ? [[name, 'known'], [name, 'new']] : [[name, flows]]; // prettier-ignore
}

/** One measurement in this process. */
async function one(name: string, flows: Flows, o: Options): Promise<Row> {
  const { caseOf, withCluster } = await import('./bench/cases.js');
  const { CLIENT } = await import('./bench/topology.js');
  const { measure } = await import('./bench/measure.js');
  const c = caseOf(name)!;
  const packets = Math.ceil(o.packets / ((flows === 'known' ? c.known : c.fresh) ?? 1));
  const dir = o.out === null ? mkdtempSync(join(tmpdir(), 'podwire-bench-')) : join(o.out, `${name}-${flows}`);
  const session = o.profile === null ? null : new Session();
  let figures: Figures | null = null;
  try {
    withCluster(c, (k) => {
      const traffic = c.traffic(k);
      session?.connect();
      session?.post('Profiler.enable');
      session?.post('Profiler.start');
      figures = measure(k, traffic, { flows, packets, rounds: o.rounds, dir, client: CLIENT });
    });
  } finally {
    if (o.out === null) rmSync(dir, { recursive: true, force: true });
  }
  if (session !== null) writeProfile(session, o.profile!, `${name}-${flows}.cpuprofile`);
  return { case: name, flows, ...figures! };
}

function writeProfile(session: Session, dir: string, name: string): void {
  mkdirSync(dir, { recursive: true });
  // The call is answered before it returns.
  session.post('Profiler.stop', (err, r) => {
    if (err !== null) throw err;
    writeFileSync(join(dir, name), JSON.stringify(r.profile));
  });
  session.disconnect();
}

/** One measurement in a process of its own; null: it failed and has said why. */
function child(name: string, flows: Flows, o: Options): Row | null {
  const args = [
    fileURLToPath(new URL('./main.js', import.meta.url)), 'bench', `${name}:${flows}`, '--json', '--packets', String(o.packets), '--rounds', String(o.rounds),
    ...(o.profile === null ? [] : ['--profile', o.profile]), ...(o.out === null ? [] : ['--out', o.out]),
  ]; // prettier-ignore
  const r = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 26,
  });
  return r.status === 0 ? (JSON.parse(r.stdout) as Row[])[0]! : null;
}

const cell = (text: string, n: number): string => text.padStart(n);
const k = (n: number): string => (n >= 1e5 ? `${Math.round(n / 1e3)}k` : `${(n / 1e3).toFixed(1)}k`);
const range = (s: Spread): string => `${k(s.median)} (${k(s.min)}-${k(s.max)})`;

const HEAD = `${'case'.padEnd(24)}flows ${cell('packets/s', 22)}${cell('captured packets/s', 22)}${cell('frames/s', 24)}${cell('if', 4)}${cell('ns/hop', 8)}${cell('captured', 9)}${cell('B/packet', 9)}${cell('peak MiB', 9)}\n`;

function line(r: Row): string {
  const name = `${r.case.padEnd(24)}${r.flows.padEnd(6)}`;
  const speed = `${cell(range(r.packetsPerSecond), 22)}${cell(range(r.capturedPacketsPerSecond), 22)}${cell(range(r.capturedFramesPerSecond), 24)}`;
  const hop = `${cell(String(r.interfaces), 4)}${cell(r.nsPerHop.median.toFixed(0), 8)}${cell(r.capturedNsPerHop.median.toFixed(0), 9)}`;
  return `${name}${speed}${hop}${cell(r.bytesPerPacket.toFixed(0), 9)}${cell((r.peakMemory / 2 ** 20).toFixed(0), 9)}\n`;
}

const TAIL =
  'Median (least-most) of rounds without and with captures in turn, per second of CPU time of the process.\n';

function verifiedLine(rows: readonly Row[]): string {
  const total = (f: (r: Row) => number): number => rows.reduce((n, r) => n + f(r), 0);
  return `Captures verified: ${total((r) => r.verified.files)} files, ${total((r) => r.verified.frames)} frames, the checksums of ${total((r) => r.verified.checksums)}.\n`;
}
