/** Layers on both sides of a pipe. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Rng } from '../../sim/rng.js';
import type { Conn, ConnHandler, Layer } from '../l7/io.js';
import { issue, makeAuthority } from '../x509/authority.js';
import { CN } from '../x509/certificate.js';
import { tlsClient, tlsServer } from './layer.js';
import { randomFrom } from './random.js';

const made = randomFrom(new Rng(1, 'layer'));
const ca = makeAuthority(made, [[CN, 'CA']], { notBefore: 0 });
const shop = issue(ca, made, { dnsNames: ['shop'], notBefore: 0 });
const text = (b: Uint8Array): string => new TextDecoder().decode(b);
const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);

/** One end of a pipe; calls wait in a queue, as the sockets of an Io do. */
class Pipe implements Conn {
  readonly local = { address: 1, port: 1 };
  readonly peer = { address: 2, port: 2 };
  readonly tls = null;
  readonly pending = 0;
  other!: Pipe;
  handler!: ConnHandler;
  private done = false;
  private readonly queue: (() => void)[];

  constructor(queue: (() => void)[]) {
    this.queue = queue;
  }
  originalDst = () => this.local;
  send(b: Uint8Array): void {
    if (b.length > 0 && !this.done) this.queue.push(() => this.other.handler.data(b));
  }
  end(): void {
    if (this.done) return;
    this.done = true;
    this.queue.push(() => this.other.handler.eof());
  }
  close(): void {
    this.end();
    this.queue.push(() => this.handler.closed(0));
  }
  reset(): void {
    this.done = true;
    this.queue.push(
      () => this.other.handler.closed(104),
      () => this.handler.closed(0),
    );
  }
  pause(): void {}
  resume(): void {}
}

/** A client's and a server's handlers that write down what they hear. */
function pair(client: Layer, server: Layer, speak: (c: Conn) => void) {
  const queue: (() => void)[] = [];
  const [a, b] = [new Pipe(queue), new Pipe(queue)];
  a.other = b;
  b.other = a;
  const heard: string[] = [];
  const listen = (who: string, conn: Conn, on: Partial<ConnHandler> = {}): ConnHandler => ({
    open: () => {
      heard.push(`${who} open ${conn.tls?.serverName} ${conn.tls?.alpn}`);
      on.open?.();
    },
    data: (d) => {
      heard.push(`${who} ${text(d)}`);
      on.data?.(d);
    },
    eof: () => {
      heard.push(`${who} eof`);
      on.eof?.();
    },
    closed: (e) => heard.push(`${who} closed ${e}`),
  });
  a.handler = client(a, (c) => listen('client', c, { open: () => speak(c) }));
  b.handler = server(b, (c) => {
    heard.push(`server ${c.tls?.serverName}`);
    return listen('server', c, { data: () => c.send(bytes('pong')), eof: () => c.end() });
  });
  a.handler.open?.();
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) next();
  return heard;
}

const client = tlsClient(() => ({ random: randomFrom(new Rng(1, 'c')), serverName: 'Shop', alpn: ['http/1.1'] }));
const Layers = suite('lib/apps/tls/layer');
Layers('plaintext and ends arrive on the other side', () => {
  const server = tlsServer(() => ({ random: randomFrom(new Rng(1, 's')), choose: () => shop, alpn: ['http/1.1'] }));
  const heard = pair(client, server, (c) => {
    c.send(bytes('ping'));
    c.end();
  });
  assert.equal(heard.slice(0, 2).sort(), ['client open shop http/1.1', 'server shop']);
  assert.equal(heard.slice(2), ['server ping', 'server eof', 'client pong', 'client eof']);
});
Layers('a handshake that the server refuses ends both', () => {
  let why = '';
  const server = tlsServer(() => ({ random: randomFrom(new Rng(1, 's')), choose: () => 112 }));
  const c = tlsClient(
    () => ({ random: randomFrom(new Rng(1, 'c')), serverName: 'x', alpn: [] }),
    (f) => (why = f.reason),
  );
  assert.equal(pair(c, server, () => {}), ['client closed 71']); // prettier-ignore
  assert.is(why, 'the peer said unrecognized_name');
});
Layers('plain HTTP is answered in the clear', () => {
  const plain: Layer = (below, above) => above(below);
  const server = tlsServer(
    () => ({ random: randomFrom(new Rng(1, 's')), choose: () => shop }),
    (f) => (f.plain === undefined ? null : bytes('HTTP/1.1 400 Bad Request\r\n\r\n')),
  );
  const heard = pair(plain, server, (c) => c.send(bytes('GET / HTTP/1.1\r\n\r\n')));
  assert.equal(heard, ['client open undefined undefined', 'client HTTP/1.1 400 Bad Request\r\n\r\n', 'client eof']);
});
Layers.run();
