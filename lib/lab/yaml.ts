/**
 * YAML text to documents, bounded on hostile input: size, nesting and duplicate keys are checked in linear time.
 *
 * The `yaml` package composes recursively, and a stack that overflows inside a regular expression ends the process; so the
 * nesting is measured first, on the tokens of its parser, which does not recurse.
 * @module
 */
import { Composer, type CST, type Document, isMap, isScalar, isSeq, LineCounter, Parser } from 'yaml';
import { InputError } from '../sim/input-error.js';

export const MAX_DEPTH = 100;
/** Characters; the largest dump of a cluster that podwire could run is smaller. */
export const MAX_TEXT = 16 * 1024 * 1024;

/** Every document of a text, and where its lines begin. Throws InputError for what is not YAML or out of bounds. */
export function parseYaml(text: string, file: string): { docs: Document.Parsed[]; lines: LineCounter } {
  if (text.length > MAX_TEXT)
    throw new InputError(file, 1, 1, `found ${text.length} characters, expected at most ${MAX_TEXT}`);
  const lines = new LineCounter();
  const fail = (offset: number, message: string): never => {
    const { line, col } = lines.linePos(offset);
    throw new InputError(file, line || 1, col || 1, message);
  };
  const tokens = [...new Parser(lines.addNewLine).parse(text)];
  for (const t of tokens) {
    const deep = tooDeep(t);
    if (deep !== null) fail(deep, `wrong YAML: found nesting of more than ${MAX_DEPTH} levels`);
  }
  const docs = [...new Composer({ uniqueKeys: false, keepSourceTokens: false }).compose(tokens)];
  for (const doc of docs) {
    const e = doc.errors[0] ?? doc.warnings[0];
    if (e !== undefined) fail(e.pos[0], `wrong YAML: ${e.message.length > 200 ? `${e.message.slice(0, 197)}...` : e.message}`); // prettier-ignore
    keys(doc.contents, fail);
  }
  return { docs, lines };
}

/** Offset of the first collection below MAX_DEPTH, or null. */
function tooDeep(top: CST.Token): number | null {
  const stack: { token: CST.Token; depth: number }[] = [{ token: top, depth: 0 }];
  for (let s = stack.pop(); s !== undefined; s = stack.pop()) {
    const { token, depth } = s;
    if (token.type === 'document') {
      if (token.value) stack.push({ token: token.value, depth });
      continue;
    }
    if (!('items' in token)) continue;
    if (depth >= MAX_DEPTH) return token.offset;
    for (const item of token.items) {
      if (item.key) stack.push({ token: item.key, depth: depth + 1 });
      if (item.value) stack.push({ token: item.value, depth: depth + 1 });
    }
  }
  return null;
}

/** What an entry without a value inside `{ }` most often is: the rest of a value that had a comma. */
export const cut = (pair: { value: unknown }): string =>
  pair.value === null ? ' (inside { } a comma ends a value: quote one that has a comma)' : '';

/** Refuses duplicate keys and keys that are no scalars. */
function keys(node: unknown, fail: (offset: number, message: string) => never): void {
  if (isSeq(node)) for (const n of node.items) keys(n, fail);
  if (!isMap(node)) return;
  const seen = new Set<string>();
  for (const p of node.items) {
    const at = (p.key as { range?: [number, number, number] } | null)?.range?.[0] ?? node.range?.[0] ?? 0;
    if (!isScalar(p.key)) return fail(at, 'wrong YAML: found a key that is not plain text, expected a name');
    const key = String(p.key.value);
    if (seen.has(key))
      fail(at, `wrong YAML: found the key ${JSON.stringify(key.slice(0, 80))} twice, expected it once`);
    seen.add(key);
    keys(p.value, fail);
  }
}
