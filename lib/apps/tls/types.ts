/**
 * What a TLS 1.3 session (RFC 8446) takes and gives. Sans-IO: bytes in, bytes out; no clock, no sockets, no randomness but
 * what `random` gives; hostile bytes end in an alert, never in an exception.
 *
 *   const s = new TlsServer({ random, choose: () => credentials, alpn: ['http/1.1'] });
 *   const out = s.feed(bytes);      // out.wire → one write(2) each; out.plain → the application
 *   if (s.state === 'open') conn.send(s.write(reply));
 *   conn.send(s.close());           // close_notify
 * @module
 */
import type { PrivateKey } from '../x509/private-key.js';

/** `n` bytes that nobody can guess, or that a seed repeats. One source a connection: equal client randoms make key lines collide. */
export type RandomSource = (n: number) => Uint8Array;

/** A certificate chain, leaf first, DER, and the leaf's private key. */
export interface Credentials {
  readonly chain: readonly Uint8Array[];
  readonly key: PrivateKey;
}

/** What a ClientHello asks for, as far as a server chooses by it. */
export interface Hello {
  /** SNI host name, lower case as DNS compares; null: none. */
  readonly serverName: string | null;
  /** In the client's order; empty: no ALPN. */
  readonly alpn: readonly string[];
}

/** Why a session ended otherwise than by close_notify. */
export interface TlsFailure {
  /** AlertDescription (RFC 8446 6.2); null: closed without one. */
  readonly alert: number | null;
  /** `local`: we have refused the peer; `peer`: its alert says so; `eof`: the transport ended without close_notify. */
  readonly by: 'local' | 'peer' | 'eof';
  /** In words, for a log. */
  readonly reason: string;
  /** The peer's first bytes, when they are no TLS at all (a plain HTTP request to an HTTPS port). */
  readonly plain?: Uint8Array;
}

/** What a call has made. */
export interface TlsOutput {
  /** To the peer, one write(2) each; empty: nothing. */
  readonly wire: readonly Uint8Array[];
  /** To the application; empty: nothing. */
  readonly plain: Uint8Array;
}

/** `handshake` → `open` → `closed`; `closed` as soon as either side has failed or both have said close_notify. */
export type TlsState = 'handshake' | 'open' | 'closed';

/** Either side. */
export interface TlsSession {
  readonly state: TlsState;
  /** Null while all is well, and after an orderly end. */
  readonly failure: TlsFailure | null;
  /** The peer will write no more (close_notify); its end is not ours, `write` still works. */
  readonly eof: boolean;
  /** SNI of the ClientHello, lower case. */
  readonly serverName: string | null;
  /** The protocol agreed on. */
  readonly alpn: string | null;
  /** The cipher suite's number, once the ServerHello is there. */
  readonly cipherSuite: number;
  /** The peer's chain, leaf first, DER; empty: it sent none. */
  readonly peerCertificates: readonly Uint8Array[];
  /** Client: the ClientHello. Server: nothing. Call once, first. */
  start(): readonly Uint8Array[];
  /** Takes bytes of the transport, in pieces of any size. */
  feed(bytes: Uint8Array): TlsOutput;
  /** Records of application data, in one piece for one write(2); empty unless `open`, or after `close`. */
  write(plain: Uint8Array): Uint8Array;
  /** close_notify; empty when there is none to send. */
  close(): Uint8Array;
  /** The transport has ended (FIN): without a close_notify before, that is a failure. */
  end(): void;
}

export interface TlsOptions {
  readonly random: RandomSource;
  /** Told each line of the NSS key log, without its end of line. */
  readonly keyLog?: (line: string) => void;
}

/**
 * What a server answers a ClientHello with: credentials, an alert's number, or `close`: the connection ends without an alert (as
 * Envoy does when no filter chain matches).
 */
export type Choice = Credentials | number | 'close';

export interface TlsServerOptions extends TlsOptions {
  readonly choose: (hello: Hello) => Choice;
  /** Cipher suites in the order of preference, of 0x1301 to 0x1303; default TLS_AES_128_GCM_SHA256 alone. */
  readonly suites?: readonly number[];
  /**
   * Protocols in the order of preference; absent: ALPN is not looked at. None in common is the alert no_application_protocol (120),
   * as RFC 7301 asks and Go, nginx and Envoy do; `ignore` goes on without one.
   */
  readonly alpn?: readonly string[];
  readonly alpnMismatch?: 'refuse' | 'ignore';
  /** Asks for a client certificate. `require`: none is the alert certificate_required (116). */
  readonly clientAuth?: 'request' | 'require';
  /** Judges the client's chain (before its signature is: until `open` the chain is only claimed): null, or the alert and why. */
  readonly verify?: Verify;
}

export interface TlsClientOptions extends TlsOptions {
  /** Sent as SNI; null: none (an address). */
  readonly serverName: string | null;
  /** Offered in this order; empty: no extension. */
  readonly alpn: readonly string[];
  /** Judges the server's chain; absent: everything is accepted (curl -k). */
  readonly verify?: Verify;
  /** For a server that asks; absent: an empty Certificate. */
  readonly credentials?: Credentials;
  /** The ClientHello of which program; default `openssl` (3.0, as curl 7.88 sends it, 517 bytes). */
  readonly profile?: 'openssl' | 's_client' | 'envoy';
}

/** A chain's verdict: null, or the alert to send and the reason. */
export type Verify = (chain: readonly Uint8Array[]) => { alert: number; reason: string } | null;
