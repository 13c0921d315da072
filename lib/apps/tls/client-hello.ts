/**
 * The ClientHello of known programs: cipher suites, extensions and their order are theirs, so that sizes on the wire are too.
 *
 * | profile | whose | measured |
 * | --- | --- | --- |
 * | `openssl` | OpenSSL 3.0 under curl 7.88 | yes: 517 bytes of TCP payload whatever the name and ALPN, padded to 512 |
 * | `s_client` | `openssl s_client` 3.0 | yes: 322 bytes with a SNI of 16 characters |
 * | `envoy` | Envoy's upstream side (BoringSSL, cipher suites of Istio) | no, from BoringSSL's order of extensions |
 *
 * They also offer TLS 1.2 and older, more groups, and curl post-handshake authentication, as those programs do; a server that
 * takes them up gets protocol_version, handshake_failure or unexpected_message.
 * @module
 */
import * as ext from '../../../wire/tls-extensions.js';
import * as hs from '../../../wire/tls-handshake.js';
import { ED25519, SECP256R1, TLS10, TLS11, TLS12, TLS13, X25519 } from '../../../wire/tls.js';

export type Profile = 'openssl' | 's_client' | 'envoy';

/** What differs from connection to connection. */
export interface HelloParts {
  random: Uint8Array;
  sessionId: Uint8Array;
  serverName: string | null;
  alpn: readonly string[];
  share: ext.KeyShare;
  /** Of a HelloRetryRequest. */
  cookie: Uint8Array | null;
}

const OPENSSL_SUITES = [
  0x1302, 0x1303, 0x1301, 0xc02c, 0xc030, 0x009f, 0xcca9, 0xcca8, 0xccaa, 0xc02b, 0xc02f, 0x009e, 0xc024, 0xc028, 0x006b,
  0xc023, 0xc027, 0x0067, 0xc00a, 0xc014, 0x0039, 0xc009, 0xc013, 0x0033, 0x009d, 0x009c, 0x003d, 0x003c, 0x0035, 0x002f,
  0x00ff,
]; // prettier-ignore
const OPENSSL_GROUPS = [X25519, SECP256R1, 0x001e, 0x0019, 0x0018, 0x0100, 0x0101, 0x0102, 0x0103, 0x0104];
const OPENSSL_SCHEMES = [
  0x0403, 0x0503, 0x0603, ED25519, 0x0808, 0x0809, 0x080a, 0x080b, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0303,
  0x0301, 0x0302, 0x0402, 0x0502, 0x0602,
]; // prettier-ignore
const ENVOY_SUITES = [0x1301, 0x1302, 0x1303, 0xc02c, 0xc030, 0xc02b, 0xc02f, 0x009d, 0x009c];
const ENVOY_SCHEMES = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];

/** Signature schemes a client of this profile offers: a server's must be among them. */
export const schemesOf = (p: Profile): readonly number[] => (p === 'envoy' ? ENVOY_SCHEMES : OPENSSL_SCHEMES);
/** Groups that it may be asked for in a HelloRetryRequest. */
export const groupsOf = (p: Profile): readonly number[] => (p === 'envoy' ? [X25519, SECP256R1] : OPENSSL_GROUPS);

const data = (type: number, ...bytes: number[]): ext.Extension => ({ type, data: Uint8Array.from(bytes) });

function openssl(p: HelloParts, tool: 'openssl' | 's_client'): ext.Extension[] {
  return [
    ...(p.serverName === null ? [] : [ext.serverName(p.serverName)]),
    data(ext.EC_POINT_FORMATS, 3, 0, 1, 2),
    ext.list(ext.SUPPORTED_GROUPS, OPENSSL_GROUPS),
    ...(tool === 'openssl' ? [] : [ext.empty(ext.SESSION_TICKET)]),
    ...(p.alpn.length === 0 ? [] : [ext.alpn(p.alpn)]),
    ext.empty(ext.ENCRYPT_THEN_MAC),
    ext.empty(ext.EXTENDED_MASTER_SECRET),
    ...(tool === 'openssl' ? [ext.empty(ext.POST_HANDSHAKE_AUTH)] : []),
    ext.list(ext.SIGNATURE_ALGORITHMS, OPENSSL_SCHEMES),
    ext.versions([TLS13, TLS12, TLS11, TLS10]),
    ...(p.cookie === null ? [] : [ext.cookie(p.cookie)]),
    data(ext.PSK_KEY_EXCHANGE_MODES, 1, 1),
    ext.keyShares([p.share]),
  ];
}

function envoy(p: HelloParts): ext.Extension[] {
  return [
    ...(p.serverName === null ? [] : [ext.serverName(p.serverName)]),
    ext.empty(ext.EXTENDED_MASTER_SECRET),
    data(ext.RENEGOTIATION_INFO, 0),
    ext.list(ext.SUPPORTED_GROUPS, [X25519, SECP256R1]),
    data(ext.EC_POINT_FORMATS, 1, 0),
    ext.empty(ext.SESSION_TICKET),
    ...(p.alpn.length === 0 ? [] : [ext.alpn(p.alpn)]),
    ext.list(ext.SIGNATURE_ALGORITHMS, ENVOY_SCHEMES),
    ext.keyShares([p.share]),
    data(ext.PSK_KEY_EXCHANGE_MODES, 1, 1),
    ext.versions([TLS13, TLS12]),
    ...(p.cookie === null ? [] : [ext.cookie(p.cookie)]),
  ];
}

/** A message between 256 and 511 bytes grows to 512: some servers hang on those (RFC 7685). */
function padded(h: hs.ClientHello): Uint8Array {
  const plain = hs.writeClientHello(h);
  if (plain.length <= 255 || plain.length >= 512) return plain;
  // Four bytes are the extension's own; BoringSSL and OpenSSL send at least one of padding.
  const n = Math.max(1, 512 - plain.length - 4);
  const padding = { type: ext.PADDING, data: new Uint8Array(n) };
  return hs.writeClientHello({ ...h, extensions: [...h.extensions, padding] });
}

/** The whole handshake message. */
export function clientHello(profile: Profile, p: HelloParts): Uint8Array {
  const h: hs.ClientHello = {
    version: TLS12,
    random: p.random,
    sessionId: p.sessionId,
    suites: profile === 'envoy' ? ENVOY_SUITES : OPENSSL_SUITES,
    compression: Uint8Array.of(0),
    extensions: profile === 'envoy' ? envoy(p) : openssl(p, profile),
  };
  // Only a program that asks OpenSSL for it pads (SSL_OP_TLSEXT_PADDING is in curl's SSL_OP_ALL).
  return profile === 's_client' ? hs.writeClientHello(h) : padded(h);
}
