/** Patches against their RFCs. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Json, jsonPatch, mergePatch, strategicMerge, threeWay } from './patches.js';

const json = (text: string): Json => JSON.parse(text) as Json;
const Patches = suite('lib/kube/api-server/patches');
Patches('JSON patch: the examples of RFC 6902, appendix A', () => {
  const rows: [doc: string, patch: string, out: string | RegExp][] = [
    ['{"foo":"bar"}', '[{"op":"add","path":"/baz","value":"qux"}]', '{"foo":"bar","baz":"qux"}'],
    ['{"foo":["bar","baz"]}', '[{"op":"add","path":"/foo/1","value":"qux"}]', '{"foo":["bar","qux","baz"]}'],
    ['{"baz":"qux","foo":"bar"}', '[{"op":"remove","path":"/baz"}]', '{"foo":"bar"}'],
    ['{"foo":["bar","qux","baz"]}', '[{"op":"remove","path":"/foo/1"}]', '{"foo":["bar","baz"]}'],
    ['{"foo":["a","b","c"]}', '[{"op":"replace","path":"/foo/1","value":"x"}]', '{"foo":["a","x","c"]}'],
    ['{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}', '[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]', '{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}'],
    ['{"foo":["all","grass","cows","eat"]}', '[{"op":"move","from":"/foo/1","path":"/foo/3"}]', '{"foo":["all","cows","eat","grass"]}'],
    ['{"a":{"b":[1]}}', '[{"op":"copy","from":"/a/b","path":"/c"},{"op":"add","path":"/c/-","value":2}]', '{"a":{"b":[1]},"c":[1,2]}'],
    ['{"x":{"a":1,"b":2}}', '[{"op":"test","path":"/x","value":{"b":2,"a":1}}]', '{"x":{"a":1,"b":2}}'],
    ['{"baz":"qux"}', '[{"op":"test","path":"/baz","value":"bar"}]', /test failed/],
    ['{"foo":"bar"}', '[{"op":"add","path":"/baz/bat","value":"qux"}]', /missing path: "\/baz\/bat"/],
    ['{"/":9,"~1":10}', '[{"op":"test","path":"/~01","value":10}]', '{"/":9,"~1":10}'],
    ['{"foo":["a"]}', '[{"op":"add","path":"/foo/bar","value":"b"}]', /invalid array index/],
    ['{"foo":["a"]}', '[{"op":"add","path":"/foo/5","value":"b"}]', /invalid array index/],
    ['{"foo":["a"]}', '[{"op":"remove","path":"/foo/01"}]', /missing key: \/foo\/01/],
    ['{}', '[{"op":"remove","path":"/toString"}]', /missing key: \/toString/],
  ]; // prettier-ignore
  for (const [doc, patch, out] of rows) {
    if (out instanceof RegExp) assert.throws(() => jsonPatch(json(doc), json(patch)), out, patch);
    else assert.equal(jsonPatch(json(doc), json(patch)), json(out), patch);
  }
});
Patches('a value put in the place of its equal changes nothing, the order of fields included', () => {
  const doc = '{"a":{"x":1,"y":[1,2]},"b":2}';
  const patch = '[{"op":"replace","path":"/a/x","value":1},{"op":"replace","path":"/a/y/0","value":1}]';
  assert.is(JSON.stringify(jsonPatch(json(doc), json(patch))), doc);
});
Patches('no patch reaches beyond the object', () => {
  assert.throws(() => jsonPatch({}, json('[{"op":"add","path":"/__proto__/reached","value":1}]')), /missing path/);
  const evil = json('{"__proto__":{"reached":1}}');
  for (const out of [mergePatch({}, evil), strategicMerge({}, evil), threeWay({}, {}, evil)])
    assert.is(JSON.stringify(out), '{"__proto__":{"reached":1}}');
  assert.is(({} as { reached?: number }).reached, undefined);
});
Patches('apply takes away fields named like those of every object', () => {
  const last = json('{"labels":{"constructor":"a","x":"b"}}');
  assert.equal(threeWay(last, last, json('{"labels":{"x":"b"}}')), json('{"labels":{"x":"b"}}'));
});
Patches.run();
