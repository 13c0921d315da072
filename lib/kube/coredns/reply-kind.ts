/** What a reply is to the cache and to `minimal` (plugin/pkg/response Typify). @module */
import { type DnsMessage, RCODE, TYPE } from '../../../wire/dns.js';

export type Kind = 'success' | 'denial' | 'servfail' | 'delegation' | 'none';

/** `none`: not an ordinary reply, or an error other than SERVFAIL and NOTIMP. */
export function kindOf(m: DnsMessage): Kind {
  const q = m.question[0];
  const rcode = m.flags & 15;
  if (((m.flags >> 11) & 15) !== 0 || (q !== undefined && (q.type === TYPE.AXFR || q.type === TYPE.IXFR)))
    return 'none';
  if (m.answer.length > 0 && rcode === RCODE.NOERROR) return 'success';
  const soa = m.authority.some((r) => r.type === TYPE.SOA);
  if (soa && (rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN)) return 'denial';
  if (rcode === RCODE.SERVFAIL || rcode === RCODE.NOTIMP) return 'servfail';
  if (rcode !== RCODE.NOERROR) return 'none';
  return m.authority.some((r) => r.type === TYPE.NS) ? 'delegation' : 'success';
}
