import dnsPacket from 'dns-packet';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type DnsMessage, packDns, type Part, type Rr, truncateDns, TYPE, validName } from './dns.js';
import { unpackDns, unpackDnsPartly } from './dns-unpack.js';

const label = fc.string({ unit: fc.constantFrom(...'abcXYZ019-_'), minLength: 1, maxLength: 12 });
const hard = fc.uint8Array({ minLength: 1, maxLength: 12 }).map((b) =>
  Array.from(b, (c) => (c < 33 || c > 126 ? `\\${String(c).padStart(3, '0')}` : c === 46 || c === 92 ? `\\${String.fromCharCode(c)}` : String.fromCharCode(c))).join(''),
); // prettier-ignore
const name = fc.array(fc.oneof({ weight: 4, arbitrary: label }, hard), { maxLength: 6 }).map((l) => (l.length === 0 ? '.' : l.map((x) => x + '.').join(''))); // prettier-ignore
const plain = (n: number): fc.Arbitrary<Part> => fc.uint8Array({ minLength: n, maxLength: n });
const to = (compress: boolean): fc.Arbitrary<Part> => name.map((n) => ({ name: n, compress }));
const DATA: [number, fc.Arbitrary<Part[]>][] = [
  [TYPE.A, fc.tuple(plain(4))],
  [TYPE.AAAA, fc.tuple(plain(16))],
  [TYPE.CNAME, fc.tuple(to(true))],
  [TYPE.NS, fc.tuple(to(true))],
  [TYPE.PTR, fc.tuple(to(true))],
  [TYPE.MX, fc.tuple(plain(2), to(true))],
  [TYPE.SRV, fc.tuple(plain(6), to(false))],
  [TYPE.SOA, fc.tuple(to(true), to(true), plain(20))],
  [TYPE.TXT, fc.tuple(plain(9))],
  [65280, fc.tuple(plain(7))],
];
const rr: fc.Arbitrary<Rr> = fc.oneof(
  ...DATA.map(([type, data]) =>
    fc.record({ name, type: fc.constant(type), cls: fc.nat(65535), ttl: fc.nat(2 ** 32 - 1), data }),
  ),
);
const message: fc.Arbitrary<DnsMessage> = fc.record({
  id: fc.nat(65535),
  flags: fc.nat(65535),
  question: fc.array(fc.record({ name, type: fc.nat(65535), cls: fc.nat(65535) }), { maxLength: 2 }),
  answer: fc.array(rr, { maxLength: 5 }),
  authority: fc.array(rr, { maxLength: 3 }),
  additional: fc.array(rr, { maxLength: 3 }),
});
const text = (m: DnsMessage | null): string =>
  JSON.stringify(m && [m.id, m.flags, m.question, m.answer, m.authority, m.additional]);
const same = (a: DnsMessage | null, b: DnsMessage): void => assert.is(text(a), text(b));

