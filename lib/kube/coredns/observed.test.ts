/**
 * Replies of the real CoreDNS 1.12.1, byte for byte.
 *
 * testdata/NAME.txt was observed: CoreDNS ran with NAME.corefile (plus `endpoint`, without `loadbalance`) over the objects
 * of objects.yaml and a made-up upstream server. Lines: `serial N` (of its SOA), `local ADDRESSES`, `upstream TRANSPORT
 * QUERY REPLY` (what it sent there and got, without the ID), `at MS`, `client ADDRESS PORT`, `query TRANSPORT QUERY REPLY
 * NAME TYPE …`. An
 * upstream query that CoreDNS did not send is an error here.
 */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadManifests } from '../api/manifest.js';
import type { DnsIo } from './forward.js';
import type { Transport } from './handler.js';
import { CoreDns } from './server.js';

const DIR = 'lib/kube/coredns/testdata';
const hex = (b: Uint8Array): string => Buffer.from(b).toString('hex');
const bytes = (h: string): Uint8Array => Uint8Array.from(Buffer.from(h, 'hex'));
const objects = ['objects.yaml', 'clients.yaml'].map((f) => loadManifests(readFileSync(`${DIR}/${f}`, 'utf8'), f));
const address = (text: string): Uint8Array => Uint8Array.from(text.split('.').map(Number));

/** Runs one observation; the number of queries compared. */
function replay(name: string, corefile: string): number {
  const clients = name === 'plugins' || name === 'clients';
  let from: [string, number] = ['127.0.0.1', 5353];
  const upstream = new Map<string, string>();
  let now = 0;
  let serial = 0;
  let local: string[] = [];
  const io: DnsIo = {
    now: () => now,
    after: (ns) => assert.is(ns, 5e9, 'no timer but that of hosts is needed'),
    random: () => 0x4242,
    order: () => 0,
    exchange: (to, transport, query, _timeout, _expire, done) => {
      assert.is(`${to.address}:${to.port}`, `${0x7f000001}:15399`);
      const reply = upstream.get(`${transport} ${hex(query).slice(4)}`);
      assert.type(reply, 'string', `CoreDNS sent no ${transport} query ${hex(query)} upstream`);
      done(reply === 'none' ? null : bytes('4242' + reply));
    },
  };
  let dns: CoreDns | null = null;
  let count = 0;
  for (const line of readFileSync(`${DIR}/${name}.txt`, 'utf8').trimEnd().split('\n')) {
    const [kind, ...words] = line.split(' ') as [string, ...string[]];
    if (kind === 'serial') serial = Number(words[0]);
    else if (kind === 'local') local = words[0]!.split(',');
    else if (kind === 'upstream') upstream.set(`${words[0]} ${words[1]}`, words[2]!);
    else if (kind === 'client') from = [words[0]!, Number(words[1])];
    else if (kind === 'at') now = Number(words[0]) * 1e6;
    else {
      const text = readFileSync(`${DIR}/${corefile}.corefile`, 'utf8');
      dns ??= new CoreDns({
        corefile: { text, file: corefile },
        objects: clients ? objects.flat() : objects[0]!,
        serial,
        readFile: (path) => (path === '/etc/plugins.hosts' ? readFileSync(`${DIR}/plugins.hosts`, 'utf8') : null),
        localAddresses: local,
        io,
      });
      let got = 'none';
      const client = { transport: words[0] as Transport, address: address(from[0]), port: from[1] };
      dns.handle(bytes(words[1]!), client, (r) => (got = hex(r)));
      assert.is(got, words[2], `${name}: ${words.slice(3).join(' ')} at ${now / 1e6} ms`);
      count++;
    }
  }
  return count;
}

const Observed = suite('lib/kube/coredns/observed');
Observed("CoreDns.handle() with kubeadm's Corefile", () => assert.is(replay('kubeadm', 'kubeadm'), 368));
Observed('CoreDns.handle() with several server blocks, noendpoints, no OPT of its own', () =>
  assert.is(replay('blocks', 'blocks'), 84),
);
Observed('CoreDns.handle() with pods verified, namespaces, networks as zones, without a cache', () =>
  assert.is(replay('verified', 'verified'), 90),
);
Observed('CachePlugin counts TTLs down, expires, keeps the case of the first query', () => {
  assert.is(replay('cache-kubeadm', 'kubeadm'), 69);
});
Observed('CachePlugin with limits of its own, keepttl, servfail', () =>
  assert.is(replay('cache-blocks', 'blocks'), 33),
);
Observed('hosts, rewrite, template, any', () => assert.is(replay('plugins', 'plugins'), 176));
Observed('acl, autopath, header, local, minimal, bufsize, whoami for several clients', () =>
  assert.is(replay('clients', 'clients'), 336),
);
Observed('CachePlugin prefetches over TCP and serves stale entries, at once or after asking', () => {
  assert.is(replay('cache-stale', 'cache-stale'), 19);
  assert.is(replay('cache-verify', 'cache-verify'), 7);
});
Observed('forward with next and prefer_udp', () => assert.is(replay('forward-next', 'forward-next'), 8));
Observed.run();
