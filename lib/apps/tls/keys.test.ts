/** The key schedule against RFC 8448 section 3 (Simple 1-RTT Handshake). */
import { x25519 } from '@noble/curves/ed25519.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hex, unhex } from '../../../wire/bytes.js';
import { ALERT, RecordStream } from '../../../wire/tls.js';
import { readPublicKeyOf } from '../x509/certificate.js';
import { verifySignature } from '../x509/public-key.js';
import { deriveSecret, expandLabel, finishedMac, handshakeSecret, masterSecret, signedContent, SUITES, TrafficKeys, Transcript } from './keys.js'; // prettier-ignore

const CLIENT_HELLO = unhex(`
  010000c00303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece7000006130113031302010000910000000b0009000006
  736572766572ff01000100000a00140012001d0017001800190100010101020103010400230000003300260024001d002099381de560e4bd43d23d8e
  435a7dbafeb3c06e51c13cae4d5413691e529aaf2c002b0003020304000d0020001e0403050306030203080408050806040105010601020104020502
  06020202002d00020101001c00024001`);
const SERVER_HELLO = unhex(`
  020000560303a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e2692800130100002e00330024001d0020c9828876112095fe
  66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f002b00020304`);
const ENCRYPTED_EXTENSIONS = unhex('080000240022000a00140012001d00170018001901000101010201030104001c0002400100000000');
const CERTIFICATE = unhex(`
  0b0001b9000001b50001b0308201ac30820115a003020102020102300d06092a864886f70d01010b0500300e310c300a06035504031303727361301e
  170d3136303733303031323335395a170d3236303733303031323335395a300e310c300a0603550403130372736130819f300d06092a864886f70d01
  0101050003818d0030818902818100b4bb498f8279303d980836399b36c6988c0c68de55e1bdb826d3901a2461eafd2de49a91d015abbc9a95137ace
  6c1af19eaa6af98c7ced43120998e187a80ee0ccb0524b1b018c3e0b63264d449a6d38e22a5fda430846748030530ef0461c8ca9d9efbfae8ea6d1d0
  3e2bd193eff0ab9a8002c47428a6d35a8d88d79f7f1e3f0203010001a31a301830090603551d1304023000300b0603551d0f0404030205a0300d0609
  2a864886f70d01010b05000381810085aad2a0e5b9276b908c65f73a7267170618a54c5f8a7b337d2df7a594365417f2eae8f8a58c8f8172f9319cf3
  6b7fd6c55b80f21a03015156726096fd335e5e67f2dbf102702e608ccae6bec1fc63a42a99be5c3eb7107c3c54e9b9eb2bd5203b1c3b84e0a8b2f759
  409ba3eac9d91d402dcc0cc8f8961229ac9187b42b4de10000`);
const CERTIFICATE_VERIFY = unhex(`
  0f000084080400805a747c5d88fa9bd2e55ab085a61015b7211f824cd484145ab3ff52f1fda8477b0b7abc90db78e2d33a5c141a078653fa6bef780c
  5ea248eeaaa785c4f394cab6d30bbe8d4859ee511f602957b15411ac027671459e46445c9ea58c181e818e95b8c3fb0bf3278409d3be152a3da5043e
  063dda65cdf5aea20d53dfacd42f74f3`);
const SERVER_FINISHED = '9b9b141d906337fbd2cbdce71df4deda4ab42c309572cb7fffee5454b78f0718';
const CLIENT_FINISHED = 'a8ec436d677634ae525ac1fcebe11a039ec17694fac6e98527b642f2edd5ce61';

const SERVER_SHARE = unhex('c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f');
const CLIENT_SECRET = unhex('49af42ba7f7994852d713ef2784bcbcaa7911de26adc5642cb634540e7ea5005');
const SUITE = SUITES[0]!;
const shared = x25519.getSharedSecret(CLIENT_SECRET, SERVER_SHARE);
const handshake = handshakeSecret(SUITE, shared);

const Keys = suite('lib/apps/tls/keys');
Keys('the handshake secrets and keys are those of RFC 8448', () => {
  assert.is(hex(shared), '8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d');
  assert.is(hex(handshake), '1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac');
  const t = new Transcript();
  t.choose(SUITE);
  t.add(CLIENT_HELLO);
  t.add(SERVER_HELLO);
  assert.is(hex(t.hash), '860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8');
  const client = deriveSecret(SUITE, handshake, 'c hs traffic', t.hash);
  const server = deriveSecret(SUITE, handshake, 's hs traffic', t.hash);
  assert.is(hex(client), 'b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21');
  assert.is(hex(server), 'b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38');
  assert.is(hex(expandLabel(SUITE, server, 'key', new Uint8Array(0), 16)), '3fce516009c21727d0f2e4e86ee403bc');
  assert.is(hex(expandLabel(SUITE, server, 'iv', new Uint8Array(0), 12)), '5d313eb2671276ee13000b30');
});
Keys('the signature and both Finished are those of RFC 8448', () => {
  const t = new Transcript();
  t.choose(SUITE);
  for (const m of [CLIENT_HELLO, SERVER_HELLO]) t.add(m);
  const client = deriveSecret(SUITE, handshake, 'c hs traffic', t.hash);
  const server = deriveSecret(SUITE, handshake, 's hs traffic', t.hash);
  t.add(ENCRYPTED_EXTENSIONS);
  t.add(CERTIFICATE);
  const key = readPublicKeyOf(CERTIFICATE.subarray(11, 11 + 0x1b0))!;
  const signature = CERTIFICATE_VERIFY.slice(8);
  assert.ok(verifySignature(key, 0x0804, signedContent('server', t.hash), signature));
  signature[5]! ^= 1;
  assert.not(verifySignature(key, 0x0804, signedContent('server', t.hash), signature));
  t.add(CERTIFICATE_VERIFY);
  assert.is(hex(finishedMac(SUITE, server, t.hash)), SERVER_FINISHED);
  t.add(unhex(`14000020${SERVER_FINISHED}`));
  assert.is(hex(finishedMac(SUITE, client, t.hash)), CLIENT_FINISHED);
  const master = masterSecret(SUITE, handshake);
  assert.is(hex(master), '18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919');
  assert.is(
    hex(deriveSecret(SUITE, master, 'c ap traffic', t.hash)),
    '9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5',
  );
  assert.is(
    hex(deriveSecret(SUITE, master, 'exp master', t.hash)),
    'fe22f881176eda18eb8f44529e6792c50c9a3f89452f68d8ae311b4309d3cf50',
  );
});
Keys('the closing alert of the client is sealed as in RFC 8448', () => {
  const keys = (): TrafficKeys =>
    new TrafficKeys(SUITE, unhex('9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5'));
  const k = keys();
  k.seal(
    23,
    Uint8Array.from({ length: 50 }, (_, i) => i),
  );
  const alert = k.seal(ALERT, Uint8Array.of(1, 0));
  assert.is(hex(alert), '1703030013c9872760655666b74d7ff1153efd6db6d0b0e3');
  const r = new RecordStream();
  r.push(alert);
  const record = r.next();
  const k2 = keys();
  k2.seal(23, new Uint8Array(0));
  assert.is(hex(k2.open(record as never)!), '010015');
  assert.is(keys().open(record as never), null, 'another sequence number');
});
Keys.run();
