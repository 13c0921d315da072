import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { renderRule as text, ruleHashes } from '../hash.js';
import type { ParsedRule, ParsedSide, PortRange } from './parse.js';
import { renderRule, renderRules, splitPorts } from './render.js';

const Test = suite('kube/cni/calico/policy/render');

const SIDE: ParsedSide = { nets: [], sets: [], ports: [], namedPorts: [], notNets: [], notSets: [], notPorts: [], notNamedPorts: [] }; // prettier-ignore
type Given = Partial<Omit<ParsedRule, 'source' | 'destination'>> & { source?: Partial<ParsedSide>; destination?: Partial<ParsedSide> }; // prettier-ignore
const given = ({ source, destination, ...r }: Given): ParsedRule => ({
  action: 'allow', ipVersion: null, protocol: null, notProtocol: null, icmp: null, notIcmp: null, annotations: {}, ...r,
  source: { ...SIDE, ...source }, destination: { ...SIDE, ...destination },
}); // prettier-ignore
const lines = (r: Given): string[] => renderRule(given(r)).map((x) => text('', '', x).trim());
const ports = (...all: (number | [number, number])[]): PortRange[] =>
  all.map((p) => (typeof p === 'number' ? { first: p, last: p } : { first: p[0], last: p[1] }));

const ALLOW = '--jump MARK --set-mark 0x10000/0x10000';
const RETURN = '-m mark --mark 0x10000/0x10000 --jump RETURN';

Test('renderRule() writes what Felix writes for one match', () => {
  // The matches that felix/rules/policy_test.go expects.
  const one: [Given, string][] = [
    [{}, ''],
    [{ protocol: 'tcp' }, '-p tcp'],
    [{ protocol: 8 }, '-p 8'],
    [{ source: { nets: ['10.0.0.0/16'] } }, '--source 10.0.0.0/16'],
    [{ source: { sets: ['ipsetid1'] } }, '-m set --match-set cali40ipsetid1 src'],
    [{ source: { ports: ports([10, 12], [20, 30], 8080) } }, '-m multiport --source-ports 10:12,20:30,8080'],
    [{ source: { namedPorts: ['np'] } }, '-m set --match-set cali40np src,src'],
    [{ icmp: { type: 10, code: null } }, '-m icmp --icmp-type 10'],
    [{ icmp: { type: 10, code: 12 } }, '-m icmp --icmp-type 10/12'],
    [{ destination: { nets: ['10.0.0.0/16'] } }, '--destination 10.0.0.0/16'],
    [{ destination: { sets: ['a', 'b'] } }, '-m set --match-set cali40a dst -m set --match-set cali40b dst'],
    [{ destination: { ports: ports([10, 12]) } }, '-m multiport --destination-ports 10:12'],
    [{ notProtocol: 'tcp' }, '! -p tcp'],
    [{ source: { notNets: ['10.0.0.0/16'] } }, '! --source 10.0.0.0/16'],
    [{ source: { notSets: ['ipsetid1'] } }, '-m set ! --match-set cali40ipsetid1 src'],
    [{ source: { notPorts: ports([1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11, 12], [13, 14], [15, 16]) } },
      '-m multiport ! --source-ports 1:2,3:4,5:6,7:8,9:10,11:12,13:14 -m multiport ! --source-ports 15:16'],
    [{ notIcmp: { type: 10, code: 12 } }, '-m icmp ! --icmp-type 10/12'],
    [{ destination: { notNets: ['10.0.0.0/16'], notNamedPorts: ['np'] } }, '! --destination 10.0.0.0/16 -m set ! --match-set cali40np dst,dst'],
  ]; // prettier-ignore
  for (const [r, match] of one) assert.equal(lines(r), [`${match} ${ALLOW}`.trim(), RETURN]);
});

