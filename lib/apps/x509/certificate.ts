/**
 * X.509 certificates (RFC 5280): reading what verification needs, strictly, and writing them.
 * @module
 */
import { bytesOf, equalBytes, hex, i32, textOf } from '../../../wire/bytes.js';
import { ntoa } from '../../../wire/inet.js';
import * as tls from '../../../wire/tls.js';
import { calendarTime, unixSeconds } from '../../sim/calendar.js';
import * as der from './der.js';
import type { PrivateKey } from './private-key.js';
import { type PublicKey, readPublicKey } from './public-key.js';

/** Attribute types of names. */
export const CN = '2.5.4.3';
export const O = '2.5.4.10';
export const OU = '2.5.4.11';

const SAN = '2.5.29.17';
const KEY_USAGE = '2.5.29.15';
const BASIC_CONSTRAINTS = '2.5.29.19';
const EXT_KEY_USAGE = '2.5.29.37';
const SUBJECT_KEY_ID = '2.5.29.14';
const AUTHORITY_KEY_ID = '2.5.29.35';
export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/** Bits of keyUsage, the first is the highest of the first byte. */
export const DIGITAL_SIGNATURE = 0x80;
export const KEY_ENCIPHERMENT = 0x20;
export const DATA_ENCIPHERMENT = 0x10;
export const KEY_AGREEMENT = 0x08;
export const KEY_CERT_SIGN = 0x04;
export const CRL_SIGN = 0x02;

const SIGNATURES: Readonly<Record<string, number>> = {
  '1.2.840.113549.1.1.11': tls.RSA_PKCS1_SHA256,
  '1.2.840.113549.1.1.12': tls.RSA_PKCS1_SHA384,
  '1.2.840.113549.1.1.13': tls.RSA_PKCS1_SHA512,
  '1.2.840.10045.4.3.2': tls.ECDSA_P256_SHA256,
  '1.2.840.10045.4.3.3': tls.ECDSA_P384_SHA384,
  '1.3.101.112': tls.ED25519,
};

export interface Certificate {
  raw: Uint8Array;
  /** What the issuer has signed, under which TLS SignatureScheme (0: one that podwire has not). */
  tbs: Uint8Array;
  scheme: number;
  signature: Uint8Array;
  /** Names as they stand, DER. */
  issuer: Uint8Array;
  subject: Uint8Array;
  /** Of the subject, empty if it has none. */
  commonName: string;
  /** Seconds since 1970. */
  notBefore: number;
  notAfter: number;
  /** SubjectPublicKeyInfo, and the key in it if it is of a known kind. */
  spki: Uint8Array;
  key: PublicKey | null;
  dnsNames: string[];
  /** IPv4 in text, what is longer in hexadecimal. */
  addresses: string[];
  uris: string[];
  /** basicConstraints' cA; null: absent. */
  ca: boolean | null;
  /** basicConstraints' pathLenConstraint; -1: absent. */
  pathLen: number;
  /** keyUsage's first byte; -1: absent. */
  keyUsage: number;
  /** extKeyUsage; null: absent. */
  extKeyUsage: string[] | null;
  /** A critical extension that podwire does not know. */
  unknownCritical: boolean;
}

