/**
 * Dates of the virtual clock, UTC: seconds since 1970 into their parts, RFC 3339 both ways.
 * @module
 */
const DAYS = ['Thu', 'Fri', 'Sat', 'Sun', 'Mon', 'Tue', 'Wed'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
/** Days from 1 March of the year 0 to 1970. */
const MARCH_0 = 719468;

const two = (n: number): string => String(n).padStart(2, '0');

/** A point in time as people write it: `month` from 1, `mon` and `weekday` in three letters, `time` as hh:mm:ss. */
export interface CalendarTime {
  year: number;
  month: number;
  mon: string;
  /** Of the month, two digits. */
  day: string;
  weekday: string;
  time: string;
}

/** The parts of `seconds` since 1970 (gmtime), from then on. */
export function calendarTime(seconds: number): CalendarTime {
  const days = Math.floor(seconds / 86400);
  const rest = seconds - days * 86400;
  // Years that begin in March have their leap day at the end; 146097 days are 400 of them.
  const z = days + MARCH_0;
  const era = Math.floor(z / 146097);
  const doe = z - era * 146097;
  const yoe = Math.floor((doe - Math.floor(doe / 1460) + Math.floor(doe / 36524) - Math.floor(doe / 146096)) / 365);
  const doy = doe - (365 * yoe + Math.floor(yoe / 4) - Math.floor(yoe / 100));
  const mp = Math.floor((5 * doy + 2) / 153);
  const month = mp < 10 ? mp + 3 : mp - 9;
  return {
    year: yoe + era * 400 + (month <= 2 ? 1 : 0),
    month,
    mon: MONTHS[month - 1]!,
    day: two(doy - Math.floor((153 * mp + 2) / 5) + 1),
    weekday: DAYS[days % 7]!,
    time: [rest / 3600, (rest / 60) % 60, rest % 60].map((x) => two(Math.floor(x))).join(':'),
  };
}

/** `Mon, 01 Jan 2024 00:00:00 GMT` for seconds since 1970 (RFC 9110 5.6.7). */
export function httpDate(seconds: number): string {
  const t = calendarTime(Math.floor(seconds));
  return `${t.weekday}, ${t.day} ${t.mon} ${t.year} ${t.time} GMT`;
}

/** `2024-01-01T00:00:00Z` for seconds since 1970. */
export function rfc3339(seconds: number): string {
  const t = calendarTime(seconds);
  return `${t.year}-${two(t.month)}-${t.day}T${t.time}Z`;
}

/** Seconds since 1970 of an RFC 3339 time; 0 if it is not one. */
export function unixSeconds(text: string): number {
  const m = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))$/.exec(text);
  if (m === null) return 0;
  const [y0, mon, d, h, min, s] = m.slice(1, 7).map(Number) as [number, number, number, number, number, number];
  const y = mon > 2 ? y0 : y0 - 1;
  const leap = Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400);
  const days = 365 * y + leap + Math.floor((153 * ((mon + 9) % 12) + 2) / 5) + d - 1 - MARCH_0;
  const zone = m[7] === undefined ? 0 : (Number(m[8]) * 60 + Number(m[9])) * (m[7] === '-' ? -60 : 60);
  return ((days * 24 + h) * 60 + min) * 60 + s - zone;
}
