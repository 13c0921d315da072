/** Sidecars joined by sockets in memory: what each hop reads, over plain text and over mTLS, and what is refused. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { aton } from '../../../wire/inet.js';
import type { Conn, ConnHandler } from '../../apps/l7/io.js';
import { bytesOf, textOf } from '../../apps/l7/message.js';
import { istioProxyArgs } from './args.js';
import { MemoryIo } from './memory-io.js';
import { type Mesh, meshText, type MtlsMode, parseMesh, type Workload } from './mesh.js';
import { INBOUND_PORT, OUTBOUND_PORT } from './redirect.js';
import { Sidecar } from './sidecar.js';
import { TcpProxy } from './tcp-proxy.js';
import { meshTls } from './tls.js';
import { warmUp } from './warm.js';

const workload = (address: string, mtls: MtlsMode, sidecar = true): Workload => ({
  address, serviceAccount: 'default', sidecar, mtls, portMtls: {}, owner: '', workloadName: 'w', labels: { app: 'w' },
}); // prettier-ignore

const mesh = (mtls: MtlsMode): Mesh => ({
  domain: 'cluster.local',
  seed: 1,
  services: [
    { host: 'web.shop.svc.cluster.local', addresses: ['10.96.0.1'], ports: [{ port: 80, protocol: 'http', endpoints: [{ address: '10.0.0.2', port: 8080, workload: 'shop/web' }] }] },
    { host: 'db.shop.svc.cluster.local', addresses: ['10.96.0.2'], ports: [{ port: 7, protocol: 'tcp', endpoints: [{ address: '10.0.0.2', port: 7, workload: 'shop/web' }] }] },
    { host: 'none.shop.svc.cluster.local', addresses: ['10.96.0.3'], ports: [{ port: 80, protocol: 'http', endpoints: [] }] },
  ],
  workloads: { 'shop/client': workload('10.0.0.1', 'PERMISSIVE'), 'shop/web': workload('10.0.0.2', mtls) },
}); // prettier-ignore

const REPLY = 'HTTP/1.1 200 Fine\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nhi\n';

/** Two sidecars, an application behind the second, and what was said where. */
function world(mtls: MtlsMode, refuse = false) {
  const m = mesh(mtls);
  const heard: string[] = [];
  const wire: string[] = [];
  const app =
    (port: number) =>
    (conn: { send(b: Uint8Array): void }): ConnHandler => ({
      data: (b) => {
        heard.push(textOf(b));
        conn.send(port === 7 ? b : bytesOf(REPLY));
      },
      eof: () => {},
      closed: () => {},
    });
  let web: Sidecar;
  const io = new MemoryIo(1, (to, source) => {
    if (refuse) return null;
    if (to.address !== aton('10.0.0.2') || source !== 0) return app(to.port);
    return (conn) => {
      const inner = web.accept(INBOUND_PORT)(conn);
      const tap = (b: Uint8Array): void => void wire.push(textOf(b));
      return { data: (b) => (tap(b), inner.data(b)), eof: () => inner.eof(), closed: (e) => inner.closed(e) };
    };
  });
  const side = (me: string): Sidecar =>
    new Sidecar(
      io,
      () => m,
      me,
      meshTls(io, () => m, me),
    );
  web = side('shop/web');
  const client = side('shop/client');
  /** What comes back of what is said to a server. */
  const ask = (port: typeof INBOUND_PORT | typeof OUTBOUND_PORT, address: string, to: number, text: string) => {
    const got = { text: '', errno: -1 };
    const conn = io.call(
      (port === OUTBOUND_PORT ? client : web).accept(port),
      { address: aton(address)!, port: to },
      { data: (b) => void (got.text += textOf(b)), eof: () => {}, closed: (e) => void (got.errno = e) },
    );
    conn.send(bytesOf(text));
    io.run();
    return got;
  };
  return { ask, heard, wire, io };
}

const GET = (host: string): string =>
  `GET /a?b=1 HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n`;

