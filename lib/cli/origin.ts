/** Writes golden/NAME/origin.yaml, by a temporary name. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Origin } from './golden.js';

export function writeOrigin(dir: string, origin: Origin): void {
  const path = join(dir, 'origin.yaml');
  writeFileSync(`${path}.tmp`, stringify(origin));
  renameSync(`${path}.tmp`, path);
}
