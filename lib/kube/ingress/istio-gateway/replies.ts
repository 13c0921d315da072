/**
 * What Envoy answers by itself (Utility::sendLocalReply): with a body its length, its type, date and server; without one only the
 * length 0, at the end.
 * @module
 */
import type { Answer } from '../../../apps/l7/controller.js';
import type { Field } from '../../../apps/l7/message.js';
import { httpDate } from '../../../sim/calendar.js';
import { reasonOf } from '../../istio/envoy-headers.js';
import { head } from '../answers.js';

export interface ReplyOptions {
  /** Seconds since 1970. */
  readonly now: number;
  readonly keep: boolean;
  readonly location?: string;
  readonly body?: string;
  readonly method: string;
}

/** A reply. An answer to HEAD has no length where it has no body either: Envoy then writes that it is chunked. */
export function localReply(status: number, o: ReplyOptions): Answer {
  const bytes = new TextEncoder().encode(o.body ?? '');
  const own: Field[] = [['date', httpDate(o.now)], ['server', 'istio-envoy']]; // prettier-ignore
  const close: Field[] = o.keep ? [] : [['connection', 'close']];
  const bare: Field = o.method === 'HEAD' ? ['transfer-encoding', 'chunked'] : ['content-length', '0'];
  const location: Field[] = o.location === undefined ? [] : [['location', o.location]];
  const fields: Field[] =
    bytes.length > 0
      ? [['content-length', String(bytes.length)], ['content-type', 'text/plain'], ...location, ...own, ...close]
      : [...location, ...own, ...close, bare]; // prettier-ignore
  return { head: head(status, reasonOf(status), fields), body: bytes, close: !o.keep };
}
