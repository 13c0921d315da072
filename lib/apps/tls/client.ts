/**
 * The client's side of TLS 1.3 (RFC 8446 A.1): certificates, ALPN, HelloRetryRequest, a certificate of its own when the server
 * asks. Its messages and their records are OpenSSL's: ChangeCipherSpec before its second flight, alerts before that flight in
 * the clear. Not here: PSK, early data, post-handshake authentication, TLS 1.2.
 * @module
 */
import { equalBytes } from '../../../wire/bytes.js';
import * as ext from '../../../wire/tls-extensions.js';
import * as hs from '../../../wire/tls-handshake.js';
import * as tls from '../../../wire/tls.js';
import { readPublicKeyOf } from '../x509/certificate.js';
import { verifySignature } from '../x509/public-key.js';
import { clientHello, groupsOf, type Profile, schemesOf } from './client-hello.js';
import { TlsConnection } from './connection.js';
import { exchange, GROUPS, newShare, type OwnShare } from './groups.js';
import { finishedMac, signedContent, SUITES, TrafficKeys } from './keys.js';
import { certificateMessage } from './server.js';
import type { TlsClientOptions } from './types.js';

const NOTHING: Uint8Array = new Uint8Array(0);

/** What a server may answer in EncryptedExtensions, and only if we have asked. */
const ENCRYPTED: readonly number[] = [ext.SERVER_NAME, ext.SUPPORTED_GROUPS, ext.ALPN];

type Expects = 'hello' | 'extensions' | 'certificate or request' | 'certificate' | 'verify' | 'finished';

export class TlsClient extends TlsConnection {
  private readonly client: TlsClientOptions;
  private readonly profile: Profile;
  private readonly sessionId: Uint8Array;
  private own: OwnShare;
  private expects: Expects = 'hello';
  private retried = false;
  private clientHandshake = NOTHING;
  private serverHandshake = NOTHING;
  private certificateWanted: hs.CertificateRequest | null = null;

  constructor(options: TlsClientOptions) {
    super(options);
    this.client = options;
    this.profile = options.profile ?? 'openssl';
    this.clientRandom = options.random(32);
    this.sessionId = options.random(32);
    this.own = newShare(tls.X25519, options.random);
    this.serverName = options.serverName?.toLowerCase() ?? null;
  }

  start(): readonly Uint8Array[] {
    this.hello(null, tls.TLS10);
    return this.begun();
  }

  /** The first hello's record has version 1.0, for servers that know no other (RFC 8446 5.1). */
  private hello(cookie: Uint8Array | null, version: number): void {
    const { serverName, alpn } = this.client;
    const parts = {
      random: this.clientRandom,
      sessionId: this.sessionId,
      serverName,
      alpn,
      share: this.own.share,
      cookie,
    };
    this.sendMessage(clientHello(this.profile, parts), version);
  }

  protected message(m: hs.HandshakeMessage): void {
    const { expects } = this;
    if (m.type === hs.SERVER_HELLO && expects === 'hello') return this.serverHello(m);
    if (m.type === hs.ENCRYPTED_EXTENSIONS && expects === 'extensions') return this.encryptedExtensions(m);
    if (m.type === hs.CERTIFICATE_REQUEST && expects === 'certificate or request') return this.certificateRequest(m);
    if (m.type === hs.CERTIFICATE && expects.startsWith('certificate')) return this.certificate(m);
    if (m.type === hs.CERTIFICATE_VERIFY && expects === 'verify') return this.certificateVerify(m);
    if (m.type === hs.FINISHED && expects === 'finished') return this.finished(m);
    this.fail(tls.UNEXPECTED_MESSAGE, `handshake message ${m.type} came, expected ${expects}`);
  }

  /** Tickets are read and thrown away. */
  protected later(m: hs.HandshakeMessage): void {
    if (m.type !== hs.NEW_SESSION_TICKET) {
      return this.fail(tls.UNEXPECTED_MESSAGE, `handshake message ${m.type} came after the handshake`);
    }
    const t = hs.readNewSessionTicket(m.body);
    if (t === null) this.fail(tls.DECODE_ERROR, 'the NewSessionTicket is malformed');
    else if (ext.repeated(t.extensions)) this.fail(tls.ILLEGAL_PARAMETER, 'an extension stands twice');
  }

