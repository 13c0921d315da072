/** The cache in the chain of plugins: hits, misses, prefetch and stale answers (plugin/cache/handler.go). @module */
import { RCODE } from '../../../wire/dns.js';
import type { CachePlugin, Item } from './cache.js';
import { type Handler, type Out, type Plugin, type Request, wantsDnssec } from './handler.js';

export const cacheHandler =
  (cache: CachePlugin): Plugin =>
  (next): Handler =>
  (r, out) => {
    if (!cache.covers(r.q.question[0]!.name)) return next(r, out);
    const { q } = r;
    const dnssec = wantsDnssec(q);
    // The plugins below change a copy.
    const own: Request = { ...r, q: { ...q } };
    const item = cache.find(q, dnssec);
    if (item === null) return next(own, { ...out, write: (m) => out.write(cache.pass(q, dnssec, m)) });
    const left = cache.left(item);
    const answer = (): void => out.write(cache.message(q, dnssec, item));
    if (left < 0 && cache.verifiesStale) return verify(cache, next, own, out, answer);
    const again = left < 0 || cache.wantsPrefetch(item);
    answer();
    if (again) refresh(cache, next, own, item);
  };

/** A stale entry answers only if no newer NOERROR or NXDOMAIN is to be had. */
function verify(cache: CachePlugin, next: Handler, r: Request, out: Out, stale: () => void): void {
  const { q } = r;
  const asked = { ...q };
  next(r, {
    write(m) {
      const rcode = m.flags & 15;
      if (rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN) return stale();
      out.write(cache.pass({ ...asked, flags: asked.flags & ~0x20 }, wantsDnssec(asked), m));
    },
    fail: stale,
  });
}

/** Asks again for the entry alone; whoever asks first counts as a client of TCP. */
function refresh(cache: CachePlugin, next: Handler, r: Request, item: Item): void {
  const asked = { ...r.q };
  const tcp: Request = { ...r, client: { ...r.client, transport: 'tcp' } };
  next(tcp, { write: (m) => cache.refreshed(asked, wantsDnssec(asked), m, item), fail: () => {} });
}
