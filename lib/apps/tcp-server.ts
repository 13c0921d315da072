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
  /** The peer has finished: `shut` answers with our own end, at once if this is absent. */
  eof?(shut: () => void): void;
  /** The connection is over. */
  closed?(): void;
}

/** A connection as its handler may use it between two calls. */
export interface Writer {
  write(bytes: Uint8Array): void;
  /** close(): what has not been sent yet is sent first. */
  close(): void;
}

export interface Server {
  close(): void;
}

/** Serves `port`; a positive errno when it cannot be had. */
export function listenTcp(
  sock: TcpSock,
  addr: number,
  port: number,
  make: (sock: TcpSock, out: Writer) => Handler,
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
    for (let c = sock.accept(); c !== null; c = sock.accept()) open.add(new Conn(c, make, open));
  };
  return {
    close: () => {
      for (const c of [...open]) c.close();
      sock.close();
    },
  };
}

class Conn implements Writer {
  readonly sock: TcpSock;
  private readonly handler: Handler;
  private readonly all: Set<Conn>;
  private out: Uint8Array[] = [];
  /** The peer has finished; we shall send nothing more; the FIN is out. */
  private eof = false;
  private ending = false;
  private ended = false;

  constructor(sock: TcpSock, make: (sock: TcpSock, out: Writer) => Handler, all: Set<Conn>) {
    this.sock = sock;
    this.all = all;
    this.handler = make(sock, this);
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
    if (r.length === 0) {
      this.eof = true;
      const shut = (): void => {
        this.ending = true;
        this.flush();
      };
      if (this.handler.eof === undefined) return shut();
      return this.handler.eof(shut);
    } else {
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

  write(bytes: Uint8Array): void {
    if (this.ending || !this.all.has(this)) return;
    this.out.push(bytes);
    this.flush();
  }

  close(): void {
    if (this.all.has(this)) this.destroy();
  }

  private destroy(): void {
    this.all.delete(this);
    this.out = [];
    this.handler.closed?.();
    this.sock.close();
  }
}
