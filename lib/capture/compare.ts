/**
 * Compares two trees of captures: frame by frame, in order, on every interface present in either, field by field.
 *
 * Frames are visited in the expected run's time order over all interfaces, so that a client's random port is first seen
 * where it was chosen. Times are never compared, only the order. What may differ is in equivalence.ts.
 * @module
 */
import { dissect } from '../../wire/dissect.js';
import type { PcapFrame } from '../../wire/pcap.js';
import { print } from '../../wire/print.js';
import { align } from './align.js';
import { Mappings, type EquivalenceName, type EquivalenceOptions } from './equivalence.js';
import type { Captures } from './reader.js';

export interface Difference {
  iface: string;
  /** 1-based; 0 when the interface itself differs. */
  frame: number;
  field: string;
  expected: string;
  actual: string;
  /** Why an equivalence did not apply. */
  note?: string;
  expectedFrame?: Uint8Array;
  actualFrame?: Uint8Array;
}

export interface Comparison {
  differences: Difference[];
  interfaces: number;
  /** Frames compared. */
  frames: number;
  equivalences: Partial<Record<EquivalenceName, number>>;
}

export interface CompareOptions extends EquivalenceOptions {
  /** Compare only these interfaces. */
  interfaces?: readonly string[];
  /** Two single files: compared with each other whatever they are called. */
  lone?: boolean;
  /** Mappings to use and to fill; default: none yet. */
  maps?: Mappings;
}

/** Value of a field with its hexadecimal form, `64 (0x40)`. */
function valueText(v: number | string): string {
  if (typeof v === 'number') return `${v} (0x${v.toString(16)})`;
  return v.length > 64 ? `${v.slice(0, 64)}…` : v;
}

/**
 * Name and both values of the first differing field; a checksum only if nothing else differs, since it stands before
 * the data that made it differ. `n` is the aligned actual frame, `at` the first byte where it is not as expected.
 */
function firstDifference(
  e: Uint8Array,
  a: Uint8Array,
  n: Uint8Array,
  at: number,
  linktype: number,
): [string, number | string, number | string] {
  const actual = new Map(dissect(a, linktype).map((f) => [f.name, f.value]));
  const expected = dissect(e, linktype);
  const touched = expected.filter((f) => {
    for (let i = f.offset; i < f.offset + f.length; i++) if (n[i] !== e[i]) return true;
    return false;
  });
  // Bit fields share bytes: only those whose value differs count, unless a mapping was contradicted by equal values.
  const differing = touched.filter((f) => actual.has(f.name) && actual.get(f.name) !== f.value);
  const list = differing.length > 0 ? differing : touched;
  const field = list.find((f) => !f.name.endsWith('csum')) ?? list[0];
  const other = field === undefined ? undefined : actual.get(field.name);
  if (field === undefined || other === undefined) return [field?.name ?? `byte ${at}`, e[at]!, a[at]!];
  return [field.name, field.value, other];
}

/** The first difference of two frames, or null. */
function compareFrame(
  iface: string,
  frame: number,
  linktype: number,
  e: PcapFrame,
  a: PcapFrame,
  maps: Mappings,
  options: CompareOptions,
): Difference | null {
  const found = (field: string, expected: string, actual: string): Difference => ({
    iface,
    frame,
    field,
    expected,
    actual,
    expectedFrame: e.data,
    actualFrame: a.data,
  });
  if (e.data.length !== a.data.length) {
    const [x, y] = [e.data.length, a.data.length];
    return found('frame.length', valueText(x), valueText(y));
  }
  maps.note = '';
  const n = align(e.data, a.data, linktype, iface, maps, options);
  const at = n.findIndex((v, i) => v !== e.data[i]);
  if (at >= 0) {
    const [field, x, y] = firstDifference(e.data, a.data, n, at, linktype);
    const d = found(field, valueText(x), valueText(y));
    if (maps.note !== '') d.note = maps.note;
    return d;
  }
  return e.origLen === a.origLen ? null : found('frame.orig_len', valueText(e.origLen), valueText(a.origLen));
}

