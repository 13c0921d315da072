/**
 * Names, labels and addresses as the API server validates them (apimachinery, util/validation).
 *
 * Each reader takes a place, returns the value, and fails there with what was found and what was expected.
 * @module
 */
import { Address4, Address6 } from 'ip-address';
import { type At, quote } from './at.js';

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const DNS1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const QUALIFIED = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

const text = (at: At, max: number, ok: (v: string) => boolean, expected: string): string => {
  const v = at.str();
  if (v.length > max) at.fail(`found ${quote(v)} of ${v.length} characters, expected no more than ${max} characters`);
  if (!ok(v)) at.fail(`found ${quote(v)}, expected ${expected}`);
  return v;
};

/** IsDNS1123Label. */
export const dnsLabel = (at: At): string =>
  text(
    at, 63, (v) => LABEL.test(v),
    "a lowercase RFC 1123 label: lower case alphanumeric characters or '-', starting and ending with an alphanumeric character",
  ); // prettier-ignore

/** IsDNS1123Subdomain. */
export const dnsSubdomain = (at: At): string =>
  text(
    at, 253, (v) => SUBDOMAIN.test(v),
    "a lowercase RFC 1123 subdomain: lower case alphanumeric characters, '-' or '.', starting and ending with an alphanumeric character",
  ); // prettier-ignore

/** IsDNS1035Label: names of Services. */
export const dns1035Label = (at: At): string =>
  text(
    at, 63, (v) => DNS1035.test(v),
    "a DNS-1035 label: lower case alphanumeric characters or '-', starting with an alphabetic character and ending with an alphanumeric character",
  ); // prettier-ignore

/** IsValidPortName: names of container ports, and target ports given by name. */
export const portName = (at: At): string =>
  text(
    at, 15, (v) => /^[a-z0-9-]+$/.test(v) && /[a-z]/.test(v) && !v.includes('--') && !/^-|-$/.test(v),
    "a port name: alpha-numeric characters (a-z, 0-9) and '-', at least one letter, no '-' at its ends and no '--'",
  ); // prettier-ignore

/** IsQualifiedName of a label or annotation key. */
export function qualifiedName(at: At, v: string): void {
  const parts = v.split('/');
  const [prefix, name] = parts.length === 1 ? ['', v] : [parts[0]!, parts[1]!];
  if (parts.length > 2) at.fail(`found ${quote(v)}, expected a name, or a DNS subdomain, '/' and a name`);
  if (parts.length === 2 && (prefix.length > 253 || !SUBDOMAIN.test(prefix)))
    at.fail(`found ${quote(v)}, expected a lowercase RFC 1123 subdomain before the '/'`);
  if (name.length > 63) at.fail(`found ${quote(v)}, expected a name part of no more than 63 characters`);
  if (!QUALIFIED.test(name))
    at.fail(
      `found ${quote(v)}, expected alphanumeric characters, '-', '_' or '.', starting and ending with an alphanumeric character`,
    );
}

export const isLabelValue = (v: string): boolean => v.length <= 63 && (v === '' || QUALIFIED.test(v));

/** A label's value, as zones are. */
export const labelValue = (at: At): string => text(at, 63, isLabelValue, 'a label value');

/** A map of labels (or of the equal shape: selectors, nodeSelector), keys and values validated. */
export function labels(at: At | null): Record<string, string> {
  if (at === null) return {};
  for (const e of at.entries()) {
    qualifiedName(e.keyAt, e.key);
    if (!e.at.isNull && !isLabelValue(e.at.str()))
      e.at.fail(
        `found ${quote(e.at.str())}, expected a label value: up to 63 alphanumeric characters, '-', '_' or '.', starting and ending with an alphanumeric character`,
      );
  }
  return at.strings();
}

/** A map of annotations: keys as labels have them, any values, 256 KiB in all. */
export function annotations(at: At | null): Record<string, string> {
  if (at === null) return {};
  let size = 0;
  for (const e of at.entries()) {
    qualifiedName(e.keyAt, e.key.toLowerCase());
    size += e.key.length + (e.at.isNull ? 0 : e.at.str().length);
  }
  if (size > 256 * 1024) at.fail(`found ${size} bytes of annotations, expected at most 262144`);
  return at.strings();
}

const isV6 = (v: string): boolean => /^[0-9a-fA-F:.]+(%\w+)?(\/\d+)?$/.test(v) && v.includes(':');
const octets = /^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/;

/** An IPv4 address in strict dotted form; IPv6 is refused by name. */
export function address(at: At): string {
  const v = at.str();
  if (isV6(v)) at.fail(`found the IPv6 address ${quote(v)}, expected an IPv4 address (IPv6 is not supported yet)`);
  if (!octets.test(v) || !Address4.isValid(v)) at.fail(`found ${quote(v)}, expected an IPv4 address like 10.0.1.2`);
  return v;
}

/** An IPv4 address, or an IPv6 address in its canonical form. */
export function addressOfEither(at: At): string {
  const v = at.str();
  if (!v.includes(':')) return address(at);
  if (v.length > 45 || /[/%]/.test(v) || !Address6.isValid(v))
    at.fail(`found ${quote(v)}, expected an IPv4 or IPv6 address`);
  return new Address6(v).correctForm();
}

/** An address with its prefix length, `192.168.56.11/24`. */
export function addressWithPrefix(at: At): string {
  const v = at.str();
  if (isV6(v)) at.fail(`found the IPv6 address ${quote(v)}, expected an IPv4 address (IPv6 is not supported yet)`);
  const [ip = '', bits = ''] = v.split('/');
  if (!octets.test(ip) || !/^(0|[1-9]\d?)$/.test(bits) || !Address4.isValid(v))
    at.fail(`found ${quote(v)}, expected an address with its prefix length like 192.168.56.11/24`);
  return v;
}

/** An IPv4 network `a.b.c.d/len` whose host bits are zero. */
export function cidr(at: At): string {
  const v = at.str();
  if (isV6(v)) at.fail(`found the IPv6 network ${quote(v)}, expected an IPv4 network (IPv6 is not supported yet)`);
  const [ip = '', bits = ''] = v.split('/');
  if (!octets.test(ip) || !/^(0|[1-9]\d?)$/.test(bits) || !Address4.isValid(v))
    at.fail(`found ${quote(v)}, expected an IPv4 network like 10.0.1.0/24`);
  const a = new Address4(v);
  const start = a.startAddress().correctForm();
  if (start !== a.correctForm()) at.fail(`found ${quote(v)}, expected a network: ${start}/${a.subnetMask}`);
  return v;
}

/** ValidateNonSpecialIP: endpoint and external addresses that no other machine could reach are refused. */
export function plainAddress(at: At): string {
  const v = address(at);
  const why = v === '0.0.0.0' ? 'unspecified' : v.startsWith('127.') ? 'loopback' : v.startsWith('169.254.') ? 'link-local' : /^22[4-9]\.|^23\d\./.test(v) ? 'multicast' : ''; // prettier-ignore
  if (why !== '') at.fail(`found ${v}, expected an address that is not ${why}`);
  return v;
}
