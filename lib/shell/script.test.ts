import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../sim/input-error.js';
import { parseScript, splitNetns } from './script.js';

const Script = suite('lib/shell/script');

const argvs = (text: string): string[][] => parseScript(text, 'f').map((c) => c.argv);

Script('parseScript() splits lines, semicolons, quotes and continuations', () => {
  assert.equal(argvs(`a b # c\n# d\n'x y'"z \\" w" e\\ f; g \\\n  h#i`), [
    ['a', 'b'],
    ['x yz " w', 'e f'],
    ['g', 'h#i'],
  ]);
});

Script('parseScript() reads heredocs, their tabs and escapes', () => {
  const [a, b, c, d] = parseScript(`a <<'E'\n*x $y \\\\\nE\nb <<-E\n\tz\\$\n\tE\nc <<< 'w v'\nd`, 'f');
  assert.is(a!.stdin, '*x $y \\\\\n');
  assert.is(a!.text, `a <<'E'\n*x $y \\\\\nE`);
  assert.is(b!.stdin, 'z$\n');
  assert.is(c!.stdin, 'w v\n');
  assert.equal([d!.argv, d!.line, d!.column], [['d'], 8, 1]);
});

Script('parseScript() reads redirections, pipelines and the background', () => {
  const [a, b] = parseScript(`cat > /etc/x <<E\nn 1\nE\np q 2>/dev/null | r >>s &`, 'f', 10, 5);
  assert.equal([a!.redirect, a!.stdin], [{ path: '/etc/x', append: false }, 'n 1\n']);
  assert.equal([b!.argv, b!.redirect, b!.background], [['r'], { path: 's', append: true }, true]);
  assert.equal(
    [b!.pipeFrom!.argv, b!.pipeFrom!.quiet, b!.pipeFrom!.line, b!.pipeFrom!.column],
    [['p', 'q'], true, 13, 5],
  );
  assert.is(b!.text, 'p q 2>/dev/null | r >>s &');
});

Script('parseScript() reads an input file', () => {
  const [a, b] = parseScript(`p q < /tmp/x\nr </y > z`, 'f');
  assert.equal([a!.argv, a!.input, a!.stdin], [['p', 'q'], '/tmp/x', null]);
  assert.equal([b!.argv, b!.input, b!.redirect], [['r'], '/y', { path: 'z', append: false }]);
});

for (const [text, column] of [
  ['a < x < y', 7],
  ['a <& b', 3],
  ['a | b < x', 7],
  ['a $b', 3],
  ['a "`b`"', 4],
  ['a *', 3],
  ['a && b', 3],
  ['a || b', 3],
  ['X=1 a', 1],
  ['for i in a', 1],
  ["a 'b", 3],
  ['a <<E\nb', 3],
  ['a <<E\n$b\nE', 1],
  ['a 2>&1', 3],
  ['a |', 4],
  ['a {b,c}', 3],
] as const) {
  Script(`parseScript() refuses ${JSON.stringify(text)} at its place`, () => {
    try {
      parseScript(text, 'f', 7);
      assert.unreachable();
    } catch (e) {
      assert.instance(e, InputError);
      assert.is((e as InputError).column, column);
      assert.match((e as InputError).reason, /^found .*, expected /);
    }
  });
}

Script('splitNetns() peels ip netns exec and -n', () => {
  assert.equal(splitNetns(['ip', 'netns', 'exec', 'n', 'ip', '-n', 'm', 'link']), { netns: 'm', argv: ['ip', 'link'] });
  assert.equal(splitNetns(['ip', '-netns', 'n', '-d', 'link']), { netns: 'n', argv: ['ip', '-d', 'link'] });
  assert.equal(splitNetns(['ip', 'link', 'add', '-n']), { netns: null, argv: ['ip', 'link', 'add', '-n'] });
});

Script.run();
