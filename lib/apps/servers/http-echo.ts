/**
 * `podwire app http-echo -listen=:5678 -text=…`: hashicorp/http-echo.
 *
 * `/` answers the text, `/health` a JSON; both name the program and its version. @module
 */
import { goSite } from './go-site.js';
import { goFlags, portOf, type SiteArgs } from './site.js';

const VERSION = '1.0.0';

export const httpEcho: SiteArgs = (args, env) => {
  const f = goFlags(args, ['listen', 'text', 'status-code'], ['version']);
  if (typeof f === 'string') return { error: f, exit: 2 };
  const text = f.values.get('text') || env['ECHO_TEXT'] || '';
  if (text === '') return { error: 'Missing -text option or ECHO_TEXT env var!', exit: 127 };
  if (f.rest.length > 0) return { error: 'Too many arguments!', exit: 127 };
  const listen = f.values.get('listen') ?? ':5678';
  const port = portOf(listen);
  const code = f.values.get('status-code') ?? '200';
  const status = /^\d{3}$/.test(code) ? Number(code) : 0;
  if (port === null) return { error: `podwire: http-echo: found -listen ${listen}, expected :PORT`, exit: 2 };
  if (!(status >= 200 && status <= 599))
    return { error: `podwire: http-echo: found -status-code ${code}, expected 200 to 599`, exit: 2 };
  const fields = [['X-App-Name', 'http-echo'] as const, ['X-App-Version', VERSION] as const];
  return {
    port,
    make: (io) =>
      goSite(io, (r) =>
        r.path === '/health'
          ? { status: 200, fields, body: '{"status":"ok"}\n' }
          : { status, fields, body: `${text}\n` },
      ),
  };
};
