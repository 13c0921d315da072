import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../sim/input-error.js';
import { loadManifests } from './manifest.js';
import type { NetworkPolicy } from './policy-types.js';

const Test = suite('kube/api/network-policy');

const HEAD = 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: p }\n';
const read = (spec: string): NetworkPolicy => loadManifests(`${HEAD}spec: ${spec}\n`, 'm.yaml')[0] as NetworkPolicy;

Test('a NetworkPolicy has the defaults of the API server', () => {
  const { spec } = read('{ podSelector: {}, ingress: [ { ports: [ { port: 80 } ] } ] }');
  assert.equal(spec.policyTypes, ['Ingress']);
  assert.equal(spec.ingress, [{ ports: [{ protocol: 'TCP', port: 80, endPort: null }], peers: [] }]);
  assert.equal(read('{ podSelector: {}, egress: [ {} ] }').spec.policyTypes, ['Ingress', 'Egress']);
  assert.equal(read('{ podSelector: {}, egress: [] }').spec.policyTypes, ['Ingress']);
  assert.equal(read('{ podSelector: {}, policyTypes: [ Egress ] }').spec.policyTypes, ['Egress']);
  assert.equal(loadManifests(HEAD, 'm.yaml')[0]!.kind, 'NetworkPolicy');
});

Test('peers and ports are read as they are written', () => {
  const { spec } = read(`
  podSelector: { matchLabels: { app: web } }
  ingress:
  - from:
    - { podSelector: {}, namespaceSelector: { matchExpressions: [ { key: team, operator: In, values: [ a, b ] } ] } }
    - { ipBlock: { cidr: 10.0.0.0/8, except: [ 10.1.0.0/16, 10.2.3.4/32 ] } }
    - { ipBlock: { cidr: "2001:db8::/32", except: [ "2001:db8:1::/48" ] } }
    ports: [ { port: web }, { port: 8000, endPort: 8080, protocol: UDP }, { protocol: SCTP } ]`);
  assert.equal(spec.ingress[0]!.ports, [
    { protocol: 'TCP', port: 'web', endPort: null },
    { protocol: 'UDP', port: 8000, endPort: 8080 },
    { protocol: 'SCTP', port: null, endPort: null },
  ]);
  assert.equal(spec.ingress[0]!.peers[0], {
    podSelector: { matchLabels: {}, matchExpressions: [] },
    namespaceSelector: { matchLabels: {}, matchExpressions: [{ key: 'team', operator: 'In', values: ['a', 'b'] }] },
    ipBlock: null,
  });
  assert.equal(spec.ingress[0]!.peers[1]!.ipBlock, { cidr: '10.0.0.0/8', except: ['10.1.0.0/16', '10.2.3.4/32'] });
});

const from = (peer: string): string => `{ podSelector: {}, ingress: [ { from: [ ${peer} ] } ] }`;
const port = (p: string): string => `{ podSelector: {}, egress: [ { ports: [ { ${p} } ] } ] }`;

Test('what the API server refuses is refused in its words, with the place', () => {
  const bad: [string, string][] = [
    ['{ podSelector: {}, policyTypes: [ Both ] }', '4:41: spec.policyTypes: Unsupported value: "Both": supported values: "Egress", "Ingress"'],
    ['{ podSelector: {}, policyTypes: [ Egress, Egress, Egress ] }', '4:39: spec.policyTypes: Invalid value: ["Egress","Egress","Egress"]: may not specify more than two policyTypes'],
    [from('{}'), '4:47: spec.ingress[0].from[0]: Required value: must specify a peer'],
    [from('{ podSelector: {}, ipBlock: { cidr: 10.0.0.0/8 } }'), '4:47: spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer'],
    [from('{ ipBlock: { except: [] } }'), '4:58: spec.ingress[0].from[0].ipBlock.cidr: Required value'],
    [from('{ ipBlock: { cidr: 10.0.0.0 } }'), '4:66: spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "10.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'],
    [from('{ ipBlock: { cidr: 10.0.0.0/8, except: [ 11.0.0.0/16 ] } }'), '4:88: spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`'],
    [from('{ ipBlock: { cidr: 10.0.0.0/8, except: [ 10.0.0.0/8 ] } }'), '4:88: spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`'],
    [from('{ ipBlock: { cidr: 10.0.0.0/8, except: [ "2001:db8::/32" ] } }'), '4:88: spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "2001:db8::/32": must be a strict subset of `cidr`'],
    [port('protocol: ICMP'), '4:59: spec.egress[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"'],
    [port('port: 0'), '4:55: spec.egress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive'],
    [port('port: WEB'), '4:55: spec.egress[0].ports[0].port: Invalid value: "WEB": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)'],
    [port('port: 90, endPort: 80'), '4:68: spec.egress[0].ports[0].endPort: Invalid value: 90: must be greater than or equal to `port`'],
    [port('port: 90, endPort: 65536'), '4:68: spec.egress[0].ports[0].endPort: Invalid value: 65536: must be between 1 and 65535, inclusive'],
    [port('port: web, endPort: 80'), '4:69: spec.egress[0].ports[0].endPort: Invalid value: 80: may not be specified when `port` is non-numeric'],
    [port('endPort: 80'), '4:58: spec.egress[0].ports[0].endPort: Invalid value: 80: may not be specified when `port` is not specified'],
    ['{ podSelector: { matchLabels: { a b: c } } }', "4:39: spec.podSelector.matchLabels: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"],
    [`{ podSelector: {}, ingress: [ { from: [ ${'{ podSelector: {} }, '.repeat(400)} ], ports: [ ${'{ port: 80 }, '.repeat(251)} ] } ] }`, "4:7: spec: found 100400 pairs of a peer and a port in the policy's rules, expected at most 100000"],
    ['{ podSelector: {}, ingres: [] }', '4:26: NetworkPolicy in version "networking.k8s.io/v1" cannot be handled as a NetworkPolicy: strict decoding error: unknown field "spec.ingres", expected one of: podSelector, ingress, egress, policyTypes'],
  ]; // prettier-ignore
  for (const [spec, message] of bad) {
    try {
      read(spec);
      assert.unreachable(spec);
    } catch (e) {
      if (!(e instanceof InputError)) throw e;
      assert.is(e.message, `m.yaml:${message}`);
    }
  }
});

Test.run();
