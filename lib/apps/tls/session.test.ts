/** A client and a server with each other, byte by byte the same for the same seed; what each refuses, with which alert. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hex, unhex } from '../../../wire/bytes.js';
import * as ext from '../../../wire/tls-extensions.js';
import * as hs from '../../../wire/tls-handshake.js';
import * as tls from '../../../wire/tls.js';
import { Rng } from '../../sim/rng.js';
import { issue, makeAuthority, workload } from '../x509/authority.js';
import { CN, readCertificate } from '../x509/certificate.js';
import { verifyChain } from '../x509/verify.js';
import { TlsClient } from './client.js';
import { SUITES, TrafficKeys } from './keys.js';
import { randomFrom } from './random.js';
import { TlsServer } from './server.js';
import type { TlsClientOptions, TlsServerOptions, TlsSession, Verify } from './types.js';

const NOW = 1704067200;
const made = randomFrom(new Rng(1, 'certificates'));
const ca = makeAuthority(made, [[CN, 'CA']], { notBefore: NOW });
const shop = issue(ca, made, { dnsNames: ['shop.example'], notBefore: NOW });
const pod = workload(ca, made, 'spiffe://cluster.local/ns/default/sa/web', NOW);
const roots = [readCertificate(ca.certificate)!];
const text = new TextEncoder();

const random = (purpose: string, seed = 1) => randomFrom(new Rng(seed, purpose));
const server = (o: Partial<TlsServerOptions> = {}): TlsServer =>
  new TlsServer({ random: random('server'), choose: () => shop, alpn: ['http/1.1'], ...o });
const client = (o: Partial<TlsClientOptions> = {}): TlsClient =>
  new TlsClient({ random: random('client'), serverName: 'shop.example', alpn: ['h2', 'http/1.1'], ...o });

/** Carries what both say until neither says more; the writes of each. */
function talk(c: TlsSession, s: TlsSession): { c: Uint8Array[]; s: Uint8Array[] } {
  const said = { c: [...c.start()], s: [] as Uint8Array[] };
  let from = 0;
  while (from < said.c.length) {
    const answers = said.c.slice(from).flatMap((b) => [...s.feed(b).wire]);
    from = said.c.length;
    said.s.push(...answers);
    for (const b of answers) said.c.push(...c.feed(b).wire);
  }
  return said;
}

/** A server that has seen this hello. */
function greeted(edit: (h: hs.ClientHello) => void, o: Partial<TlsServerOptions> = {}): TlsServer {
  const [b] = client().start();
  const h = hs.readClientHello(b!.slice(9))!;
  edit(h);
  const s = server(o);
  s.feed(tls.record(tls.HANDSHAKE, hs.writeClientHello(h)));
  return s;
}

const without = (type: number) => (h: hs.ClientHello) =>
  void (h.extensions = h.extensions.filter((e) => e.type !== type));
const replace = (e: ext.Extension) => (h: hs.ClientHello) =>
  void (h.extensions = h.extensions.map((x) => (x.type === e.type ? e : x)));

