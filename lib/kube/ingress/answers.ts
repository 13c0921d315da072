/**
 * Answers that controllers make themselves.
 * @module
 */
import type { Answer } from '../../apps/l7/controller.js';
import { bytesOf, type Field, type ResponseHead } from '../../apps/l7/message.js';

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
