/**
 * curl's TLS: a connection under its HTTP, what `-v` tells of the handshake, and what OpenSSL 3.0 says when it fails.
 *
 * curl 7.88 offers h2 and http/1.1 and has the ClientHello of OpenSSL 3.0 (517 bytes of TCP payload). Not here: HTTP/2 (a
 * server that picks it gets an error), TLS 1.2, client certificates, session resumption.
 * @module
 */
import { alertName, CERTIFICATE_EXPIRED, CERTIFICATE_REQUIRED } from '../../wire/tls.js';
import { EPOCH_SEC } from '../../wire/pcap.js';
import { EAGAIN, type TcpSock } from '../linux/ipv4/tcp.js';
import { Rng } from '../sim/rng.js';
import { calendarTime } from '../sim/calendar.js';
import type { CurlOptions, Url } from './curl-args.js';
import type { Failure } from './curl.js';
import { strerror } from './errno.js';
import type { Proc } from './program.js';
import { TlsClient } from './tls/client.js';
import { randomFrom } from './tls/random.js';
import type { TlsFailure } from './tls/types.js';
import { type Certificate, nameText, readCertificate } from './x509/certificate.js';
import { certificatesFromPem } from './x509/secret.js';
import { type ChainError, coversHost, nameMatches, verifyChain } from './x509/verify.js';

const BUFFER = 16384;
const MORE =
  'More details here: https://curl.se/docs/sslcerts.html\n\n' +
  'curl failed to verify the legitimacy of the server and therefore could not\n' +
  'establish a secure connection to it. To learn more about this situation and\n' +
  'how to fix it, please visit the web page mentioned above.';

/** What curl needs of a connection, with TLS or without. Calls return a negative errno where a system call does. */
export interface CurlSock {
  onReady: (() => void) | null;
  readonly readable: boolean;
  readonly connected: boolean;
  readonly daddr: number;
  readonly sport: number;
  send(bytes: Uint8Array): number;
  recv(max: number): Uint8Array | number;
  close(): void;
  wake(): void;
}

/** The certificates that --cacert names, or curl's complaint. The Lab's machine has no others. */
export function caFile(p: Proc, path: string | null): Certificate[] | Failure {
  if (path === null) return [];
  const text = p.files.read(path);
  const list = text === null ? [] : certificatesFromPem(text);
  if (list.length > 0) return list;
  return { exit: 77, message: `curl: (77) error setting certificate file: ${path}` };
}

/** OpenSSL's words for alerts; the others are `tlsv1 alert NAME`. */
const WORDS: Readonly<Record<number, string>> = {
  0: 'sslv3 alert close notify', 10: 'sslv3 alert unexpected message', 20: 'sslv3 alert bad record mac',
  40: 'sslv3 alert handshake failure', 42: 'sslv3 alert bad certificate', 43: 'sslv3 alert unsupported certificate',
  44: 'sslv3 alert certificate revoked', 45: 'sslv3 alert certificate expired', 46: 'sslv3 alert certificate unknown',
  47: 'sslv3 alert illegal parameter', 90: 'tlsv1 alert user cancelled', 109: 'tlsv13 alert missing extension',
  110: 'tlsv1 unsupported extension', 112: 'tlsv1 unrecognized name', 116: 'tlsv13 alert certificate required',
}; // prettier-ignore

const OPENSSL = 'OpenSSL/3.0.19';
const hex = (n: number): string => n.toString(16).toUpperCase().padStart(8, '0');

/** SSL_R_… of an alert is 1000 more than its number. */
function alertText(alert: number): string {
  const words = WORDS[alert] ?? `tlsv1 alert ${alertName(alert).replaceAll('_', ' ')}`;
  return `error:${hex(0x0a000000 + 1000 + alert)}:SSL routines::${words}`;
}

/** How curl reports a failed handshake. */
export function handshakeFailure(f: TlsFailure, url: Url): Failure {
  const failed = (exit: number, text: string): Failure => ({ exit, message: `curl: (${exit}) ${text}` });
  if (f.by === 'eof')
    return failed(35, `OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection to ${url.host}:${url.port} `);
  if (f.plain !== undefined) return failed(35, `${OPENSSL}: error:0A00010B:SSL routines::wrong version number`);
  if (f.by === 'local') return failed(35, `podwire: TLS: ${f.reason} (alert ${alertName(f.alert ?? 0)} sent)`);
  if (f.alert === CERTIFICATE_EXPIRED) return failed(60, `SSL certificate verification failed\n${MORE}`);
  return failed(f.alert === CERTIFICATE_REQUIRED ? 98 : 35, `${OPENSSL}: ${alertText(f.alert!)}`);
}

