/**
 * TLS with real peers on loopback: curl and openssl against `podwire app http`, podwire's client against openssl's and nginx's
 * servers, tshark on a capture. A peer that is not installed is skipped; CI has them all.
 */
import { execFile, execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TlsClient } from '../apps/tls/client.js';
import { TlsServer } from '../apps/tls/server.js';
import type { TlsClientOptions, TlsServerOptions, TlsSession } from '../apps/tls/types.js';
import { credentialsFromPem, certificatesFromPem } from '../apps/x509/secret.js';
import { verifyChain } from '../apps/x509/verify.js';
import { writeCaptures } from '../capture/pcap-writer.js';
import { runLab } from '../lab/engine.js';
import { parseLab } from '../lab/lab.js';
import { secureRandom } from './secrets.js';

const run = promisify(execFile);
const MAIN = new URL('./main.js', import.meta.url).pathname;
const has = (program: string): boolean => spawnSync('which', [program]).status === 0;
const dir = mkdtempSync(join(tmpdir(), 'podwire-tls-'));
const file = (name: string): string => join(dir, name);
const children: ChildProcess[] = [];
const text = (b: Uint8Array): string => new TextDecoder().decode(b);

/** A port that nobody has just now. */
const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const s = createServer().listen(0, '127.0.0.1', () => {
      const { port } = s.address() as { port: number };
      s.close(() => resolve(port));
    });
  });

/** Resolves once somebody accepts there. */
async function accepts(port: number): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const ok = await new Promise<boolean>((resolve) => {
      const c = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
      c.on('connect', () => c.destroy());
    });
    if (ok) return;
    await new Promise((r) => setTimeout(r, 50));
  }
  throw new Error(`nobody listens on port ${port}`);
}

/** Starts a server program on a free port, which `args` puts into its arguments. */
async function serve(program: string, args: (port: number) => string[], env = {}): Promise<number> {
  const port = await freePort();
  const child = spawn(program, args(port), { stdio: 'ignore', env: { ...process.env, ...env } });
  children.push(child);
  await accepts(port);
  return port;
}

const app = (...args: string[]): Promise<number> =>
  serve(process.execPath, (port) => [MAIN, 'app', 'http', '--port', String(port), '--body', 'over TLS\n', ...args]);

