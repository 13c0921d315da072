/**
 * Names, labels and addresses as the API server validates them (apimachinery, util/validation), in its words.
 *
 * Each reader takes a place, returns the value, and fails there.
 * @module
 */
import { Address4, Address6 } from 'ip-address';
import { type At, quote } from './at.js';
import { invalid, shown, tooLong } from './field-error.js';

const LABEL_TEXT = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN_TEXT = `${LABEL_TEXT}(\\.${LABEL_TEXT})*`;
const DNS1035_TEXT = '[a-z]([-a-z0-9]*[a-z0-9])?';
const QUALIFIED_TEXT = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const whole = (text: string): RegExp => new RegExp(`^${text}$`);
const LABEL = whole(LABEL_TEXT);
const SUBDOMAIN = whole(SUBDOMAIN_TEXT);
const DNS1035 = whole(DNS1035_TEXT);
const QUALIFIED = whole(QUALIFIED_TEXT);

const regexError = (text: string, regex: string, ...examples: string[]): string =>
  `${text} (e.g. ${examples.map((e) => `'${e}', `).join(' or ')}regex used for validation is '${regex}')`;
const ends = 'and must start and end with an alphanumeric character';
export const SUBDOMAIN_ERROR = regexError(
  `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', ${ends}`,
  SUBDOMAIN_TEXT,
  'example.com',
);
const LABEL_ERROR = regexError(
  `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', ${ends}`,
  LABEL_TEXT,
  'my-name',
  '123-abc',
);
const DNS1035_ERROR = regexError(
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
  DNS1035_TEXT,
  'my-name',
  'abc-123',
);
const QUALIFIED_ERROR = regexError(
  `must consist of alphanumeric characters, '-', '_' or '.', ${ends}`,
  QUALIFIED_TEXT,
  'MyName',
  'my.name',
  '123-abc',
);
const LABEL_VALUE_ERROR = regexError(
  `a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', ${ends}`,
  `(${QUALIFIED_TEXT})?`,
  'MyValue',
  'my_value',
  '12345',
);
const longer = (max: number): string => `must be no more than ${max} characters`;

/** What each validation says of a text; null: nothing. */
const labelError = (v: string): string | null =>
  v.length > 63 ? longer(63) : LABEL.test(v) ? null : SUBDOMAIN.test(v) ? 'must not contain dots' : LABEL_ERROR;
const subdomainError = (v: string): string | null =>
  v.length > 253 ? longer(253) : SUBDOMAIN.test(v) ? null : SUBDOMAIN_ERROR;
const labelValueError = (v: string): string | null =>
  v.length > 63 ? longer(63) : v === '' || QUALIFIED.test(v) ? null : LABEL_VALUE_ERROR;

function qualifiedError(v: string): string | null {
  const parts = v.split('/');
  if (parts.length > 2)
    return `a qualified name ${QUALIFIED_ERROR} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`;
  if (parts.length === 2) {
    if (parts[0] === '') return 'prefix part must be non-empty';
    const e = subdomainError(parts[0]!);
    if (e !== null) return `prefix part ${e}`;
  }
  const name = parts.at(-1)!;
  if (name === '') return 'name part must be non-empty';
  if (name.length > 63) return `name part ${longer(63)}`;
  return QUALIFIED.test(name) ? null : `name part ${QUALIFIED_ERROR}`;
}

function portNameError(v: string): string | null {
  if (v.length > 15) return longer(15);
  if (!/^[-a-z0-9]+$/.test(v)) return 'must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)';
  if (!/[a-z]/.test(v)) return 'must contain at least one letter (a-z)';
  if (v.includes('--')) return 'must not contain consecutive hyphens';
  return /^-|-$/.test(v) ? 'must not begin or end with a hyphen' : null;
}

const text = (at: At, error: (v: string) => string | null): string => {
  const v = at.text();
  const e = error(v);
  return e === null ? v : invalid(at, e, v);
};

/** IsDNS1123Label. */
export const dnsLabel = (at: At): string => text(at, labelError);

/** IsDNS1123Subdomain. */
export const dnsSubdomain = (at: At): string => text(at, subdomainError);

/** IsDNS1123Subdomain of a part of what stands there. */
export function subdomainPart(at: At, v: string): void {
  const e = subdomainError(v);
  if (e !== null) invalid(at, e, v);
}

const WILDCARD_TEXT = `\\*\\.${SUBDOMAIN_TEXT}`;
const WILDCARD = whole(WILDCARD_TEXT);
const WILDCARD_ERROR = regexError(
  `a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character`,
  WILDCARD_TEXT,
  '*.example.com',
);

/** IsWildcardDNS1123Subdomain: hosts of Ingresses. */
export const wildcardSubdomain = (at: At): string =>
  text(at, (v) => (v.length > 253 ? longer(253) : WILDCARD.test(v) ? null : WILDCARD_ERROR));

/** IsDNS1035Label: names of Services. */
export const dns1035Label = (at: At): string =>
  text(at, (v) => (v.length > 63 ? longer(63) : DNS1035.test(v) ? null : DNS1035_ERROR));

/** IsValidPortName: names of container ports, and target ports given by name. */
export const portName = (at: At): string => text(at, portNameError);

/** IsQualifiedName. */
export function qualifiedName(at: At, v: string = at.str()): string {
  const e = qualifiedError(v);
  return e === null ? v : invalid(at, e, v);
}

