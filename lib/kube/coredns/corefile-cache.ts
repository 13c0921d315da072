/** The `cache` plugin's part of a Corefile (plugin/cache/setup.go). @module */
import type { Directive, Place, Token } from './corefile.js';

/** One of the two stores: entries it holds, and the bounds of a stored TTL in seconds. */
export interface StoreConfig {
  capacity: number;
  max: number;
  min: number;
  /** Zones whose replies are not stored. */
  except: string[];
}
export interface CacheConfig {
  zones: string[];
  success: StoreConfig;
  denial: StoreConfig;
  /** Seconds a SERVFAIL is kept. */
  servfail: number;
  keepTtl: boolean;
}

/** Reads `cache [TTL] [ZONE…] { … }`. */
export function cachePlugin(d: Directive, blockZones: string[], place: Place): CacheConfig {
  let args = d.words.slice(1);
  const store = (max: number): StoreConfig => ({ capacity: 10000, max, min: 5, except: [] });
  const c: CacheConfig = { zones: blockZones, success: store(3600), denial: store(1800), servfail: 5, keepTtl: false };
  if (args[0] !== undefined && /^-?\d+$/.test(args[0].text)) {
    c.success.max = c.denial.max = place.int(args[0], 1, 2 ** 31);
    args = args.slice(1);
  }
  if (args.length > 0) c.zones = place.zones(args);
  for (const o of d.block ?? []) {
    const head = o.words[0]!;
    if (o.block !== null) place.fail(head, `option '${head.text}' takes no block`);
    if (head.text === 'success' || head.text === 'denial') limits(c[head.text], place.args(o, 1, 3), place);
    else if (head.text === 'disable') {
      const [kind, ...zones] = place.args(o, 1, 1000) as [Token, ...Token[]];
      if (kind.text !== 'success' && kind.text !== 'denial')
        return place.fail(kind, `found disable '${kind.text}', expected success or denial`);
      c[kind.text].except = zones.length > 0 ? place.zones(zones) : ['.'];
    } else if (head.text === 'servfail') {
      const t = place.args(o, 1, 1)[0]!;
      c.servfail = place.duration(t) / 1e9;
      if (c.servfail > 300) place.fail(t, `found servfail '${t.text}', expected at most 5m`);
    } else if (head.text === 'keepttl') c.keepTtl = place.args(o, 0, 0).length === 0;
    else if (head.text === 'prefetch') {
      const amount = place.args(o, 1, 3)[0]!;
      if (amount.text !== '0')
        place.fail(head, "option 'prefetch' of cache is not emulated, expected 'prefetch 0' or none");
    } else place.fail(head, `option '${head.text}' of cache is not emulated`);
  }
  return c;
}

function limits(s: StoreConfig, [capacity, max, min]: Token[], place: Place): void {
  s.capacity = place.int(capacity!, 0, 2 ** 31);
  if (max !== undefined) s.max = place.int(max, 1, 2 ** 31);
  if (min !== undefined) s.min = place.int(min, 0, 2 ** 31);
}
