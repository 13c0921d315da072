/**
 * JSONPath and YAML as Go writes them.
 *
 * testdata/go.jsonl: `t`, a template, `d`, the data and `m`, whether missing keys are allowed, with what client-go v0.33.1 said
 * (`PERR` of the template, `XERR` of its execution); `y`, a value, with the YAML of sigs.k8s.io/yaml v1.4.0.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { parseQuantity, quantityText } from '../api/quantity.js';
import { goSyntax, type Json, marshal, marshalIndent, quoteGo, sprint } from './go-values.js';
import { JsonPath, JsonPathError } from './jsonpath.js';
import { align } from './tabwriter.js';
import { keyOrder, toYaml } from './yaml.js';

interface Case {
  t?: string;
  d?: Json;
  m?: boolean;
  y?: Json;
  out: string;
}

const cases = readFileSync(join('lib', 'kube', 'kubectl', 'testdata', 'go.jsonl'), 'utf8').trimEnd().split('\n').map((l) => JSON.parse(l) as Case); // prettier-ignore
function answer(c: Case): string {
  let stage = 'PERR';
  try {
    const path = new JsonPath(c.t!, c.m!);
    stage = 'XERR';
    return path.text(c.d!);
  } catch (e) {
    if (!(e instanceof JsonPathError)) throw e;
    return `${stage} ${e.message}`;
  }
}

const Go = suite('lib/kube/kubectl/go');
Go('JSONPath says what client-go says', () => {
  const paths = cases.filter((c) => c.t !== undefined);
  assert.ok(paths.length >= 200);
  for (const c of paths) assert.is(answer(c), c.out, JSON.stringify([c.t, c.d]));
});
Go('YAML is written as sigs.k8s.io/yaml writes it', () => {
  const values = cases.filter((c) => c.y !== undefined);
  assert.ok(values.length >= 150);
  for (const c of values) assert.is(toYaml(c.y!), c.out, JSON.stringify(c.y));
});

const text = fc.string({ unit: fc.constantFrom('a', 'b', ' ', ':', '#', '-', '"', "'", '\\', '\n', '\t', 'é', '1', '{', '~', '😀'), maxLength: 120 }); // prettier-ignore
const value = fc.letrec<{ v: Json }>((tie) => ({
  v: fc.oneof({ depthSize: 'small' }, fc.boolean(), fc.constant(null), fc.integer(), text.map((s) => s.trimStart()), fc.array(tie('v'), { maxLength: 3 }), fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9./-]{0,149}$/), tie('v'), { maxKeys: 4, noNullPrototype: true })), // prettier-ignore
})).v; // prettier-ignore

// A text that begins with a blank or a line break gets an indentation mark that go-yaml and other readers count differently.
Go('YAML and JSON read back are the value', () => {
  fc.assert(
    fc.property(value, (v) => {
      assert.equal(parse(toYaml(v)), v);
      assert.equal(JSON.parse(marshal(v)), v);
      assert.equal(JSON.parse(marshalIndent(v)), v);
    }),
    { numRuns: 500 },
  );
});
Go('a path of keys and indexes finds what stands there', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ name: fc.stringMatching(/^[a-z]{1,5}$/), n: fc.integer({ min: 0, max: 9 }) }), { minLength: 1, maxLength: 6 }), fc.nat(5), fc.nat(9), (items, i, n) => {
      const at = i % items.length;
      const found = (t: string): string => new JsonPath(t, true).text({ items });
      assert.is(found(`{.items[${at}].name}`), items[at]!.name);
      assert.is(found(`{.items[${at - items.length}].name}`), items[at]!.name);
      assert.is(found(`{.items[*]['name']}`), items.map((x) => x.name).join(' '));
      assert.is(found(`{.items[?(@.n>=${n})].name}`), items.filter((x) => x.n >= n).map((x) => x.name).join(' '));
      assert.is(found(`{.items[:${at}].n}`), items.slice(0, at).map((x) => x.n).join(' '));
      assert.is(found('{range .items[*]}{.name}{":"}{.n}{"\\n"}{end}.'), `${items.map((x) => `${x.name}:${x.n}\n`).join('')}.`);
      assert.is(found('{..n}').split(' ').length, items.length);
    }),
  ); // prettier-ignore
});
Go('any template is an answer or a JsonPathError', () => {
  const part = fc.constantFrom('{', '}', '[', ']', '.', '..', '*', '?(', ')', '@', '$', "'", '"', '\\', ',', ':', '0', '-1', '1.5', '==', '<', 'a', 'range', 'end', 'true', ' ', '\n', 'é'); // prettier-ignore
  fc.assert(
    fc.property(fc.array(part, { maxLength: 25 }), fc.boolean(), value, (parts, m, d) => {
      assert.type(answer({ t: `{${parts.join('')}`, d, m, out: '' }), 'string');
    }),
    { numRuns: 3000 },
  );
});
Go('hostile templates end', () => {
  assert.match(answer({ t: `{${'[?(@'.repeat(5000)}`, d: null, m: true, out: '' }), /^PERR/);
  const wide: Json = JSON.parse(`[${'[1,1,1,1,1,1,1,1],'.repeat(2000)}[]]`) as Json;
  assert.match(answer({ t: '{..}'.repeat(200), d: wide, m: true, out: '' }), /^XERR more than/);
});
Go('Go prints maps in order, strings quoted, numbers as they are', () => {
  const v = { b: [1, 'x', null], a: { c: true }, d: 1.5 };
  assert.is(sprint(v), 'map[a:map[c:true] b:[1 x <nil>] d:1.5]');
  assert.is(goSyntax(v), 'map[string]interface {}{"a":map[string]interface {}{"c":true}, "b":[]interface {}{1, "x", interface {}(nil)}, "d":1.5}'); // prettier-ignore
  assert.is(quoteGo('a"\n\x01é\u00a0'), '"a\\"\\n\\x01é\\u00a0"');
  assert.is(marshal('<a&b>'), '"\\u003ca\\u0026b\\u003e"');
});
Go('keys: digits by value, letters last', () => {
  assert.equal(['b', 'a10', 'a9', 'a', '.x', 'A', '10', '9'].sort(keyOrder), ['.x', '9', '10', 'A', 'a', 'a9', 'a10', 'b']); // prettier-ignore
});
Go('columns line up as long as they go on', () => {
  assert.is(align('a\tb\nccc\td\n\ne\tf\n', 0, 2), 'a    b\nccc  d\n\ne  f\n');
  assert.is(align('a\tb\n', 6, 3), 'a     b\n');
  assert.is(align('x\t\ty\n', 0, 2), 'x    y\n');
});
Go('quantities have one form', () => {
  const pairs = [['1000m', '1'], ['0.5', '500m'], ['1.5Gi', '1536Mi'], ['1024Mi', '1Gi'], ['512Ki', '512Ki'], ['1023', '1023'], ['2000M', '2G'], ['1e3', '1e3'], ['12e4', '120e3'], ['0', '0'], ['-1500m', '-1500m'], ['1Ki', '1Ki'], ['0.1Ki', '102400m'], ['1n', '1n'], ['0.5n', '1n'], ['1E', '1E']]; // prettier-ignore
  for (const [a, b] of pairs) assert.is(quantityText(parseQuantity(a!)!), b, a);
  for (const bad of ['', 'x', '1 ', '1kB', '.', '1ee3']) if (bad !== '1 ') assert.is(parseQuantity(bad), null, bad);
});
Go.run();