  private serverHello(m: hs.HandshakeMessage): void {
    const h = hs.readServerHello(m.body);
    if (h === null) return this.fail(tls.DECODE_ERROR, 'the ServerHello is malformed');
    const list = h.extensions;
    const v = ext.find(list, ext.SUPPORTED_VERSIONS);
    if (ext.repeated(list)) return this.fail(tls.ILLEGAL_PARAMETER, 'an extension stands twice');
    if (v === null) return this.fail(tls.PROTOCOL_VERSION, 'the server does not speak TLS 1.3');
    if (ext.readUint16(v) !== tls.TLS13 || h.version !== tls.TLS12) {
      return this.fail(tls.ILLEGAL_PARAMETER, 'the server chooses a version that was not offered');
    }
    if (!equalBytes(h.sessionId, this.sessionId) || h.compression !== 0) {
      return this.fail(tls.ILLEGAL_PARAMETER, 'the ServerHello has another session id, or compression');
    }
    const suite = SUITES.find((x) => x.id === h.suite);
    if (suite === undefined || (this.retried && suite !== this.suite)) {
      return this.fail(tls.ILLEGAL_PARAMETER, `the server chooses cipher suite 0x${h.suite.toString(16)}`);
    }
    this.suite = suite;
    this.transcript.choose(suite);
    const retry = hs.isRetry(h);
    const known = retry ? [ext.SUPPORTED_VERSIONS, ext.KEY_SHARE, ext.COOKIE] : [ext.SUPPORTED_VERSIONS, ext.KEY_SHARE];
    if (list.some((e) => !known.includes(e.type))) {
      return this.fail(tls.UNSUPPORTED_EXTENSION, 'the ServerHello has an extension that was not asked for');
    }
    if (retry) this.retry(m, list);
    else this.keyExchange(m, list);
  }

  private retry(m: hs.HandshakeMessage, list: readonly ext.Extension[]): void {
    if (this.retried) return this.fail(tls.UNEXPECTED_MESSAGE, 'a second HelloRetryRequest came');
    const [share, cookie] = [ext.find(list, ext.KEY_SHARE), ext.find(list, ext.COOKIE)];
    const group = share === null ? 0 : ext.readUint16(share);
    const value = cookie === null ? null : ext.readCookie(cookie);
    if (group === null || (cookie !== null && value === null)) {
      return this.fail(tls.DECODE_ERROR, 'the HelloRetryRequest is malformed');
    }
    if (group === this.own.share.group || (group === 0 && value === null)) {
      return this.fail(tls.ILLEGAL_PARAMETER, 'the HelloRetryRequest changes nothing');
    }
    if (group !== 0 && !groupsOf(this.profile).includes(group)) {
      return this.fail(tls.ILLEGAL_PARAMETER, `the server asks for group ${group}, which was not offered`);
    }
    if (group !== 0 && !GROUPS.includes(group)) {
      return this.fail(tls.HANDSHAKE_FAILURE, `the server asks for group ${group}, which podwire has not`);
    }
    this.retried = true;
    this.transcript.retry(this.suite);
    this.transcript.add(m.raw);
    if (group !== 0) this.own = newShare(group, this.client.random);
    this.sendChangeCipherSpec();
    this.hello(value, tls.TLS12);
  }

  private keyExchange(m: hs.HandshakeMessage, list: readonly ext.Extension[]): void {
    const data = ext.find(list, ext.KEY_SHARE);
    if (data === null) return this.fail(tls.MISSING_EXTENSION, 'the ServerHello has no key share');
    const share = ext.readKeyShare(data);
    if (share === null) return this.fail(tls.DECODE_ERROR, "the server's key share is malformed");
    const shared = share.group === this.own.share.group ? exchange(this.own, share.key) : null;
    if (shared === null) return this.fail(tls.ILLEGAL_PARAMETER, "the server's key share is no key of our group");
    this.transcript.add(m.raw);
    const s = this.handshakeSecrets(shared);
    this.clientHandshake = s.client;
    this.serverHandshake = s.server;
    if (this.readWith(new TrafficKeys(this.suite, s.server))) this.expects = 'extensions';
  }

  private encryptedExtensions(m: hs.HandshakeMessage): void {
    const list = hs.readEncryptedExtensions(m.body);
    if (list === null) return this.fail(tls.DECODE_ERROR, 'the EncryptedExtensions are malformed');
    if (ext.repeated(list)) return this.fail(tls.ILLEGAL_PARAMETER, 'an extension stands twice');
    const { serverName, alpn } = this.client;
    for (const { type, data } of list) {
      const asked = type === ext.SERVER_NAME ? serverName !== null : type === ext.ALPN ? alpn.length > 0 : true;
      if (!ENCRYPTED.includes(type) || !asked) {
        return this.fail(tls.UNSUPPORTED_EXTENSION, `extension ${type} was not asked for`);
      }
      if (type !== ext.ALPN) continue;
      const chosen = ext.readAlpn(data);
      if (chosen?.length !== 1) return this.fail(tls.DECODE_ERROR, "the server's ALPN is malformed");
      if (!alpn.includes(chosen[0]!)) return this.fail(tls.ILLEGAL_PARAMETER, "the server's protocol was not offered");
      this.alpn = chosen[0]!;
    }
    this.transcript.add(m.raw);
    this.expects = 'certificate or request';
  }