const SidecarTest = suite('lib/kube/istio/sidecar');
SidecarTest('a request over mTLS: the application learns who asks, the client sees one proxy', () => {
  const w = world('STRICT');
  const got = w.ask(OUTBOUND_PORT, '10.96.0.1', 80, GET('web'));
  const [request] = w.heard;
  const uuid = /x-request-id: ([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})\r\n/.exec(request!)![1]!; // prettier-ignore
  const hash = /Hash=([0-9a-f]{64});/.exec(request!)![1]!;
  const id = 'spiffe://cluster.local/ns/shop/sa/default';
  assert.is(
    request,
    `GET /a?b=1 HTTP/1.1\r\nhost: web\r\nuser-agent: curl/8\r\naccept: */*\r\nx-forwarded-proto: http\r\nx-request-id: ${uuid}\r\n` +
      `x-envoy-attempt-count: 1\r\nx-forwarded-client-cert: By=${id};Hash=${hash};Subject="";URI=${id}\r\n\r\n`,
  );
  assert.is(
    got.text,
    'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 3\r\nx-envoy-upstream-service-time: 0\r\n' +
      'date: Mon, 01 Jan 2024 00:00:00 GMT\r\nserver: envoy\r\n\r\nhi\n',
  );
  assert.is(w.wire[0]!.charCodeAt(0), 22);
  assert.ok(w.wire[0]!.includes('outbound_.80_._.web.shop.svc.cluster.local'));
  assert.ok(w.wire[0]!.includes('\x0eistio-http/1.1\x05istio\x08http/1.1'));
  assert.not.ok(w.wire.some((x) => x.includes('GET')));
  assert.equal(
    w.io.made.map((x) => x.source >>> 0),
    [0, 0x7f000006],
  );
});

SidecarTest('plain text where mTLS is disabled: operation and peer metadata go between the proxies only', () => {
  const w = world('DISABLE');
  w.ask(OUTBOUND_PORT, '10.96.0.1', 80, GET('web.shop:80'));
  const names = (text: string): string[] => text.split('\r\n').slice(1, -2).map((l) => l.split(':')[0]!); // prettier-ignore
  assert.equal(names(w.wire[0]!), ['host', 'user-agent', 'accept', 'x-forwarded-proto', 'x-request-id', 'x-envoy-decorator-operation', 'x-envoy-peer-metadata-id', 'x-envoy-peer-metadata', 'x-envoy-attempt-count']); // prettier-ignore
  assert.ok(w.wire[0]!.includes('x-envoy-decorator-operation: web.shop.svc.cluster.local:80/*\r\n'));
  assert.ok(w.wire[0]!.includes('x-envoy-peer-metadata-id: sidecar~10.0.0.1~client.shop~shop.svc.cluster.local\r\n'));
  assert.equal(names(w.heard[0]!), ['host', 'user-agent', 'accept', 'x-forwarded-proto', 'x-request-id', 'x-envoy-attempt-count']); // prettier-ignore
});

SidecarTest('a client outside of the mesh: told the operation where plain text is taken, reset where it is not', () => {
  const open = world('PERMISSIVE').ask(INBOUND_PORT, '10.0.0.2', 8080, GET('web.shop'));
  assert.match(
    open.text,
    /server: istio-envoy\r\nx-envoy-decorator-operation: web\.shop\.svc\.cluster\.local:80\/\*\r\n\r\nhi\n$/,
  );
  const w = world('STRICT');
  assert.equal(w.ask(INBOUND_PORT, '10.0.0.2', 8080, GET('web.shop')), { text: '', errno: 104 });
  assert.equal(w.heard, []);
});

SidecarTest('what no Service has goes where it was going, without a word of the workload', () => {
  const w = world('STRICT');
  w.ask(OUTBOUND_PORT, '10.9.9.9', 80, GET('example.com'));
  assert.equal(w.io.made[0]!.to, { address: aton('10.9.9.9'), port: 80 });
  assert.not.ok(/peer-metadata|decorator/.test(w.heard[0]!));
  assert.ok(w.heard[0]!.includes('x-envoy-attempt-count: 1\r\n'));
  assert.is(w.ask(OUTBOUND_PORT, '10.9.9.9', 81, 'anything').text, REPLY);
  assert.is(w.heard[1], 'anything');
});

SidecarTest('bytes of a TCP port pass in both directions', () => {
  for (const mode of ['DISABLE', 'STRICT'] as const) {
    const w = world(mode);
    assert.is(w.ask(OUTBOUND_PORT, '10.96.0.2', 7, 'ping').text, 'ping', mode);
    assert.equal(w.heard, ['ping']);
  }
});

SidecarTest('no endpoint, and an endpoint that refuses: 503 with the words of Envoy', () => {
  assert.match(world('STRICT').ask(OUTBOUND_PORT, '10.96.0.3', 80, GET('none')).text, /^HTTP\/1\.1 503 Service Unavailable\r\ncontent-length: 19\r\ncontent-type: text\/plain\r\ndate: .*\r\nserver: envoy\r\n\r\nno healthy upstream$/); // prettier-ignore
  const w = world('STRICT', true);
  assert.match(w.ask(OUTBOUND_PORT, '10.96.0.1', 80, GET('web')).text, /\r\n\r\nupstream connect error or disconnect\/reset before headers\. retried and the latest reset reason: remote connection failure/); // prettier-ignore
  assert.is(w.io.made.length, 3);
});

