/** setpriv's words, and what a program that runs as somebody else may do. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runLab } from './engine.js';
import { parseLab } from './lab.js';
import { setpriv } from '../shell/setpriv.js';

const read = (line: string) => setpriv(line.split(' '));

const Setpriv = suite('lib/lab/setpriv');
Setpriv('setpriv() reads ids, in both forms of an option', () => {
  assert.equal(read('setpriv --reuid 1337 --regid=1000 --clear-groups curl -s x'), { cred: { uid: 1337, gid: 1000 }, argv: ['curl', '-s', 'x'] }); // prettier-ignore
  assert.equal(read('setpriv --euid 7 -- nc -l 1'), { cred: { uid: 7, gid: 0 }, argv: ['nc', '-l', '1'] });
  assert.equal(read('setpriv --regid 1 --groups 0,4 true'), { cred: { uid: 0, gid: 1 }, argv: ['true'] });
  assert.equal(read('setpriv --ruid 7 true'), { cred: { uid: 0, gid: 0 }, argv: ['true'] });
});

Setpriv('setpriv() says what util-linux says of wrong words, and what podwire has not', () => {
  const cases: [string, string][] = [
    ['setpriv --reuid 1', 'setpriv: No program specified\n'],
    ['setpriv --regid 1 nc', 'setpriv: --[re]gid requires --keep-groups, --clear-groups, --init-groups, or --groups\n'], // prettier-ignore
    ['setpriv --bla nc', "setpriv: unrecognized option '--bla'\nTry 'setpriv --help' for more information.\n"],
    ['setpriv --reuid', "setpriv: option '--reuid' requires an argument\nTry 'setpriv --help' for more information.\n"],
    ['setpriv --reuid proxy nc', 'podwire: setpriv: found --reuid "proxy", expected a number\n'],
    ['setpriv --groups adm,4 nc', 'podwire: setpriv: found --groups "adm,4", expected numbers\n'],
    ['setpriv --no-new-privs nc', 'podwire: setpriv: --no-new-privs is not supported yet\n'],
  ];
  for (const [line, said] of cases) assert.is(read(line), said);
});

const lab = (run: string): string =>
  `kind: Lab\nmetadata: { name: t }\nspec:\n  setup: ip -n root link set lo up\n  steps:\n  - { at: 0s, run: ${JSON.stringify(run)} }\n`; // prettier-ignore
const step = (run: string) => runLab(parseLab(lab(run).replace('ip -n root', 'ip'), 't.yaml')).steps[0]!;

Setpriv('a port below ip_unprivileged_port_start is denied to all but root', () => {
  assert.equal(step('setpriv --reuid 1 nc -w 1 -l 79').stderr, 'nc: Permission denied\n');
  assert.is(step('setpriv --reuid 1 nc -w 1 -p 79 127.0.0.1 9').stderr, 'nc: bind failed: Permission denied\n');
  assert.is(step('sysctl -qw net.ipv4.ip_unprivileged_port_start=79\nsetpriv --reuid 1 nc -w 1 -u -p 79 127.0.0.1 9').stderr, ''); // prettier-ignore
});

Setpriv('programs that need more than sockets are refused, with their place', () => {
  assert.throws(() => step('setpriv --reuid 1 ping -c 1 127.0.0.1'), /t\.yaml:6:\d+: found setpriv ping, expected one of: curl, dig, getent, nc, podwire/); // prettier-ignore
});
Setpriv.run();
