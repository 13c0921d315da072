/**
 * The server's side of TLS 1.3 (RFC 8446 A.2): AES-GCM and ChaCha20 suites, X25519 and P-256, no resumption, HelloRetryRequest for a client that
 * guessed the group wrong, client certificates on request.
 *
 *   ClientHello [─▶ HelloRetryRequest ─▶ ClientHello] ─▶ ServerHello CCS EncryptedExtensions [CertificateRequest] Certificate
 *   CertificateVerify Finished ─▶ [Certificate [CertificateVerify]] Finished
 *
 * Each message has a record of its own, all of a flight go out in one write, as OpenSSL and Go send them. Not here: tickets,
 * early data (skipped), OCSP.
 * @module
 */
import { equalBytes } from '../../../wire/bytes.js';
import * as ext from '../../../wire/tls-extensions.js';
import * as hs from '../../../wire/tls-handshake.js';
import * as tls from '../../../wire/tls.js';
import { readPublicKeyOf } from '../x509/certificate.js';
import { verifySignature } from '../x509/public-key.js';
import { TlsConnection } from './connection.js';
import { exchange, GROUPS, newShare } from './groups.js';
import { finishedMac, signedContent, SUITES, TrafficKeys } from './keys.js';
import type { Credentials, TlsServerOptions } from './types.js';

const NOTHING: Uint8Array = new Uint8Array(0);

/** What a client may sign with: those that `verifySignature` knows and TLS 1.3 allows. */
export const SIGNATURE_SCHEMES: readonly number[] = [
  tls.ECDSA_P256_SHA256,
  tls.RSA_PSS_SHA256,
  tls.ED25519,
  tls.ECDSA_P384_SHA384,
  tls.RSA_PSS_SHA384,
  tls.RSA_PSS_SHA512,
];

/** A ClientHello with the extensions that decide, or what is wrong with it. */
interface Offer {
  hello: hs.ClientHello;
  groups: number[];
  schemes: number[];
  shares: ext.KeyShare[];
}

export class TlsServer extends TlsConnection {
  private readonly server: TlsServerOptions;
  private expects: 'hello' | 'second hello' | 'certificate' | 'verify' | 'finished' = 'hello';
  /** The group that a HelloRetryRequest has asked for. */
  private asked = 0;
  private firstHello: hs.ClientHello | null = null;
  private clientFinished = NOTHING;
  private clientHandshake = NOTHING;
  private nextRead: TrafficKeys | null = null;

  constructor(options: TlsServerOptions) {
    super(options);
    this.server = options;
  }

  start(): readonly Uint8Array[] {
    return [];
  }

  protected message(m: hs.HandshakeMessage): void {
    const { expects } = this;
    if (m.type === hs.CLIENT_HELLO && (expects === 'hello' || expects === 'second hello')) return this.clientHello(m);
    if (m.type === hs.CERTIFICATE && expects === 'certificate') return this.certificate(m);
    if (m.type === hs.CERTIFICATE_VERIFY && expects === 'verify') return this.certificateVerify(m);
    if (m.type === hs.FINISHED && expects === 'finished') return this.finished(m);
    this.fail(tls.UNEXPECTED_MESSAGE, `handshake message ${m.type} came before the ${expects}`);
  }

  protected later(m: hs.HandshakeMessage): void {
    this.fail(tls.UNEXPECTED_MESSAGE, `handshake message ${m.type} came after the handshake`);
  }

  private clientHello(m: hs.HandshakeMessage): void {
    const o = this.offer(m.body);
    if (o === null) return;
    const { hello } = o;
    this.skipEarly = 0;
    this.clientRandom = hello.random.slice();
    if (this.firstHello !== null && !sameHello(this.firstHello, hello)) {
      return this.fail(tls.ILLEGAL_PARAMETER, 'the second ClientHello is another one');
    }
    const chosen = this.choose(hello);
    if (chosen === null) return;
    const protocol = this.protocol(hello);
    if (protocol === undefined) return;
    if (!o.schemes.includes(chosen.key.scheme)) {
      return this.fail(tls.HANDSHAKE_FAILURE, 'the client accepts no signature of our key');
    }
    const share = this.share(o);
    if (share === null) return;
    if (share === 'retry') return this.retry(m, o);
    const ours = newShare(share.group, this.server.random);
    const shared = exchange(ours, share.key);
    if (shared === null) return this.fail(tls.ILLEGAL_PARAMETER, "the client's key share is no key");
    this.transcript.choose(this.suite);
    this.transcript.add(m.raw);
    this.answer(hello, ours.share, shared, chosen, protocol);
  }

