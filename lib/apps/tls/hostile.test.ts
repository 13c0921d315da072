/**
 * 100,000 mutated records, at servers and clients, before and after keys: none throws, none waits for ever, each ends in an
 * alert that RFC 8446 has for it, in a close, or was still good.
 */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { unhex } from '../../../wire/bytes.js';
import * as hs from '../../../wire/tls-handshake.js';
import * as tls from '../../../wire/tls.js';
import { Rng } from '../../sim/rng.js';
import { issue, makeAuthority } from '../x509/authority.js';
import { CN, readCertificate } from '../x509/certificate.js';
import { verifyChain } from '../x509/verify.js';
import { TlsClient } from './client.js';
import { TlsConnection } from './connection.js';
import { SUITES, TrafficKeys } from './keys.js';
import { randomFrom } from './random.js';
import { TlsServer } from './server.js';
import type { TlsSession } from './types.js';

const NOW = 1704067200;
const made = randomFrom(new Rng(1, 'hostile'));
const ca = makeAuthority(made, [[CN, 'CA']], { notBefore: NOW });
const shop = issue(ca, made, { dnsNames: ['shop.example'], notBefore: NOW });
const roots = [readCertificate(ca.certificate)!];
const zeros = (n: number): Uint8Array => new Uint8Array(n).fill(1);

/** Alerts that a peer's bytes can earn. */
const EARNED = new Set([
  tls.UNEXPECTED_MESSAGE, tls.BAD_RECORD_MAC, tls.RECORD_OVERFLOW, tls.HANDSHAKE_FAILURE, tls.ILLEGAL_PARAMETER,
  tls.DECODE_ERROR, tls.DECRYPT_ERROR, tls.PROTOCOL_VERSION, tls.MISSING_EXTENSION, tls.UNSUPPORTED_EXTENSION,
  tls.UNRECOGNIZED_NAME, tls.NO_APPLICATION_PROTOCOL, tls.UNKNOWN_CA, tls.BAD_CERTIFICATE, tls.CERTIFICATE_EXPIRED,
  tls.CERTIFICATE_UNKNOWN, tls.UNSUPPORTED_CERTIFICATE, tls.CERTIFICATE_REQUIRED,
]); // prettier-ignore

let mutated = 0;
const ends = new Map<string, number>();
const count = (what: string): void => void ends.set(what, (ends.get(what) ?? 0) + 1);

/** What a session made of a record; `clear`: its alert is not encrypted. */
function judge(s: TlsSession, wire: readonly Uint8Array[], clear: boolean): void {
  mutated++;
  const f = s.failure;
  if (f === null) {
    count(s.state === 'closed' ? 'closed' : s.state);
    if (s.state === 'closed') return;
    // It waits for more, or goes on: the end of the transport ends it.
    s.end();
    assert.is(s.state, 'closed');
    return;
  }
  assert.is(s.state, 'closed');
  count(f.by === 'peer' ? 'by the peer' : f.alert === null ? 'closed' : tls.alertName(f.alert));
  if (f.by !== 'local' || f.alert === null) return assert.ok(wire.length === 0 || f.by !== 'local');
  assert.ok(EARNED.has(f.alert), `${tls.alertName(f.alert)}: ${f.reason}`);
  const last = wire.at(-1)!;
  if (clear) assert.equal([...last.slice(-7)], [21, 3, 3, 0, 2, 2, f.alert]);
  else assert.equal([...last.slice(-24, -19)], [23, 3, 3, 0, 19]);
  // Nothing more is heard or said.
  assert.equal(s.feed(zeros(64)).wire.length + s.write(zeros(1)).length + s.close().length, 0);
}

/** Edits of bytes: [where, how, what]. */
type Edit = [number, number, number];
const edits = (most: number) =>
  fc.array(fc.tuple(fc.nat(1 << 16), fc.nat(5), fc.nat(255)), { minLength: 1, maxLength: most });

/** Flips, sets, cuts, doubles and moves bytes; `fix`: the lengths of the record and of its message are right again. */
function mutate(b: Uint8Array, list: readonly Edit[], fix: boolean): Uint8Array {
  let out = [...b];
  for (const [where, how, what] of list) {
    const at = out.length === 0 ? 0 : where % out.length;
    if (how === 0) out[at]! ^= 1 << (what & 7);
    else if (how === 1) out[at] = what;
    else if (how === 2) out.splice(at, 1 + (what & 7));
    else if (how === 3) out.splice(at, 0, ...out.slice(at, at + (what & 15)));
    else if (how === 4) out = out.slice(0, Math.max(6, at));
    else out[at] = what & 1 ? 0xff : 0;
  }
  const m = Uint8Array.from(out);
  if (fix && m.length >= 9) {
    m.set([(m.length - 5) >> 8, (m.length - 5) & 255], 3);
    m.set([0, (m.length - 9) >> 8, (m.length - 9) & 255], 6);
    m.set([22, 3, 1], 0);
  }
  return m;
}

const newClient = (n: number): TlsClient =>
  new TlsClient({
    random: randomFrom(new Rng(n, 'client')),
    serverName: 'shop.example',
    alpn: ['http/1.1'],
    verify: (chain) => verifyChain(chain, { roots, now: NOW + 1, usage: 'server' }),
  });