/** A connection of curl over TLS. */
export class CurlTls implements CurlSock {
  onReady: (() => void) | null = null;
  private readonly p: Proc;
  private readonly o: CurlOptions;
  private readonly url: Url;
  private readonly sock: TcpSock;
  private readonly session: TlsClient;
  private readonly verbose: (text: string) => void;
  private out: Uint8Array[] = [];
  private plain: Uint8Array[] = [];
  private chainError: ChainError | null = null;
  private error = 0;

  constructor(
    p: Proc,
    o: CurlOptions,
    url: Url,
    sock: TcpSock,
    roots: readonly Certificate[],
    verbose: (t: string) => void,
  ) {
    // prettier-ignore
    this.p = p;
    this.o = o;
    this.url = url;
    this.sock = sock;
    this.verbose = verbose;
    const { kernel } = p.net;
    const rng = new Rng(
      kernel.seed,
      `curl tls ${sock.saddr}:${sock.sport} ${sock.daddr}:${sock.dport} ${kernel.sim.now}`,
    );
    const now = EPOCH_SEC + Math.floor(kernel.sim.now / 1e9);
    this.session = new TlsClient({
      random: randomFrom(rng),
      keyLog: p.secret,
      serverName: /^[\d.]+$/.test(url.host) ? null : url.host.replace(/\.$/, ''),
      alpn: o.http11 ? ['http/1.1'] : ['h2', 'http/1.1'],
      verify: (chain) => {
        const e = verifyChain(chain, { roots, now, usage: 'server' });
        this.chainError = e;
        return e === null || o.insecure ? null : e;
      },
    });
  }

  get readable(): boolean {
    return this.plain.length > 0 || this.sock.readable;
  }
  get connected(): boolean {
    return this.sock.connected && this.session.state === 'open';
  }
  get daddr(): number {
    return this.sock.daddr;
  }
  get sport(): number {
    return this.sock.sport;
  }

  /** Runs the handshake; `done` has null, or why it failed. */
  handshake(done: (f: Failure | null) => void): void {
    const offers = this.o.http11 ? 'http/1.1' : 'h2,http/1.1';
    this.verbose(`ALPN: offers ${offers}`);
    this.out.push(...this.session.start());
    const step = (): void => {
      if (!this.flush()) return done({ exit: 35, message: `curl: (35) Send failure: ${strerror(this.error)}` });
      while (this.session.state === 'handshake') {
        const b = this.sock.recv(BUFFER);
        if (b === -EAGAIN) return;
        if (typeof b === 'number') return done({ exit: 35, message: `curl: (35) Recv failure: ${strerror(-b)}` });
        if (b.length === 0) this.session.end();
        else this.take(b);
        this.flush();
      }
      this.sock.onReady = () => {
        if (!this.flush()) this.wake();
        this.onReady?.();
      };
      done(this.session.failure === null ? this.agreed() : this.refused(this.session.failure));
    };
    this.sock.onReady = step;
    step();
  }

  private take(b: Uint8Array): void {
    const { wire, plain } = this.session.feed(b);
    this.out.push(...wire);
    if (plain.length > 0) this.plain.push(plain);
  }

  private refused(f: TlsFailure): Failure {
    const e = this.chainError;
    if (f.by !== 'local' || e === null) return handshakeFailure(f, this.url);
    return { exit: 60, message: `curl: (60) SSL certificate problem: ${e.reason}\n${MORE}` };
  }

  /** Tells of the handshake; a certificate for another name is an error that the server does not hear of. */
  private agreed(): Failure | null {
    const { session, o } = this;
    this.verbose('SSL connection using TLSv1.3 / ' + SUITE_NAMES[session.cipherSuite]!);
    this.verbose(
      session.alpn === null
        ? 'ALPN: server did not agree on a protocol. Uses default.'
        : `ALPN: server accepted ${session.alpn}`,
    );
    const leaf = readCertificate(session.peerCertificates[0]!)!;
    this.verbose('Server certificate:');
    this.verbose(` subject: ${nameText(leaf.subject)}`);
    this.verbose(` start date: ${gmt(leaf.notBefore)}`);
    this.verbose(` expire date: ${gmt(leaf.notAfter)}`);
    const wrong = o.insecure ? null : this.checkName(leaf);
    if (wrong !== null) return { exit: 60, message: `curl: (60) ${wrong}\n${MORE}` };
    this.verbose(` issuer: ${nameText(leaf.issuer)}`);
    const e = this.chainError;
    this.verbose(
      e === null
        ? ' SSL certificate verify ok.'
        : ` SSL certificate verify result: ${e.reason} (${e.code}), continuing anyway.`,
    );
    if (session.alpn === 'h2') return { exit: 2, message: 'podwire: curl: HTTP/2 is not supported yet' };
    this.verbose(session.alpn === null ? 'using HTTP/1.x' : 'using HTTP/1.1');
    return null;
  }

