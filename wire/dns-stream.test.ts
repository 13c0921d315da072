import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DnsStream, frameAll, frameDns } from './dns-stream.js';

const Stream = suite('wire/dns-stream');

Stream('frameDns() puts two bytes of length before a message', () => {
  assert.equal([...frameDns(Uint8Array.of(7, 8, 9))], [0, 3, 7, 8, 9]);
  assert.equal([...frameDns(new Uint8Array(258))].slice(0, 3), [1, 2, 0]);
});

Stream('DnsStream gives back what was framed, however the stream was cut', () => {
  const message = fc.uint8Array({ maxLength: 600 });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), fc.array(fc.nat(700), { maxLength: 20 }), (messages, cuts) => {
      const all = frameAll(messages);
      const at = [0, ...cuts.map((c) => Math.min(c, all.length)).sort((a, b) => a - b), all.length];
      const stream = new DnsStream();
      const got: Uint8Array[] = [];
      for (let i = 1; i < at.length; i++) {
        stream.push(all.subarray(at[i - 1], at[i]));
        for (let m = stream.take(); m !== null; m = stream.take()) got.push(m);
      }
      assert.equal(
        got.map((m) => [...m]),
        messages.map((m) => [...m]),
      );
      assert.is(stream.missing, 2);
    }),
  );
});

Stream('missing tells what a reader that reads no further must read', () => {
  const stream = new DnsStream();
  assert.is(stream.missing, 2);
  stream.push(Uint8Array.of(0));
  assert.is(stream.missing, 1);
  stream.push(Uint8Array.of(3));
  assert.is(stream.missing, 3);
  stream.push(Uint8Array.of(1, 2));
  assert.is(stream.missing, 1);
});

Stream('many small messages and pieces cost no more than their bytes', () => {
  const stream = new DnsStream();
  const n = 1 << 20;
  stream.push(new Uint8Array(2 * n));
  let got = 0;
  while (stream.take() !== null) got++;
  assert.is(got, n);
  for (let i = 0; i < n; i++) stream.push(Uint8Array.of(255));
  assert.is(stream.take()!.length, 65535);
});

Stream.run();