  /** The ClientHello's parts; null: refused. */
  private offer(body: Uint8Array): Offer | null {
    const bad = (alert: number, reason: string): null => {
      this.fail(alert, reason);
      return null;
    };
    const h = hs.readClientHello(body);
    if (h === null) return bad(tls.DECODE_ERROR, 'the ClientHello is malformed');
    const list = h.extensions;
    if (ext.repeated(list)) return bad(tls.ILLEGAL_PARAMETER, 'an extension stands twice');
    const versions = ext.find(list, ext.SUPPORTED_VERSIONS);
    const offered = versions === null ? [] : ext.readVersions(versions);
    if (offered === null) return bad(tls.DECODE_ERROR, 'supported_versions is malformed');
    if (!offered.includes(tls.TLS13)) return bad(tls.PROTOCOL_VERSION, 'the client does not offer TLS 1.3');
    if (h.compression.length !== 1 || h.compression[0] !== 0)
      return bad(tls.ILLEGAL_PARAMETER, 'compression is offered');
    const psk = list.findIndex((e) => e.type === ext.PRE_SHARED_KEY);
    if (psk >= 0 && psk < list.length - 1)
      return bad(tls.ILLEGAL_PARAMETER, 'pre_shared_key is not the last extension');
    const ours = this.server.suites ?? [tls.AES_128_GCM_SHA256];
    const suite = SUITES.find((x) => x.id === ours.find((id) => h.suites.includes(id)));
    if (suite === undefined) return bad(tls.HANDSHAKE_FAILURE, 'no cipher suite in common');
    this.suite = suite;
    const [g, s, k] = [ext.SUPPORTED_GROUPS, ext.SIGNATURE_ALGORITHMS, ext.KEY_SHARE].map((t) => ext.find(list, t));
    if (g == null || s == null || k == null)
      return bad(tls.MISSING_EXTENSION, 'groups, signatures or key shares are missing');
    const [groups, schemes, shares] = [ext.readList(g), ext.readList(s), ext.readKeyShares(k)];
    if (groups === null || schemes === null || shares === null)
      return bad(tls.DECODE_ERROR, 'an extension is malformed');
    const named = shares.map((x) => x.group);
    if (new Set(named).size < named.length || named.some((x) => !groups.includes(x))) {
      return bad(tls.ILLEGAL_PARAMETER, 'a key share is of no offered group, or stands twice');
    }
    return { hello: h, groups, schemes, shares };
  }

  /** SNI and ALPN to the caller, for a certificate. */
  private choose(h: hs.ClientHello): Credentials | null {
    const sni = ext.find(h.extensions, ext.SERVER_NAME);
    const name = sni === null ? null : ext.readServerName(sni);
    const protocols = ext.find(h.extensions, ext.ALPN);
    const alpn = protocols === null ? [] : ext.readAlpn(protocols);
    if ((sni !== null && name === null) || alpn === null) {
      this.fail(tls.DECODE_ERROR, 'server_name or ALPN is malformed');
      return null;
    }
    this.serverName = name?.toLowerCase() ?? null;
    const c = this.server.choose({ serverName: this.serverName, alpn });
    if (c === 'close') this.hangUp('no certificate for this name');
    else if (typeof c === 'number') this.fail(c, `no certificate for ${this.serverName ?? 'a client without SNI'}`);
    else return c;
    return null;
  }

  /** The protocol to speak, null: ALPN plays no part; undefined: refused. */
  private protocol(h: hs.ClientHello): string | null | undefined {
    const data = ext.find(h.extensions, ext.ALPN);
    const ours = this.server.alpn;
    if (data === null || ours === undefined || ours.length === 0) return null;
    const theirs = ext.readAlpn(data)!;
    const one = ours.find((p) => theirs.includes(p));
    if (one !== undefined || this.server.alpnMismatch === 'ignore') return one ?? null;
    this.fail(tls.NO_APPLICATION_PROTOCOL, `the client offers ${theirs.join(', ')}`);
    return undefined;
  }

