import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { matches, parseSelector, type Selector, SelectorError, selectorText, withPrefix } from './calico-selector.js';

const Test = suite('kube/api/calico-selector');

const text = (s: string): string => selectorText(parseSelector(s));
const fits = (s: string, labels: Record<string, string>): boolean =>
  matches(parseSelector(s), (name) => (Object.hasOwn(labels, name) ? labels[name]! : null));

Test('selectorText() sorts sets, quotes as needed and puts and over or', () => {
  for (const all of ['', ' all() ', ' (all() )']) assert.is(text(all), 'all()');
  assert.is(text('a in {"z", "z", "b"}'), 'a in {"b", "z"}');
  assert.is(text("a notin {'x'}"), 'a not in {"x"}');
  assert.is(text("a startswith '\"'"), "a starts with '\"'");
  assert.is(text('has(a) || has(b) && !!!c != "d"'), '(has(a) || (has(b) && !c != "d"))');
  assert.is(
    selectorText(withPrefix(parseSelector("!(k == 'v' && has(t) || all())"), 'pcns.')),
    '!((pcns.k == "v" && has(pcns.t)) || all())',
  );
});

Test('matches() has absent labels meet != and not in only', () => {
  for (const s of ["a == ''", 'has(a)', "a in {''}", "a contains ''", "a starts with ''", "a ends with ''"]) {
    assert.is(fits(s, {}), false, s);
    assert.is(fits(s, { a: '' }), true, s);
  }
  for (const s of ["a != 'x'", "a not in {'x'}", '!has(a)']) assert.is(fits(s, {}), true, s);
  assert.is(fits("a contains 'b' && a starts with 'a' && a ends with 'c'", { a: 'abc' }), true);
  assert.is(fits("a == 'b'", { constructor: 'x' }), false);
});

Test('parseSelector() says at which character a text is wrong', () => {
  const bad: [string, string, number][] = [
    ["a == 'b' && b", 'expected an operator after a label', 13],
    ['a b', 'expected an operator after a label: ==, !=, in, not in, contains, starts with or ends with', 2],
    ["a = 'b'", 'expected ==', 2],
    ["a == 'b", 'unterminated string', 5],
    ['a in b', 'expected set literal', 5],
    ["a in {'b' 'c'}", 'expected }', 10],
    ["(a == 'b'", 'expected )', 9],
    ["a == 'b')", 'found more after the end of the selector', 8],
    ['has(a', "no closing ')' after has(", 5],
    ['has()', 'expected identifier', 4],
    ["a == 'b' &&", 'unexpected token', 11],
    ["a == 'b' & has(c)", 'expected &&', 9],
    ['%', 'expected identifier', 0],
    [`${'a'.repeat(513)} == 'b'`, 'label too long: more than 512 characters', 0],
    [`${'('.repeat(201)}has(a)${')'.repeat(201)}`, 'found more than 200 parentheses within each other', 201],
  ]; // prettier-ignore
  for (const [s, message, offset] of bad) {
    try {
      parseSelector(s);
      assert.unreachable(s);
    } catch (e) {
      if (!(e instanceof SelectorError)) throw e;
      assert.equal([e.message, e.offset], [message, offset], s);
    }
  }
});

const label = fc.stringMatching(/^[a-z][\w./-]{0,8}$/);
const value = fc.stringMatching(/^[^"']{0,8}$|^"{1,3}$/);
const selector = fc.letrec<{ s: Selector }>((tie) => ({
  s: fc.oneof(
    { depthSize: 'small' },
    fc.record({ op: fc.constantFrom('==' as const, '!=' as const, 'contains' as const, 'starts with' as const, 'ends with' as const), label, value }),
    fc.record({ op: fc.constantFrom('in' as const, 'not in' as const), label, values: fc.uniqueArray(value).map((v) => v.sort()) }),
    fc.record({ op: fc.constant('has' as const), label }),
    fc.constantFrom({ op: 'all' as const }, { op: 'global' as const }),
    fc.record({ op: fc.constant('not' as const), of: tie('s') }),
    fc.record({ op: fc.constantFrom('&&' as const, '||' as const), of: fc.array(tie('s'), { minLength: 2, maxLength: 3 }) }),
  ),
})).s; // prettier-ignore

Test('a canonical text is its own canonical text, and means the same', () => {
  fc.assert(
    fc.property(selector, fc.dictionary(label, value), (s, labels) => {
      const canonical = selectorText(s);
      const again = parseSelector(canonical);
      const get = (name: string): string | null => (Object.hasOwn(labels, name) ? labels[name]! : null);
      // Negations of a negation collapse when read.
      if (!canonical.includes('!!')) assert.is(selectorText(again), canonical);
      assert.is(matches(again, get), matches(s, get));
    }),
  );
});

Test('any text is a selector or a SelectorError within the text', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.array(fc.constantFrom('a', '==', "'b'", '(', ')', '!', '&&', '||', 'in', '{', '}', 'not', 'has(', ' ')).map((x) => x.join(''))), (s) => {
      try {
        parseSelector(selectorText(parseSelector(s)));
      } catch (e) {
        if (!(e instanceof SelectorError)) throw e;
        assert.ok(e.offset >= 0 && e.offset <= s.length);
      }
    }),
  ); // prettier-ignore
});

Test.run();
