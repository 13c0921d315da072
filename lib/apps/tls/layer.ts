/**
 * TLS between a Conn and its handler: the layer of a server that terminates it and of a client that opens it (lib/apps/l7/io.ts).
 *
 * A server's handler is made once the handshake is over, when SNI and ALPN are known; a client's at once, it hears `open` then.
 * A handshake that fails ends the Conn below after its alert, as OpenSSL's users do; a client's handler hears closed(EPROTO).
 * @module
 */
import type { Conn, ConnHandler, Endpoint, Layer, TlsInfo } from '../l7/io.js';
import { TlsClient } from './client.js';
import { TlsServer } from './server.js';
import type { TlsClientOptions, TlsFailure, TlsOutput, TlsServerOptions, TlsSession } from './types.js';

/** What a handler's `closed` hears of a handshake that failed, or of bytes that were no TLS. */
export const EPROTO = 71;

/** The Conn above a session. */
class TlsConn implements Conn {
  private readonly below: Conn;
  private readonly session: TlsSession;

  constructor(below: Conn, session: TlsSession) {
    this.below = below;
    this.session = session;
  }

  get local(): Endpoint {
    return this.below.local;
  }
  get peer(): Endpoint {
    return this.below.peer;
  }
  get tls(): TlsInfo {
    return this.session;
  }
  get pending(): number {
    return this.below.pending;
  }
  originalDst(): Endpoint {
    return this.below.originalDst();
  }
  send(bytes: Uint8Array): void {
    this.below.send(this.session.write(bytes));
  }
  end(): void {
    this.below.send(this.session.close());
    this.below.end();
  }
  close(): void {
    this.below.send(this.session.close());
    this.below.close();
  }
  reset(): void {
    this.below.reset();
  }
  pause(): void {
    this.below.pause();
  }
  resume(): void {
    this.below.resume();
  }
}

/** Moves bytes between a session, the Conn below and the handler above. */
class Relay implements ConnHandler {
  private readonly below: Conn;
  private readonly session: TlsSession;
  private readonly ready: () => ConnHandler;
  private readonly refused: (f: TlsFailure) => Uint8Array | null;
  private inner: ConnHandler | null;
  private opened = false;
  private eofTold = false;
  private over = false;

  /** `ready` gives the handler, at the latest when the handshake is over. */
  constructor(
    below: Conn,
    session: TlsSession,
    inner: ConnHandler | null,
    ready: () => ConnHandler,
    refused: (f: TlsFailure) => Uint8Array | null,
  ) {
    this.below = below;
    this.session = session;
    this.inner = inner;
    this.ready = ready;
    this.refused = refused;
  }

  open(): void {
    for (const b of this.session.start()) this.below.send(b);
  }

  data(bytes: Uint8Array): void {
    if (this.over) return;
    const out: TlsOutput = this.session.feed(bytes);
    for (const b of out.wire) this.below.send(b);
    if (!this.opened && this.session.state === 'open') {
      this.opened = true;
      if (this.inner === null) this.inner = this.ready();
      else this.inner.open?.();
    }
    if (out.plain.length > 0) this.inner?.data(out.plain);
    if (this.session.failure !== null) return this.failed(this.session.failure);
    if (this.session.eof) this.tellEof();
  }

  private tellEof(): void {
    if (this.eofTold || this.over) return;
    this.eofTold = true;
    this.inner?.eof();
  }

  private failed(f: TlsFailure): void {
    const answer = this.refused(f);
    if (answer !== null) this.below.send(answer);
    this.below.close();
    this.finish(EPROTO);
  }

  private finish(errno: number): void {
    if (this.over) return;
    this.over = true;
    this.inner?.closed(errno);
  }

  /** A FIN without close_notify: a handshake has failed; data may have been cut, which HTTP sees for itself. */
  eof(): void {
    if (this.over) return;
    const cut = !this.opened;
    this.session.end();
    if (!cut) return this.tellEof();
    this.below.close();
    this.finish(EPROTO);
  }

  closed(errno: number): void {
    this.finish(errno);
  }

  drained(): void {
    this.inner?.drained?.();
  }
}

/**
 * Terminates TLS. `options` are asked for once a connection, whose generator must be its own. `refused` may answer what is no
 * TLS, in the clear (a plain HTTP request: `failure.plain`), before the connection ends.
 */
export const tlsServer =
  (
    options: (below: Conn) => TlsServerOptions,
    refused: (f: TlsFailure, below: Conn) => Uint8Array | null = () => null,
  ): Layer =>
  (below, above) => {
    const session = new TlsServer(options(below));
    const conn = new TlsConn(below, session);
    return new Relay(
      below,
      session,
      null,
      () => above(conn),
      (f) => refused(f, below),
    );
  };

/** Opens TLS on a connection that has been made; `failed` hears why a handshake did not succeed. */
export const tlsClient =
  (options: (below: Conn) => TlsClientOptions, failed: (f: TlsFailure) => void = () => {}): Layer =>
  (below, above) => {
    const session = new TlsClient(options(below));
    const inner = above(new TlsConn(below, session));
    return new Relay(
      below,
      session,
      inner,
      () => inner,
      (f) => {
        failed(f);
        return null;
      },
    );
  };