  /** The share to answer, or that another is wanted. */
  private share(o: Offer): ext.KeyShare | 'retry' | null {
    const common = GROUPS.filter((g) => o.groups.includes(g));
    const share = common.map((g) => o.shares.find((s) => s.group === g)).find((s) => s !== undefined);
    if (this.asked !== 0) {
      if (o.shares.length === 1 && o.shares[0]!.group === this.asked) return o.shares[0]!;
      this.fail(tls.ILLEGAL_PARAMETER, 'the second ClientHello has another key share than we asked for');
      return null;
    }
    if (share !== undefined) return share;
    if (common.length > 0) return 'retry';
    this.fail(tls.HANDSHAKE_FAILURE, 'no group in common');
    return null;
  }

  private retry(m: hs.HandshakeMessage, o: Offer): void {
    this.asked = GROUPS.find((g) => o.groups.includes(g))!;
    this.firstHello = o.hello;
    this.expects = 'second hello';
    if (ext.find(o.hello.extensions, ext.EARLY_DATA) !== null) this.skipEarly = tls.MAX_PLAIN;
    this.transcript.choose(this.suite);
    this.transcript.add(m.raw);
    this.transcript.retry(this.suite);
    this.sendMessage(
      hs.writeServerHello({
        ...this.helloBase(o.hello),
        random: hs.RETRY_RANDOM,
        extensions: [ext.uint16(ext.SUPPORTED_VERSIONS, tls.TLS13), ext.uint16(ext.KEY_SHARE, this.asked)],
      }),
    );
    if (o.hello.sessionId.length > 0) this.sendChangeCipherSpec();
  }

  private helloBase(h: hs.ClientHello): Omit<hs.ServerHello, 'random' | 'extensions'> {
    return { version: tls.TLS12, sessionId: h.sessionId, suite: this.suite.id, compression: 0 };
  }

  /** ServerHello to Finished. */
  private answer(
    h: hs.ClientHello,
    share: ext.KeyShare,
    shared: Uint8Array,
    chosen: Credentials,
    protocol: string | null,
  ): void {
    const random = this.server.random(32);
    const extensions = [ext.uint16(ext.SUPPORTED_VERSIONS, tls.TLS13), ext.keyShare(share)];
    this.sendMessage(hs.writeServerHello({ ...this.helloBase(h), random, extensions }));
    if (h.sessionId.length > 0 && this.asked === 0) this.sendChangeCipherSpec();
    const s = this.handshakeSecrets(shared);
    this.writeKeys = new TrafficKeys(this.suite, s.server);
    this.clientHandshake = s.client;
    this.alpn = protocol;
    this.sendMessage(hs.writeEncryptedExtensions(this.encryptedExtensions(h)));
    if (this.server.clientAuth !== undefined) {
      const wanted = [ext.list(ext.SIGNATURE_ALGORITHMS, SIGNATURE_SCHEMES)];
      this.sendMessage(hs.writeCertificateRequest({ context: NOTHING, extensions: wanted }));
    }
    this.sendMessage(certificateMessage(chosen.chain));
    const signed = signedContent('server', this.transcript.hash);
    const signature = chosen.key.sign(signed, this.server.random);
    this.sendMessage(hs.writeCertificateVerify({ scheme: chosen.key.scheme, signature }));
    this.sendMessage(hs.message(hs.FINISHED, finishedMac(this.suite, s.server, this.transcript.hash)));
    const app = this.applicationSecrets();
    this.writeKeys = new TrafficKeys(this.suite, app.server);
    this.nextRead = new TrafficKeys(this.suite, app.client);
    if (!this.readWith(new TrafficKeys(this.suite, s.client))) return;
    this.plainAlerts = true;
    if (ext.find(h.extensions, ext.EARLY_DATA) !== null && this.asked === 0) this.skipEarly = tls.MAX_PLAIN;
    this.expects = this.server.clientAuth === undefined ? 'finished' : 'certificate';
    if (this.server.clientAuth === undefined)
      this.clientFinished = finishedMac(this.suite, s.client, this.transcript.hash);
  }

