/** Hashes as Felix has them: values of iptables dumps that were published with it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  ACCEPT,
  all,
  clearMark,
  DROP,
  goTo,
  inInterface,
  jump,
  MARK_ACCEPT,
  MARK_ALL,
  markClear,
  markIs,
  MASQUERADE,
  notDstSet,
  rule,
  setMark,
  srcSet,
} from './felix.js';
import { appended, base64url, chainName, ipsetName, ruleHashes, vtepMac, workloadInterface } from './hash.js';

const Hash = suite('lib/kube/cni/calico/hash');

Hash('ruleHashes() equals Felix for one jump in a chain of the kernel', () => {
  const jumps = { PREROUTING: '6gwbT8clXdHdC1b1', OUTPUT: 'tVnHkvAo15HuiPy0', INPUT: 'Cz_u1IQiXIMmKD4c', FORWARD: 'wUHhoiAYhphO9Mso', POSTROUTING: 'O3lYWMrLQYEMJtB5' }; // prettier-ignore
  for (const [name, hash] of Object.entries(jumps))
    assert.equal(ruleHashes({ name, rules: [rule('', jump(`cali-${name}`))] }), [hash]);
  const post = { name: appended('POSTROUTING'), rules: [rule('', jump('cali-POSTROUTING'))] };
  assert.equal(ruleHashes(post), ['0i8pjzKKPyA34aQD']);
});

Hash('ruleHashes() equals Felix for rules that follow each other, with comments', () => {
  const forward = [
    rule(markIs(MARK_ACCEPT), ACCEPT, 'Policy explicitly accepted packet.'),
    rule('', setMark(MARK_ACCEPT)),
  ];
  assert.equal(ruleHashes({ name: appended('FORWARD'), rules: forward }), ['S93hcgKJrXEqnTfs', 'mp77cMpurHhyjLrM']);
  const own = [
    rule('', clearMark(MARK_ALL & ~MARK_ACCEPT)),
    rule(markClear(MARK_ACCEPT), jump('cali-from-hep-forward')),
    rule(inInterface('cali+'), jump('cali-from-wl-dispatch')),
  ];
  assert.equal(ruleHashes({ name: 'cali-FORWARD', rules: own }), [
    'W_vvds1Nw3n9QE2f',
    'ZfgmjuiLaA8Pg0kp',
    'tAzwBLPaV-j53OOZ',
  ]);
  const dispatch = { name: 'cali-from-wl-dispatch', rules: [rule('', DROP, 'Unknown interface')] };
  assert.equal(ruleHashes(dispatch), ['zTj6P0TIgYvgz-md']);
});

Hash('ruleHashes() equals Felix where ipsets are matched', () => {
  const match = all(srcSet(ipsetName('masq-ipam-pools')), notDstSet(ipsetName('all-ipam-pools')));
  assert.equal(ruleHashes({ name: 'cali-nat-outgoing', rules: [rule(match, MASQUERADE)] }), ['flqWnvo8yq4ULQLa']);
});

Hash('ruleHashes() changes with every rule before, and with what a target is reached by', () => {
  const of = (...rules: ReturnType<typeof rule>[]): string => ruleHashes({ name: 'c', rules }).at(-1)!;
  assert.is.not(of(rule('', DROP)), of(rule('', DROP), rule('', DROP)));
  assert.is.not(of(rule('', goTo('x'))), of(rule('', jump('x'))));
});

Hash('chainName() keeps what fits in 28 characters and hashes what does not', () => {
  assert.is(chainName('cali-pri-', 'ksa.default.default'), 'cali-pri-ksa.default.default');
  // It would look like a hash.
  assert.match(chainName('cali-pri-', '_sa.default.default'), /^cali-pri-_(?!sa\.)[\w-]{18}$/);
  // Published with Calico: the profile of kube-system's default service account and others.
  assert.is(chainName('cali-pri-', 'ksa.kube-system.coredns'), 'cali-pri-_u2Tn2rSoAPffvE7JO6');
  assert.is(chainName('cali-pro-', 'ksa.kube-system.coredns'), 'cali-pro-_u2Tn2rSoAPffvE7JO6');
});

Hash('interfaces, ipsets and tunnel ends have the names of the reference', () => {
  const names = ['a', 'b', 'c', 'd'].map((x) => workloadInterface('default', `pod-${x}`));
  assert.equal(names, ['cali5e1c4d6c68c', 'cali2f5353dd8c5', 'cali3754a2f57f6', 'calid6b219bf875']);
  assert.is(ipsetName('s:qMt7iLlGDhvLnCjM0l9nzxbabcd'), 'cali40s:qMt7iLlGDhvLnCjM0l9nzxb');
  assert.equal([vtepMac('node1'), vtepMac('node2')], ['66:f9:37:c3:7e:94', '66:2d:bf:44:a6:8b']);
});

Hash('base64url() is RFC 4648 section 5 without padding', () => {
  const of = (...b: number[]): string => base64url(Uint8Array.of(...b));
  assert.equal([of(), of(0xfb), of(0xfb, 0xff), of(0xfb, 0xff, 0xbf)], ['', '-w', '-_8', '-_-_']);
});

Hash.run();
