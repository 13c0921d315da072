/** The `cache` plugin's part of a Corefile (plugin/cache/setup.go). @module */
import type { Directive, Place, Token } from './corefile-lexer.js';

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
  /** Entries asked for this often, with no pause longer than `window` ns, are asked for again in the last `share` per cent. */
  prefetch: { hits: number; window: number; share: number } | null;
  /** Seconds after its end that an entry still answers; `verify`: only if it cannot be had anew. */
  stale: { seconds: number; verify: boolean } | null;
}

const NO_TTL = 'cache TTL can not be zero or negative: ';

/** Reads `cache [TTL] [ZONE…] { … }`. */
export function cachePlugin(d: Directive, blockZones: string[], place: Place): CacheConfig {
  let args = d.words.slice(1);
  const store = (max: number): StoreConfig => ({ capacity: 10000, max, min: 5, except: [] });
  const c: CacheConfig = {
    zones: blockZones, success: store(3600), denial: store(1800), servfail: 5, keepTtl: false,
    prefetch: null, stale: null,
  }; // prettier-ignore
  if (args[0] !== undefined && /^[+-]?\d+$/.test(args[0].text)) {
    c.success.max = c.denial.max = place.int(args[0], 1, 2 ** 31, NO_TTL + args[0].text);
    args = args.slice(1);
  }
  if (args.length > 0) c.zones = place.zones(args);
  for (const o of d.block ?? []) option(c, o, place);
  return c;
}

function option(c: CacheConfig, o: Directive, place: Place): void {
  const head = o.words[0]!;
  if (o.block !== null) place.argErr(o);
  if (head.text === 'success' || head.text === 'denial') limits(c[head.text], place.args(o, 1, 3), place);
  else if (head.text === 'disable') {
    const [kind, ...zones] = place.args(o, 1, 1000) as [Token, ...Token[]];
    if (kind.text !== 'success' && kind.text !== 'denial')
      return place.fail(kind, 'cache type for disable must be "success" or "denial"');
    c[kind.text].except = zones.length > 0 ? place.zones(zones) : ['.'];
  } else if (head.text === 'servfail') {
    const t = place.args(o, 1, 1)[0]!;
    c.servfail = place.duration(t, 'invalid negative ttl for servfail') / 1e9;
    if (c.servfail > 300) place.fail(t, 'caching SERVFAIL responses over 5 minutes is not permitted');
  } else if (head.text === 'keepttl') c.keepTtl = place.args(o, 0, 0).length === 0;
  else if (head.text === 'prefetch') c.prefetch = prefetch(place.args(o, 1, 3), place);
  else if (head.text === 'serve_stale') {
    const [up, mode] = place.args(o, 0, 2);
    const seconds = up === undefined ? 3600 : Math.floor(place.duration(up, 'invalid negative duration for serve_stale') / 1e9); // prettier-ignore
    const how = mode?.text.toLowerCase() ?? 'immediate';
    if (how !== 'immediate' && how !== 'verify')
      return place.fail(mode!, `invalid value for serve_stale refresh mode: ${how}`);
    c.stale = { seconds, verify: how === 'verify' };
  } else place.argErr(o);
}

/** `prefetch AMOUNT [DURATION [PERCENTAGE%]]`; amount 0: none. */
function prefetch([amount, time, percent]: Token[], place: Place): CacheConfig['prefetch'] {
  const hits = place.int(amount!, 0, 2 ** 31, `prefetch amount should be positive: ${amount!.text}`);
  const window = time === undefined ? 60e9 : place.duration(time);
  const last = percent?.text.at(-1);
  if (last !== undefined && last !== '%')
    place.fail(percent!, `last character of percentage should be \`%\`, but is: '${last}'`);
  const share = percent === undefined ? 10 : Number(percent.text.slice(0, -1));
  if (!(share >= 10 && share <= 90)) place.fail(percent!, `percentage should fall in range [10, 90]: ${share}`);
  return hits === 0 ? null : { hits, window, share };
}

function limits(s: StoreConfig, [capacity, max, min]: Token[], place: Place): void {
  s.capacity = place.int(capacity!, 0, 2 ** 31);
  if (max !== undefined) s.max = place.int(max, 1, 2 ** 31, NO_TTL + max.text);
  if (min !== undefined) s.min = place.int(min, 0, 2 ** 31, `cache min TTL can not be negative: ${min.text}`);
}
