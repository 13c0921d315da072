/**
 * text/tabwriter: cells that end with a tab line up with their neighbours above and below, as long as those lines have that cell.
 * @module
 */

const width = (s: string): number => {
  let n = 0;
  for (const _ of s) n++;
  return n;
};

/** Aligns the cells of a text: each column as wide as its widest cell and `padding`, `minimum` at least. */
export function align(text: string, minimum: number, padding: number): string {
  const lines = text.split('\n').map((l) => l.split('\t'));
  const out: string[] = [];
  const widths: number[] = [];
  const write = (from: number, to: number): void => {
    for (let i = from; i < to; i++)
      out.push(lines[i]!.map((c, j) => (j < widths.length ? c + ' '.repeat(Math.max(0, widths[j]! - width(c))) : c)).join('')); // prettier-ignore
  };
  const format = (from: number, to: number): void => {
    const column = widths.length;
    let start = from;
    for (let i = from; i < to; i++) {
      if (column >= lines[i]!.length - 1) continue;
      write(start, i);
      start = i;
      let w = minimum;
      for (; i < to && column < lines[i]!.length - 1; i++) w = Math.max(w, width(lines[i]![column]!) + padding);
      widths.push(w);
      format(start, i);
      widths.pop();
      start = i;
    }
    write(start, to);
  };
  format(0, lines.length);
  return out.join('\n');
}

/** What a terminal must not see, as kubectl writes it. */
export const escapeTerminal = (s: string): string => s.replaceAll('\x1b', '^[').replaceAll('\r', '\\r');