/** IsValidPortNum. */
export function portNumber(at: At): number {
  const v = Number(at.plain());
  return v >= 1 && v <= 65535 ? v : invalid(at, 'must be between 1 and 65535, inclusive', v);
}

/** ValidateNonnegativeField. */
export function notNegative(at: At): number {
  const v = Number(at.plain());
  return v >= 0 ? v : invalid(at, 'must be greater than or equal to 0', v);
}

export const isLabelValue = (v: string): boolean => labelValueError(v) === null;

/** A label's value, as zones are; `path`: the one that the API server names. */
export function labelValue(at: At, path: string = at.path): string {
  const v = at.text();
  const e = labelValueError(v);
  return e === null ? v : at.failPlain(`${path}: Invalid value: ${shown(v)}: ${e}`);
}

const UNDERSCORE_TEXT = '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?';
const SEARCH_TEXT = `${UNDERSCORE_TEXT}(\\.${UNDERSCORE_TEXT})*`;
const SEARCH = whole(SEARCH_TEXT);
const SEARCH_ERROR = regexError(
  `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', ${ends}`,
  SEARCH_TEXT,
  'example.com',
);

/** A search path of dnsConfig: a subdomain that may have underscores and a dot at its end, or `.`. */
export function searchPath(at: At): string {
  const v = at.text();
  const name = v.replace(/\.$/, '');
  if (v === '.' || (name.length <= 253 && SEARCH.test(name))) return v;
  return invalid(at, name.length > 253 ? longer(253) : SEARCH_ERROR, v);
}

/** ValidateLabels: a map of labels (or of the equal shape: selectors, nodeSelector), keys and values validated. */
export function labels(at: At | null): Record<string, string> {
  if (at === null) return {};
  for (const e of at.entries()) {
    const bad = qualifiedError(e.key);
    if (bad !== null) e.keyAt.fail(`Invalid value: ${shown(e.key)}: ${bad}`);
    const v = e.at.text();
    const badValue = labelValueError(v);
    if (badValue !== null) e.at.failPlain(`${at.path}: Invalid value: ${shown(v)}: ${badValue}`);
  }
  return at.strings();
}

/** ValidateAnnotations: keys as labels have them, any values, 256 KiB in all. */
export function annotations(at: At | null): Record<string, string> {
  if (at === null) return {};
  let size = 0;
  for (const e of at.entries()) {
    qualifiedName(e.keyAt, e.key.toLowerCase());
    size += e.key.length + (e.at.isNull ? 0 : e.at.str().length);
  }
  if (size > 256 * 1024) tooLong(at, 256 * 1024);
  return at.strings();
}

const isV6 = (v: string): boolean => /^[0-9a-fA-F:.]+(%\w+)?(\/\d+)?$/.test(v) && v.includes(':');
const octets = /^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/;
const isV4 = (v: string): boolean => octets.test(v) && Address4.isValid(v);
/** What every reader of addresses says of none. */
export const BAD_IP = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';

/** IsValidIP, IPv4 only: IPv6 is refused by name. */
export function address(at: At): string {
  const v = at.text();
  if (isV6(v)) at.fail(`found the IPv6 address ${quote(v)}, expected an IPv4 address (IPv6 is not supported yet)`);
  return isV4(v) ? v : invalid(at, BAD_IP, v);
}

/** IsValidIP: an IPv4 address, or an IPv6 address in its canonical form. */
export function addressOfEither(at: At): string {
  const v = at.text();
  if (!v.includes(':')) return isV4(v) ? v : invalid(at, BAD_IP, v);
  if (v.length > 45 || /[/%]/.test(v) || !Address6.isValid(v)) invalid(at, BAD_IP, v);
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

/** IsValidCIDR as loadBalancerSourceRanges have it: host bits may be set, blanks around are cut. */
export function sourceRange(at: At): string {
  const v = at.text().trim();
  if (isV6(v)) at.fail(`found the IPv6 network ${quote(v)}, expected an IPv4 network (IPv6 is not supported yet)`);
  const [ip = '', bits = ''] = v.split('/');
  if (!octets.test(ip) || !/^(0|[1-9]\d?)$/.test(bits) || !Address4.isValid(v))
    invalid(at, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)', at.text());
  return v;
}

/** IsValidCIDRForLegacyField of either family, as policies have networks. */
export function policyCidr(at: At): string {
  const v = at.text();
  const [ip = '', bits = ''] = v.split('/');
  const fits = isV6(v) ? v.length <= 49 && !v.includes('%') && Address6.isValid(v) : octets.test(ip) && Address4.isValid(v); // prettier-ignore
  if (!fits || !/^(0|[1-9]\d{0,2})$/.test(bits))
    invalid(at, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)', v);
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

/** ValidateNonSpecialIP of an IPv4 address: what no other machine could reach is refused. */
export function plainAddress(at: At): string {
  const v = address(at);
  if (v === '0.0.0.0') invalid(at, 'may not be unspecified (0.0.0.0)', v);
  if (v.startsWith('127.')) invalid(at, 'may not be in the loopback range (127.0.0.0/8, ::1/128)', v);
  if (v.startsWith('169.254.')) invalid(at, 'may not be in the link-local range (169.254.0.0/16, fe80::/10)', v);
  if (v.startsWith('224.0.0.'))
    invalid(at, 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)', v);
  return v;
}
