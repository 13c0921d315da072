/**
 * `podwire app tcp-proxy --listen ADDRESS:PORT --to ADDRESS:PORT… [--send-proxy v1|v2] [--accept-proxy]`: a load balancer that
 * ends its clients' TCP connections and makes its own to the servers, in turn.
 *
 * It connects once the client's first bytes have come, or after 200 ms for protocols where the server speaks first: a PROXY
 * header then goes in the segment of those bytes. A server that refuses is passed over; where all do, the client's connection
 * is closed. The end of either stream is passed on. Runs on the seam of lib/apps/l7, so on real sockets as well. Not here:
 * health checks, time-outs of idle connections.
 * @module
 */
import { aton } from '../../wire/inet.js';
import { MS } from '../sim/sim.js';
import { strerror } from './errno.js';
import { EngineIo } from './l7/engine-io.js';
import type { Alarm, Conn, ConnHandler, Endpoint, Io } from './l7/io.js';
import { joined } from './l7/message.js';
import { proxyProtocol, writeV1, writeV2 } from './l7/proxy-protocol.js';
import type { Program } from './program.js';

/** How long the client may be silent before its server is connected to. */
const SILENCE = 200 * MS;
/** Bytes that wait for a slow side before the other one is not read any more. */
const MUCH = 65536;
const MAX_SERVERS = 1000;

export const TCP_PROXY_USAGE = '--listen ADDRESS:PORT --to ADDRESS:PORT… [--send-proxy v1|v2] [--accept-proxy]';

export interface TcpProxyOptions {
  listen: Endpoint;
  to: Endpoint[];
  /** The PROXY header for the servers; null: none. */
  sendProxy: 'v1' | 'v2' | null;
  /** Clients bring a PROXY header. */
  acceptProxy: boolean;
}

function endpoint(text: string | undefined): Endpoint | null {
  const m = /^([\d.]+):(\d{1,5})$/.exec(text ?? '');
  const address = m === null ? null : aton(m[1]!);
  const port = Number(m?.[2] ?? 0);
  return address === null || port < 1 || port > 65535 ? null : { address, port };
}

/** The options of a command line from the word after `tcp-proxy`, or null. */
export function tcpProxyArgs(args: readonly string[]): TcpProxyOptions | null {
  let listen: Endpoint | null = null;
  const to: Endpoint[] = [];
  let sendProxy: TcpProxyOptions['sendProxy'] = null;
  let acceptProxy = false;
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--accept-proxy' && !acceptProxy) {
      acceptProxy = true;
      continue;
    }
    const [name, value] = [args[i]!, args[++i]];
    if (name === '--send-proxy' && (value === 'v1' || value === 'v2') && sendProxy === null) sendProxy = value;
    else {
      const e = endpoint(value);
      if (e === null || (name !== '--listen' && name !== '--to') || (name === '--listen' && listen !== null)) return null;
      if (name === '--listen') listen = e;
      else to.push(e);
    }
  }
  return listen === null || to.length === 0 || to.length > MAX_SERVERS ? null : { listen, to, sendProxy, acceptProxy };
} // prettier-ignore

/** Serves; `failed` gets the errno where the port cannot be had. */
export function tcpProxy(io: Io, o: TcpProxyOptions, failed: (errno: number) => void): void {
  let turn = 0;
  const relay = (conn: Conn): ConnHandler => new Relay(io, o, conn, () => turn++);
  io.listen(o.listen, (conn) => (o.acceptProxy ? proxyProtocol(conn, relay) : relay(conn)), failed);
}

/** One client and its server. */
class Relay implements ConnHandler {
  private readonly io: Io;
  private readonly o: TcpProxyOptions;
  private readonly client: Conn;
  private readonly turn: () => number;
  private readonly silence: Alarm;
  private server: Conn | null = null;
  private connected = false;
  private started = false;
  private over = false;
  /** The client has finished. */
  private ended = false;
  private early: Uint8Array[] = [];

  constructor(io: Io, o: TcpProxyOptions, client: Conn, turn: () => number) {
    this.io = io;
    this.o = o;
    this.client = client;
    this.turn = turn;
    this.silence = io.alarm(SILENCE, () => this.start());
  }

  data(bytes: Uint8Array): void {
    if (this.connected) {
      this.server!.send(bytes);
      if (this.server!.pending > MUCH) this.client.pause();
      return;
    }
    this.early.push(bytes.slice());
    if (this.early.reduce((n, b) => n + b.length, 0) > MUCH) this.client.pause();
    this.start();
  }

  eof(): void {
    this.ended = true;
    if (this.connected) this.server!.end();
    else this.start();
  }

  closed(): void {
    this.over = true;
    this.silence.cancel();
    this.server?.close();
  }

  drained(): void {
    this.server?.resume();
  }

  private start(): void {
    if (this.started || this.over) return;
    this.started = true;
    this.silence.cancel();
    this.attempt(this.turn(), 0);
  }

  private attempt(first: number, tried: number): void {
    const { to } = this.o;
    if (tried === to.length) return this.client.close();
    this.io.connect(to[(first + tried) % to.length]!, (conn) => {
      this.server = conn;
      return {
        open: () => this.opened(conn),
        data: (bytes) => {
          this.client.send(bytes);
          if (this.client.pending > MUCH) conn.pause();
        },
        eof: () => this.client.end(),
        closed: () => {
          if (this.over) return;
          if (this.connected) this.client.close();
          else this.attempt(first, tried + 1);
        },
        drained: () => this.client.resume(),
      };
    });
  }

  /** The header and what the client has sent so far go in one write. */
  private opened(conn: Conn): void {
    this.connected = true;
    const { sendProxy } = this.o;
    const whom = { source: this.client.peer, destination: this.client.local };
    const head = sendProxy === null ? [] : [sendProxy === 'v1' ? writeV1(whom) : writeV2(whom)];
    const all = [...head, ...this.early];
    this.early = [];
    if (all.length > 0) conn.send(joined(all));
    if (this.ended) conn.end();
    else this.client.resume();
  }
}

export const tcpProxyProgram: Program = (p) => {
  const o = tcpProxyArgs(p.argv.slice(3));
  if (o === null) {
    p.err(`podwire: app tcp-proxy: found "${p.argv.slice(3).join(' ')}", expected ${TCP_PROXY_USAGE}\n`);
    return p.exit(2);
  }
  const io = new EngineIo(p, null);
  p.onKill = () => io.closeAll();
  tcpProxy(io, o, (errno) => {
    p.err(`podwire app tcp-proxy: port ${o.listen.port}: ${strerror(errno)}\n`);
    p.exit(1);
  });
};
