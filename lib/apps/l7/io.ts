/**
 * The seam between a proxy and the sockets it runs on: connections as values, time and randomness as parameters.
 *
 * Two thin adapters stand behind it: engine-io.ts on the emulator's sockets, lib/cli/node-io.ts on the machine's own, so that
 * one program serves the engine, the recording kernel and any curl on this machine. A `Layer` is a protocol between a Conn and
 * its handler (TLS, the PROXY header): it has a Conn below and offers one above.
 *
 *   socket ─▶ Conn ─▶ Layer (PROXY header) ─▶ Conn ─▶ Layer (TLS) ─▶ Conn ─▶ ConnHandler (HTTP)
 *
 * Nothing here waits or throws; every call may come from any callback.
 * @module
 */
import type { Rng } from '../../sim/rng.js';

/** Bytes that may wait on one side of a proxy before their source is not read any more. */
export const HIGH_WATER = 65536;

/** An IPv4 address (int32) and a port. */
export interface Endpoint {
  readonly address: number;
  readonly port: number;
}

/** What TLS has agreed on, for whoever is above it. */
export interface TlsInfo {
  /** The SNI host name as the client sent it, lower case; null: none. */
  readonly serverName: string | null;
  /** The protocol of ALPN; null: none. */
  readonly alpn: string | null;
  /** The peer's certificate chain, leaf first, DER; empty: it sent none. */
  readonly peerCertificates: readonly Uint8Array[];
}

/** One connection, as its handler uses it. */
export interface Conn {
  readonly local: Endpoint;
  /** Who is at the other end; behind a PROXY header, whom that names. */
  readonly peer: Endpoint;
  readonly tls: TlsInfo | null;
  /** Where the client wanted to go before REDIRECT or DNAT on this machine (SO_ORIGINAL_DST); `local` when it was not turned. */
  originalDst(): Endpoint;
  /** One write(2): what does not fit waits, in order. Ignored after `end` and `close`. */
  send(bytes: Uint8Array): void;
  /** Bytes that wait for room; `drained` of the handler tells when none is left. */
  readonly pending: number;
  /** shutdown(SHUT_WR) after what waits; the handler goes on reading. Closed once the peer has finished too. */
  end(): void;
  /** close(2) after what waits: the handler hears `closed` and nothing else. */
  close(): void;
  /** Ends it with a RST, at once (SO_LINGER of 0 s): the handler hears `closed` and nothing else. */
  reset(): void;
  /** No `data` until `resume`; the peer's window fills. */
  pause(): void;
  resume(): void;
}

/** What a program does with one connection. */
export interface ConnHandler {
  /** The connection stands (of `connect` only; an accepted one stands from the start; above TLS: the handshake is over). */
  open?(): void;
  data(bytes: Uint8Array): void;
  /** The peer will send no more (FIN, close_notify). Called once, before `closed`. */
  eof(): void;
  /** It is over; nothing is called after it. 0: in good order, else the errno of connect(2), read(2) or write(2). */
  closed(errno: number): void;
  /** All that waited has been handed over. */
  drained?(): void;
}

export interface Listener {
  close(): void;
}

export interface Alarm {
  cancel(): void;
}

export interface ConnectOptions {
  /** Bind to this address first. */
  readonly source?: number;
}

/** The world of a program. */
export interface Io {
  /** Nanoseconds on a clock that never goes back. */
  now(): number;
  /** Seconds since 1970, for Date headers: of the virtual clock where there is one. */
  wall(): number;
  /** Calls `fire` in `ns` nanoseconds unless cancelled. */
  alarm(ns: number, fire: () => void): Alarm;
  /** Calls `fire` once the callback that runs now has returned. */
  soon(fire: () => void): void;
  /** The generator of one purpose: the same seed and purpose give the same draws on every machine. Keep the result. */
  rng(purpose: string): Rng;
  /** Connects; failure is the handler's `closed(errno)`, never within this call. */
  connect(to: Endpoint, make: (conn: Conn) => ConnHandler, options?: ConnectOptions): void;
  /** Serves an address and port (address 0: all) from now on; an errno when they cannot be had. Real sockets report it late: see `failed`. */
  listen(at: Endpoint, accept: (conn: Conn) => ConnHandler, failed?: (errno: number) => void): Listener;
  /** A line of the NSS key log: in the engine for the capture, on real sockets for the file that SSLKEYLOGFILE names. */
  secret(line: string): void;
  /** A line for the program's log (stderr). */
  log(line: string): void;
}

/** A protocol between a Conn and its handler: takes the Conn below, calls `above` once with the Conn it offers. */
export type Layer = (below: Conn, above: (conn: Conn) => ConnHandler) => ConnHandler;
