/**
 * What an Application Load Balancer answers by itself: nginx's pages without their last line, and `Server: awselb/2.0`.
 * @module
 */
import type { Answer } from '../../../apps/l7/controller.js';
import type { Field } from '../../../apps/l7/message.js';
import { NGINX_REASONS } from '../../../apps/servers/nginx.js';
import { httpDate } from '../../../sim/calendar.js';
import { answer, head } from '../answers.js';

const REASONS: Readonly<Record<number, string>> = {
  ...NGINX_REASONS, 200: 'OK', 403: 'Forbidden', 410: 'Gone', 500: 'Internal Server Error',
}; // prettier-ignore

/** The reason that the status line has. */
const reasonOf = (status: number): string => REASONS[status] ?? '';

/** The HTML of a status. */
export function page(status: number): string {
  const text = `${status} ${reasonOf(status)}`.trim();
  return `<html>\r\n<head><title>${text}</title></head>\r\n<body>\r\n<center><h1>${text}</h1></center>\r\n</body>\r\n</html>\r\n`;
}

export interface AlbAnswerOptions {
  /** Seconds since 1970. */
  readonly now: number;
  readonly keep: boolean;
  readonly location?: string;
  /** Of a fixed response: its type and text instead of the page. */
  readonly body?: { readonly type: string; readonly text: string };
}

/** An own answer: Server, Date, the body's fields, Connection, Location. */
export function albAnswer(status: number, o: AlbAnswerOptions): Answer {
  const body = o.body ?? { type: 'text/html', text: page(status) };
  const bytes = new TextEncoder().encode(body.text);
  const fields: Field[] = [
    ['Server', 'awselb/2.0'],
    ['Date', httpDate(o.now)],
    ['Content-Type', body.type],
    ['Content-Length', String(bytes.length)],
    ['Connection', o.keep ? 'keep-alive' : 'close'],
    ...(o.location === undefined ? [] : [['Location', o.location] as const]),
  ];
  return { ...answer(head(status, reasonOf(status), fields), '', !o.keep), body: bytes };
}
