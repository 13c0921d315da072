/** The TLS codec against RFC 8448 section 3, and against hostile bytes. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hex, unhex } from './bytes.js';
import * as ext from './tls-extensions.js';
import * as hs from './tls-handshake.js';
import * as tls from './tls.js';

const CLIENT_HELLO = unhex(`
  010000c00303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece7000006130113031302010000910000000b0009000006
  736572766572ff01000100000a00140012001d0017001800190100010101020103010400230000003300260024001d002099381de560e4bd43d23d8e
  435a7dbafeb3c06e51c13cae4d5413691e529aaf2c002b0003020304000d0020001e0403050306030203080408050806040105010601020104020502
  06020202002d00020101001c00024001`);
const SERVER_HELLO = unhex(`
  020000560303a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e2692800130100002e00330024001d0020c9828876112095fe
  66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f002b00020304`);

const Tls = suite('wire/tls');
Tls('readClientHello() takes the hello of RFC 8448 apart, writeClientHello() puts it together', () => {
  const h = hs.readClientHello(CLIENT_HELLO.subarray(4))!;
  assert.is(hex(h.random), 'cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece7');
  assert.equal(h.suites, [0x1301, 0x1303, 0x1302]);
  const get = (t: number): Uint8Array => ext.find(h.extensions, t)!;
  assert.is(ext.readServerName(get(ext.SERVER_NAME)), 'server');
  assert.equal(ext.readVersions(get(ext.SUPPORTED_VERSIONS)), [tls.TLS13]);
  assert.equal(ext.readList(get(ext.SUPPORTED_GROUPS))!.slice(0, 3), [tls.X25519, tls.SECP256R1, 0x18]);
  const [share] = ext.readKeyShares(get(ext.KEY_SHARE))!;
  assert.is(hex(share!.key), '99381de560e4bd43d23d8e435a7dbafeb3c06e51c13cae4d5413691e529aaf2c');
  assert.is(hex(hs.writeClientHello(h)), hex(CLIENT_HELLO));
});
Tls('readServerHello() takes the hello of RFC 8448 apart, writeServerHello() puts it together', () => {
  const h = hs.readServerHello(SERVER_HELLO.subarray(4))!;
  assert.is(h.suite, tls.AES_128_GCM_SHA256);
  assert.not(hs.isRetry(h));
  assert.is(ext.readKeyShare(ext.find(h.extensions, ext.KEY_SHARE)!)!.group, tls.X25519);
  assert.is(hex(hs.writeServerHello(h)), hex(SERVER_HELLO));
});
Tls('every shorter hello is malformed', () => {
  // A hello may end before its extensions.
  const ends = [4 + 2 + 32 + 1 + 8 + 2, 4 + 2 + 32 + 1 + 3];
  for (let n = 4; n < CLIENT_HELLO.length; n++) {
    assert.is(hs.readClientHello(CLIENT_HELLO.subarray(4, n)) === null, n !== ends[0], `${n} bytes`);
  }
  for (let n = 4; n < SERVER_HELLO.length; n++) {
    assert.is(hs.readServerHello(SERVER_HELLO.subarray(4, n)) === null, n !== ends[1], `${n} bytes`);
  }
});
Tls('the writers and the readers of extensions agree', () => {
  assert.is(ext.readServerName(ext.serverName('a.example').data), 'a.example');
  assert.equal(ext.readAlpn(ext.alpn(['h2', 'http/1.1']).data), ['h2', 'http/1.1']);
  assert.equal(ext.readList(ext.list(ext.SIGNATURE_ALGORITHMS, [0x403, 0x804]).data), [0x403, 0x804]);
  assert.equal(ext.readVersions(ext.versions([0x304, 0x303]).data), [0x304, 0x303]);
  assert.is(ext.readUint16(ext.uint16(ext.KEY_SHARE, 23).data), 23);
  assert.is(hex(ext.readCookie(ext.cookie(Uint8Array.of(1, 2)).data)!), '0102');
  assert.is(ext.readServerName(unhex('0005 00 0002 6100')), null, 'a NUL in a name');
  assert.is(ext.readServerName(unhex('0008 00 0001 61 00 0001 62')), null, 'two names');
  assert.is(ext.readAlpn(unhex('0001 00')), null, 'an empty protocol');
});
Tls('messages of a server flight survive a round trip', () => {
  const c: hs.Certificate = { context: unhex(''), entries: [{ der: unhex('3000'), extensions: [] }] };
  assert.equal(hs.readCertificate(hs.writeCertificate(c).subarray(4)), c);
  const v = { scheme: 0x403, signature: unhex('3003020101') };
  assert.equal(hs.readCertificateVerify(hs.writeCertificateVerify(v).subarray(4)), v);
  const r: hs.CertificateRequest = { context: unhex(''), extensions: [ext.list(ext.SIGNATURE_ALGORITHMS, [0x403])] };
  assert.equal(hs.readCertificateRequest(hs.writeCertificateRequest(r).subarray(4)), r);
  const ticket = hs.readNewSessionTicket(unhex('0000001e fad6aac5 02 0000 0002 abcd 0000'))!;
  assert.equal([ticket.lifetime, ticket.ageAdd, hex(ticket.ticket)], [30, 0xfad6aac5, 'abcd']);
});
Tls('streams give the same records and messages whatever the pieces', () => {
  const bytes = unhex('16 0301 0006 010000020303 17 0303 0001 aa 15 0303 0000');
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 30, maxLength: 30 }), (sizes) => {
      const r = new tls.RecordStream();
      const seen: string[] = [];
      let at = 0;
      for (const n of sizes) {
        r.push(bytes.subarray(at, at + n));
        at += n;
        for (let x = r.next(); x !== null && x !== tls.RECORD_OVERFLOW; x = r.next())
          seen.push(`${x.type} ${hex(x.fragment)}`);
      }
      assert.equal(seen, ['22 010000020303', '23 aa', '21 ']);
    }),
    { seed: 1 },
  );
});
Tls('a record that claims more than RFC 8446 allows is refused before it is there', () => {
  const r = new tls.RecordStream();
  r.push(unhex('17 0303 4101'));
  assert.is(r.next(), tls.RECORD_OVERFLOW);
});
Tls('no reader throws or reads outside for any bytes', () => {
  const readers: ((b: Uint8Array) => unknown)[] = [
    hs.readClientHello, hs.readServerHello, hs.readEncryptedExtensions, hs.readCertificateRequest, hs.readCertificate,
    hs.readCertificateVerify, hs.readNewSessionTicket, hs.readKeyUpdate, ext.readServerName, ext.readAlpn, ext.readList,
    ext.readVersions, ext.readUint16, ext.readKeyShares, ext.readKeyShare, ext.readCookie,
  ]; // prettier-ignore
  let n = 0;
  const good = [CLIENT_HELLO.subarray(4), SERVER_HELLO.subarray(4)];
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(...good)),
      fc.array(fc.tuple(fc.nat(250), fc.nat(255)), { maxLength: 4 }),
      (bytes, edits) => {
        const b = bytes.slice();
        for (const [at, v] of edits) if (at < b.length) b[at] = v;
        for (const f of readers) f(b);
        n++;
      },
    ),
    { seed: 2, numRuns: 2000 },
  );
  assert.is(n, 2000);
});
Tls.run();
