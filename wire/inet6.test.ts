import { Address6 } from 'ip-address';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { addressBytes, addressText, aton6, ntoa6 } from './inet6.js';

const Inet6 = suite('wire/inet6');
Inet6('aton6() reads back what ntoa6() prints, which ip-address prints too', () => {
  const word = fc.oneof(fc.constant(0), fc.nat(0xffff));
  fc.assert(
    fc.property(fc.array(word, { minLength: 8, maxLength: 8 }), (words) => {
      const b = Uint8Array.from(words.flatMap((w) => [w >> 8, w & 255]));
      const text = ntoa6(b);
      assert.equal(aton6(text), b);
      if (!text.includes('.')) assert.is(text, new Address6(words.map((w) => w.toString(16)).join(':')).correctForm());
    }),
    { numRuns: 500 },
  );
});
Inet6('aton6() takes embedded IPv4 and refuses everything else', () => {
  assert.equal(aton6('::ffff:10.0.0.1')!.slice(10), Uint8Array.of(255, 255, 10, 0, 0, 1));
  for (const t of ['', ':', ':::', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1::2::3', 'g::', '12345::', '::1%eth0', '1.2.3.4', '::1.2.3', '1:2:3:4:5:6:7::8']) assert.is(aton6(t), null, t); // prettier-ignore
});
Inet6('addressBytes() and addressText() take both families', () => {
  for (const t of ['10.96.0.1', 'fd00:10:96::20', '::', '2001:db8::']) assert.is(addressText(addressBytes(t)!), t);
});
Inet6.run();
