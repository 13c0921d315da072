/**
 * The text that kubectl's describers build: lines of cells, indented two blanks a level.
 * @module
 */
import { byBytes, type JsonMap, sortedKeys } from './go-values.js';
import { align, escapeTerminal } from './tabwriter.js';

const MAX_LINE = 140;
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

export class Writer {
  private out = '';

  /** Adds text at a level; tabs end cells. */
  put(level: number, text: string): void {
    this.out += escapeTerminal('  '.repeat(level) + text);
  }

  line(level: number, ...cells: string[]): void {
    this.put(level, `${cells.join('\t')}\n`);
  }

  /** The text with its cells aligned. */
  text(): string {
    return align(this.out, 0, 2);
  }

  /** Lines of one key: the first behind it, the others below. */
  lines(title: string, values: string[], indent = ''): void {
    this.put(0, `${indent}${title}:\t`);
    if (values.length === 0) this.put(0, '<none>\n');
    values.forEach((v, i) => this.put(0, `${i === 0 ? '' : `${indent}\t`}${v}\n`));
  }

  /** printLabelsMultiline. */
  labels(title: string, labels: JsonMap): void {
    this.lines(title, sortedKeys(labels).map((k) => `${k}=${String(labels[k])}`)); // prettier-ignore
  }

  /** printAnnotationsMultiline: short ones as `key: value`, long or broken ones below their key, cut at 140 bytes. */
  annotations(title: string, all: JsonMap): void {
    this.put(0, `${title}:\t`);
    const keys = Object.keys(all).filter((k) => k !== LAST_APPLIED).sort(byBytes); // prettier-ignore
    if (keys.length === 0) this.put(0, '<none>\n');
    keys.forEach((k, i) => {
      if (i > 0) this.put(0, '\t');
      const v = String(all[k]).replace(/\n$/, '');
      if (bytes(v) + bytes(k) + 2 <= MAX_LINE && !v.includes('\n')) return this.put(0, `${k}: ${v}\n`);
      this.put(0, `${k}:\n`);
      for (const s of v.split('\n')) this.put(0, `\t  ${shorten(s)}\n`);
    });
  }
}

const bytes = (s: string): number => new TextEncoder().encode(s).length;
const shorten = (s: string): string => {
  const b = new TextEncoder().encode(s);
  return b.length > MAX_LINE - 2 ? `${new TextDecoder().decode(b.subarray(0, MAX_LINE - 2))}...` : s;
};

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** The day of the week of a date of the Gregorian calendar, 0 = Sunday (Zeller). */
function weekday(y: number, m: number, d: number): number {
  const [year, month] = m < 3 ? [y - 1, m + 12] : [y, m];
  return (d + Math.floor((13 * (month + 1)) / 5) + year + Math.floor(year / 4) - Math.floor(year / 100) + Math.floor(year / 400) + 6) % 7; // prettier-ignore
}

/** An RFC 3339 time in UTC as time.RFC1123Z; the zero time for none. */
export function rfc1123(time: string): string {
  const m = /^(\d{4})-(\d\d)-(\d\d)T(\d\d:\d\d:\d\d)/.exec(time);
  const [y, mo, d, clock] = m === null ? [1, 1, 1, '00:00:00'] : [Number(m[1]), Number(m[2]), Number(m[3]), m[4]!];
  return `${DAYS[weekday(y, mo, d)]}, ${String(d).padStart(2, '0')} ${MONTHS[mo - 1]} ${String(y).padStart(4, '0')} ${clock} +0000`; // prettier-ignore
}