/** Output of a command whatever its exit code is. */
async function output(
  program: string,
  args: string[],
  stdin = '',
): Promise<{ code: number; out: string; err: string }> {
  const p = run(program, args, { timeout: 20_000 });
  p.child.stdin?.end(stdin);
  try {
    const { stdout, stderr } = await p;
    return { code: 0, out: stdout, err: stderr };
  } catch (e) {
    const { code, stdout, stderr } = e as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}

/** Speaks through a session on a real socket; what came back, and the session. */
function talk(port: number, o: Partial<TlsClientOptions>, say: string): Promise<{ said: string; session: TlsSession }> {
  const session = new TlsClient({ random: secureRandom, serverName: 'shop.example.com', alpn: ['http/1.1'], ...o });
  return new Promise((resolve) => {
    let said = '';
    let asked = false;
    const sock = connect(port, '127.0.0.1', () => session.start().forEach((b) => sock.write(b)));
    sock.on('data', (d) => {
      const out = session.feed(d);
      for (const b of out.wire) sock.write(b);
      said += text(out.plain);
      if (session.state === 'open' && !asked) {
        asked = true;
        sock.write(session.write(new TextEncoder().encode(say)));
      }
      if (session.state === 'closed' || session.eof) sock.end(session.close());
    });
    sock.on('error', () => {});
    sock.on('close', () => {
      session.end();
      resolve({ said, session });
    });
  });
}

/** A key, a CA and a certificate of it, made by openssl. */
function certificates(): void {
  const o = (args: string): void => void execFileSync('openssl', args.split(' '), { cwd: dir, stdio: 'ignore' });
  o('ecparam -name prime256v1 -genkey -noout -out ca.key');
  o('req -x509 -new -key ca.key -subj /CN=test-CA -days 30 -out ca.pem');
  o('ecparam -name prime256v1 -genkey -noout -out tls.key');
  o('req -new -key tls.key -subj /CN=shop -out tls.csr');
  writeFileSync(file('san'), 'subjectAltName=DNS:shop.example.com,IP:127.0.0.1\n');
  o('x509 -req -in tls.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile san -out tls.crt');
  o(
    'req -x509 -newkey rsa:2048 -nodes -keyout rsa.key -subj /CN=shop -days 30 -addext subjectAltName=DNS:shop.example.com -out rsa.crt',
  );
  o('pkcs8 -topk8 -nocrypt -in tls.key -out pkcs8.key');
}

const Real = suite('lib/cli/tls');
Real.before(() => {
  if (has('openssl')) certificates();
});
Real.after(() => {
  for (const c of children) c.kill();
  rmSync(dir, { recursive: true, force: true });
});
const test = (needs: string[], name: string, f: () => Promise<void>): void => {
  const missing = needs.filter((p) => !has(p));
  if (missing.length === 0) Real(name, f);
  else Real.skip(`${name}: ${missing.join(', ')} not installed`, () => {});
};

test(['curl'], 'curl -k: the request is answered, TLS 1.3 and HTTP/1.1 agreed on', async () => {
  const port = await app('--tls', 'shop.example.com', '--seed', '5');
  const at = ['--resolve', `shop.example.com:${port}:127.0.0.1`, `https://shop.example.com:${port}/`];
  const r = await output('curl', ['-skv', ...at]);
  assert.equal([r.code, r.out], [0, 'over TLS\n']);
  assert.match(r.err, /\* SSL connection using TLSv1\.3 \/ TLS_AES_128_GCM_SHA256\b/);
  assert.match(r.err, /\* ALPN: server accepted http\/1\.1\n/);
  assert.match(r.err, /\*  subject: CN=shop\.example\.com\n/);
  assert.match(r.err, /< HTTP\/1\.1 200 OK\r?\n/);
  const strict = await output('curl', ['-sS', ...at]);
  assert.is(strict.code, 60);
  const plain = await output('curl', ['-s', '-w', '%{http_code}', `http://127.0.0.1:${port}/`]);
  assert.is(plain.out, '400');
});
test(
  ['curl', 'openssl'],
  'curl --cacert: a chain and a name that are verified; two requests on one connection',
  async () => {
    for (const [crt, key, ca] of [
      ['tls.crt', 'tls.key', 'ca.pem'],
      ['tls.crt', 'pkcs8.key', 'ca.pem'],
      ['rsa.crt', 'rsa.key', 'rsa.crt'],
    ] as const) {
      const port = await app('--cert', file(crt), '--key', file(key));
      const url = `https://shop.example.com:${port}/`;
      const at = ['--cacert', file(ca), '--resolve', `shop.example.com:${port}:127.0.0.1`];
      const r = await output('curl', ['-sS', ...at, '-w', '%{num_connects}', url, url]);
      assert.equal([r.code, r.out], [0, 'over TLS\n1over TLS\n0'], key);
    }
  },
);
test(
  ['openssl'],
  'openssl s_client -brief: the transcript; groups by HelloRetryRequest; h2 alone is refused',
  async () => {
    const port = await app('--cert', file('tls.crt'), '--key', file('tls.key'));
    const base = ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'shop.example.com', '-CAfile', file('ca.pem'), '-brief']; // prettier-ignore
    const r = await output('openssl', base);
    assert.is(r.code, 0);
    assert.equal(r.err.split('\n').filter((l) => l !== 'DONE' && !l.startsWith('Peer Temp') && !l.startsWith('Server Temp') && !l.startsWith('Negotiated')), [
    'CONNECTION ESTABLISHED', 'Protocol version: TLSv1.3', 'Ciphersuite: TLS_AES_128_GCM_SHA256',
    'Peer certificate: CN = shop', 'Hash used: SHA256', 'Signature type: ECDSA', 'Verification: OK', '',
  ].map((l) => (/^Peer certificate: CN=/m.test(r.err) ? l.replace(' = ', '=') : l).replace('Signature type: ECDSA', /Signature type: (.*)/.exec(r.err)?.[0] ?? 'none'))); // prettier-ignore
    for (const groups of ['P-256', 'P-521:P-256', 'P-384:X25519']) {
      assert.is((await output('openssl', [...base, '-groups', groups])).code, 0, groups);
    }
    const h2 = await output('openssl', [...base, '-alpn', 'h2']);
    assert.match(h2.err, /no application protocol/);
    const old = await output('openssl', [...base, '-tls1_2']);
    assert.match(old.err, /alert protocol version/);
    const none = await output('openssl', [...base, '-groups', 'P-384']);
    assert.match(none.err, /alert handshake failure/);
    const keyUpdate = await output('openssl', base.filter((a) => a !== '-brief'), 'K\n'); // prettier-ignore
    assert.match(keyUpdate.err, /KEYUPDATE/);
  },
);
test(['openssl'], 'openssl s_client presents a certificate to a server that requires one', async () => {
  const crt = credentialsFromPem(execFileSync('cat', [file('tls.crt')], { encoding: 'utf8' }), execFileSync('cat', [file('tls.key')], { encoding: 'utf8' })); // prettier-ignore
  if (typeof crt === 'string') throw new Error(crt);
  const roots = certificatesFromPem(execFileSync('cat', [file('ca.pem')], { encoding: 'utf8' }));
  const sessions: TlsSession[] = [];
  const options: TlsServerOptions = {
    random: secureRandom,
    choose: () => crt,
    clientAuth: 'require',
    verify: (chain) => verifyChain(chain, { roots, now: Math.floor(Date.now() / 1000), usage: 'client' }),
  };
  const server = createServer((c) => {
    const s = new TlsServer(options);
    sessions.push(s);
    c.on('data', (d) => {
      for (const b of s.feed(d).wire) c.write(b);
      if (s.state === 'open') c.end(s.close());
      if (s.state === 'closed') c.end();
    });
    c.on('error', () => {});
  });
  const port = await freePort();
  await new Promise<void>((r) => server.listen(port, '127.0.0.1', r));
  const base = ['s_client', '-connect', `127.0.0.1:${port}`, '-brief'];
  await output('openssl', [...base, '-cert', file('tls.crt'), '-key', file('tls.key')]);
  await output('openssl', base);
  server.close();
  assert.equal([sessions[0]!.failure, sessions[0]!.peerCertificates.length], [null, 1]);
  assert.is(sessions[1]!.failure?.reason, 'the client has no certificate');
});
test(
  ['openssl'],
  'podwire’s client with openssl s_server: suites, groups, signatures, tickets, mutual TLS',
  async () => {
    const roots = certificatesFromPem(execFileSync('cat', [file('ca.pem')], { encoding: 'utf8' }));
    const verify: TlsClientOptions['verify'] = (chain) =>
      verifyChain(chain, { roots, now: Math.floor(Date.now() / 1000), usage: 'server' });
    const cases: [string[], Partial<TlsClientOptions>][] = [
      [['-cert', 'tls.crt', '-key', 'tls.key'], { verify }],
      [['-cert', 'tls.crt', '-key', 'tls.key', '-ciphersuites', 'TLS_AES_128_GCM_SHA256'], { profile: 'envoy' }],
      [['-cert', 'tls.crt', '-key', 'tls.key', '-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256'], {}],
      [['-cert', 'tls.crt', '-key', 'tls.key', '-groups', 'P-256'], { profile: 's_client' }],
      [['-cert', 'rsa.crt', '-key', 'rsa.key', '-num_tickets', '0'], {}],
    ];
    for (const [args, o] of cases) {
      const files = args.map((a) => (/\.(crt|key)$/.test(a) ? file(a) : a));
      const port = await serve('openssl', (p) => ['s_server', '-port', String(p), '-www', ...files]);
      const r = await talk(port, o, 'GET / HTTP/1.0\r\n\r\n');
      assert.match(r.said, /^HTTP\/1\.0 200 ok\r\n/, args.join(' '));
      assert.is(r.session.failure?.by ?? 'none', r.session.failure === null ? 'none' : 'eof');
    }
    const port = await serve('openssl', (p) => ['s_server', '-port', String(p), '-www', '-cert', file('tls.crt'), '-key', file('tls.key')]); // prettier-ignore
    const strange = await talk(port, { verify: () => ({ alert: 48, reason: 'unknown CA' }) }, '');
    assert.equal([strange.said, strange.session.failure?.alert], ['', 48]);
  },
);
test(['nginx', 'openssl'], 'podwire’s client with nginx', async () => {
  const port = await serve('nginx', (p) => {
    const conf = `daemon off; pid ${file('pid')}; error_log ${file('err')}; events {} http { access_log off;
      client_body_temp_path ${dir}; proxy_temp_path ${dir}; fastcgi_temp_path ${dir}; uwsgi_temp_path ${dir}; scgi_temp_path ${dir};
      server { listen 127.0.0.1:${p} ssl; ssl_protocols TLSv1.3; ssl_certificate ${file('tls.crt')}; ssl_certificate_key ${file('tls.key')};
      location / { return 200 "nginx $ssl_protocol $ssl_cipher $ssl_server_name\\n"; } } }`;
    writeFileSync(file('nginx.conf'), conf);
    return ['-p', dir, '-e', file('err'), '-c', file('nginx.conf')];
  });
  const ask = 'GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n';
  const r = await talk(port, {}, ask);
  assert.is(r.session.failure, null);
  assert.match(r.said, /\r\n\r\nnginx TLSv1\.3 TLS_AES_256_GCM_SHA384 shop\.example\.com\n$/);
  assert.equal([r.session.alpn, r.session.failure], ['http/1.1', null]);
});
test(['tshark'], 'tshark reads the requests out of a capture alone', async () => {
  const lab = parseLab(LAB, 'x.yaml');
  const r = runLab(lab);
  assert.equal(r.failures, []);
  assert.equal(r.steps.map((s) => s.stdout), ['podwire\npodwire\n', '']); // prettier-ignore
  writeCaptures(file('out'), r.taps, { secrets: r.secrets });
  const http = await output('tshark', ['-r', file('out/all.pcapng'), '-Y', 'http', '-T', 'fields', '-e', 'frame.interface_name', '-e', 'http.request.uri', '-e', 'http.response.code']); // prettier-ignore
  // Of the copies at both interfaces Wireshark decrypts the first it sees: the others are retransmissions to it.
  assert.equal(http.out.trim().split('\n'), ['a/eth0\t/x\t', 'b/eth0\t\t200', 'a/eth0\t/y\t', 'b/eth0\t\t200']);
  const bad = await output('tshark', ['-r', file('out/all.pcapng'), '-Y', '_ws.malformed || tls.alert_message.desc == 20']); // prettier-ignore
  assert.is(bad.out, '');
  const keys = await output('tshark', ['-r', file('out/a/eth0.pcap'), '-o', `tls.keylog_file:${file('out/keys.log')}`, '-Y', 'http.request']); // prettier-ignore
  assert.is(keys.out.trim().split('\n').length, 2);
});

const LAB = `
kind: Lab
metadata: { name: x }
spec:
  setup: |
    ip netns add a
    ip netns add b
    ip link add eth0 netns a address 02:00:00:00:00:01 type veth peer name eth0 netns b address 02:00:00:00:00:02
    ip -n a addr add 10.0.0.1/24 dev eth0
    ip -n b addr add 10.0.0.2/24 dev eth0
    ip -n a link set eth0 up
    ip -n b link set eth0 up
    ip netns exec b podwire app http --port 443 --tls shop.example.com &
  steps:
  - { at: 0s, run: "ip netns exec a curl -sk --resolve shop.example.com:443:10.0.0.2 https://shop.example.com/x https://shop.example.com/y" }
  - { at: 1s, run: "ip netns exec a curl -s https://10.0.0.2/", expect: { exit: 60 } }
`;
Real.run();