  private certificateRequest(m: hs.HandshakeMessage): void {
    const r = hs.readCertificateRequest(m.body);
    if (r === null) return this.fail(tls.DECODE_ERROR, 'the CertificateRequest is malformed');
    if (r.context.length > 0 || ext.repeated(r.extensions)) {
      return this.fail(tls.ILLEGAL_PARAMETER, 'the CertificateRequest has a context, or an extension twice');
    }
    const schemes = ext.find(r.extensions, ext.SIGNATURE_ALGORITHMS);
    if (schemes === null) return this.fail(tls.MISSING_EXTENSION, 'the CertificateRequest names no signatures');
    if (ext.readList(schemes) === null) return this.fail(tls.DECODE_ERROR, 'the CertificateRequest is malformed');
    this.transcript.add(m.raw);
    this.certificateWanted = r;
    this.expects = 'certificate';
  }

  private certificate(m: hs.HandshakeMessage): void {
    const c = hs.readCertificate(m.body);
    if (c === null) return this.fail(tls.DECODE_ERROR, 'the Certificate is malformed');
    if (c.context.length > 0) return this.fail(tls.ILLEGAL_PARAMETER, "the server's Certificate has a context");
    if (c.entries.length === 0) return this.fail(tls.DECODE_ERROR, 'the server has no certificate');
    if (c.entries.some((e) => e.extensions.length > 0)) {
      return this.fail(tls.UNSUPPORTED_EXTENSION, 'the Certificate has an extension that was not asked for');
    }
    const chain = c.entries.map((e) => e.der.slice());
    this.peerCertificates = chain;
    const bad = this.client.verify?.(chain) ?? null;
    if (bad !== null) return this.fail(bad.alert, bad.reason);
    this.transcript.add(m.raw);
    this.expects = 'verify';
  }

  private certificateVerify(m: hs.HandshakeMessage): void {
    const v = hs.readCertificateVerify(m.body);
    if (v === null) return this.fail(tls.DECODE_ERROR, 'the CertificateVerify is malformed');
    // PKCS #1 v1.5 and SHA-1 are for certificates only (RFC 8446 4.4.3).
    if (!schemesOf(this.profile).includes(v.scheme) || v.scheme % 256 === 1 || v.scheme < 0x0400) {
      return this.fail(tls.ILLEGAL_PARAMETER, 'a signature that was not offered');
    }
    const key = readPublicKeyOf(this.peerCertificates[0]!);
    if (key === null) return this.fail(tls.UNSUPPORTED_CERTIFICATE, "the server's key is of no known kind");
    if (!verifySignature(key, v.scheme, signedContent('server', this.transcript.hash), v.signature)) {
      return this.fail(tls.DECRYPT_ERROR, "the server's signature is wrong");
    }
    this.transcript.add(m.raw);
    this.expects = 'finished';
  }

  private finished(m: hs.HandshakeMessage): void {
    if (m.body.length !== this.suite.hash.outputLen) return this.fail(tls.DECODE_ERROR, 'the Finished is malformed');
    if (!equalBytes(m.body, finishedMac(this.suite, this.serverHandshake, this.transcript.hash))) {
      return this.fail(tls.DECRYPT_ERROR, "the server's Finished is wrong");
    }
    this.transcript.add(m.raw);
    const app = this.applicationSecrets();
    if (!this.readWith(new TrafficKeys(this.suite, app.server))) return;
    if (!this.retried) this.sendChangeCipherSpec();
    this.writeKeys = new TrafficKeys(this.suite, this.clientHandshake);
    if (this.certificateWanted !== null) this.ownCertificate(this.certificateWanted);
    this.sendMessage(hs.message(hs.FINISHED, finishedMac(this.suite, this.clientHandshake, this.transcript.hash)));
    this.flush();
    this.writeKeys = new TrafficKeys(this.suite, app.client);
    this.state = 'open';
  }

  /** Ours if the server can read its signature, else an empty one. */
  private ownCertificate(r: hs.CertificateRequest): void {
    const schemes = ext.readList(ext.find(r.extensions, ext.SIGNATURE_ALGORITHMS)!)!;
    const { credentials, random } = this.client;
    const fits = credentials !== undefined && schemes.includes(credentials.key.scheme);
    this.sendMessage(certificateMessage(fits ? credentials.chain : []));
    if (!fits) return;
    const signature = credentials.key.sign(signedContent('client', this.transcript.hash), random);
    this.sendMessage(hs.writeCertificateVerify({ scheme: credentials.key.scheme, signature }));
  }
}
