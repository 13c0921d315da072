/**
 * The files that an entry of `manifests:` names: a file, a folder, or a pattern.
 * @module
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const KINDS = /\.(yaml|yml|json)$/;
const isDir = (path: string): boolean => existsSync(path) && statSync(path).isDirectory();
const sorted = (dir: string): string[] => readdirSync(dir).sort((a, b) => (a < b ? -1 : 1));

/**
 * Paths relative to `dir`, sorted: of a folder its *.yaml, *.yml and *.json, not what lies deeper (as `kubectl apply -f`); of a
 * pattern (`*` and `?` inside one part of the path) the files that match. A path without either stands for itself.
 */
export function manifestFiles(dir: string, path: string): string[] {
  if (/[*?]/.test(path)) return matching(dir, '', path.split('/'));
  if (!isDir(join(dir, path))) return [path];
  return sorted(join(dir, path))
    .filter((f) => KINDS.test(f) && !isDir(join(dir, path, f)))
    .map((f) => `${path.replace(/\/+$/, '')}/${f}`);
}

function matching(dir: string, before: string, parts: string[]): string[] {
  const [part = '', ...rest] = parts;
  const at = join(dir, before);
  if (!isDir(at)) return [];
  const form = new RegExp(
    `^${part
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '[^/]*')
      .replaceAll('?', '[^/]')}$`,
  );
  const names = /[*?]/.test(part) ? sorted(at).filter((f) => !f.startsWith('.') && form.test(f)) : [part];
  return names.flatMap((f) => {
    const path = before === '' ? f : `${before}/${f}`;
    if (rest.length > 0) return matching(dir, path, rest);
    return existsSync(join(dir, path)) && !isDir(join(dir, path)) ? [path] : [];
  });
}
