/** `podwire app tcp-proxy`: a TCP load balancer on real sockets. */
import { createServer } from 'node:net';
import { strerror } from '../apps/errno.js';
import { tcpProxy, type TcpProxyOptions, tcpProxyArgs, TCP_PROXY_USAGE } from '../apps/tcp-proxy.js';
import { tellReady, visit } from './app-ready.js';
import { NodeIo } from './node-io.js';
import { UsageError } from './usage.js';

export async function main(args: string[]): Promise<number> {
  const o = tcpProxyArgs(args);
  if (o === null) throw new UsageError(`app tcp-proxy: found "${args.join(' ')}", expected ${TCP_PROXY_USAGE}`);
  if (process.env['PODWIRE_READY_DIR'] !== undefined) await warm(o);
  const io = new NodeIo(1);
  return new Promise((resolve) => {
    tcpProxy(io, o, (errno) => {
      process.stderr.write(`podwire app tcp-proxy: port ${o.listen.port}: ${strerror(errno)}\n`);
      resolve(1);
    });
    void io.listening().then(() => tellReady());
  });
}

const LOOPBACK = 0x7f000001;
/** Ports that no Lab is likely to use, before its first step. */
const [WARM_PORT, WARM_SERVER] = [58081, 58082];
const WARM_UP = 3;

/** Some connections through another instance: a fresh process's first ones take tens of milliseconds. */
async function warm(o: TcpProxyOptions): Promise<void> {
  const io = new NodeIo(1);
  const server = createServer((c) => c.pipe(c)).listen(WARM_SERVER, '127.0.0.1');
  // Another balancer of this namespace that warms up at the same time has the ports.
  server.on('error', () => {});
  const [listen, to] = [WARM_PORT, WARM_SERVER].map((port) => ({ address: LOOPBACK, port })) as [typeof o.listen, typeof o.listen]; // prettier-ignore
  tcpProxy(io, { ...o, listen, to: [to], acceptProxy: false }, () => {});
  await io.listening();
  for (let i = 0; i < WARM_UP; i++) await visit(WARM_PORT, (c) => c.end('hello'));
  server.close();
  io.closeAll();
}
