/** Names within zones, compared without case (miekg/dns's IsSubDomain, plugin.Zones), and reverse names. @module */
import { aton } from '../../../wire/inet.js';
import { aton6 } from '../../../wire/inet6.js';

/** Length of the part of `name` left of `zone`, compared without case; -1 when it is not below. */
export function below(name: string, zone: string): number {
  const cut = zone === '.' ? name.length : name.length - zone.length;
  if (zone === '.') return name === '.' ? 0 : cut;
  if (cut < 0 || (cut > 0 && name[cut - 1] !== '.')) return -1;
  return name.slice(cut).toLowerCase() === zone.toLowerCase() ? cut : -1;
}

/** The longest of `zones` that `name` is in, or null. */
export function longestZone(zones: readonly string[], name: string): string | null {
  let best: string | null = null;
  for (const z of zones) if (below(name, z) >= 0 && (best === null || z.length > best.length)) best = z;
  return best;
}

/** Address of a reverse name in lower case, or null (dnsutil.ExtractAddressFromReverse). */
export function fromReverse(name: string): Uint8Array | null {
  const v4 = /^(.*)\.in-addr\.arpa\.$/.exec(name);
  if (v4 !== null) {
    const a = aton(v4[1]!.split('.').reverse().join('.'));
    return a === null ? null : Uint8Array.of(a >>> 24, a >>> 16, a >>> 8, a);
  }
  const v6 = /^((?:[0-9a-f]\.){31}[0-9a-f])\.ip6\.arpa\.$/.exec(name);
  return v6 === null
    ? null
    : aton6(
        v6[1]!
          .split('.')
          .reverse()
          .join('')
          .replace(/(.{4})(?=.)/g, '$1:'),
      );
}
