/**
 * nginx's own pages (src/http/ngx_http_special_response.c, server_tokens off), as ingress-nginx answers with them: no Server, Date
 * first.
 * @module
 */
import type { Answer } from '../../../apps/l7/controller.js';
import { bytesOf, type Field, joined, responseText } from '../../../apps/l7/message.js';
import { NGINX_REASONS } from '../../../apps/servers/nginx.js';
import { httpDate } from '../../../sim/calendar.js';
import { answer, head } from '../answers.js';

/** The status line's reason differs from the page's in one case (ngx_http_status_lines). */
const LINE_REASONS: Readonly<Record<number, string>> = { ...NGINX_REASONS, 302: 'Moved Temporarily' };

/** 494: what is too long is a header; it is said with 400. */
const TOO_LARGE = 'Request Header Or Cookie Too Large';

/** The HTML of a status; `more`: a line of its own under the status, which is the title too. */
export function page(status: number, more = ''): string {
  const text = `${status} ${NGINX_REASONS[status] ?? ''}`.trim();
  const title = more === '' ? text : `${status} ${more}`;
  const extra = more === '' ? '' : `<center>${more}</center>\r\n`;
  return `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<center><h1>${text}</h1></center>\r\n${extra}<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n`;
}

/** What a page is sent with. */
export interface PageOptions {
  /** Seconds since 1970. */
  now: number;
  keep: boolean;
  tls: boolean;
  /** `early`: nginx made it itself, it stands before Connection; else behind it. */
  location?: { value: string; early: boolean };
  more?: string;
}

/** HSTS, last of all fields on https. */
export const HSTS: Field = ['Strict-Transport-Security', 'max-age=31536000; includeSubDomains'];

/** A page as an answer. */
export function pageAnswer(status: number, o: PageOptions): Answer {
  const body = page(status, o.more);
  const location: Field[] = o.location === undefined ? [] : [['Location', o.location.value]];
  const early = o.location?.early === true;
  const fields: Field[] = [
    ['Date', httpDate(o.now)],
    ['Content-Type', 'text/html'],
    ['Content-Length', String(body.length)],
    ...(early ? location : []),
    ['Connection', o.keep ? 'keep-alive' : 'close'],
    ...(early ? [] : location),
    ...(o.tls ? [HSTS] : []),
  ];
  return answer(head(status, LINE_REASONS[status] ?? '', fields), body, !o.keep);
}

/** The page for a head that is too long. */
export const tooLarge = (o: PageOptions): Answer => pageAnswer(400, { ...o, more: TOO_LARGE });

/** What a plain request gets on the port of HTTPS (497), in bytes: there is no TLS to put it in. */
export function plainToHttps(now: number): Uint8Array {
  const a = pageAnswer(400, { now, keep: false, tls: false, more: 'The plain HTTP request was sent to HTTPS port' });
  return joined([bytesOf(responseText(a.head)), a.body]);
}
