import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GoRegexp, RegexpError } from './go-regexp.js';
import { ExecError, GoTemplate, TemplateError } from './go-template.js';
import { parseRr } from './rr-text.js';

const groups = (p: string, s: string): string[] | null => new GoRegexp(p).match(s);
const refused = (p: string): string => {
  try {
    new GoRegexp(p);
  } catch (e) {
    if (e instanceof RegexpError) return e.message;
    throw e;
  }
  return 'no error';
};

const Regexp = suite('lib/kube/coredns/go-regexp');
Regexp('GoRegexp.match() finds the leftmost match and its groups', () => {
  assert.equal(groups('(.*)-(us-west-1)\\.(.*)', 'a-us-west-1.b'), ['a-us-west-1.b', 'a', 'us-west-1', 'b']);
  assert.equal(groups('^(a|ab)(c|bcd)$', 'abcd'), ['abcd', 'a', 'bcd']);
  assert.equal(groups('a+?', 'xaaa'), ['a']);
  assert.equal(groups('(?i)WEB[.]', 'x.wEb.'), ['wEb.']);
  assert.equal(groups('(x)?(?P<n>[^a-c[:digit:]]{2,3})', 'abc12defg'), ['def', '', 'def']);
  assert.equal(groups('\\bfoo\\b|\\Qa.b\\E', 'xfoo a.b'), ['a.b']);
  assert.is(groups('^b', 'ab'), null);
  assert.equal(groups('(?s)a.c', 'a\nc'), ['a\nc']);
  assert.equal(new GoRegexp('(a)(?P<q>b)').names, ['', '', 'q']);
});
Regexp('GoRegexp.match() prefers nothing where Go does: in loops over what can match nothing', () => {
  assert.equal(groups('(|a)*', 'aa'), ['', '']);
  assert.equal(groups('(|a)+', 'aa'), ['', '']);
  assert.equal(groups('(a|b)+', 'abab'), ['abab', 'b']);
  assert.equal(groups('(a|){2,}b', 'aab'), ['aab', 'a']);
  assert.equal(groups('((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)', 'xaa')![0], 'aa');
  assert.equal(groups('(?i)[[:upper:]]+', 'web'), ['web']);
  assert.equal(groups('a{01}', 'a{01}'), ['a{01}']);
});
Regexp('GoRegexp refuses counts within counts of more than 1000 copies, at once', () => {
  assert.is(refused('(?:(?:(?:){1000}){1000}){1000}'), 'error parsing regexp: invalid repeat count: `{1000}`');
  assert.is(refused('(a{100}){11}'), 'error parsing regexp: invalid repeat count: `{11}`');
  assert.is(refused('(a{100}){10}'), 'no error');
  assert.is(refused('((a*){100}){10}'), 'no error');
});
Regexp('GoRegexp knows no class by a name that every object of JavaScript has', () => {
  assert.is(refused('[[:constructor:]]'), 'error parsing regexp: invalid character class range: `[:constructor:]`');
});
Regexp('GoRegexp refuses with the words of Go', () => {
  assert.is(refused('(a'), 'error parsing regexp: missing closing ): `(a`');
  assert.is(refused('a)'), 'error parsing regexp: unexpected ): `a)`');
  assert.is(refused('[a'), 'error parsing regexp: missing closing ]: `[a`');
  assert.is(refused('*a'), 'error parsing regexp: missing argument to repetition operator: `*`');
  assert.is(refused('a{2001}'), 'error parsing regexp: invalid repeat count: `{2001}`');
  assert.is(refused('(?=a)'), 'error parsing regexp: invalid or unsupported Perl syntax: `(?=`');
  assert.is(refused('a\\'), 'error parsing regexp: trailing backslash at end of expression: ``');
});
Regexp('GoRegexp agrees with the language it resembles, in time that does not explode', () => {
  const part = fc.constantFrom(
    'a',
    'b',
    '.',
    '[ab]',
    '[^a]',
    '(a|b)',
    '(ab)?',
    'a*',
    'b+',
    '(a+)',
    '(?:ab|b)',
    'a{1,2}',
    '$',
    '^',
  );
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 12 });
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), text, (parts, s) => {
      const p = parts.join('');
      const js = new RegExp(p).exec(s);
      assert.equal(groups(p, s), js === null ? null : Array.from(js, (x) => x ?? ''), `${p} on ${s}`);
    }),
    { numRuns: 3000 },
  );
  assert.is(groups('^(a+)+$', 'a'.repeat(250) + 'b'), null);
  assert.is(groups('^(a|a)*(a|aa)+$', 'a'.repeat(250) + 'b'), null);
});
Regexp('GoTemplate.execute() writes fields, calls and conditions', () => {
  const data = { Name: 'a.b.', Match: ['x', 'y'], Group: { k: '0a' }, N: 3 };
  const run = (t: string): string => new GoTemplate(t).execute(data);
  assert.is(run('{{ .Name }} 60 IN A {{ index .Match 1 }}'), 'a.b. 60 IN A y');
  assert.is(run('{{ parseInt .Group.k 16 8 }}{{- " " -}} z'), '10 z');
  assert.is(run('{{ if eq .Name "a.b." }}y{{ else if .Group.q }}n{{ else }}z{{ end }}'), 'y');
  assert.is(run('{{ .N | printf "%03d" }} {{ printf "%s-%v" .Name .N }} {{ len .Match }}'), '003 a.b.-3 2');
  for (const bad of ['{{ .a', '{{ range .Match }}{{ end }}', '{{ if .Name }}', '{{ nope }}', '{{ end }}'])
    assert.throws(() => new GoTemplate(bad), (e: Error) => e instanceof TemplateError); // prettier-ignore
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('{', '}', '.', 'a', ' ', '"', '(', 'if', 'end', 'index', '|', '-') }),
      (t) => {
        try {
          new GoTemplate(t);
        } catch (e) {
          assert.ok(e instanceof TemplateError, String(e));
        }
      },
    ),
  );
});
Regexp('GoTemplate compares integers of any kind, and refuses what would take memory or the stack', () => {
  const run = (t: string): string => new GoTemplate(t).execute({});
  assert.is(run('{{ eq (parseInt "5" 10 8) 5 }} {{ ne 5 (parseInt "5" 10 8) }}'), 'true false');
  assert.is(run('{{ "a\\"b\\\\" }}'), 'a"b\\');
  for (const bad of ['{{ printf "%999999999d" 1 }}', '{{ parseInt "1" 10 99999999999 }}'])
    assert.throws(() => run(bad), (e: Error) => e instanceof ExecError); // prettier-ignore
  for (const bad of [`{{ ${'('.repeat(1e5)} }}`, '{{ "abc }}', '{{ ` }}', '{{ "\\d" }}', `{{ ${'9'.repeat(400)} }}`])
    assert.throws(() => new GoTemplate(bad), (e: Error) => e instanceof TemplateError, bad.slice(0, 20)); // prettier-ignore
});
Regexp('parseRr() reads records, and nothing else', () => {
  assert.equal(parseRr('a.b. 60 IN A 10.0.0.1'), { name: 'a.b.', type: 1, cls: 1, ttl: 60, data: [Uint8Array.of(10, 0, 0, 1)] }); // prettier-ignore
  assert.is(parseRr('a IN 1h MX 10 m.')?.ttl, 3600);
  assert.equal(parseRr('a TXT "x y" z')?.data, [Uint8Array.of(3, 120, 32, 121, 1, 122)]);
  for (const bad of ['', 'a', 'a. IN', 'a. 60 IN A 10.0.0', 'a. IN A', 'a. NOPE x', 'a. 1 SRV 1 2 t.', 'a. TXT "x'])
    assert.is(parseRr(bad), null, bad);
  fc.assert(fc.property(fc.string(), (s) => void parseRr(s)));
});
Regexp.run();
