/**
 * `podwire app http --port PORT [--body TEXT | --size BYTES] [--tls NAME[,NAME…] | --cert FILE --key FILE]`: an HTTP/1.1 server
 * that keeps connections alive; over TLS 1.3 with a certificate for these names that podwire makes, or with the PEM files.
 * @module
 */
import { TcpSock } from '../linux/ipv4/tcp.js';
import { EPOCH_SEC } from '../../wire/pcap.js';
import { Rng } from '../sim/rng.js';
import { strerror } from './errno.js';
import { HttpSession, plainSite } from './http-session.js';
import type { Program } from './program.js';
import { listenTcp } from './tcp-server.js';
import { HttpsSession } from './tls/http-tls.js';
import { randomFrom } from './tls/random.js';
import { TlsServer } from './tls/server.js';
import type { Credentials, RandomSource } from './tls/types.js';
import { issue, makeAuthority, YEAR } from './x509/authority.js';
import { CN, O } from './x509/certificate.js';
import { credentialsFromPem } from './x509/secret.js';

export const DEFAULT_BODY = 'podwire\n';

const USAGE = '--port PORT [--body TEXT | --size BYTES] [--tls NAME[,NAME…] | --cert FILE --key FILE] [--seed N]';

/** `n` bytes of text in lines of 64. */
function filler(n: number): string {
  const line = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.\n';
  return line.repeat(Math.ceil(n / line.length)).slice(0, n);
}

export interface HttpArgs {
  port: number;
  body: string;
  /** Host names of the certificate to make; null: none. */
  names: string[] | null;
  cert: string | null;
  key: string | null;
  seed: number | null;
}

/** The arguments after `app http`, or what is wrong with them. */
export function httpArgs(args: readonly string[]): HttpArgs | string {
  const o: HttpArgs = { port: 0, body: DEFAULT_BODY, names: null, cert: null, key: null, seed: null };
  for (let i = 0; i < args.length; i += 2) {
    const v = args[i + 1];
    if (v === undefined) return `app http: ${args[i]} needs a value`;
    if (args[i] === '--port' && /^\d+$/.test(v) && Number(v) > 0 && Number(v) < 65536) o.port = Number(v);
    else if (args[i] === '--body') o.body = v;
    else if (args[i] === '--size' && /^\d{1,8}$/.test(v)) o.body = filler(Number(v));
    else if (args[i] === '--tls' && /^[A-Za-z0-9*.,-]+$/.test(v)) o.names = v.split(',');
    else if (args[i] === '--cert') o.cert = v;
    else if (args[i] === '--key') o.key = v;
    else if (args[i] === '--seed' && /^\d{1,15}$/.test(v)) o.seed = Number(v);
    else return `app http: found "${args[i]} ${v}", expected ${USAGE}`;
  }
  const files = o.cert !== null || o.key !== null;
  if ((o.cert === null) !== (o.key === null) || (files && o.names !== null)) {
    return `app http: expected --cert and --key, or --tls, or none of them: ${USAGE}`;
  }
  return o.port === 0 ? `app http: expected ${USAGE}` : o;
}

/** What the server shows to TLS clients; null: it speaks plain HTTP; in words, what is wrong with its files. */
export function httpCredentials(
  a: HttpArgs,
  random: RandomSource,
  read: (path: string) => string | null,
): Credentials | string | null {
  if (a.names !== null) {
    const validity = { notBefore: EPOCH_SEC, lifetime: 10 * YEAR };
    const authority = makeAuthority(random, [[O, 'podwire'], [CN, 'podwire test CA']], validity); // prettier-ignore
    return issue(authority, random, { subject: [[CN, a.names[0]!]], dnsNames: a.names, ...validity });
  }
  if (a.cert === null || a.key === null) return null;
  const [crt, key] = [read(a.cert), read(a.key)];
  if (crt === null || key === null) return `${crt === null ? a.cert : a.key}: No such file or directory`;
  const c = credentialsFromPem(crt, key);
  return typeof c === 'string' ? `${a.cert}, ${a.key}: ${c}` : c;
}

/** One connection's session; `credentials` null: plain HTTP. */
export function httpSession(
  a: HttpArgs,
  credentials: Credentials | null,
  random: RandomSource,
  keyLog: (line: string) => void,
): Pick<HttpSession, 'data'> {
  const http = new HttpSession(plainSite(a.body));
  if (credentials === null) return http;
  return new HttpsSession(new TlsServer({ random, choose: () => credentials, alpn: ['http/1.1'], keyLog }), http);
}

/** The purpose of a generator: one for the certificates, one for each connection. */
export const tlsPurpose = (port: number, connection: number): string => `tls ${port} ${connection}`;

export const httpServer: Program = (p) => {
  const a = httpArgs(p.argv.slice(3));
  if (typeof a === 'string') {
    p.err(`podwire: ${a}\n`);
    return p.exit(2);
  }
  const seed = a.seed ?? p.net.kernel.seed;
  const random = (n: number): RandomSource => randomFrom(new Rng(seed, tlsPurpose(a.port, n)));
  const credentials = httpCredentials(a, random(0), p.files.read);
  if (typeof credentials === 'string') {
    p.err(`podwire app http: ${credentials}\n`);
    return p.exit(1);
  }
  let connections = 0;
  const session = (): Pick<HttpSession, 'data'> => httpSession(a, credentials, random(++connections), p.secret);
  const server = listenTcp(new TcpSock(p.net, p.cred), 0, a.port, session);
  if (typeof server === 'number') {
    p.err(`podwire app http: port ${a.port}: ${strerror(server)}\n`);
    return p.exit(1);
  }
  p.onKill = () => server.close();
};
