/** What the API server refuses is refused in its own words: testdata/refused.txt was observed from its code. */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../sim/input-error.js';
import { loadManifests } from './manifest.js';

/** podwire's message without its place, and without the list of fields it adds for the user. */
function refusal(text: string): string {
  try {
    loadManifests(text, 'm.yaml');
  } catch (e) {
    if (!(e instanceof InputError)) throw e;
    assert.ok(e.line >= 1 && e.line <= text.split('\n').length && e.column >= 1, e.message);
    return e.reason.replace(/, expected one of: .*$/, '');
  }
  return 'accepted';
}

type Json = Record<string, unknown>;

/** The object with one field changed. */
function changed(object: Json, path: string, value: string): Json {
  const root = structuredClone(object);
  const keys = path.split('.');
  const last = keys.pop()!;
  const parent = keys.reduce<Json>((o, k) => o[k] as Json, root);
  if (value === 'twice') (parent as unknown as unknown[]).push(structuredClone(parent[last]));
  else if (value !== 'absent') parent[last] = JSON.parse(value);
  else if (Array.isArray(parent)) parent.splice(Number(last), 1);
  else delete parent[last];
  return root;
}

const Refused = suite('lib/kube/api/refused');
const objects = readFileSync('lib/kube/api/testdata/refused.txt', 'utf8').split('\n\n').slice(1);
let count = 0;
for (const block of objects) {
  const [first = '', ...lines] = block.trimEnd().split('\n');
  const object = JSON.parse(first) as Json;
  const cases = lines.join('\n').split(/\n(?! )/);
  count += cases.length;
  Refused(`${cases.length} changes of a ${String(object['kind'])} are refused as the API server refuses them`, () => {
    for (const c of cases) {
      const [head = '', ...errors] = c.split('\n');
      const [, path = '', value = ''] = /^(\S+) = (.*)$/.exec(head) ?? [];
      const text = JSON.stringify(changed(object, path, value), null, 1);
      const own = refusal(text);
      if (!errors.includes(`  ${own}`)) assert.is(own, errors.join('\n').trim(), head);
    }
  });
}
Refused('there are hundreds of them', () => {
  console.log(`lib/kube/api/refused: ${count} manifests`);
  assert.ok(count >= 700);
});
Refused.run();
