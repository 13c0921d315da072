/** The TCP load balancer on real sockets: servers in turn, PROXY headers, ends that are passed on. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { tcpProxy, type TcpProxyOptions, tcpProxyArgs } from '../apps/tcp-proxy.js';
import { NodeIo } from './node-io.js';

const LOOPBACK = 0x7f000001;
const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

/** A server that answers each connection with its name, then with what it got; resolves to its port. */
function server(name: string, open: Server[]): Promise<number> {
  const s = createServer({ allowHalfOpen: true }, (c) => {
    const got: Buffer[] = [];
    c.on('data', (b) => got.push(b)).on('error', () => c.destroy());
    c.on('end', () => c.end(Buffer.concat([Buffer.from(`${name}:`), ...got])));
  });
  open.push(s);
  return new Promise((done) => s.listen(0, '127.0.0.1', () => done((s.address() as { port: number }).port)));
}

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const open: Server[] = [];
  const port = await server('', open);
  await new Promise((done) => open[0]!.close(done));
  return port;
}

/** A balancer before servers called a, b, …, and what an exchange through it gives. */
async function balancer(names: string[], options: Partial<TcpProxyOptions>) {
  const open: Server[] = [];
  const io = new NodeIo(1);
  const to: TcpProxyOptions['to'] = [];
  for (const n of names) to.push({ address: LOOPBACK, port: n === 'none' ? await freePort() : await server(n, open) });
  const port = await freePort();
  tcpProxy(io, { listen: { address: LOOPBACK, port }, to, sendProxy: null, acceptProxy: false, ...options }, (e) => assert.unreachable(`errno ${e}`)); // prettier-ignore
  await io.listening();
  const talk = (text: string | Uint8Array): Promise<{ got: Buffer; port: number }> =>
    new Promise((done) => {
      const got: Buffer[] = [];
      let local = 0;
      const c: Socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => {
        local = c.localPort!;
        c.end(text);
      });
      c.on('data', (b) => got.push(b)).on('error', () => c.destroy());
      c.on('close', () => done({ got: Buffer.concat(got), port: local }));
      c.on('end', () => c.destroy());
    });
  const close = (): void => {
    io.closeAll();
    for (const s of open) s.close();
  };
  return { port, talk, close, open };
}

const Proxy = suite('lib/cli/app-tcp-proxy');
let stop: (() => void)[] = [];
Proxy.after.each(() => {
  for (const s of stop) s();
  stop = [];
});
const start = async (...a: Parameters<typeof balancer>) => {
  const b = await balancer(...a);
  stop.push(b.close);
  return b;
};
Proxy('connections go to the servers in turn; one that refuses is passed over', async () => {
  const b = await start(['a', 'none', 'b'], {});
  const got: string[] = [];
  for (let i = 0; i < 4; i++) got.push((await b.talk(`hello ${i}`)).got.toString());
  assert.equal(got, ['a:hello 0', 'b:hello 1', 'b:hello 2', 'a:hello 3']);
});
Proxy('where every server refuses the connection is closed', async () => {
  const b = await start(['none', 'none'], {});
  assert.is((await b.talk('hello')).got.length, 0);
});
Proxy('a silent client is connected to its server all the same', async () => {
  const b = await start(['a'], { sendProxy: 'v1' });
  assert.match((await b.talk('')).got.toString(), /^a:PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\n$/);
});
Proxy('PROXY headers of both versions name the client and what it asked for', async () => {
  const one = await start(['a'], { sendProxy: 'v1' });
  const r = await one.talk('hello');
  assert.is(r.got.toString(), `a:PROXY TCP4 127.0.0.1 127.0.0.1 ${r.port} ${one.port}\r\nhello`);
  const two = await start(['a'], { sendProxy: 'v2' });
  const s = await two.talk('hello');
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(s.port, 0);
  ports.writeUInt16BE(two.port, 2);
  const head = Buffer.concat([SIGNATURE, Buffer.from('2111000c7f0000017f000001', 'hex'), ports]);
  assert.is(s.got.toString('hex'), Buffer.concat([Buffer.from('a:'), head, Buffer.from('hello')]).toString('hex'));
});
Proxy('a header that comes is understood and handed on in the other version; what brings none is closed', async () => {
  const b = await start(['a'], { acceptProxy: true, sendProxy: 'v1' });
  const v2 = Buffer.concat([SIGNATURE, Buffer.from('2111000ccb00710ac6336407a02a0050', 'hex'), Buffer.from('hi')]);
  assert.is((await b.talk(v2)).got.toString(), 'a:PROXY TCP4 203.0.113.10 198.51.100.7 41002 80\r\nhi');
  assert.is((await b.talk('GET / HTTP/1.1\r\n\r\n')).got.length, 0);
});
Proxy('200 damaged headers end in an answer or a close', async () => {
  const b = await start(['a'], { acceptProxy: true });
  const v1 = Buffer.from('PROXY TCP4 203.0.113.10 198.51.100.7 41002 80\r\nhi');
  const v2 = Buffer.concat([SIGNATURE, Buffer.from('2111000ccb00710ac6336407a02a0050', 'hex'), Buffer.from('hi')]);
  const damage = fc.array(fc.tuple(fc.nat(40), fc.nat(255)), { maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(v1, v2), damage, fc.nat(60), async (header, list, length) => {
      const bytes = Buffer.from(header.subarray(0, Math.max(1, length)));
      for (const [at, value] of list) if (at < bytes.length) bytes[at] = value;
      const { got } = await b.talk(bytes);
      assert.match(got.toString('latin1'), /^(a:[^]*)?$/);
    }),
    { numRuns: 200, seed: 1 },
  );
});
Proxy('tcpProxyArgs() takes nothing that it does not know', () => {
  const args = (text: string): TcpProxyOptions | null => tcpProxyArgs(text.split(' '));
  const ok = '--listen 0.0.0.0:80 --to 10.0.0.1:8080 --to 10.0.0.2:8080';
  assert.equal(args(`${ok} --send-proxy v2 --accept-proxy`), {
    listen: { address: 0, port: 80 },
    to: [{ address: 0x0a000001, port: 8080 }, { address: 0x0a000002, port: 8080 }], // prettier-ignore
    sendProxy: 'v2',
    acceptProxy: true,
  });
  for (const bad of ['', '--listen 0.0.0.0:80', '--to 10.0.0.1:8080', `${ok} --send-proxy v3`, `${ok} --listen 0.0.0.0:81`, `${ok} --to`, `${ok} --bogus`, `${ok} --accept-proxy --accept-proxy`, ok.replace('8080', '0')])
    assert.is(args(bad), null, bad);
}); // prettier-ignore
Proxy.run();