const hello = newClient(1).start()[0]!;
/** `deep`: with a certificate, so that a hello which is good is answered. */
const newServer = (deep: boolean): TlsServer =>
  new TlsServer({
    random: randomFrom(new Rng(7, 'server')),
    alpn: ['http/1.1'],
    choose: () => (deep ? shop : tls.UNRECOGNIZED_NAME),
  });

/** A connection whose handshake is over, without the time that one takes. */
class Open extends TlsConnection {
  constructor() {
    super({ random: zeros });
    this.state = 'open';
    this.readKeys = READ.next();
    this.writeKeys = READ;
  }
  start(): readonly Uint8Array[] {
    return [];
  }
  protected message(): void {}
  protected later(m: hs.HandshakeMessage): void {
    this.fail(tls.UNEXPECTED_MESSAGE, `message ${m.type}`);
  }
}
const READ = new TrafficKeys(SUITES[0]!, zeros(32));

const Hostile = suite('lib/apps/tls/hostile');
Hostile('mutated ClientHellos: 83,000 records', () => {
  fc.assert(
    fc.property(edits(4), fc.boolean(), (list, fix) => {
      const s = newServer(false);
      const out = s.feed(mutate(hello, list, fix));
      judge(s, out.wire, true);
    }),
    { seed: 1, numRuns: 83_000 },
  );
});
Hostile('mutated ClientHellos at a server that answers those which are good: 1,000 records', () => {
  fc.assert(
    fc.property(edits(2), (list) => {
      const s = newServer(true);
      const out = s.feed(mutate(hello, list, true));
      judge(s, out.wire, out.wire.length === 1 && out.wire[0]!.length === 7);
    }),
    { seed: 2, numRuns: 1000 },
  );
});
Hostile('mutated records between peers whose handshake is over: 12,000, sealed or broken after sealing', () => {
  const plain = fc.uint8Array({ minLength: 0, maxLength: 40 });
  fc.assert(
    fc.property(plain, fc.nat(30), fc.boolean(), edits(2), (content, type, sealed, list) => {
      const record = READ.next().seal(type, content);
      const s = new Open();
      const out = s.feed(sealed ? record : mutate(record, list, false));
      judge(s, out.wire, false);
    }),
    { seed: 3, numRuns: 12_000 },
  );
});
Hostile('mutated ServerHellos: 2,000 records', () => {
  const good = newServer(true).feed(hello).wire[0]!.slice(0, 127);
  const first = newClient(1);
  first.start();
  fc.assert(
    fc.property(edits(2), fc.boolean(), (list, fix) => {
      const c = newClient(1);
      c.start();
      const out = c.feed(mutate(good, list, fix));
      judge(c, out.wire, true);
    }),
    { seed: 4, numRuns: 2000 },
  );
});
Hostile('server flights with mutated messages under good keys: 2,000 records', () => {
  // The messages of a flight, and the secret that seals them.
  const keys: string[] = [];
  const s = new TlsServer({
    random: randomFrom(new Rng(7, 'server')),
    alpn: ['http/1.1'],
    choose: () => shop,
    keyLog: (l) => void keys.push(l),
  });
  const flight = s.feed(hello).wire[0]!;
  const secret = unhex(keys[1]!.split(' ')[2]!);
  const open = new TrafficKeys(SUITES[0]!, secret);
  const stream = new tls.RecordStream();
  stream.push(flight);
  const serverHello = flight.slice(0, 127);
  const messages: Uint8Array[] = [];
  for (let r = stream.next(); r !== null && r !== tls.RECORD_OVERFLOW; r = stream.next()) {
    if (r.type === tls.APPLICATION_DATA) messages.push(open.open(r)!.slice(0, -1));
  }
  assert.equal(messages.map((m) => m[0]), [hs.ENCRYPTED_EXTENSIONS, hs.CERTIFICATE, hs.CERTIFICATE_VERIFY, hs.FINISHED]); // prettier-ignore
  fc.assert(
    fc.property(fc.nat(3), edits(2), fc.boolean(), (which, list, lengths) => {
      const c = newClient(1);
      c.start();
      c.feed(serverHello);
      const seal = new TrafficKeys(SUITES[0]!, secret);
      const wire: Uint8Array[] = [];
      for (const [i, m] of messages.entries()) {
        // Five bytes of a record before it, for the lengths to be set.
        const bad = i === which ? mutate(Uint8Array.of(22, 3, 3, 0, 0, ...m), list, lengths).slice(5) : m;
        wire.push(...c.feed(seal.seal(tls.HANDSHAKE, bad)).wire);
        if (c.state !== 'handshake') break;
      }
      const good = c.state === 'open';
      if (good) count('open');
      judge(c, wire, !good);
    }),
    { seed: 5, numRuns: 2000 },
  );
});
Hostile('all were counted, and every end that a peer can earn before keys was met', () => {
  assert.is(mutated, 100_000);
  for (const what of [
    'decode_error',
    'illegal_parameter',
    'protocol_version',
    'handshake_failure',
    'missing_extension',
    'unexpected_message',
    'record_overflow',
    'bad_record_mac',
    'closed',
    'handshake',
  ]) {
    assert.ok((ends.get(what) ?? 0) > 0, `${what}: ${JSON.stringify([...ends])}`);
  }
});
Hostile.run();
