/**
 * `podwire app nginx [--version 1.27.5]`: the image `nginx` with the configuration it comes with: the welcome page on port 80.
 *
 * ngx_http_static_module, ngx_http_not_modified_filter. The head and the file are two writes, as sendfile without tcp_nopush makes
 * them. Not here: ranges (the whole page is sent), /50x.html. @module
 */
import { httpDate } from '../../sim/calendar.js';
import type { Answer, Controller, Refusal } from '../l7/controller.js';
import { NO_UPSTREAM } from '../l7/go.js';
import type { Io } from '../l7/io.js';
import { bytesOf, type Field, type RequestHead, valueOf } from '../l7/message.js';
import { goFlags, type SiteArgs, targetOf } from './site.js';

/** When the page of a release was made, in seconds since 1970. */
const RELEASES: ReadonlyMap<string, number> = new Map([['1.25.3', 0x6537cac7], ['1.27.5', 0x67ff9c07]]); // prettier-ignore
const NGINX_VERSION = '1.27.5';

const PAGE = `<!DOCTYPE html>
<html>
<head>
<title>Welcome to nginx!</title>
<style>
html { color-scheme: light dark; }
body { width: 35em; margin: 0 auto;
font-family: Tahoma, Verdana, Arial, sans-serif; }
</style>
</head>
<body>
<h1>Welcome to nginx!</h1>
<p>If you see this page, the nginx web server is successfully installed and
working. Further configuration is required.</p>

<p>For online documentation and support please refer to
<a href="http://nginx.org/">nginx.org</a>.<br/>
Commercial support is available at
<a href="http://nginx.com/">nginx.com</a>.</p>

<p><em>Thank you for using nginx.</em></p>
</body>
</html>
`;

/** What nginx's pages call a status (ngx_http_special_response.c). */
export const NGINX_REASONS: Readonly<Record<number, string>> = {
  301: 'Moved Permanently', 302: 'Found', 307: 'Temporary Redirect', 308: 'Permanent Redirect', 400: 'Bad Request', 404: 'Not Found',
  405: 'Not Allowed', 413: 'Request Entity Too Large', 414: 'Request-URI Too Large', 501: 'Not Implemented', 502: 'Bad Gateway',
  503: 'Service Temporarily Unavailable', 504: 'Gateway Time-out', 505: 'HTTP Version Not Supported',
}; // prettier-ignore

export const nginx: SiteArgs = (args) => {
  const f = goFlags(args, ['version']);
  const version = typeof f === 'string' ? '' : (f.values.get('version') ?? NGINX_VERSION);
  const made = RELEASES.get(version);
  if (typeof f === 'string' || f.rest.length > 0 || made === undefined)
    return {
      error: `podwire: nginx: found "${args.join(' ')}", expected --version ${[...RELEASES.keys()].join('|')}`,
      exit: 2,
    };
  return { port: 80, make: (io) => new Nginx(io, version, made) };
};

class Nginx implements Controller {
  readonly upstream = NO_UPSTREAM;
  readonly client: Controller['client'] = {
    maxLine: 8190, maxHead: 32768, maxFields: 100000, headNs: 60e9, idleNs: 65e9, requests: 1000, both: 'bad', writes: 'nginx',
  }; // prettier-ignore
  private readonly io: Io;
  private readonly version: string;
  private readonly made: number;

  constructor(io: Io, version: string, made: number) {
    this.io = io;
    this.version = version;
    this.made = made;
  }

  decide(r: RequestHead, from: { keep: boolean }): { respond: Answer } {
    const { path } = targetOf(r.target);
    if (!/^[A-Z_-]+$/.test(r.method) || !path.startsWith('/')) return { respond: this.page(400, false) };
    if (r.method === 'TRACE' || r.method === 'CONNECT') return { respond: this.page(405, false) };
    if (path !== '/' && path !== '/index.html') return { respond: this.page(404, from.keep) };
    if (r.method !== 'GET' && r.method !== 'HEAD') return { respond: this.page(405, from.keep) };
    return { respond: this.welcome(r, from.keep) };
  }

  refuse(why: Refusal): Answer | null {
    if (why === 'timeout') return null;
    const statuses: Partial<Record<Refusal, number>> = {
      version: 505,
      'line-too-long': 414,
      'unknown-coding': 501,
      body: 413,
    };
    return this.page(statuses[why] ?? 400, false);
  }

  private head(status: number, reason: string, fields: readonly Field[]): Answer['head'] {
    const own: Field[] = [
      ['Server', `nginx/${this.version}`],
      ['Date', httpDate(this.io.wall())],
    ];
    return { minor: 1, status, reason, fields: [...own, ...fields] };
  }

  private welcome(r: RequestHead, keep: boolean): Answer {
    const modified = httpDate(this.made);
    const etag = `"${this.made.toString(16)}-${PAGE.length.toString(16)}"`;
    const connection: Field = ['Connection', keep ? 'keep-alive' : 'close'];
    const match = valueOf(r.fields, 'if-none-match');
    const same =
      match !== null ? match === '*' || match.includes(etag) : valueOf(r.fields, 'if-modified-since') === modified;
    if (same) {
      const fields: Field[] = [['Last-Modified', modified], connection, ['ETag', etag]];
      return { head: this.head(304, 'Not Modified', fields), body: bytesOf(''), close: !keep };
    }
    const fields: Field[] = [
      ['Content-Type', 'text/html'],
      ['Content-Length', String(PAGE.length)],
      ['Last-Modified', modified],
      connection,
      ['ETag', etag],
      ['Accept-Ranges', 'bytes'],
    ];
    return { head: this.head(200, 'OK', fields), body: bytesOf(PAGE), close: !keep, apart: true };
  }

  private page(status: number, keep: boolean): Answer {
    const text = `${status} ${NGINX_REASONS[status]!}`;
    const html = `<html>\r\n<head><title>${text}</title></head>\r\n<body>\r\n<center><h1>${text}</h1></center>\r\n<hr><center>nginx/${this.version}</center>\r\n</body>\r\n</html>\r\n`;
    const fields: Field[] = [
      ['Content-Type', 'text/html'],
      ['Content-Length', String(html.length)],
      ['Connection', keep ? 'keep-alive' : 'close'],
    ];
    return { head: this.head(status, NGINX_REASONS[status]!, fields), body: bytesOf(html), close: !keep };
  }
}
