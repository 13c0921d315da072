/**
 * AGE: duration.HumanDuration of apimachinery, between a creation time and the virtual clock.
 * @module
 */
import { EPOCH_SEC } from '../../../wire/pcap.js';
import { unixSeconds } from '../../sim/calendar.js';

/** The age of something created at `created` (RFC 3339), `now` ns after the clock's beginning. */
export function age(created: string, now: number): string {
  return humanDuration(EPOCH_SEC + Math.floor(now / 1e9) - unixSeconds(created));
}

const two = (a: number, unit: string, b: number, small: string): string =>
  b === 0 ? `${a}${unit}` : `${a}${unit}${b}${small}`;

/** Whole seconds as kubectl prints them: two units at most, fewer the longer it is. */
export function humanDuration(s: number): string {
  if (s < -1) return '<invalid>';
  if (s < 0) return '0s';
  if (s < 120) return `${s}s`;
  const m = Math.floor(s / 60);
  if (m < 10) return two(m, 'm', s % 60, 's');
  if (m < 180) return `${m}m`;
  const h = Math.floor(m / 60);
  if (h < 8) return two(h, 'h', m % 60, 'm');
  if (h < 48) return `${h}h`;
  const d = Math.floor(h / 24);
  if (h < 192) return two(d, 'd', h % 24, 'h');
  if (h < 365 * 48) return `${d}d`;
  const y = Math.floor(d / 365);
  return h < 365 * 192 ? two(y, 'y', d % 365, 'd') : `${y}y`;
}