  /** As OpenSSL orders them: an empty server_name says that the name was looked at. */
  private encryptedExtensions(h: hs.ClientHello): ext.Extension[] {
    const list: ext.Extension[] = [];
    if (ext.find(h.extensions, ext.SERVER_NAME) !== null) list.push(ext.empty(ext.SERVER_NAME));
    if (this.alpn !== null) list.push(ext.alpn([this.alpn]));
    return list;
  }

  private certificate(m: hs.HandshakeMessage): void {
    const c = hs.readCertificate(m.body);
    if (c === null) return this.fail(tls.DECODE_ERROR, 'the Certificate is malformed');
    if (c.context.length > 0) return this.fail(tls.ILLEGAL_PARAMETER, 'the Certificate answers another request');
    if (c.entries.some((e) => e.extensions.length > 0)) {
      return this.fail(tls.UNSUPPORTED_EXTENSION, 'the Certificate has an extension that was not asked for');
    }
    this.transcript.add(m.raw);
    if (c.entries.length === 0) {
      if (this.server.clientAuth === 'require')
        return this.fail(tls.CERTIFICATE_REQUIRED, 'the client has no certificate');
      this.expects = 'finished';
      this.clientFinished = finishedMac(this.suite, this.clientHandshake, this.transcript.hash);
      return;
    }
    const chain = c.entries.map((e) => e.der.slice());
    const bad = this.server.verify?.(chain) ?? null;
    if (bad !== null) return this.fail(bad.alert, bad.reason);
    this.peerCertificates = chain;
    this.expects = 'verify';
  }

  private certificateVerify(m: hs.HandshakeMessage): void {
    const v = hs.readCertificateVerify(m.body);
    if (v === null) return this.fail(tls.DECODE_ERROR, 'the CertificateVerify is malformed');
    const key = readPublicKeyOf(this.peerCertificates[0]!);
    if (key === null) return this.fail(tls.UNSUPPORTED_CERTIFICATE, "the client's key is of no known kind");
    if (!SIGNATURE_SCHEMES.includes(v.scheme))
      return this.fail(tls.ILLEGAL_PARAMETER, 'a signature that was not offered');
    if (!verifySignature(key, v.scheme, signedContent('client', this.transcript.hash), v.signature)) {
      return this.fail(tls.DECRYPT_ERROR, "the client's signature is wrong");
    }
    this.transcript.add(m.raw);
    this.clientFinished = finishedMac(this.suite, this.clientHandshake, this.transcript.hash);
    this.expects = 'finished';
  }

  private finished(m: hs.HandshakeMessage): void {
    if (m.body.length !== this.suite.hash.outputLen) return this.fail(tls.DECODE_ERROR, 'the Finished is malformed');
    if (!equalBytes(m.body, this.clientFinished)) return this.fail(tls.DECRYPT_ERROR, "the client's Finished is wrong");
    this.transcript.add(m.raw);
    if (!this.readWith(this.nextRead!)) return;
    this.state = 'open';
  }
}

/** The Certificate of a chain. */
export const certificateMessage = (chain: readonly Uint8Array[]): Uint8Array =>
  hs.writeCertificate({ context: NOTHING, entries: chain.map((der) => ({ der, extensions: [] })) });

/** A second ClientHello may differ in its key share, cookie, padding and early data alone (RFC 8446 4.1.2). */
function sameHello(a: hs.ClientHello, b: hs.ClientHello): boolean {
  const free: readonly number[] = [ext.KEY_SHARE, ext.COOKIE, ext.PADDING, ext.EARLY_DATA, ext.PRE_SHARED_KEY];
  const part = (h: hs.ClientHello): Uint8Array =>
    hs.writeClientHello({ ...h, extensions: h.extensions.filter((e) => !free.includes(e.type)) });
  return equalBytes(part(a), part(b)) && ext.find(b.extensions, ext.EARLY_DATA) === null;
}
