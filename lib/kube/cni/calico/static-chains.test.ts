/** Felix's chains: hashes of an iptables dump that was published with Felix (VXLAN mode, no pods), the trees of the dispatch. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dispatchChains } from './dispatch.js';
import { endpointChains, profileChains } from './endpoint-chains.js';
import type { Chain } from './felix.js';
import { appended, ruleHashes, workloadInterface } from './hash.js';
import { EndpointMarks, markChains } from './ipvs-chains.js';
import { staticTables } from './static-chains.js';

/** By table and chain, in order. Rules that the dump leaves out (they name an ipset) are `-`. */
const DUMP = {
  raw: {
    'cali-OUTPUT': 'clI8WObfCl4yhr60 ZbkN6P8OdRcBRPpU ry5_UEpt1OaPPCxO MGhICIksKDnYMIkW',
    'cali-PREROUTING':
      'DQ6LK2guiBRMyrLK sIsu2aAqNN6K3YYn W0qKAga6QivxLxL1 QOYCZUivPyJL6Dp1 uvipz_NmQPrGYnTB pj4jqF0K2OCNLmzX Jefg6QI5khJcHnVl',
  },
  nat: {
    'cali-OUTPUT': 'GBTAv2p5CwevEyJm',
    'cali-POSTROUTING': 'Z-c7XtVd2Bq7s_hA nYKhEzDlr11Jccal e9dnSgSVNmIcpVhP',
    'cali-PREROUTING': 'r6XmIziWUJsdOK6Z',
    'cali-nat-outgoing': 'flqWnvo8yq4ULQLa',
  },
  filter: {
    'cali-FORWARD': 'W_vvds1Nw3n9QE2f ZfgmjuiLaA8Pg0kp tAzwBLPaV-j53OOZ 4Z0Pf0byo05NFe-P hQ7Oc16wmUtLuneJ rnKNH2WxGcRQcIlD',
    'cali-INPUT':
      '- EDCNTTxYfggApx8C H03xYXARh4e8pwd4 MN6K3isIWBigb1Va aKDQAoV0P_FFAIwV vIx3xkWzuvLW9fr4 5W9XghKma9wuz47x',
    'cali-OUTPUT': 'Mq1_rAdXXH3YkrzW 69FkRTJDvD5Vu6Vl - 6T0hFtymUtXMOfEV IpTGXsDHURPUaLjJ wgnULo2gucg1umsA',
    'cali-wl-to-host': 'Ee9Sbo10IpVujdIY nSZbcOoG1xPONxb8',
  },
  mangle: {
    'cali-PREROUTING': '6BJqBjBC7crtA-7- KX7AGNd6rMcDUai6 wNH7KsA3ILKJBsY9 Cg96MgVuoPm7UMRo',
  },
} as const; // prettier-ignore

const hashesOf = (chains: readonly Chain[], name: string): string[] => ruleHashes(chains.find((c) => c.name === name)!);

const Static = suite('lib/kube/cni/calico/static-chains');

Static('every rule of the static chains has the hash that Felix gives it', () => {
  const tables = staticTables({ tunnel: 'vxlan.calico', natOutgoing: true, ipvs: false });
  for (const [table, chains] of Object.entries(DUMP)) {
    const model = tables.find((t) => t.table === table)!;
    for (const [name, text] of Object.entries(chains)) {
      const expected = text.split(' ');
      const actual = hashesOf(model.chains, name).map((h, i) => (expected[i] === '-' ? '-' : h));
      assert.equal(actual, expected, `${table} ${name}`);
    }
  }
  // The dump is older than the rule for DSCP, which came first.
  const post = tables.find((t) => t.table === 'mangle')!.chains.find((c) => c.name === 'cali-POSTROUTING')!;
  const older = { ...post, rules: post.rules.slice(1) };
  assert.is(ruleHashes(older).join(' '), 'NX-7roTexQ3fGRfU JkYr4aB8O4_N8NBS nO0nbHA3Or7V6l7t mgxNjIoKySH7TEGH');
  const filter = tables.find((t) => t.table === 'filter')!;
  assert.equal(
    filter.appends.map((c) => ruleHashes({ ...c, name: appended(c.name) })),
    [['S93hcgKJrXEqnTfs', 'mp77cMpurHhyjLrM']],
  );
});