/** UTCTime or GeneralizedTime in seconds; NaN: neither. */
function readTime(r: der.DerReader): number {
  const utc = r.tag === der.UTC_TIME;
  const v = textOf(r.any().content.subarray(0, 20));
  const m = /^(\d\d)?(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(v);
  if (m === null || (m[1] === undefined) !== utc) return Number.NaN;
  const century = m[1] ?? (Number(m[2]) < 50 ? '20' : '19');
  return unixSeconds(`${century}${m[2]}-${m[3]}-${m[4]}T${m[5]}:${m[6]}:${m[7]}Z`);
}

const SHORT: Readonly<Record<string, string>> = {
  [CN]: 'CN', [O]: 'O', [OU]: 'OU', '2.5.4.6': 'C', '2.5.4.7': 'L', '2.5.4.8': 'ST',
}; // prettier-ignore

/** A Name's attributes: OID and text. */
function attributesOf(name: Uint8Array): [string, string][] {
  const r = new der.DerReader(name).inside(der.SEQUENCE);
  const list: [string, string][] = [];
  while (r.more) {
    const one = r.inside(der.SET).inside(der.SEQUENCE);
    const id = one.oid();
    list.push([id, new TextDecoder().decode(one.any().content)]);
  }
  return list;
}

/** The last common name of a Name. */
const commonNameOf = (name: Uint8Array): string => attributesOf(name).findLast(([id]) => id === CN)?.[1] ?? '';

/** A Name in one line, as curl prints it: `O=podwire; CN=web`. */
export const nameText = (name: Uint8Array): string =>
  attributesOf(name)
    .map(([id, v]) => `${SHORT[id] ?? id}=${v}`)
    .join('; ');

function readNames(c: Certificate, value: Uint8Array): boolean {
  const r = new der.DerReader(value);
  const names = r.inside(der.SEQUENCE);
  while (names.more) {
    const e = names.any();
    if (e.tag === der.implicit(2)) c.dnsNames.push(textOf(e.content));
    else if (e.tag === der.implicit(6)) c.uris.push(textOf(e.content));
    else if (e.tag === der.implicit(7)) {
      c.addresses.push(e.content.length === 4 ? ntoa(i32(e.content, 0)) : hex(e.content));
    }
  }
  return r.done && names.ok;
}

/** One extension; false: malformed. */
function readExtension(c: Certificate, id: string, critical: boolean, value: Uint8Array): boolean {
  const r = new der.DerReader(value);
  if (id === SAN) return readNames(c, value);
  if (id === BASIC_CONSTRAINTS) {
    const b = r.inside(der.SEQUENCE);
    c.ca = (b.maybe(der.BOOLEAN)?.[0] ?? 0) !== 0;
    if (b.more) c.pathLen = b.small();
    return r.done && b.done;
  }
  if (id === KEY_USAGE) c.keyUsage = r.take(der.BIT_STRING)[1] ?? 0;
  else if (id === EXT_KEY_USAGE) {
    const list = r.inside(der.SEQUENCE);
    c.extKeyUsage = [];
    while (list.more) c.extKeyUsage.push(list.oid());
    return list.done;
  } else if (critical) c.unknownCritical = true;
  return r.ok;
}

/** A whole certificate; null: not DER, or no certificate. */
export function readCertificate(bytes: Uint8Array): Certificate | null {
  const file = new der.DerReader(bytes);
  const r = file.inside(der.SEQUENCE);
  const tbs = r.any();
  const algorithm = r.any().raw;
  const signature = r.bits();
  if (!r.done || !file.done || tbs.tag !== der.SEQUENCE) return null;
  const t = new der.DerReader(tbs.content);
  t.maybe(der.context(0));
  t.take(der.INTEGER);
  // Twice the same (4.1.1.2), or else nothing that the issuer has signed.
  const known = equalBytes(t.any().raw, algorithm);
  const scheme = known ? (SIGNATURES[new der.DerReader(algorithm).inside(der.SEQUENCE).oid()] ?? 0) : 0;
  const issuer = t.any();
  const validity = t.inside(der.SEQUENCE);
  const subject = t.any();
  const spki = t.any();
  const c: Certificate = {
    raw: bytes, tbs: tbs.raw, scheme, signature, issuer: issuer.raw, subject: subject.raw,
    commonName: commonNameOf(subject.raw), notBefore: readTime(validity), notAfter: readTime(validity),
    spki: spki.raw, key: readPublicKey(spki.raw), dnsNames: [], addresses: [], uris: [], ca: null, pathLen: -1,
    keyUsage: -1, extKeyUsage: null, unknownCritical: false,
  }; // prettier-ignore
  t.maybe(der.implicit(1));
  t.maybe(der.implicit(2));
  if (t.tag === der.context(3)) {
    const list = t.inside(der.context(3)).inside(der.SEQUENCE);
    while (list.more) {
      const e = list.inside(der.SEQUENCE);
      const id = e.oid();
      const critical = (e.maybe(der.BOOLEAN)?.[0] ?? 0) !== 0;
      if (!readExtension(c, id, critical, e.take(der.OCTET_STRING)) || !e.done) return null;
    }
    if (!list.ok) return null;
  }
  return t.done && validity.done && !Number.isNaN(c.notBefore + c.notAfter) ? c : null;
}

/** The public key in a certificate; null: none of a known kind. */
export const readPublicKeyOf = (bytes: Uint8Array): PublicKey | null => readCertificate(bytes)?.key ?? null;

/** A name's attributes, each its OID and text, in their order. */
export type Name = readonly (readonly [string, string])[];

/** DER of a Name: PrintableString where that can hold the text, else UTF8String, as Go writes it. */
export function writeName(name: Name): Uint8Array {
  const value = (s: string): Uint8Array => (/^[A-Za-z0-9 '()+,\-./:=?]*$/.test(s) ? der.printable(s) : der.utf8(s));
  return der.sequence(...name.map(([id, s]) => der.set(der.sequence(der.oid(id), value(s)))));
}

const extension = (id: string, critical: boolean, value: Uint8Array): Uint8Array =>
  der.sequence(der.oid(id), ...(critical ? [der.TRUE] : []), der.octets(value));

/** What a certificate says; extensions are written in Go's order, absent parts not at all. */
export interface Template {
  serial: Uint8Array;
  subject: Name;
  /** Seconds since 1970. */
  notBefore: number;
  notAfter: number;
  keyUsage: number;
  extKeyUsage?: readonly string[];
  /** basicConstraints, critical. */
  ca?: boolean;
  pathLen?: number;
  subjectKeyId?: Uint8Array;
  authorityKeyId?: Uint8Array;
  dnsNames?: readonly string[];
  /** IPv4, four bytes each. */
  addresses?: readonly Uint8Array[];
  uris?: readonly string[];
}

function extensionsOf(t: Template): Uint8Array[] {
  const list: Uint8Array[] = [];
  let unused = 0;
  while (unused < 7 && ((t.keyUsage >> unused) & 1) === 0) unused++;
  if (t.keyUsage !== 0) list.push(extension(KEY_USAGE, true, der.bits(Uint8Array.of(t.keyUsage), unused)));
  if (t.extKeyUsage !== undefined) {
    list.push(extension(EXT_KEY_USAGE, false, der.sequence(...t.extKeyUsage.map(der.oid))));
  }
  if (t.ca !== undefined) {
    const limit = t.pathLen === undefined ? [] : [der.small(t.pathLen)];
    list.push(extension(BASIC_CONSTRAINTS, true, der.sequence(...(t.ca ? [der.TRUE] : []), ...limit)));
  }
  if (t.subjectKeyId !== undefined) list.push(extension(SUBJECT_KEY_ID, false, der.octets(t.subjectKeyId)));
  if (t.authorityKeyId !== undefined) {
    const id = der.element(der.implicit(0), t.authorityKeyId);
    list.push(extension(AUTHORITY_KEY_ID, false, der.sequence(id)));
  }
  const names = [
    ...(t.dnsNames ?? []).map((n) => der.element(der.implicit(2), bytesOf(n))),
    ...(t.addresses ?? []).map((a) => der.element(der.implicit(7), a)),
    ...(t.uris ?? []).map((u) => der.element(der.implicit(6), bytesOf(u))),
  ];
  if (names.length > 0) list.push(extension(SAN, t.subject.length === 0, der.sequence(...names)));
  return list;
}

/** UTCTime until 2049, then GeneralizedTime (RFC 5280 4.1.2.5). */
function writeTime(seconds: number): Uint8Array {
  const t = calendarTime(seconds);
  const rest = `${String(t.month).padStart(2, '0')}${t.day}${t.time.replaceAll(':', '')}Z`;
  const long = t.year >= 2050;
  const s = `${long ? t.year : String(t.year).slice(2)}${rest}`;
  return der.element(long ? der.GENERALIZED_TIME : der.UTC_TIME, bytesOf(s));
}

const ALGORITHMS: Readonly<Record<PrivateKey['kind'], Uint8Array>> = {
  p256: der.sequence(der.oid('1.2.840.10045.4.3.2')),
  ed25519: der.sequence(der.oid('1.3.101.112')),
  rsa: der.sequence(der.oid('1.2.840.113549.1.1.11'), der.nothing),
};

/** A certificate of `spki`, signed by the issuer's key. */
export function writeCertificate(t: Template, spki: Uint8Array, issuer: Name, by: PrivateKey): Uint8Array {
  const algorithm = ALGORITHMS[by.kind];
  const tbs = der.sequence(
    der.element(der.context(0), der.small(2)),
    der.unsigned(t.serial),
    algorithm,
    writeName(issuer),
    der.sequence(writeTime(t.notBefore), writeTime(t.notAfter)),
    writeName(t.subject),
    spki,
    der.element(der.context(3), der.sequence(...extensionsOf(t))),
  );
  return der.sequence(tbs, algorithm, der.bits(by.signCertificate(tbs)));
}
