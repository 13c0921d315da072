/**
 * Answers that controllers make themselves: pages, dates.
 * @module
 */
import type { Answer } from '../../apps/l7/controller.js';
import { bytesOf, type Field, type ResponseHead } from '../../apps/l7/message.js';
import { calendarTime } from '../../sim/calendar.js';

/** `Mon, 01 Jan 2024 00:00:00 GMT` for seconds since 1970 (RFC 9110 5.6.7). */
export function httpDate(sec: number): string {
  const t = calendarTime(Math.floor(sec));
  return `${t.weekday}, ${t.day} ${t.mon} ${t.year} ${t.time} GMT`;
}

export const head = (status: number, reason: string, fields: readonly Field[], minor = 1): ResponseHead => ({
  minor,
  status,
  reason,
  fields,
});

export const answer = (h: ResponseHead, body: string, close: boolean): Answer => ({
  head: h,
  body: bytesOf(body),
  close,
});
