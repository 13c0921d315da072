/**
 * Envoy's TCP proxy: bytes from one connection to another, both ways, ends included (tcp_proxy.cc).
 * @module
 */
import { type Conn, type ConnectOptions, type ConnHandler, type Endpoint, HIGH_WATER, type Io, type Layer } from '../../apps/l7/io.js'; // prettier-ignore

/** Where a connection goes on to. */
export interface TcpRoute {
  readonly to: Endpoint;
  readonly options: ConnectOptions;
  readonly layer: Layer | null;
}

/** One connection of a client, joined to one that it opens. */
export class TcpProxy implements ConnHandler {
  private readonly client: Conn;
  private upstream: Conn | null = null;
  private up = false;
  private over = false;
  /** What came before the upstream stood, and how much it is. */
  private waiting: Uint8Array[] = [];
  private size = 0;
  private ended = false;

  constructor(io: Io, client: Conn, route: TcpRoute) {
    this.client = client;
    const above = (conn: Conn): ConnHandler => {
      this.upstream = conn;
      return this.otherSide();
    };
    const layer = route.layer;
    io.connect(route.to, (conn) => (layer === null ? above(conn) : layer(conn, above)), route.options);
  }

  data(bytes: Uint8Array): void {
    if (this.over) return;
    if (!this.up) {
      this.waiting.push(bytes);
      this.size += bytes.length;
      if (this.size > HIGH_WATER) this.client.pause();
      return;
    }
    this.upstream!.send(bytes);
    if (this.upstream!.pending > HIGH_WATER) this.client.pause();
  }

  eof(): void {
    this.ended = true;
    if (this.up) this.upstream!.end();
  }

  closed(): void {
    if (this.over) return;
    this.over = true;
    this.upstream?.close();
  }

  drained(): void {
    this.upstream?.resume();
  }

  private otherSide(): ConnHandler {
    return {
      open: () => {
        this.up = true;
        for (const b of this.waiting) this.upstream!.send(b);
        this.waiting = [];
        if (this.ended) this.upstream!.end();
        else if (this.size > HIGH_WATER && this.upstream!.pending <= HIGH_WATER) this.client.resume();
      },
      data: (bytes) => {
        this.client.send(bytes);
        if (this.client.pending > HIGH_WATER) this.upstream!.pause();
      },
      eof: () => this.client.end(),
      closed: () => {
        if (this.over) return;
        this.over = true;
        // Envoy reads nothing of its client before it is through: what has come is thrown away with the connection.
        if (this.waiting.length > 0) this.client.reset();
        else this.client.close();
      },
      drained: () => this.client.resume(),
    };
  }
}
