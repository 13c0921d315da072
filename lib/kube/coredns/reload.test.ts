import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { packDns, TYPE } from '../../../wire/dns.js';
import { loadManifests } from '../api/manifest.js';
import { Sim } from '../../sim/sim.js';
import { watchCorefile } from './reload.js';
import { CoreDns } from './server.js';

/** Changes the Corefile and the hosts file at these seconds and asks for `a.x.` once a second. */
function trace(files: Record<number, string>, hosts: Record<number, string>, until: number): string[] {
  const sim = new Sim();
  const log: string[] = [];
  const say = (text: string): void => void log.push(`${(sim.now / 1e9).toFixed(1)} ${text}`);
  let corefile = files[0]!;
  let list = hosts[0]!;
  const io = {
    now: () => sim.now,
    after: (ns: number, fire: () => void) => void sim.after(ns, fire),
    random: () => 0,
    order: () => 0x8000, // the middle: no jitter
    exchange: () => assert.unreachable('nobody is asked'),
  };
  const start = (text: string): CoreDns =>
    new CoreDns({
      corefile: { text, file: 'Corefile' },
      objects: loadManifests('', 'f'),
      serial: 1,
      readFile: () => list,
      localAddresses: [],
      io,
    });
  let dns = start(corefile);
  watchCorefile(dns, corefile, { io, read: () => corefile, start, change: (d) => (dns = d), log: say });
  for (const [at, text] of Object.entries(files)) sim.after(Number(at) * 1e9, () => (corefile = text));
  for (const [at, text] of Object.entries(hosts)) sim.after(Number(at) * 1e9, () => (list = text));
  let last = '';
  for (let s = 0.5; s < until; s++)
    sim.after(s * 1e9, () => {
      const question = [{ name: 'a.x.', type: TYPE.A, cls: 1 }];
      const q = packDns({ id: 7, flags: 0x100, question, answer: [], authority: [], additional: [] }, false);
      dns.handle(q, { transport: 'udp', address: Uint8Array.of(10, 0, 0, 1), port: 1 }, (r) => {
        const now = r.length > 30 ? Array.from(r.subarray(-4)).join('.') : `rcode ${r[3]! & 15}`;
        if (now !== last) say(now);
        last = now;
      });
    });
  sim.runUntil(until * 1e9);
  return log;
}
const core = (plugin: string): string => `.:53 {\n  reload\n  ${plugin}\n}\n`;

const ReloadSuite = suite('lib/kube/coredns/reload');
ReloadSuite('a changed Corefile is taken after 30 s; one that cannot be read leaves the old one', () => {
  const log = trace(
    {
      0: core('hosts {\n    10.0.0.1 a.x\n    ttl 5\n  }'),
      10: core('nosuch'),
      40: core('hosts {\n    10.0.0.2 a.x\n  }'),
      70: '.:54 {\n  any\n}\n',
      95: '.:53 {\n  whoami\n}\n',
    },
    { 0: '' },
    200,
  );
  assert.equal(log, [
    '0.5 10.0.0.1',
    "30.0 [ERROR] plugin/reload: Corefile changed but reload failed: Corefile:3:3: Unknown directive 'nosuch'",
    '60.5 10.0.0.2',
    '90.0 [ERROR] plugin/reload: Corefile changed but reload failed: podwire does not change where it listens',
    '120.5 0.0.1.0',
  ]);
});
ReloadSuite('hosts looks at its file every 5 s, or as often as it is told', () => {
  const hosts = { 0: '10.0.0.1 a.x\n', 2: '10.0.0.2 a.x\n', 11: '10.0.0.3 a.x\n' };
  assert.equal(trace({ 0: core('hosts') }, hosts, 20), ['0.5 10.0.0.1', '5.5 10.0.0.2', '15.5 10.0.0.3']);
  assert.equal(trace({ 0: core('hosts {\n  reload 0\n  }') }, hosts, 20), ['0.5 10.0.0.1']);
});
ReloadSuite.run();
