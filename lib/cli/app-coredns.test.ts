/** `podwire app coredns` on real sockets, asked by BIND's own dig. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createSocket } from 'node:dgram';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const DIG = ['/usr/bin/dig', '/usr/local/bin/dig', '/opt/homebrew/bin/dig'].find((p) => existsSync(p));
const MAIN = 'dist/lib/cli/main.js';

/** A UDP port that was free a moment ago. */
async function freePort(): Promise<number> {
  const s = createSocket('udp4');
  await new Promise<void>((done) => s.bind(0, '127.0.0.1', done));
  const { port } = s.address();
  await new Promise<void>((done) => s.close(done));
  return port;
}

/** Runs the server over the objects of the observations while `use` asks it. */
async function serving(corefile: string, use: (port: number) => void | Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'podwire-dig-'));
  const port = await freePort();
  writeFileSync(join(dir, 'Corefile'), corefile);
  const args = [
    'app',
    'coredns',
    '--manifests',
    'lib/kube/coredns/testdata/objects.yaml',
    '--corefile',
    join(dir, 'Corefile'),
  ];
  const child = spawn(process.execPath, [MAIN, ...args, '--listen', '127.0.0.1', '--port', String(port)], {
    env: { ...process.env, PODWIRE_READY_DIR: dir },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  try {
    for (let i = 0; i < 200 && !readdirSync(dir).includes(String(child.pid)); i++)
      await new Promise((r) => setTimeout(r, 50));
    await use(port);
  } finally {
    child.kill();
    rmSync(dir, { recursive: true, force: true });
  }
}

const KUBERNETES = '. {\n  kubernetes cluster.local in-addr.arpa {\n    pods insecure\n    ttl 30\n  }\n}\n';
const App = suite('lib/cli/app-coredns');
/** What dig prints; it must exit 0. */
function dig(port: number, ...args: string[]): string {
  const r = spawnSync(DIG!, ['@127.0.0.1', '-p', String(port), '+tries=1', '+time=3', ...args], { encoding: 'utf8' });
  assert.is(r.status, 0, r.stdout + r.stderr);
  return r.stdout.trim();
}
const test = DIG === undefined ? App.skip : App; // without dig (Debian: bind9-dnsutils) there is nobody to ask
test('dig gets over UDP and TCP what the manifests say', async () => {
  await serving(KUBERNETES, (port) => {
    assert.is(dig(port, '+short', 'web.web.svc.cluster.local'), '10.96.12.34');
    assert.is(dig(port, '+short', '+tcp', 'web.web.svc.cluster.local'), '10.96.12.34');
    assert.is(dig(port, '+short', '-x', '10.96.12.34'), 'web.web.svc.cluster.local.');
    assert.is(dig(port, '+short', 'AAAA', 'dual.web.svc.cluster.local'), 'fd00:10:96::20');
    const srv = dig(port, '+short', 'SRV', '_mysql._tcp.headless.web.svc.cluster.local');
    assert.is(srv, '0 50 3306 db-0.headless.web.svc.cluster.local.\n0 50 3306 db-1.headless.web.svc.cluster.local.');
    assert.match(
      dig(port, 'nosuch.web.svc.cluster.local'),
      /status: NXDOMAIN.*flags: qr aa rd;.*udp: 1232.*SOA\sns\.dns\./s,
    );
    assert.match(dig(port, '+edns=1', '+noednsneg', 'web.web.svc.cluster.local'), /status: BADVERS/);
    assert.match(dig(port, '+opcode=STATUS', 'web.web.svc.cluster.local'), /status: NOTIMP/);
    assert.match(dig(port, '+noedns', '+ignore', 'big.web.svc.cluster.local'), /flags: qr aa tc rd;.*ANSWER: 29,/s);
    assert.match(dig(port, '+noedns', 'big.web.svc.cluster.local'), /Truncated, retrying in TCP mode.*ANSWER: 40,/s);
  });
});
test('dig is answered from upstream, over the transport it uses, and then from the cache', async () => {
  await serving(KUBERNETES, async (inner) => {
    await serving(`. {\n  forward . 127.0.0.1:${inner}\n  cache 30\n}\n`, (port) => {
      assert.match(dig(port, '+noedns', '+notcp', '+ignore', 'big.web.svc.cluster.local'), /flags: qr aa tc rd;/);
      assert.match(dig(port, '+noedns', '+tcp', 'big.web.svc.cluster.local'), /ANSWER: 40,/);
      assert.match(dig(port, '+norecurse', 'nosuch.web.svc.cluster.local'), /NXDOMAIN.*flags: qr aa;.*SOA/s);
      assert.match(dig(port, '+norecurse', 'NoSuch.web.svc.cluster.local'), /NXDOMAIN.*SOA/s);
    });
  });
});
App.run();
