/**
 * A TCP server the way Node's net module runs one: every readable socket is read and answered at once, the end of the
 * peer's stream is answered with our own.
 * @module
 */
import { EAGAIN, type TcpSock } from '../linux/ipv4/tcp.js';

const CHUNK = 65536;
/** listen() backlog that Node asks for. */
export const BACKLOG = 511;

/** What a server does with one connection's bytes. */
export interface Handler {
  /** Bytes came: what to send, and whether to close after it. */
  data(bytes: Uint8Array): { bytes: Uint8Array; close: boolean };
  /** What `data` wanted sent has been handed over. */
  answered?(): void;
}

export interface Server {
  close(): void;
}

/** Serves `port`; a positive errno when it cannot be had. */
export function listenTcp(
  sock: TcpSock,
  addr: number,
  port: number,
  make: (sock: TcpSock) => Handler,
): Server | number {
  sock.reuse = true;
  let err = sock.bind(addr, port);
  if (err === 0) err = sock.listen(BACKLOG);
  if (err !== 0) {
    sock.close();
    return -err;
  }
  const open = new Set<Conn>();
  sock.onReady = () => {
    for (let c = sock.accept(); c !== null; c = sock.accept()) open.add(new Conn(c, make(c), open));
  };
  return {
    close: () => {
      for (const c of open) c.sock.close();
      sock.close();
    },
  };
}

class Conn {
  readonly sock: TcpSock;
  private readonly handler: Handler;
  private readonly all: Set<Conn>;
  private out: Uint8Array[] = [];
  /** The peer has finished; we shall send nothing more; the FIN is out. */
  private eof = false;
  private ending = false;
  private ended = false;

  constructor(sock: TcpSock, handler: Handler, all: Set<Conn>) {
    this.sock = sock;
    this.handler = handler;
    this.all = all;
    sock.onReady = () => this.ready();
    sock.net.kernel.sim.wake(sock);
  }

  private ready(): void {
    this.flush();
    while (this.all.has(this) && !this.eof && this.sock.readable) this.read();
  }

  private read(): void {
    const r = this.sock.recv(CHUNK);
    if (typeof r === 'number') {
      if (r !== -EAGAIN) this.destroy();
      return;
    }
    if (r.length === 0) this.eof = this.ending = true;
    else {
      const reply = this.handler.data(r);
      if (reply.bytes.length > 0 && !this.ending) this.out.push(reply.bytes);
      if (reply.close) this.ending = true;
    }
    this.flush();
    if (r.length > 0) this.handler.answered?.();
  }

  /** Sends what waits; then the FIN if we are done, and the end once the peer is done too. */
  private flush(): void {
    while (this.out.length > 0) {
      const b = this.out[0]!;
      const n = this.sock.send(b);
      if (n < 0) {
        if (n !== -EAGAIN) this.destroy();
        return;
      }
      if (n < b.length) this.out[0] = b.subarray(n);
      else this.out.shift();
    }
    if (this.ending && !this.ended) {
      this.ended = true;
      this.sock.shutdown();
    }
    if (this.ended && this.eof) this.destroy();
  }

  private destroy(): void {
    this.all.delete(this);
    this.out = [];
    this.sock.close();
  }
}