Test('renderRule() gives each action its mark', () => {
  assert.equal(lines({ action: 'deny', protocol: 'tcp' }), ['-p tcp --jump MARK --set-mark 0x40000/0x40000', '-m mark --mark 0x40000/0x40000 --jump DROP']); // prettier-ignore
  assert.equal(lines({ action: 'pass' }), ['--jump MARK --set-mark 0x20000/0x20000', '-m mark --mark 0x20000/0x20000 --jump RETURN']); // prettier-ignore
  assert.equal(lines({ action: 'log', protocol: 'udp' }), ['-p udp --jump LOG --log-prefix "calico-packet: " --log-level 5']); // prettier-ignore
});

Test('renderRule() breaks networks that overflow into blocks, as Felix does', () => {
  const all = '-m mark --mark 0x80000/0x80000';
  const clear = '--jump MARK --set-mark 0/0x80000';
  const [begin, preset] = ['--jump MARK --set-mark 0x0/0x180000', '--jump MARK --set-mark 0x80000/0x180000'];
  const set0 = '--jump MARK --set-mark 0x80000/0x80000';
  const set1 = '--jump MARK --set-mark 0x100000/0x100000';
  const and = `-m mark --mark 0/0x100000 ${clear}`;
  const S = ['10.0.0.0/24', '10.0.1.0/24'], NS = ['11.0.0.0/24', '11.0.1.0/24'], D = ['12.0.0.0/24', '12.0.1.0/24'], ND = ['13.0.0.0/24', '13.0.1.0/24']; // prettier-ignore
  const cidrs = (s: number, ns: number, d: number, nd: number): string[] =>
    lines({ source: { nets: S.slice(0, s), notNets: NS.slice(0, ns) }, destination: { nets: D.slice(0, d), notNets: ND.slice(0, nd) } }); // prettier-ignore
  assert.equal(cidrs(2, 0, 0, 0), [begin, ...S.map((n) => `--source ${n} ${set0}`), `${all} ${ALLOW}`, RETURN]);
  assert.equal(cidrs(0, 2, 0, 0), [preset, ...NS.map((n) => `--source ${n} ${clear}`), `${all} ${ALLOW}`, RETURN]);
  assert.equal(cidrs(1, 1, 0, 0), [preset, `--source ${NS[0]} ${clear}`, `--source ${S[0]} ${all} ${ALLOW}`, RETURN]);
  assert.equal(cidrs(0, 0, 2, 1), [begin, ...D.map((n) => `--destination ${n} ${set0}`), `! --destination ${ND[0]} ${all} ${ALLOW}`, RETURN]); // prettier-ignore
  assert.equal(cidrs(2, 2, 2, 2), [
    begin,
    ...S.map((n) => `--source ${n} ${set0}`),
    ...D.map((n) => `--destination ${n} ${set1}`),
    and,
    ...NS.map((n) => `--source ${n} ${clear}`),
    ...ND.map((n) => `--destination ${n} ${clear}`),
    `${all} ${ALLOW}`,
    RETURN,
  ]);
});

Test('renderRule() ors ports by number with ports by name', () => {
  const many = ports([1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11, 12], [13, 14], [15, 16]);
  assert.equal(lines({ protocol: 'tcp', source: { ports: many, namedPorts: ['x'], nets: ['10.1.0.0/16', '11.0.0.0/8'] } }), [
    '--jump MARK --set-mark 0x0/0x180000',
    '-p tcp -m multiport --source-ports 1:2,3:4,5:6,7:8,9:10,11:12,13:14 --jump MARK --set-mark 0x80000/0x80000',
    '-p tcp -m multiport --source-ports 15:16 --jump MARK --set-mark 0x80000/0x80000',
    '-m set --match-set cali40x src,src --jump MARK --set-mark 0x80000/0x80000',
    '--source 10.1.0.0/16 --jump MARK --set-mark 0x100000/0x100000',
    '--source 11.0.0.0/8 --jump MARK --set-mark 0x100000/0x100000',
    '-m mark --mark 0/0x100000 --jump MARK --set-mark 0/0x80000',
    `-p tcp -m mark --mark 0x80000/0x80000 ${ALLOW}`,
    RETURN,
  ]); // prettier-ignore
});