/** Compares `actual` with `expected`; at most one difference per interface is reported, the first. */
export function compare(expected: Captures, actual: Captures, options: CompareOptions = {}): Comparison {
  if (options.lone === true && expected.size === 1 && actual.size === 1) {
    actual = new Map([[[...expected.keys()][0]!, [...actual.values()][0]!]]);
  }
  const maps = options.maps ?? new Mappings();
  const all = [...new Set([...expected.keys(), ...actual.keys()])].sort();
  const names = options.interfaces === undefined ? all : all.filter((i) => options.interfaces!.includes(i));
  const first = new Map<string, Difference>();
  const pairs: { iface: string; index: number; linktype: number; e: PcapFrame; a: PcapFrame }[] = [];
  for (const iface of names) {
    const e = expected.get(iface);
    const a = actual.get(iface);
    if (e === undefined || a === undefined) {
      const text = (c: typeof e): string => (c === undefined ? 'no capture' : `${c.frames.length} frames`);
      first.set(iface, { iface, frame: 0, field: 'interface', expected: text(e), actual: text(a) });
    } else if (e.linktype !== a.linktype) {
      const d = { iface, frame: 0, field: 'linktype', expected: valueText(e.linktype), actual: valueText(a.linktype) };
      first.set(iface, d);
    } else {
      const n = Math.min(e.frames.length, a.frames.length);
      for (let i = 0; i < n; i++) {
        pairs.push({ iface, index: i, linktype: e.linktype, e: e.frames[i]!, a: a.frames[i]! });
      }
    }
  }
  // Within an interface the file's order holds even if its clock does not rise.
  const latest = new Map<string, [number, number]>();
  const timed = pairs.map((p) => {
    const [s, n] = latest.get(p.iface) ?? [0, 0];
    const t: [number, number] = p.e.sec < s || (p.e.sec === s && p.e.nsec < n) ? [s, n] : [p.e.sec, p.e.nsec];
    latest.set(p.iface, t);
    return { p, t };
  });
  timed.sort((x, y) => x.t[0] - y.t[0] || x.t[1] - y.t[1]);
  for (const { p } of timed) {
    const d = compareFrame(p.iface, p.index + 1, p.linktype, p.e, p.a, maps, options);
    if (d !== null && !first.has(p.iface)) first.set(p.iface, d);
  }
  for (const iface of names) {
    const [e, a] = [expected.get(iface), actual.get(iface)];
    if (first.has(iface) || e === undefined || a === undefined || e.frames.length === a.frames.length) continue;
    const n = Math.min(e.frames.length, a.frames.length);
    const text = (c: typeof e): string => {
      const f = c.frames[n];
      return f === undefined ? `${n} frames` : `${c.frames.length} frames (${print(f.data, c.linktype)})`;
    };
    const d: Difference = { iface, frame: n + 1, field: 'frames', expected: text(e), actual: text(a) };
    if (e.frames[n] !== undefined) d.expectedFrame = e.frames[n].data;
    if (a.frames[n] !== undefined) d.actualFrame = a.frames[n].data;
    first.set(iface, d);
  }
  const differences = names.flatMap((i) => first.get(i) ?? []);
  return { differences, interfaces: names.length, frames: pairs.length, equivalences: maps.counts };
}

/** Offset, 16 bytes and their text a line. */
export function hexdump(b: Uint8Array): string {
  const lines: string[] = [];
  for (let o = 0; o < b.length; o += 16) {
    const part = [...b.subarray(o, o + 16)];
    const text = part.map((c) => (c >= 32 && c < 127 ? String.fromCharCode(c) : '.')).join('');
    const bytes = part.map((c) => c.toString(16).padStart(2, '0')).join(' ');
    lines.push(`  ${o.toString(16).padStart(4, '0')}  ${bytes.padEnd(47)}  ${text}`);
  }
  return lines.join('\n');
}

/** `SCENARIO: IFACE frame N: FIELD: expected X, actual Y`, then both frames. */
export function differenceText(scenario: string, d: Difference): string {
  const where = d.frame > 0 ? `${d.iface} frame ${d.frame}` : d.iface;
  const lines = [`${scenario}: ${where}: ${d.field}: expected ${d.expected}, actual ${d.actual}`];
  if (d.note !== undefined) lines.push(`  (${d.note})`);
  if (d.expectedFrame !== undefined) lines.push('  expected', hexdump(d.expectedFrame));
  if (d.actualFrame !== undefined) lines.push('  actual', hexdump(d.actualFrame));
  return lines.join('\n');
}
