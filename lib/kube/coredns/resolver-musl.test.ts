/**
 * musl's resolver, question by question, as the real one was seen to ask: getaddrinfo linked with musl 1.2.3, asked of a
 * made-up server on 127.0.0.1 with the same answers and resolv.conf as here. A line is `+SECONDS TYPE NAME` (the seconds
 * since the first question; `>N`: sent to the N-th server).
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { unpackDns } from '../../../wire/dns-unpack.js';
import { runLab } from '../../lab/engine.js';
import { parseLab } from '../../lab/lab.js';
import { corednsProgram } from './program.js';

const TYPES: Record<number, string> = { 1: 'A', 28: 'AAAA', 12: 'PTR' };
const template = (type: string, name: string, ...lines: string[]): string =>
  `template IN ${type} {\n        match ^(${name})[.]\n        ${lines.map((l) => `${l}\n        `).join('')}fallthrough\n      }`;
/** Answers by the first label, as the made-up server gave them. */
const COREFILE = `.:53 {
      acl silent.ns.svc silent {
        drop
      }
      acl asilent.ns.svc {
        drop type A
      }
      ${template('A', 'ok|v4|qfail|qnx', 'answer "{{ .Name }} 5 IN A 192.0.2.1"')}
      ${template('AAAA', 'ok|afail|anx|asilent', 'answer "{{ .Name }} 5 IN AAAA 2001:db8::1"')}
      ${template('AAAA', 'v4|nodata')}
      ${template('A', 'nodata')}
      ${template('ANY', 'fail|afail|qfail', 'rcode SERVFAIL')}
      ${template('ANY', 'ref', 'rcode REFUSED')}
      template IN ANY {
        rcode NXDOMAIN
      }
    }`;
const ONE = 'search ns.svc svc.x x\nnameserver 10.0.1.1\noptions ndots:5';

/** Questions that leave the client, and what nc says. */
function asked(name: string, conf = ONE): { lines: string[]; out: string } {
  const text = `kind: Lab
metadata: { name: x }
spec:
  setup: |
    mkdir -p /etc/netns/c /etc/podwire
    cat > /etc/netns/c/ld-musl-x86_64.path <<'EOF'
    EOF
    cat > /etc/netns/c/hosts <<'EOF'
    127.0.0.1 localhost
    EOF
    cat > /etc/netns/c/resolv.conf <<'EOF'
    ${conf.replaceAll('\n', '\n    ')}
    EOF
    cat > /etc/podwire/objects.yaml <<'EOF'
    apiVersion: v1
    kind: Namespace
    metadata: { name: a }
    EOF
    cat > /etc/podwire/Corefile <<'EOF'
    ${COREFILE}
    EOF
    ip netns add c
    ip netns add s
    ip link add e address 02:00:00:00:00:02 netns c type veth peer name e address 02:00:00:00:00:01 netns s
    ip -n c addr add 10.0.1.2/24 dev e
    ip -n s addr add 10.0.1.1/24 dev e
    ip -n s addr add 10.0.1.3/24 dev e
    ip -n c link set lo up
    ip -n s link set lo up
    ip -n c link set e up
    ip -n s link set e up
    ip netns exec s podwire app coredns --manifests /etc/podwire/objects.yaml --corefile /etc/podwire/Corefile &
  steps:
  - { at: 0s, run: ip netns exec c nc -z -w 1 ${name} 99 }
`;
  const run = runLab(parseLab(text, 'x.yaml'), {
    programFor: (argv) => (argv[0] === 'podwire' && argv[2] === 'coredns' ? corednsProgram : null),
  });
  const lines: string[] = [];
  let start = -1;
  const tap = run.taps.find((t) => t.iface === 'c/e')!;
  const several = (conf.match(/nameserver/g) ?? []).length > 1;
  for (const c = tap.cursor(); c.next();) {
    const b = c.chunk.subarray(c.start, c.end);
    if (b[12] !== 8 || b[13] !== 0 || b[23] !== 17 || b[36] !== 0 || b[37] !== 53) continue;
    const time = tap.stampOf(c.index);
    if (start < 0) start = time;
    const q = unpackDns(b.subarray(42))!.question[0]!;
    const to = several ? `>${b[33] === 1 ? 1 : 2} ` : '';
    lines.push(`+${((time - start) / 1e9).toFixed(1)} ${to}${TYPES[q.type]} ${q.name}`);
  }
  const { stdout, stderr } = run.steps[0]!;
  return { lines, out: (stdout + stderr).trim() };
}
/** A and AAAA of these names, at once. */
const pairs = (...names: string[]): string[] => names.flatMap((n) => [`+0.0 A ${n}`, `+0.0 AAAA ${n}`]);
const many = (n: number, line: string): string[] => Array.from({ length: n }, () => line);

