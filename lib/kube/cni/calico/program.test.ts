/** From what Felix has programmed to what it wants. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DROP, type Rule, rule } from './felix.js';
import { ruleHashes } from './hash.js';
import { IptablesProgram } from './program.js';
import type { TableModel } from './static-chains.js';

const Test = suite('lib/kube/cni/calico/program');

const table = (rules: readonly Rule[]): TableModel[] => [
  { table: 'filter', inserts: [], appends: [], chains: [{ name: 'cali-x', rules }] },
];
const body = (commands: readonly string[]): string[] => commands.flatMap((c) => c.split('\n').slice(1, -1));
const hashes = (rules: readonly Rule[]): string[] => ruleHashes({ name: 'cali-x', rules });

Test('apply() writes nothing for rules that are equal, and replaces a changed one and those behind it', () => {
  const of = (second: string): Rule[] => [rule('-s 1.2.3.4', DROP, 'a'), rule(second, DROP), rule('', DROP)];
  const p = new IptablesProgram('n');
  p.apply(table(of('-s 1.2.3.5')));
  assert.equal(p.apply(table(of('-s 1.2.3.5'))), []);
  const changed = of('-s 1.2.3.6');
  const [, second, third] = hashes(changed);
  assert.equal(body(p.apply(table(changed))), [
    '*filter',
    `-R cali-x 2 -m comment --comment "cali:${second}" -s 1.2.3.6 ${DROP}`,
    `-R cali-x 3 -m comment --comment "cali:${third}" ${DROP}`,
    'COMMIT',
  ]);
  assert.equal(body(p.apply(table(changed.slice(0, 1)))), ['*filter', '-D cali-x 2', '-D cali-x 2', 'COMMIT']);
  const said = [rule('-s 1.2.3.4', DROP, 'b')];
  assert.equal(body(p.apply(table(said))), ['*filter', `-R cali-x 1 -m comment --comment "cali:${hashes(said)[0]}" -m comment --comment "b" -s 1.2.3.4 ${DROP}`, 'COMMIT']); // prettier-ignore
});

Test('apply() takes a chain of more rules than a call has room for arguments', () => {
  const rules = Array.from({ length: 130_000 }, () => rule('', DROP));
  assert.is(body(new IptablesProgram('n').apply(table(rules))).length, rules.length + 3);
});

Test.run();
