/** Hostile bytes, from clients and from upstream, and a full cache. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type DnsMessage, packDns, TYPE } from '../../../wire/dns.js';
import { unpackDns } from '../../../wire/dns-unpack.js';
import { loadManifests } from '../api/manifest.js';
import { CachePlugin } from './cache.js';
import { cachePlugin } from './corefile-cache.js';
import { Place } from './corefile-lexer.js';
import type { Client } from './handler.js';
import { CoreDns } from './server.js';

const objects = loadManifests(readFileSync('lib/kube/coredns/testdata/objects.yaml', 'utf8'), 'objects.yaml');
const client = (transport: 'udp' | 'tcp'): Client => ({ transport, address: Uint8Array.of(10, 0, 1, 2), port: 5353 });
const ask = (name: string, type: number, size: number): DnsMessage => ({
  id: 7,
  flags: 0x0100,
  question: [{ name, type, cls: 1 }],
  answer: [],
  authority: [],
  additional: size < 0 ? [] : [{ name: '.', type: TYPE.OPT, cls: size, ttl: 0, data: [] }],
});

/** A server whose upstream answers with these bytes, after the query's ID. */
function server(upstream: Uint8Array, corefile: string | null = null): CoreDns {
  return new CoreDns({
    corefile: corefile === null ? null : { text: corefile, file: 'f' },
    objects,
    serial: 0,
    readFile: () => 'nameserver 10.0.0.1\n',
    localAddresses: [],
    io: {
      now: () => 0,
      after: () => {},
      random: () => 0x4242,
      order: () => 0,
      exchange: (_to, _transport, _query, _timeout, _expire, done) => done(Uint8Array.from([0x42, 0x42, ...upstream])),
    },
  });
}

