import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runLab } from '../lab/engine.js';
import { parseLab } from '../lab/lab.js';
import { parseCorefile } from './coredns/corefile.js';
import { Place } from './coredns/corefile-lexer.js';
import { listenersOf } from './coredns/listeners.js';
import { nodeLocalAddresses, nodeLocalCommands, nodeLocalCorefile } from './node-local-dns.js';

const NodeLocal = suite('lib/kube/node-local-dns');
NodeLocal('the Corefile of the add-on listens on its addresses only and forwards to CoreDNS over TCP', () => {
  const both = nodeLocalAddresses('10.96.0.10', 'iptables');
  const c = parseCorefile(nodeLocalCorefile(both, '10.99.1.2', 'cluster.local'), 'f');
  const listeners = listenersOf(c, new Place('f'), () => null);
  assert.equal(listeners.map((l) => `${l.address}:${l.port} ${l.blocks.length}`), ['169.254.20.10:53 4', '10.96.0.10:53 4']); // prettier-ignore
  assert.equal(
    c.blocks.map((b) => b.forward[0]!.transport),
    ['tcp', 'tcp', 'tcp', 'client'],
  );
  assert.equal([c.blocks[0]!.cache!.success.max, c.blocks[0]!.cache!.denial.max], [30, 5]);
  assert.equal(nodeLocalAddresses('10.96.0.10', 'ipvs'), ['169.254.20.10']);
});
NodeLocal('the rules of one address stand in the opposite order of their making', () => {
  const lines = nodeLocalCommands('n', ['169.254.20.10'], 'c', 'o').slice(0, -1);
  const setup = ['ip netns add n', 'ip -n n link set lo up', ...lines].map((l) => `    ${l}\n`).join('');
  const text = `kind: Lab\nmetadata: { name: x }\nspec:\n  setup: |\n${setup}  steps:\n  - { at: 0s, run: ip netns exec n iptables-save }\n  - { at: 0s, run: ip -n n -br link show nodelocaldns }\n  - { at: 0s, run: ip -n n route get 169.254.20.10 }\n`;
  const { steps } = runLab(parseLab(text, 'x.yaml'));
  const rules = steps[0]!.stdout.split('\n').filter((l) => l.startsWith('-A')).map((l) => l.replace(/ -m comment --comment "[^"]*"| -m (tcp|udp)|-A /g, '')); // prettier-ignore
  assert.equal(rules, [
    'INPUT -d 169.254.20.10/32 -p udp --dport 53 -j ACCEPT',
    'INPUT -d 169.254.20.10/32 -p tcp --dport 53 -j ACCEPT',
    'OUTPUT -s 169.254.20.10/32 -p udp --sport 53 -j ACCEPT',
    'OUTPUT -s 169.254.20.10/32 -p tcp --sport 53 -j ACCEPT',
    'PREROUTING -d 169.254.20.10/32 -p udp --dport 53 -j NOTRACK',
    'PREROUTING -d 169.254.20.10/32 -p tcp --dport 53 -j NOTRACK',
    'OUTPUT -s 169.254.20.10/32 -p tcp --sport 8080 -j NOTRACK',
    'OUTPUT -d 169.254.20.10/32 -p tcp --dport 8080 -j NOTRACK',
    'OUTPUT -d 169.254.20.10/32 -p udp --dport 53 -j NOTRACK',
    'OUTPUT -d 169.254.20.10/32 -p tcp --dport 53 -j NOTRACK',
    'OUTPUT -s 169.254.20.10/32 -p udp --sport 53 -j NOTRACK',
    'OUTPUT -s 169.254.20.10/32 -p tcp --sport 53 -j NOTRACK',
  ]);
  assert.match(steps[1]!.stdout, /^nodelocaldns +DOWN/);
  assert.match(steps[2]!.stdout, /^local 169\.254\.20\.10 dev lo/);
});
NodeLocal.run();