  /** Curl_ossl_verifyhost. */
  private checkName(c: Certificate): string | null {
    const { host } = this.url;
    const ip = /^\d+\.\d+\.\d+\.\d+$/.test(host);
    if (coversHost(c, host)) {
      const how = ip ? `host "${host}" matched cert's IP address!` : matchedText(c, host);
      this.verbose(` subjectAltName: ${how}`);
      return null;
    }
    if (c.dnsNames.length + c.addresses.length > 0) {
      this.verbose(` subjectAltName does not match ${host}`);
      const text = `SSL: no alternative certificate subject name matches target host name '${host}'`;
      this.verbose(text);
      return text;
    }
    if (c.commonName === '') return 'SSL: unable to obtain common name from peer certificate';
    if (nameMatches(c.commonName, host)) {
      this.verbose(` common name: ${c.commonName} (matched)`);
      return null;
    }
    return `SSL: certificate subject name '${c.commonName}' does not match target host name '${host}'`;
  }

  send(bytes: Uint8Array): number {
    if (this.out.length > 0 && this.flush() && this.out.length > 0) return -EAGAIN;
    if (this.error !== 0) return -this.error;
    this.out.push(this.session.write(bytes));
    return this.flush() ? bytes.length : -this.error;
  }

  /** Hands over what waits; false: the socket has failed. */
  private flush(): boolean {
    while (this.out.length > 0) {
      const n = this.sock.send(this.out[0]!);
      if (n === -EAGAIN) return true;
      if (n < 0) {
        this.error = -n;
        return false;
      }
      if (n < this.out[0]!.length) this.out[0] = this.out[0]!.subarray(n);
      else this.out.shift();
    }
    return true;
  }

  /** Plaintext, an empty piece at the end, -EAGAIN, or what SSL_read fails with. */
  recv(max: number): Uint8Array | number {
    while (this.plain.length === 0) {
      if (this.session.eof || this.session.state === 'closed') return new Uint8Array(0);
      const b = this.sock.recv(max);
      if (typeof b === 'number') return b;
      if (b.length === 0) this.session.end();
      else this.take(b);
      this.flush();
    }
    return this.plain.shift()!;
  }

  /** Why `recv` came to an end, if not in good order. */
  get broken(): Failure | null {
    const f = this.session.failure;
    if (f === null) return null;
    const read = 'OpenSSL SSL_read: ';
    const what = f.by === 'peer' ? alertText(f.alert!) : f.by === 'eof' ? UNEXPECTED_EOF : `podwire: ${f.reason}`;
    return { exit: 56, message: `curl: (56) ${read}${what}, errno 0` };
  }

  /** close_notify goes out first, as curl sends it. */
  close(): void {
    const bye = this.session.close();
    if (bye.length > 0) this.out.push(bye);
    this.flush();
    this.sock.close();
  }

  wake(): void {
    this.p.net.kernel.sim.wake(this.sock);
  }
}

const UNEXPECTED_EOF = 'error:0A000126:SSL routines::unexpected eof while reading';
const SUITE_NAMES: Readonly<Record<number, string>> = {
  0x1301: 'TLS_AES_128_GCM_SHA256',
  0x1302: 'TLS_AES_256_GCM_SHA384',
  0x1303: 'TLS_CHACHA20_POLY1305_SHA256',
};

const matchedText = (c: Certificate, host: string): string =>
  `host "${host}" matched cert's "${c.dnsNames.find((n) => nameMatches(n, host))!}"`;

/** `Jan  1 00:00:00 2024 GMT`. */
function gmt(seconds: number): string {
  const t = calendarTime(seconds);
  return `${t.mon} ${String(Number(t.day)).padStart(2)} ${t.time} ${t.year} GMT`;
}
