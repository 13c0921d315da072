import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../sim/input-error.js';
import { loadManifests } from './manifest.js';
import type { CalicoPolicy } from './policy-types.js';

const Test = suite('kube/api/calico-policy');

const head = (api: string, kind: string, name: string): string => `apiVersion: ${api}\nkind: ${kind}\nmetadata: { name: ${name} }\n`; // prettier-ignore
const V3 = head('projectcalico.org/v3', 'GlobalNetworkPolicy', 'p');
const read = (spec: string, h = V3): CalicoPolicy => loadManifests(`${h}spec: ${spec}\n`, 'm.yaml')[0] as CalicoPolicy;

Test('names and types are those that the datastore has', () => {
  assert.is(read('{}').storedName, 'default.p');
  assert.is(read('{}').metadata.namespace, '');
  assert.is(read('{}', head('projectcalico.org/v3', 'NetworkPolicy', 'default.p')).storedName, 'default.p');
  assert.is(read('{}', head('projectcalico.org/v3', 'NetworkPolicy', 'p')).metadata.namespace, 'default');
  // calicoctl's defaults are not added to a CRD.
  const crd = head('crd.projectcalico.org/v1', 'GlobalNetworkPolicy', 'p');
  assert.is(read('{}', crd).storedName, 'p');
  const rules: [string, string[], string[]][] = [
    ['{}', ['Ingress'], ['Ingress', 'Egress']],
    ['{ egress: [ { action: Deny } ] }', ['Egress'], ['Ingress', 'Egress']],
    ['{ ingress: [ { action: Deny } ], egress: [ { action: Deny } ] }', ['Ingress', 'Egress'], ['Ingress', 'Egress']],
    ['{ types: [ Egress ], ingress: [ { action: Deny } ] }', ['Egress'], ['Egress']],
  ];
  for (const [spec, v3, raw] of rules) {
    assert.equal(read(spec).spec.types, v3, spec);
    assert.equal(read(spec, crd).spec.types, raw, spec);
  }
});

Test('a rule is read with its protocols, ports, networks and ICMP', () => {
  const r = read(`
  order: 10.5
  ingress:
  - action: Pass
    protocol: TCP
    source: { nets: [ 10.0.1.7/24, 10.9.9.9 ], notNets: [ 10.0.1.128/25 ], notSelector: "has(x)" }
    destination: { ports: [ 80, "8000:8080", web ], serviceAccounts: { names: [ a, b ] } }
    metadata: { annotations: { why: because } }
  - { action: Log, ipVersion: 4, protocol: ICMP, icmp: { type: 8, code: 0 }, notICMP: { type: 0 } }
  - { action: Deny, notProtocol: 17 }`);
  const { order, ingress } = r.spec;
  assert.is(order, 10.5);
  assert.equal(ingress[0]!.source.nets, ['10.0.1.0/24', '10.9.9.9/32']);
  assert.equal(ingress[0]!.destination.ports, [{ first: 80, last: 80 }, { first: 8000, last: 8080 }, { name: 'web' }]);
  assert.equal([ingress[0]!.protocol, ingress[2]!.notProtocol], ['tcp', 17]);
  assert.equal([ingress[1]!.protocol, ingress[1]!.icmp, ingress[1]!.notICMP], ['icmp', { type: 8, code: 0 }, { type: 0, code: null }]);
}); // prettier-ignore

const rule = (text: string): string => `{ ingress: [ { action: Allow, ${text} } ] }`;