Static('a tunnel masquerades what leaves it from a wrong address, in IPIP mode as the reference says', () => {
  const nat = staticTables({ tunnel: 'tunl0', natOutgoing: true, ipvs: false }).find((t) => t.table === 'nat')!;
  assert.is(hashesOf(nat.chains, 'cali-POSTROUTING')[2], 'SXWvdsbh4Mw7wOln');
  const bare = staticTables({ tunnel: null, natOutgoing: false, ipvs: false }).find((t) => t.table === 'nat')!;
  assert.is(hashesOf(bare.chains, 'cali-POSTROUTING').length, 2);
  assert.equal(hashesOf(bare.chains, 'cali-nat-outgoing'), []);
});

Static('dispatchChains() is empty but for its end without pods, and has the hashes of the dump', () => {
  const chains = dispatchChains([]);
  assert.equal(hashesOf(chains, 'cali-from-wl-dispatch'), ['zTj6P0TIgYvgz-md']);
  assert.equal(hashesOf(chains, 'cali-to-wl-dispatch'), ['7KNphB1nNHw80nIO']);
});

Static('dispatchChains() gives interfaces with the same next character a chain of their own', () => {
  const texts = (name: string): string[] =>
    dispatchChains(['cali12', 'cali11', 'cali2', 'cali1'])
      .find((c) => c.name === name)!
      .rules.map((r) => `${r.match} ${r.action}`);
  assert.equal(texts('cali-from-wl-dispatch'), [
    '--in-interface cali1+ --goto cali-from-wl-dispatch-1',
    '--in-interface cali2 --goto cali-fw-cali2',
    ' --jump DROP',
  ]);
  assert.equal(texts('cali-to-wl-dispatch-1'), [
    '--out-interface cali1 --goto cali-tw-cali1',
    '--out-interface cali11 --goto cali-tw-cali11',
    '--out-interface cali12 --goto cali-tw-cali12',
    ' --jump DROP',
  ]);
  assert.equal(dispatchChains(['cali7'])[0]!.rules.map((r) => r.match), ['--in-interface cali7', '']); // prettier-ignore
});

Static('endpointChains() puts policy between the encapsulation drops and the profiles', () => {
  const e = { namespace: 'default', name: 'a', iface: workloadInterface('default', 'a'), podIP: '10.0.1.2' };
  const mine = { match: '', action: '--jump cali-po-x', comment: [] };
  const [to, from] = endpointChains(e, 'default', { ingress: [], egress: [mine] }) as [Chain, Chain];
  const pri = ['cali-pri-kns.default', 'cali-pri-ksa.default.default'];
  assert.equal(to.rules.map((r) => r.action).filter((a) => a.includes('cali-')), pri.map((c) => `--jump ${c}`)); // prettier-ignore
  assert.equal(
    from.rules.map((r) => r.action.replace('--jump ', '')),
    ['ACCEPT', 'DROP', 'MARK --set-mark 0/0x30000', 'DROP', 'DROP', 'cali-po-x', 'cali-pro-kns.default', 'RETURN', 'cali-pro-ksa.default.default', 'RETURN', 'DROP'],
  ); // prettier-ignore
  assert.equal(
    profileChains([{ endpoint: e, serviceAccount: 'default' }]).map((c) => c.name),
    ['cali-pri-kns.default', 'cali-pro-kns.default', 'cali-pri-ksa.default.default', 'cali-pro-ksa.default.default'],
  );
});

Static('EndpointMarks gives each interface a number of its own, the next one where it is taken', () => {
  const marks = new EndpointMarks();
  const seen = new Set<number>();
  for (let i = 0; i < 2046; i++) seen.add(marks.of(`cali${i}`)!);
  assert.is(seen.size, 2046);
  assert.not.ok(seen.has(0) || seen.has(0x200000));
  assert.is(marks.of('one-more'), null);
  marks.release('cali7');
  assert.ok(marks.of('one-more') !== null);
});

Static('markChains() marks by interface and dispatches by mark', () => {
  const chains = markChains(['cali2', 'cali1'], new EndpointMarks());
  const from = chains.find((c) => c.name === 'cali-from-endpoint-mark')!;
  const marks = from.rules.slice(0, 2).map((r) => /--mark (0x[0-9a-f]+)\/0xffe00000$/.exec(r.match)![1]!);
  assert.equal(from.rules.map((r) => r.action), ['--goto cali-fw-cali1', '--goto cali-fw-cali2', '--jump DROP']); // prettier-ignore
  const own = chains.filter((c) => c.name.startsWith('cali-sm-')).map((c) => c.rules[0]!.action);
  assert.equal(own, marks.map((m) => `--jump MARK --set-mark ${m}/0xffe00000`)); // prettier-ignore
});

Static.run();
