/**
 * Answers that controllers make themselves, and what those that they relay have in common.
 * @module
 */
import type { Answer } from '../../apps/l7/controller.js';
import { bytesOf, CHUNKED, type Field, type Framing, type ResponseHead, TO_THE_END } from '../../apps/l7/message.js';

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

/**
 * How a Pod's body goes to a client of HTTP/1.`minor`: by its length where that is known (`streamed`: it is not), else in chunks, or to
 * the end of the connection for a client that knows none. `keep`: the connection may stay, before and after that.
 */
export function relayed(
  body: Framing,
  o: { readonly minor: number; readonly keep: boolean },
): { streamed: boolean; framing: Framing; keep: boolean } {
  const streamed = body.kind === 'chunked' || body.kind === 'close';
  const framing = !streamed ? body : o.minor === 0 ? TO_THE_END : CHUNKED;
  return { streamed, framing, keep: o.keep && framing.kind !== 'close' };
}