Test('what Calico refuses, or podwire does not do, is an error with its place', () => {
  const bad: [string, string][] = [
    ['{ selector: "a == b" }', '4:19: spec.selector: Invalid value: "a == b": expected string at character 6'],
    [`{ selector: "${'('.repeat(101)}has(a)${')'.repeat(101)}" }`, `4:19: spec.selector: Invalid value: "${'('.repeat(101)}has(a)${')'.repeat(101)}": found more than 100 parentheses within each other at character 102`],
    [rule(`source: { serviceAccounts: { names: [ "a'b" ] } }`), `4:75: spec.ingress[0].source.serviceAccounts.names[0]: Invalid value: "a'b": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`],
    ['{ selector: "global()" }', '4:19: spec.selector: Invalid value: "global()": global() can only be used in an EntityRule namespaceSelector'],
    [rule('source: { namespaceSelector: "global() || has(a)" }'), '4:66: spec.ingress[0].source.namespaceSelector: Invalid value: "global() || has(a)": global() cannot be combined with other selectors'],
    ['{ ingress: [ {} ] }', '4:20: spec.ingress[0].action: Required value'],
    ['{ ingress: [ { action: allow } ] }', '4:30: spec.ingress[0].action: Unsupported value: "allow": supported values: "Allow", "Deny", "Log", "Pass"'],
    [rule('destination: { ports: [ 80 ] }'), '4:59: spec.ingress[0].destination.ports: Invalid value: [80]: rules that specify ports must set protocol to TCP or UDP or SCTP'],
    [rule('protocol: TCP, destination: { ports: [ "90:80" ] }'), '4:76: spec.ingress[0].destination.ports[0]: Invalid value: "90:80": minimum port number (90) is greater than maximum port number (80) in port range'],
    [rule('protocol: TCP, destination: { ports: [ 70000 ] }'), '4:76: spec.ingress[0].destination.ports[0]: Invalid value: 70000: port range invalid, port number must be between 1 and 65535'],
    [rule('protocol: TCP, destination: { ports: [ -80 ] }'), '4:76: spec.ingress[0].destination.ports[0]: Invalid value: -80: port range invalid, port number must be between 1 and 65535'],
    [rule('protocol: TCP, notProtocol: UDP'), '4:65: spec.ingress[0].notProtocol: found notProtocol beside protocol, expected one of them: Felix writes -p twice, and iptables refuses that'],
    [rule('notICMP: { type: 8 }'), '4:46: spec.ingress[0].notICMP: found notICMP without protocol ICMP: Felix writes -m icmp without -p icmp, and iptables refuses that'],
    [rule('notProtocol: ICMP, notICMP: { type: 8 }'), '4:65: spec.ingress[0].notICMP: found notICMP without protocol ICMP: Felix writes -m icmp without -p icmp, and iptables refuses that'],
    ['{ order: .nan }', '4:16: GlobalNetworkPolicy in version "projectcalico.org/v3" cannot be handled as a GlobalNetworkPolicy: json: cannot unmarshal number NaN into Go struct field GlobalNetworkPolicySpec.spec.order of type float64'],
    [rule('protocol: tcp'), '4:47: spec.ingress[0].protocol: Unsupported value: "tcp": supported values: "TCP", "UDP", "ICMP", "ICMPv6", "SCTP", "UDPLite"'],
    [rule('protocol: 0'), '4:47: spec.ingress[0].protocol: Invalid value: 0: protocol number invalid'],
    [rule('icmp: { type: 8 }'), '4:43: spec.ingress[0].icmp: Invalid value: {"type":8}: rules that specify ICMP fields must set protocol to ICMP'],
    [rule('protocol: ICMP, icmp: { code: 8 }'), '4:67: spec.ingress[0].icmp.code: Invalid value: 8: ICMP code specified without an ICMP type'],
    [rule('protocol: ICMP, ipVersion: 6'), '4:64: spec.ingress[0].ipVersion: Invalid value: 6: must set ipversion to \'4\' with protocol icmp'],
    [rule('source: { notNets: [ 0.0.0.0/0 ] }'), '4:56: spec.ingress[0].source.notNets: Invalid value: ["0.0.0.0/0"]: catch-all CIDR in negation creates logical contradiction (matches no traffic)'],
    [rule('source: { nets: [ 10.0.0.0/8, "2001:db8::/32" ] }'), '4:20: spec.ingress[0]: Invalid value: null: rule contains both IPv4 and IPv6 CIDRs'],
    [rule('source: { nets: [ 10.0.0.300 ] }'), '4:55: spec.ingress[0].source.nets[0]: Invalid value: "10.0.0.300": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'],
    ['{ types: [ Ingress, Ingress ] }', '4:16: spec.types: Invalid value: ["Ingress","Ingress"]: \'Ingress\' type specified more than once'],
    ['{ tier: security }', '4:15: spec.tier: tiers other than default are not supported yet'],
    ['{ preDNAT: true }', '4:18: spec.preDNAT: Forbidden: policies for host endpoints are not supported yet'],
    [rule('destination: { services: { name: a } }'), '4:62: spec.ingress[0].destination.services: rules about Services are not supported yet'],
    [rule('http: { methods: [ GET ] }'), '4:43: spec.ingress[0].http: application layer policy is not supported yet'],
    ['{ order: "10" }', '4:16: GlobalNetworkPolicy in version "projectcalico.org/v3" cannot be handled as a GlobalNetworkPolicy: json: cannot unmarshal string into Go struct field GlobalNetworkPolicySpec.spec.order of type float64'],
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

Test('two names of one policy are one policy', () => {
  for (const api of ['projectcalico.org/v3', 'crd.projectcalico.org/v1'])
    assert.throws(
      () => loadManifests(`${V3}---\n${head(api, 'GlobalNetworkPolicy', 'default.p')}`, 'm.yaml'),
      (e: Error) =>
        e instanceof InputError && e.message.startsWith('m.yaml:7:19: ') && e.message.includes('already exists'),
    );
});

Test.run();