const Musl = suite('lib/kube/coredns/resolver-musl');
Musl('A and AAAA go out together; NXDOMAIN walks on, NODATA and any answer do not', () => {
  assert.equal(asked('v4').lines, pairs('v4.ns.svc.'));
  assert.equal(asked('ok').lines, pairs('ok.ns.svc.'));
  const nx = asked('nx');
  assert.equal(nx.lines, pairs('nx.ns.svc.', 'nx.svc.x.', 'nx.x.', 'nx.'));
  assert.match(nx.out, /Name does not resolve$/);
  const nodata = asked('nodata');
  assert.equal(nodata.lines, pairs('nodata.ns.svc.'));
  assert.match(nodata.out, /Name has no usable address$/);
});
Musl('one NXDOMAIN of the two is enough to walk on', () => {
  for (const n of ['anx', 'qnx'])
    assert.equal(asked(n).lines, pairs(`${n}.ns.svc.`, `${n}.svc.x.`, `${n}.x.`, `${n}.`), n);
});
Musl('with ndots dots or a final dot the name is asked for as it is, and only so', () => {
  assert.equal(asked('ok.').lines, pairs('ok.'));
  const two = 'search ns.svc\nnameserver 10.0.1.1\noptions ndots:2 timeout:3 attempts:3';
  assert.equal(asked('a.nx', two).lines, pairs('a.nx.ns.svc.', 'a.nx.'));
  assert.equal(asked('a.b.nx', two).lines, pairs('a.b.nx.'));
});
Musl('SERVFAIL is asked again at once, four times a round of two questions; the search ends', () => {
  const round = (at: string): string[] => ['A', 'AAAA', 'A', 'AAAA', 'A', 'AAAA'].map((t) => `${at} ${t} fail.ns.svc.`);
  const fail = asked('fail');
  assert.equal(fail.lines, [...round('+0.0'), ...round('+2.5')]);
  assert.match(fail.out, /Try again$/);
  assert.equal(asked('afail').lines, [
    ...['+0.0 A afail.ns.svc.', '+0.0 AAAA afail.ns.svc.'],
    ...many(4, '+0.0 A afail.ns.svc.'),
    ...many(5, '+2.5 A afail.ns.svc.'),
  ]);
  assert.equal(asked('qfail').lines, [
    ...['+0.0 A qfail.ns.svc.', '+0.0 AAAA qfail.ns.svc.'],
    ...many(4, '+0.0 AAAA qfail.ns.svc.'),
    ...many(5, '+2.5 AAAA qfail.ns.svc.'),
  ]);
});
Musl('REFUSED and silence: once more after half of five seconds, only what is missing', () => {
  const twice = (n: string): string[] => ['+0.0', '+2.5'].flatMap((t) => [`${t} A ${n}`, `${t} AAAA ${n}`]);
  assert.equal(asked('ref').lines, twice('ref.ns.svc.'));
  assert.equal(asked('silent').lines, twice('silent.ns.svc.'));
  assert.equal(asked('asilent').lines, [...pairs('asilent.ns.svc.'), '+2.5 A asilent.ns.svc.']);
  const three = 'search ns.svc\nnameserver 10.0.1.1\noptions ndots:2 timeout:3 attempts:3';
  const times = ['+0.0', '+1.0', '+2.0'].flatMap((t) => [`${t} A silent.ns.svc.`, `${t} AAAA silent.ns.svc.`]);
  assert.equal(asked('silent', three).lines, times);
});
Musl('every server is asked at the same time, and the first answer counts', () => {
  const two = 'search ns.svc\nnameserver 10.0.1.3\nnameserver 10.0.1.1\noptions ndots:2';
  const both = (n: string, at = '+0.0'): string[] =>
    ['A', 'AAAA'].flatMap((t) => [`${at} >2 ${t} ${n}`, `${at} >1 ${t} ${n}`]);
  assert.equal(asked('v4', two).lines, both('v4.ns.svc.'));
  assert.equal(asked('silent', two).lines, [...both('silent.ns.svc.'), ...both('silent.ns.svc.', '+2.5')]);
});
Musl.run();