const NAMES = [
  'web.web.svc.cluster.local.',
  'big.web.svc.cluster.local.',
  'extout.web.svc.cluster.local.',
  'a.b.',
  '.',
];
const Server = suite('lib/kube/coredns/server');
Server('CoreDns.handle() ends when a CNAME leads to itself, also where each gives several', () => {
  const self = (n: number): string => `.:53 {\n  template IN A {\n${'    answer "{{ .Name }} 60 IN CNAME {{ .Name }}"\n'.repeat(n)}  }\n}\n`; // prettier-ignore
  const replies = (corefile: string, name: string): DnsMessage[] => {
    const out: DnsMessage[] = [];
    const query = packDns(ask(name, TYPE.A, -1), false);
    server(new Uint8Array(0), corefile).handle(query, client('udp'), (b) => out.push(unpackDns(b)!));
    return out;
  };
  assert.equal(replies(self(1), 'a.b.'), []);
  assert.equal(replies(self(20), 'a.b.'), []);
  const chain = '.:53 {\n  template IN A {\n    match ^a(a+)[.]$\n    answer "{{ .Name }} 60 IN CNAME {{ index .Match 1 }}."\n  }\n}\n'; // prettier-ignore
  assert.is(replies(chain, `${'a'.repeat(5)}.`).length, 1);
});
Server('rewrite takes what looks like a pattern of JavaScript for text', () => {
  const corefile = '.:53 {\n  rewrite name regex (.*)[.]old[.]$ {1}.new.\n  template IN A {\n    answer "{{ .Name }} 60 IN A 10.0.0.1"\n  }\n}\n'; // prettier-ignore
  const names: string[] = [];
  const dns = server(new Uint8Array(0), corefile);
  for (const name of ['$&.old.', `${'{1}{2}{3}{4}'.repeat(5)}.old.`])
    dns.handle(packDns(ask(name, TYPE.A, -1), false), client('udp'), (b) => names.push(unpackDns(b)!.answer[0]?.name ?? '')); // prettier-ignore
  assert.equal(names.slice(0, 1), ['$&.new.']);
});
Server('CoreDns.handle() survives flipped, cut and random queries, and keeps to the size it is told', () => {
  const dns = server(new Uint8Array(0));
  const query = fc.record({
    name: fc.constantFrom(...NAMES),
    type: fc.constantFrom(TYPE.A, TYPE.AAAA, TYPE.SRV, TYPE.SOA, TYPE.PTR, TYPE.TXT, TYPE.ANY),
    size: fc.constantFrom(-1, 0, 512, 700, 1232, 65535),
  });
  const flips = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 });
  fc.assert(
    fc.property(query, flips, fc.nat(20), ({ name, type, size }, changes, cut) => {
      const b = packDns(ask(name, type, size), false);
      for (const [at, x] of changes) b[at % b.length]! ^= x;
      let replies = 0;
      dns.handle(b.subarray(0, b.length - (cut < 10 ? 0 : cut)), client('udp'), (r) => {
        replies++;
        assert.ok(unpackDns(r) !== null);
        if (changes.length === 0 && cut < 10) assert.ok(r.length <= Math.max(512, size), `${r.length} of ${size}`);
      });
      assert.ok(replies <= 1);
    }),
    { numRuns: 2000 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (b) => dns.handle(b, client('tcp'), () => {})));
});
Server('CoreDns.handle() survives what upstream sends', () => {
  const tail = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(fc.constantFrom('a.b.', 'extout.web.svc.cluster.local.'), tail, (name, bytes) => {
      server(bytes).handle(packDns(ask(name, TYPE.A, -1), false), client('udp'), (r) => assert.ok(r.length <= 512));
    }),
    { numRuns: 500 },
  );
});
Server('CachePlugin holds no more than its capacity', () => {
  const word = (text: string): { text: string; line: number; column: number } => ({ text, line: 1, column: 1 });
  const block = [{ words: [word('success'), word('2560')], block: null }];
  const config = cachePlugin({ words: [word('cache')], block }, ['.'], new Place('f'));
  const cache = new CachePlugin(config, () => 0);
  for (let i = 0; i < 20000; i++) {
    const q = ask(`n${i}.x.`, TYPE.A, -1);
    const answer = [{ name: `n${i}.x.`, type: TYPE.A, cls: 1, ttl: 60, data: [Uint8Array.of(10, 0, 0, 1)] }];
    cache.pass(q, false, { ...q, flags: 0x8180, answer });
  }
  assert.ok(cache.sizes()[0] <= 2560, String(cache.sizes()[0]));
  assert.ok(cache.hit(ask('n19999.x.', TYPE.A, -1), false) !== null);
});
Server('kubernetes sees what its label selectors and namespace selectors let it see', () => {
  const manifest = (kind: string, name: string, labels: string, rest: string): string =>
    `apiVersion: v1\nkind: ${kind}\nmetadata: { name: ${name}, labels: { ${labels} }${kind === 'Namespace' ? '' : ', namespace: a'} }\n${rest}---\n`;
  const spec = 'spec: { clusterIP: 10.96.0.7, ports: [ { port: 80 } ] }\n';
  const text =
    manifest('Namespace', 'a', 'env: prod', '') +
    manifest('Service', 'seen', 'app: x', spec) +
    manifest('Service', 'hidden', 'app: y', spec.replace('.7', '.8'));
  const rcode = (options: string, name: string): number => {
    const dns = new CoreDns({
      corefile: { text: `.:53 {\n  kubernetes cluster.local {\n    ${options}\n  }\n}\n`, file: 'f' },
      objects: loadManifests(text, 'm.yaml'),
      serial: 1,
      readFile: () => null,
      localAddresses: [],
      io: { now: () => 0, after: () => {}, random: () => 0, order: () => 0, exchange: () => {} },
    });
    let got = -1;
    const query = packDns(ask(`${name}.a.svc.cluster.local.`, TYPE.A, -1), false);
    dns.handle(query, client('udp'), (r) => (got = r[3]! & 15));
    return got;
  };
  assert.equal([rcode('labels app=x', 'seen'), rcode('labels app=x', 'hidden')], [0, 3]);
  assert.equal([rcode('labels app in (x, y),!q', 'hidden'), rcode('labels app!=x', 'seen')], [0, 3]);
  assert.equal([rcode('namespace_labels env=prod', 'seen'), rcode('namespace_labels env=test', 'seen')], [0, 3]);
  assert.is(rcode('namespace_labels kubernetes.io/metadata.name=a', 'seen'), 0);
});
Server.run();
