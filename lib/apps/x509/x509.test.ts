/** Certificates: what is written is read back, what is hostile is refused, chains are judged as OpenSSL judges them. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hex, unhex } from '../../../wire/bytes.js';
import * as tls from '../../../wire/tls.js';
import { Rng } from '../../sim/rng.js';
import { randomFrom } from '../tls/random.js';
import { DAY, defaultCertificate, issue, makeAuthority, workload, YEAR } from './authority.js';
import {
  CLIENT_AUTH,
  CN,
  DIGITAL_SIGNATURE,
  KEY_CERT_SIGN,
  type Name,
  nameText,
  O,
  readCertificate,
  type Template,
  writeCertificate,
} from './certificate.js';
import { bits, DerReader, element, oid, SEQUENCE, sequence, unsigned, UTF8_STRING } from './der.js';
import { readPem, writePem } from './pem.js';
import { newP256 } from './private-key.js';
import { readPublicKey, verifySignature } from './public-key.js';
import { credentialsFromPem } from './secret.js';
import { coversHost, nameMatches, verifyChain } from './verify.js';

const NOW = 1704067200;
const random = randomFrom(new Rng(1, 'x509'));
const ca = makeAuthority(random, [[O, 'podwire'], [CN, 'CA']], { notBefore: NOW }); // prettier-ignore
const root = readCertificate(ca.certificate)!;
const leaf = issue(ca, random, { subject: [[CN, 'web']], dnsNames: ['web.example', '*.web.example'], notBefore: NOW });
const judge = (chain: readonly Uint8Array[], now = NOW, roots = [root]): number =>
  verifyChain(chain, { roots, now, usage: 'server' })?.code ?? 0;

const X509 = suite('lib/apps/x509');
X509('a certificate is read back as it was written', () => {
  const c = readCertificate(leaf.chain[0]!)!;
  assert.equal(c.dnsNames, ['web.example', '*.web.example']);
  assert.equal([c.commonName, nameText(c.issuer), c.ca], ['web', 'O=podwire; CN=CA', false]);
  assert.equal([c.notBefore, c.notAfter], [NOW, NOW + YEAR]);
  assert.is(c.scheme, tls.ECDSA_P256_SHA256);
  assert.ok(verifySignature(root.key!, c.scheme, c.tbs, c.signature));
});
X509('the same seed gives the same certificates', () => {
  const make = (): string =>
    hex(makeAuthority(randomFrom(new Rng(3, 'a')), [[CN, 'CA']], { notBefore: NOW }).certificate);
  assert.is(make(), make());
});
X509('times after 2049 are GeneralizedTime', () => {
  const key = newP256(random);
  const t = { serial: Uint8Array.of(1), subject: [], notBefore: NOW, notAfter: NOW + 40 * YEAR, keyUsage: 0x80 };
  const c = writeCertificate(t, key.spki, [], key);
  assert.match(hex(c), /170d3234303130313030303030305a180f32303633/);
  assert.is(readCertificate(c)!.notAfter, NOW + 40 * YEAR);
});
X509('chains are judged with OpenSSL’s codes', () => {
  const chain = leaf.chain;
  assert.is(judge(chain), 0);
  assert.is(judge([...chain, ca.certificate]), 0, 'a root in the chain does no harm');
  assert.is(judge(chain, NOW + 2 * YEAR), 10);
  assert.is(judge(chain, NOW - 1), 9);
  assert.is(judge(chain, NOW, []), 20);
  assert.is(judge([ca.certificate], NOW, []), 18);
  assert.is(judge([...chain, ca.certificate], NOW, []), 19);
  const other = makeAuthority(random, ca.name, { notBefore: NOW });
  assert.is(judge(chain, NOW, [readCertificate(other.certificate)!]), 7, 'a CA of the same name');
  const under = issue({ ...ca, certificate: chain[0]!, key: leaf.key, name: [[CN, 'web']] }, random, {
    notBefore: NOW,
  });
  assert.is(judge([under.chain[0]!, chain[0]!]), 79, 'a leaf is no CA');
  assert.is(judge([unhex('3000')]), 1);
});
X509('path lengths, uses of keys and an algorithm that is not the signed one are judged with OpenSSL’s codes', () => {
  // Each is issued by the one after it; the last is the root.
  const chain = (...edits: ((t: Template) => void)[]): Uint8Array[] => {
    let [key, name] = [ca.key, ca.name];
    const made: Uint8Array[] = [];
    for (const [i, edit] of edits.entries()) {
      const isLeaf = i === edits.length - 1;
      const own = newP256(random);
      const subject: Name = [[CN, `n${i}`]];
      const t: Template = { serial: Uint8Array.of(i + 1), subject, notBefore: NOW, notAfter: NOW + DAY, keyUsage: isLeaf ? DIGITAL_SIGNATURE : KEY_CERT_SIGN, ca: !isLeaf }; // prettier-ignore
      edit(t);
      made.unshift(writeCertificate(t, own.spki, name, key));
      [key, name] = [own, subject];
    }
    return made;
  };
  const plain = (): void => {};
  assert.is(judge(chain(plain, plain, plain)), 0);
  assert.is(judge(chain((t) => (t.pathLen = 1), plain, plain)), 0);
  assert.is(judge(chain((t) => (t.pathLen = 0), plain)), 0);
  assert.is(judge(chain((t) => (t.pathLen = 0), plain, plain)), 25);
  assert.is(judge(chain((t) => (t.extKeyUsage = [CLIENT_AUTH]), plain)), 26, 'a CA for clients');
  assert.is(judge(chain((t) => (t.keyUsage = DIGITAL_SIGNATURE), plain)), 79, 'a CA that may not sign');
  assert.is(judge(chain((t) => (t.keyUsage = KEY_CERT_SIGN))), 26, 'a leaf whose key is for certificates alone');
  assert.is(judge(chain((t) => (t.extKeyUsage = [CLIENT_AUTH]))), 26);
  const d = defaultCertificate('traefik', random, NOW);
  // The NULL after the OID of sha256WithRSAEncryption, outside of what is signed.
  const raw = d.chain[0]!.slice();
  const c = readCertificate(raw)!;
  raw[raw.length - 256 - 5 - 2] = UTF8_STRING;
  assert.is(c.scheme, tls.RSA_PKCS1_SHA256);
  assert.is(readCertificate(raw)!.scheme, 0);
});
X509('a critical extension that nobody knows is OpenSSL’s 34, not critical it does no harm', () => {
  // A leaf whose keyUsage (2.5.29.15, critical) becomes 2.5.29.99, signed again.
  const resigned = (critical: number): number => {
    const tbs = readCertificate(leaf.chain[0]!)!.tbs.slice();
    const at = hex(tbs).indexOf('0603551d0f0101ff') / 2;
    assert.ok(at > 0);
    tbs[at + 4] = 99;
    tbs[at + 7] = critical;
    return judge([sequence(tbs, sequence(oid('1.2.840.10045.4.3.2')), bits(ca.key.signCertificate(tbs)))]);
  };
  assert.equal([resigned(0xff), resigned(0)], [34, 0]);
});
X509('time and stack are bounded for any PEM and any name', () => {
  const start = process.hrtime.bigint();
  assert.equal(readPem(`-----BEGIN A-----${'\n'.repeat(1 << 20)}`), []);
  assert.ok(process.hrtime.bigint() - start < 5_000_000_000n, 'seconds, not hours');
  const key = newP256(random);
  const t = { serial: Uint8Array.of(1), subject: [], notBefore: NOW, notAfter: NOW + 1, keyUsage: DIGITAL_SIGNATURE };
  const long = readCertificate(writeCertificate({ ...t, dnsNames: ['a'.repeat(300_000)] }, key.spki, [], key))!;
  assert.is(long.dnsNames[0]!.length, 300_000);
  const six = issue(ca, random, { addresses: [new Uint8Array(16)], notBefore: NOW }).chain[0]!;
  assert.equal(readCertificate(six)!.addresses, ['0'.repeat(32)], 'an IPv6 address is one of its names');
});
X509('workload certificates have a SPIFFE identity and no subject', () => {
  const w = workload(ca, random, 'spiffe://cluster.local/ns/a/sa/b', NOW);
  const c = readCertificate(w.chain[0]!)!;
  assert.equal([c.uris, c.commonName, c.notAfter], [['spiffe://cluster.local/ns/a/sa/b'], '', NOW + DAY]);
  assert.is(judge(w.chain), 0);
});
X509('the default certificates of controllers are RSA 2048 and signed by themselves', () => {
  for (const which of ['ingress-nginx', 'traefik'] as const) {
    const d = defaultCertificate(which, random, NOW);
    const c = readCertificate(d.chain[0]!)!;
    assert.is(judge(d.chain), 18, which);
    assert.is(judge(d.chain, NOW, [c]), 0);
    assert.ok(verifySignature(c.key!, c.scheme, c.tbs, c.signature));
    const signature = d.key.sign(Uint8Array.of(1, 2), random);
    assert.ok(verifySignature(c.key!, d.key.scheme, Uint8Array.of(1, 2), signature));
    assert.not(verifySignature(c.key!, d.key.scheme, Uint8Array.of(1, 3), signature));
  }
});
X509('nameMatches() takes one label for a star', () => {
  for (const [pattern, host, yes] of [
    ['a.example', 'A.Example.', true], ['*.example.com', 'a.example.com', true], ['*.example.com', 'a.b.example.com', false],
    ['*.example.com', 'example.com', false], ['*.com', 'a.com', false], ['*', 'a', false], ['a*.example.com', 'ab.example.com', false],
  ] as const) assert.is(nameMatches(pattern, host), yes, `${pattern} ${host}`); // prettier-ignore
  const c = readCertificate(issue(ca, random, { addresses: [Uint8Array.of(10, 0, 0, 1)], notBefore: NOW }).chain[0]!)!;
  assert.equal([coversHost(c, '10.0.0.1'), coversHost(c, '10.0.0.2'), coversHost(c, 'a')], [true, false, false]);
});
X509('a Secret’s files are read; what does not fit is told in words', () => {
  const crt = writePem('CERTIFICATE', leaf.chain[0]!);
  assert.is(credentialsFromPem('', ''), 'found no CERTIFICATE in PEM');
  assert.is(credentialsFromPem(crt, ''), 'found no PRIVATE KEY in PEM');
  assert.is(
    credentialsFromPem(writePem('CERTIFICATE', unhex('3000')), ''),
    'the first certificate is not X.509 in DER',
  );
  const other = `-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8goAoGCCqGSM49
AwEHoUQDQgAEUVw24Q5a9g5Ub7tBKkFS5i3Gs5nfpYaZ1M1bXXPmf4vIm2ttTn7B
o5Q1Y3pjo4Sm2Cl0Z5b5nJd3yJ8wVxJ5hA==
-----END EC PRIVATE KEY-----
`;
  assert.is(credentialsFromPem(crt, other), "the private key is not the certificate's");
  assert.equal(readPem(`text\n${crt}${crt}`).length, 2);
});
X509('DER: integers and identifiers as X.690 has them; other lengths than the shortest are refused', () => {
  assert.is(hex(unsigned(unhex('0080'))), '02020080');
  assert.is(hex(unsigned(unhex('00007f'))), '02017f');
  assert.is(hex(oid('1.2.840.113549.1.1.11')), '06092a864886f70d01010b');
  assert.is(new DerReader(oid('2.5.29.17')).oid(), '2.5.29.17');
  assert.is(element(SEQUENCE, new Uint8Array(200)).length, 203);
  for (const bad of ['3080', '308101 00', '30820001 00', '3005 00', '30', '1f01 00']) {
    const r = new DerReader(unhex(bad));
    r.any();
    assert.not(r.ok, bad);
  }
});
X509('no reader throws for mutated certificates and keys; a mutation never verifies', () => {
  let verified = 0;
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { minLength: 1, maxLength: 3 }), (edits) => {
      const b = leaf.chain[0]!.slice();
      for (const [at, v] of edits) b[at % b.length] = v;
      const same = hex(b) === hex(leaf.chain[0]!);
      readPublicKey(b);
      const c = readCertificate(b);
      if (c !== null && !same && c.dnsNames.length > 0 && judge([b]) === 0) verified++;
    }),
    { seed: 4, numRuns: 1500 },
  );
  assert.is(verified, 0);
});
X509.run();