SidecarTest('hostile first bytes end a connection, never a sidecar', () => {
  const w = world('PERMISSIVE');
  let seed = 7;
  const byte = (): number => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 24;
  for (let i = 0; i < 400; i++) {
    const hello = i % 2 === 0 ? '\x16\x03\x01\x00\xff\x01\x00\x00\xfb\x03\x03' : 'GET /';
    const noise = Array.from({ length: 1 + (byte() % 80) }, () => String.fromCharCode(byte())).join('');
    w.ask(i % 3 === 0 ? OUTBOUND_PORT : INBOUND_PORT, '10.0.0.2', 8080, hello + noise);
  }
  assert.match(w.ask(INBOUND_PORT, '10.0.0.2', 8080, GET('web')).text, /hi\n$/);
});

SidecarTest('a pod that is none of the mesh any more keeps what its sidecar was told last', () => {
  const io = new MemoryIo(1, () => (conn) => ({ data: () => conn.send(bytesOf(REPLY)), eof: () => {}, closed: () => {} })); // prettier-ignore
  let m = mesh('PERMISSIVE');
  const web = new Sidecar(io, () => m, 'shop/web', meshTls(io, () => m, 'shop/web')); // prettier-ignore
  m = { ...m, workloads: { 'shop/client': m.workloads['shop/client']! } };
  let got = '';
  const client: ConnHandler = { data: (b) => void (got += textOf(b)), eof: () => {}, closed: () => {} };
  io.call(web.accept(INBOUND_PORT), { address: aton('10.0.0.2')!, port: 8080 }, client).send(bytesOf(GET('web')));
  io.run();
  assert.match(got, /^HTTP\/1\.1 200 OK/);
});

SidecarTest('a client that sends much before the upstream stands is not read on until it does', () => {
  const said: string[] = [];
  const conn = (name: string): Conn & { pending: number } => ({
    local: { address: 0, port: 0 },
    peer: { address: 0, port: 0 },
    tls: null,
    pending: 0,
    originalDst: () => ({ address: 0, port: 0 }),
    send: (b) => void said.push(`${name} ${b.length}`),
    end: () => {},
    close: () => {},
    reset: () => {},
    pause: () => void said.push(`${name} pause`),
    resume: () => void said.push(`${name} resume`),
  });
  let upstream: ConnHandler | null = null;
  const io = new MemoryIo(1, () => null);
  io.connect = (_to, make) => void (upstream = make(conn('upstream')));
  const p = new TcpProxy(io, conn('client'), { to: { address: 1, port: 1 }, options: {}, layer: null });
  p.data(new Uint8Array(40000));
  assert.equal(said, []);
  p.data(new Uint8Array(40000));
  assert.equal(said, ['client pause']);
  upstream!.open!();
  assert.equal(said, ['client pause', 'upstream 40000', 'upstream 40000', 'client resume']);
});

SidecarTest('istioProxyArgs() takes nothing that it does not know', () => {
  const args = (text: string) => istioProxyArgs(text.split(' '));
  assert.equal(args('--mesh /m --pod a/b --seed 7'), { mesh: '/m', pod: 'a/b', seed: 7 });
  for (const bad of ['--mesh /m', '--pod a/b', '--mesh /m --pod b', '--mesh /m --pod a/b --seed x', '--mesh /m --pod a/b --mesh /n', '--mesh /m --pod', '--mesh /m --pod a/b --bogus 1'])
    assert.type(args(bad), 'string', bad);
}); // prettier-ignore

SidecarTest('warmUp() comes through both sidecars', () => {
  assert.ok(warmUp() > 100);
});

SidecarTest('parseMesh() reads what meshText() writes, and says where other text is none', () => {
  const m = mesh('STRICT');
  assert.equal(parseMesh(meshText(m), 'm.json'), m);
  const cases: [string, RegExp][] = [
    ['{', /^m\.json:1:1: found no JSON, expected a mesh/],
    ['{}', /found no domain or no seed/],
    [
      meshText({ ...m, services: [{ ...m.services[0]!, addresses: ['10.0.0.256'] }] }),
      /found services\[0\] that is no Service/,
    ],
    [meshText({ ...m, workloads: { web: m.workloads['shop/web']! } }), /found workloads\["web"\] that is no workload/],
  ];
  for (const [text, message] of cases) assert.throws(() => parseMesh(text, 'm.json'), message);
});
SidecarTest.run();