const Session = suite('lib/apps/tls/session');
Session('a handshake, data both ways, close_notify both ways', () => {
  const [c, s] = [client(), server()];
  const said = talk(c, s);
  assert.equal(
    [c.state, s.state, c.alpn, s.alpn, s.serverName],
    ['open', 'open', 'http/1.1', 'http/1.1', 'shop.example'],
  );
  assert.is(c.cipherSuite, tls.AES_128_GCM_SHA256);
  assert.is(hex(s.feed(c.write(text.encode('ping'))).plain), hex(text.encode('ping')));
  const big = new Uint8Array(40000).fill(7);
  assert.is(hex(c.feed(s.write(big)).plain), hex(big));
  assert.is(c.close().length, 24);
  const out = s.feed(new Uint8Array(0));
  assert.equal(out.wire, []);
  assert.is(said.c.length, 2);
});
Session('sizes on the wire: a hello of 517 bytes, a flight in one write with a record for each message', () => {
  const said = talk(client(), server());
  assert.is(said.c[0]!.length, 517);
  assert.is(said.s.length, 1);
  const r = new tls.RecordStream();
  r.push(said.s[0]!);
  const seen: string[] = [];
  for (let x = r.next(); x !== null && x !== tls.RECORD_OVERFLOW; x = r.next())
    seen.push(`${x.type}:${x.fragment.length}`);
  assert.is(seen.slice(0, 3).join(' '), '22:122 20:1 23:42');
  assert.is(seen.at(-1), '23:53');
  assert.is(seen.length, 6);
  // ChangeCipherSpec and Finished.
  assert.is(said.c[1]!.length, 6 + 58);
});
Session('the same seeds give the same bytes, and the keys to read them; other seeds give others', () => {
  const run = (seed: number): string => {
    const keys: string[] = [];
    const keyLog = (l: string): void => void keys.push(l);
    const s = server({ random: random('server', seed), keyLog });
    const said = talk(client({ random: random('client', seed), keyLog }), s);
    assert.is(new Set(keys).size, 5, 'both ends know the same');
    return [...said.c, ...said.s].map((b) => hex(b)).join() + keys.join();
  };
  assert.is(run(1), run(1));
  assert.is.not(run(1), run(2));
});
Session('one byte at a time is the same', () => {
  const [c, s] = [client(), server()];
  const hello = c.start()[0]!;
  const flight: Uint8Array[] = [];
  for (const b of hello) flight.push(...s.feed(Uint8Array.of(b)).wire);
  for (const b of flight[0]!) for (const w of c.feed(Uint8Array.of(b)).wire) s.feed(w);
  assert.equal([c.state, s.state], ['open', 'open']);
});
Session('TLS_AES_256_GCM_SHA384, when the server prefers it', () => {
  const [c, s] = [client(), server({ suites: [tls.AES_256_GCM_SHA384, tls.AES_128_GCM_SHA256] })];
  talk(c, s);
  assert.equal([c.state, c.cipherSuite], ['open', tls.AES_256_GCM_SHA384]);
  assert.is(hex(s.feed(c.write(Uint8Array.of(1))).plain), '01');
});
Session('TLS_CHACHA20_POLY1305_SHA256, which the hellos offer, when the server prefers it', () => {
  const [c, s] = [client(), server({ suites: [tls.CHACHA20_POLY1305_SHA256] })];
  talk(c, s);
  assert.equal([c.state, c.cipherSuite], ['open', tls.CHACHA20_POLY1305_SHA256]);
  assert.is(hex(s.feed(c.write(Uint8Array.of(1))).plain), '01');
});
Session('mutual TLS: both chains are there, verified', () => {
  const verify =
    (usage: 'server' | 'client'): Verify =>
    (chain) =>
      verifyChain(chain, { roots, now: NOW + 5, usage });
  const alpn = ['istio-http/1.1', 'istio', 'http/1.1'];
  const c = client({ verify: verify('server'), credentials: pod, profile: 'envoy', alpn });
  const s = server({ clientAuth: 'require', verify: verify('client') });
  talk(c, s);
  assert.equal([c.state, s.state, c.failure, s.failure], ['open', 'open', null, null]);
  assert.equal(readCertificate(s.peerCertificates[0]!)!.uris, ['spiffe://cluster.local/ns/default/sa/web']);
});
Session('a client without a certificate: certificate_required, or none', () => {
  const [c, s] = [client(), server({ clientAuth: 'require' })];
  talk(c, s);
  assert.is(s.failure?.alert, tls.CERTIFICATE_REQUIRED);
  assert.equal([c.failure?.alert, c.failure?.by], [tls.CERTIFICATE_REQUIRED, 'peer']);
  const [c2, s2] = [client(), server({ clientAuth: 'request' })];
  talk(c2, s2);
  assert.equal([s2.state, s2.peerCertificates.length], ['open', 0]);
});
Session('a chain that the client does not trust: unknown_ca, in the clear as OpenSSL sends it', () => {
  const c = client({ verify: () => ({ alert: tls.UNKNOWN_CA, reason: 'no' }) });
  const s = server();
  const said = talk(c, s);
  assert.is(hex(said.c[1]!), '15030300020230');
  assert.equal([s.failure?.by, s.failure?.alert, s.state], ['peer', tls.UNKNOWN_CA, 'closed']);
});
Session('a hello that a server refuses is answered by RFC 8446’s alert', () => {
  const cases: [string, number, TlsServer][] = [
    ['no TLS 1.3', tls.PROTOCOL_VERSION, greeted(replace(ext.versions([tls.TLS12])))],
    ['no supported_versions', tls.PROTOCOL_VERSION, greeted(without(ext.SUPPORTED_VERSIONS))],
    ['no suite in common', tls.HANDSHAKE_FAILURE, greeted((h) => (h.suites = [0x1303]))],
    ['compression', tls.ILLEGAL_PARAMETER, greeted((h) => (h.compression = Uint8Array.of(1, 0)))],
    ['no key share', tls.MISSING_EXTENSION, greeted(without(ext.KEY_SHARE))],
    ['no signatures', tls.MISSING_EXTENSION, greeted(without(ext.SIGNATURE_ALGORITHMS))],
    ['no signature of ours', tls.HANDSHAKE_FAILURE, greeted(replace(ext.list(ext.SIGNATURE_ALGORITHMS, [0x0806])))],
    ['twice', tls.ILLEGAL_PARAMETER, greeted((h) => h.extensions.push(h.extensions[0]!))],
    ['a share of no group', tls.ILLEGAL_PARAMETER, greeted(replace(ext.list(ext.SUPPORTED_GROUPS, [0x18])))],
    ['no group', tls.HANDSHAKE_FAILURE, greeted((h) => {
      replace(ext.list(ext.SUPPORTED_GROUPS, [0x18]))(h);
      replace(ext.keyShares([]))(h);
    })],
    ['a short share', tls.ILLEGAL_PARAMETER, greeted(replace(ext.keyShares([{ group: tls.X25519, key: Uint8Array.of(1) }])))],
    ['a share of zeros', tls.ILLEGAL_PARAMETER, greeted(replace(ext.keyShares([{ group: tls.X25519, key: new Uint8Array(32) }])))],
    ['h2 only', tls.NO_APPLICATION_PROTOCOL, greeted(replace(ext.alpn(['h2'])))],
    ['a malformed name', tls.DECODE_ERROR, greeted(replace({ type: ext.SERVER_NAME, data: Uint8Array.of(0) }))],
    ['an unknown name', tls.UNRECOGNIZED_NAME, greeted(() => {}, { choose: () => tls.UNRECOGNIZED_NAME })],
  ]; // prettier-ignore
  for (const [what, alert, s] of cases) {
    assert.equal([s.failure?.alert, s.failure?.by, s.state], [alert, 'local', 'closed'], what);
  }
});
Session('ALPN without a common protocol may be ignored; no match at all may close without an alert', () => {
  const s = greeted(replace(ext.alpn(['h2'])), { alpnMismatch: 'ignore' });
  assert.equal([s.failure, s.alpn], [null, null]);
  const closed = greeted(() => {}, { choose: () => 'close' });
  assert.equal([closed.state, closed.failure?.alert], ['closed', null]);
});
Session('plain HTTP on a TLS port is told to the server, without an alert', () => {
  const s = server();
  const out = s.feed(text.encode('GET / HTTP/1.1\r\n\r\n'));
  assert.equal([out.wire.length, s.state], [0, 'closed']);
  assert.is(new TextDecoder().decode(s.failure!.plain), 'GET / HTTP/1.1\r\n\r\n');
});
Session('records out of place are refused', () => {
  const refused = (bytes: Uint8Array, before: 'hello' | 'flight'): number | null | undefined => {
    const s = server();
    if (before === 'flight') for (const b of client().start()) s.feed(b);
    s.feed(bytes);
    return s.failure?.alert;
  };
  assert.is(refused(tls.record(23, Uint8Array.of(1)), 'hello'), tls.UNEXPECTED_MESSAGE);
  assert.is(refused(tls.record(20, Uint8Array.of(1)), 'hello'), tls.UNEXPECTED_MESSAGE);
  assert.is(refused(tls.record(22, new Uint8Array(0)), 'hello'), tls.UNEXPECTED_MESSAGE);
  assert.is(refused(tls.record(22, Uint8Array.of(20, 0, 0, 0)), 'hello'), tls.UNEXPECTED_MESSAGE);
  assert.is(refused(tls.record(22, Uint8Array.of(1, 2, 0, 0)), 'hello'), tls.ILLEGAL_PARAMETER);
  assert.is(refused(tls.record(22, new Uint8Array(16385)), 'hello'), tls.RECORD_OVERFLOW);
  assert.is(refused(tls.record(99, Uint8Array.of(1)), 'hello'), tls.UNEXPECTED_MESSAGE);
  assert.is(refused(tls.record(20, Uint8Array.of(1)), 'flight'), undefined);
  assert.is(refused(tls.record(20, Uint8Array.of(2)), 'flight'), tls.UNEXPECTED_MESSAGE);
  assert.is(refused(tls.record(22, Uint8Array.of(1)), 'flight'), tls.UNEXPECTED_MESSAGE);
  assert.is(refused(tls.record(23, new Uint8Array(40)), 'flight'), tls.BAD_RECORD_MAC);
  assert.is(refused(tls.record(23, new Uint8Array(0)), 'flight'), tls.BAD_RECORD_MAC);
});
Session('a client drops a ChangeCipherSpec that comes before the ServerHello (RFC 8446 5)', () => {
  const [c, s] = [client(), server()];
  const [hello] = c.start();
  c.feed(tls.record(tls.CHANGE_CIPHER_SPEC, Uint8Array.of(1)));
  for (const b of s.feed(hello!).wire) c.feed(b);
  assert.equal([c.state, c.failure], ['open', null]);
});
Session('early data of a hello that is asked for another group is skipped, up to the second hello', () => {
  const retry = (h: hs.ClientHello): void => {
    replace(ext.keyShares([]))(h);
    h.extensions.push(ext.empty(ext.EARLY_DATA));
  };
  const early = tls.record(tls.APPLICATION_DATA, new Uint8Array(100));
  const s = greeted(retry);
  s.feed(early);
  assert.equal([s.state, s.failure], ['handshake', null]);
  s.feed(tls.record(tls.APPLICATION_DATA, new Uint8Array(16384)));
  assert.is(s.failure?.alert, tls.UNEXPECTED_MESSAGE, 'not without end');
  const s2 = greeted(retry);
  const h = hs.readClientHello(client().start()[0]!.slice(9))!;
  assert.is(s2.feed(tls.record(tls.HANDSHAKE, hs.writeClientHello(h))).wire.length, 1);
  s2.feed(early);
  assert.is(s2.failure?.alert, tls.BAD_RECORD_MAC);
});
Session('a bit of a peer’s CertificateVerify or Finished that is wrong: decrypt_error, both ways', () => {
  // Each side signs or ends as it should; the byte is changed before it is sealed.
  class Liar extends TlsServer {
    lie = 0;
    protected override sendMessage(m: Uint8Array): void {
      const b = m.slice();
      if (b[0] === this.lie) b[b.length - 1]! ^= 1;
      super.sendMessage(b);
    }
  }
  class LyingClient extends TlsClient {
    lie = 0;
    protected override sendMessage(m: Uint8Array, version?: number): void {
      const b = m.slice();
      if (b[0] === this.lie) b[b.length - 1]! ^= 1;
      super.sendMessage(b, version);
    }
  }
  for (const lie of [hs.CERTIFICATE_VERIFY, hs.FINISHED]) {
    const s = new Liar({ random: random('server'), choose: () => shop });
    s.lie = lie;
    const c = client();
    talk(c, s);
    assert.equal([c.failure?.alert, c.failure?.by], [tls.DECRYPT_ERROR, 'local'], `server's ${lie}`);
    const c2 = new LyingClient({ random: random('client'), serverName: 'shop.example', alpn: [], credentials: pod });
    c2.lie = lie;
    const s2 = server({ clientAuth: 'require' });
    talk(c2, s2);
    assert.equal([s2.failure?.alert, s2.failure?.by], [tls.DECRYPT_ERROR, 'local'], `client's ${lie}`);
  }
});
Session('KeyUpdate: the peer’s keys turn, ours turn when asked; too many are refused', () => {
  const keys: string[] = [];
  const [c, s] = [client({ keyLog: (l) => void keys.push(l) }), server()];
  talk(c, s);
  const secret = keys.find((l) => l.startsWith('CLIENT_TRAFFIC_SECRET_0'))!.split(' ')[2]!;
  let k = new TrafficKeys(SUITES[0]!, unhex(secret));
  const update = (asked: number): Uint8Array => {
    const r = k.seal(tls.HANDSHAKE, hs.message(hs.KEY_UPDATE, Uint8Array.of(asked)));
    k = k.next();
    return r;
  };
  const [answer] = s.feed(update(1)).wire;
  assert.ok(answer !== undefined && c.feed(answer).wire.length === 0);
  assert.is(hex(c.feed(s.write(Uint8Array.of(5))).plain), '05');
  assert.is(hex(s.feed(k.seal(tls.APPLICATION_DATA, Uint8Array.of(6))).plain), '06');
  for (let i = 0; i < 33; i++) s.feed(update(0));
  assert.is(s.failure?.alert, tls.UNEXPECTED_MESSAGE);
});
Session('the end of the transport without close_notify is a failure, with it is none', () => {
  const [c, s] = [client(), server()];
  talk(c, s);
  s.feed(c.close());
  assert.equal([s.eof, s.state], [true, 'open']);
  assert.is(hex(c.feed(s.write(Uint8Array.of(9))).plain), '09', 'half-closed');
  c.feed(s.close());
  assert.equal([s.state, s.failure, c.state, c.failure], ['closed', null, 'closed', null]);
  const [c2, s2] = [client(), server()];
  talk(c2, s2);
  s2.end();
  assert.is(s2.failure?.by, 'eof');
});
Session.run();