const Dns = suite('wire/dns');
Dns('unpackDns() reads back what packDns() wrote, compressed or not', () => {
  fc.assert(
    fc.property(message, fc.boolean(), (m, compress) => {
      same(unpackDns(packDns(m, compress)), m);
      assert.ok(packDns(m, true).length <= packDns(m, false).length);
    }),
    { numRuns: 500 },
  );
});
Dns('packDns() is read by dns-packet, and its messages by unpackDns()', () => {
  const dotted = (n: string): string => n.replace(/\.$/, '') || '.';
  const easy = fc.array(label, { minLength: 1, maxLength: 5 }).map((l) => l.map((x) => x + '.').join(''));
  const ip = fc.uint8Array({ minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(easy, easy, ip, fc.nat(65535), fc.boolean(), (owner, target, a, n, compress) => {
      const of = (type: number, data: Part[]): Rr => ({ name: owner, type, cls: 1, ttl: n, data });
      const m: DnsMessage = {
        id: n, flags: 0x8580, question: [{ name: owner, type: TYPE.A, cls: 1 }], authority: [], additional: [],
        answer: [
          of(TYPE.A, [a]), of(TYPE.CNAME, [{ name: target, compress: true }]),
          of(TYPE.SRV, [Uint8Array.of(0, 1, 0, 2, 0, 80), { name: target, compress: false }]),
        ],
      }; // prettier-ignore
      const d = dnsPacket.decode(Buffer.from(packDns(m, compress)));
      assert.is(d.id, n);
      assert.equal(d.questions, [{ name: dotted(owner), type: 'A', class: 'IN' }]);
      const got = d.answers!.map((x) => [x.type, x.name, 'ttl' in x ? x.ttl : -1, 'data' in x ? x.data : null]);
      assert.equal(got, [
        ['A', dotted(owner), n, a.join('.')],
        ['CNAME', dotted(owner), n, dotted(target)],
        ['SRV', dotted(owner), n, { priority: 1, weight: 2, port: 80, target: dotted(target) }],
      ]);
      same(unpackDns(new Uint8Array(dnsPacket.encode(d))), m);
    }),
  );
});
Dns('unpackDns() of every truncation of a message ends, and is null or a message', () => {
  fc.assert(
    fc.property(message, fc.boolean(), (m, compress) => {
      const b = packDns(m, compress);
      for (let n = 0; n < b.length; n++) {
        const cut = unpackDns(b.subarray(0, n));
        if (n < 12) assert.is(cut, null);
      }
    }),
    { numRuns: 100 },
  );
});
Dns('unpackDns() of random bytes and of flipped bits never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (b) => void unpackDns(b)),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(message, fc.nat(), fc.nat(255), (m, at, x) => {
      const b = packDns(m, true);
      b[at % b.length]! ^= x;
      unpackDns(b);
    }),
    { numRuns: 1000 },
  );
});
Dns('unpackDns() ends at pointers that loop, and quickly where pointers are many', () => {
  const head = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
  for (const loop of [
    [0xc0, 12],
    [0xc0, 14, 0xc0, 12],
    [1, 97, 0xc0, 12],
  ])
    assert.is(unpackDns(Uint8Array.from([...head, ...loop, 0, 1, 0, 1])), null);
  // 65,535 bytes of records whose owners are the longest chain of pointers that is followed.
  const b = new Uint8Array(65535);
  b.set([0, 1, 0x80, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]);
  let at = 12;
  for (let i = 0; i < 124; i++, at += 2) b.set(i === 0 ? [0, 0] : [0xc0 | ((at - 2) >> 8), (at - 2) & 255], at);
  const last = at - 2;
  for (; at + 12 <= b.length; at += 12) b.set([0xc0 | (last >> 8), last & 255, 0, 1, 0, 1, 0, 0, 0, 9, 0, 0], at);
  const start = process.hrtime.bigint();
  unpackDns(b);
  assert.ok(process.hrtime.bigint() - start < 2_000_000_000n, 'within two seconds');
});
Dns('unpackDnsPartly() keeps the question of a message with a malformed record', () => {
  const m: DnsMessage = { id: 1, flags: 0, question: [{ name: 'a.', type: 1, cls: 1 }], answer: [], authority: [], additional: [] }; // prettier-ignore
  const b = packDns(
    { ...m, answer: [{ name: 'a.', type: TYPE.A, cls: 1, ttl: 1, data: [Uint8Array.of(1, 2, 3)] }] },
    true,
  );
  assert.equal(unpackDnsPartly(b), { message: m, ok: false });
});
Dns('truncateDns() never exceeds the limit, drops from the end, sets TC exactly when it dropped', () => {
  fc.assert(
    fc.property(message, fc.integer({ min: 300, max: 700 }), (m, limit) => {
      fc.pre(packDns({ ...m, answer: [], authority: [], additional: [] }, true).length <= limit);
      const { message: t, compress } = truncateDns(m, limit);
      const count = (x: DnsMessage): number => x.answer.length + x.authority.length + x.additional.length;
      assert.ok(packDns(t, compress).length <= limit);
      assert.is((t.flags & 0x200) !== 0, (m.flags & 0x200) !== 0 || count(t) < count(m));
      assert.equal(t.answer, m.answer.slice(0, t.answer.length));
      if (packDns(m, false).length <= limit) same(t, m);
    }),
  );
});
Dns('validName() holds RFC 1035 limits', () => {
  assert.ok(validName('.') && validName(`${'a'.repeat(63)}.`) && validName('a\\.b.'));
  assert.not(validName(`${'a'.repeat(64)}.`));
  assert.not(validName('a..b.'));
  assert.not(validName(`${`${'a'.repeat(63)}.`.repeat(4)}`));
});
Dns.run();