Test('renderRule() leaves SCRATCH1 set between blocks, as Felix does: a third block restricts nothing once the second has matched', () => {
  const nets = (a: string): string[] => [`10.${a}.0.0/16`, `11.${a}.0.0/16`];
  const all = lines({ protocol: 'tcp', source: { nets: nets('1') }, destination: { nets: nets('2'), ports: ports(80), namedPorts: ['x'] } }); // prettier-ignore
  const scratch1 = all.map((l, i) => [i, l] as const).filter(([, l]) => l.includes('0x100000'));
  assert.equal(scratch1.map(([i]) => i), [3, 4, 5, 6, 7, 8]);
  assert.equal(scratch1.filter(([, l]) => /--set-mark 0\/0x1/.test(l)), []);
}); // prettier-ignore

Test('renderRule() leaves out what is about IPv6', () => {
  assert.equal(lines({ ipVersion: 6 }), []);
  assert.equal(lines({ source: { nets: ['2001:db8::/32'] } }), []);
  assert.equal(lines({ source: { nets: ['2001:db8::/32', '10.0.0.0/8'] } }), [`--source 10.0.0.0/8 ${ALLOW}`, RETURN]);
  assert.equal(lines({ source: { notNets: ['0.0.0.0/0'] } }), []);
});

Test('renderRules() says the policy at the first rule and ends with no RETURN', () => {
  const rules = renderRules([given({ protocol: 'tcp', annotations: { why: 'x' } }), given({})], 'Policy p ingress');
  assert.equal(rules.map((r) => [r.match, r.comment]), [['-p tcp', ['why=x', 'Policy p ingress']], ['-m mark --mark 0x10000/0x10000', ['why=x']], ['', []]]); // prettier-ignore
  assert.equal(renderRules([], 'Policy p egress'), [{ match: '', action: '', comment: ['Policy p egress'] }]);
});

Test('rules of published dumps have the hashes that Felix gave them', () => {
  const hashes = (name: string, comment: string, ...rules: Given[]): string[] =>
    ruleHashes({ name, rules: renderRules(rules.map(given), comment) });
  const checkout = 'Policy hipstershop/app-hipstershop.checkoutservice';
  const set = 's:_DJYf5MR3V3B4fL2YDPlFn7';
  const some = { protocol: 'tcp', source: { sets: [set] }, destination: { ports: ports(5050) } };
  assert.equal(hashes('cali-pi-_sQdl6e7ekf9DS2UYNem', `${checkout} ingress`, some), ['fwIMoHrbCWNN0i6y']);
  const block = { destination: { nets: ['10.0.0.0/8', '11.0.0.0/8'] } };
  assert.is(hashes('cali-po-_sQdl6e7ekf9DS2UYNem', `${checkout} egress`, block)[0], 'NrlO0UOCu-NgEXYU');
  // Calico before 3.27 kept the RETURN at the end.
  const agent = hashes(
    'cali-po-_rWDSk9LLgWIl_lpnJE2',
    'Policy kube-system/knp.default.konnectivity-agent egress',
    {},
    {},
  );
  assert.equal(agent.slice(0, 2), ['wRBTHOraY7-PMOXd', 'K0NIAoy4j4QR-b6k']);
});

Test('splitPorts() fills 15 places, of which a range takes two', () => {
  const singles = Array.from({ length: 31 }, (_, i) => i + 1);
  assert.equal(splitPorts(ports(...singles)).map((x) => x.length), [15, 15, 1]);
  assert.equal(splitPorts(ports(...singles.slice(0, 14), [20, 30])).map((x) => x.length), [14, 1]);
  assert.equal(splitPorts([]), []);
}); // prettier-ignore

Test.run();
