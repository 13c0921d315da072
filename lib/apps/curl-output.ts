/**
 * What curl prints beside the body: the progress meter and -w.
 * @module
 */
import { ntoa } from '../../wire/inet.js';
import type { Failure, Transfer } from './curl.js';

/** The meter's head and its first line; speeds and times are podwire's (the real ones are the machine's). */
export const METER_HEAD =
  '  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current\n' +
  '                                 Dload  Upload   Total   Spent    Left  Speed\n' +
  '\r  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0';

/** The meter's last line after `n` bytes. */
export function meterEnd(n: number, ok: boolean): string {
  if (!ok) return '\r  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0\n';
  const size = String(n).padStart(5);
  return `\r100 ${size}  100 ${size}    0     0      0      0 --:--:-- --:--:-- --:--:--     0\n`;
}

/** The text of -w, or null when it names a variable that is not supported. */
export function curlWriteOut(format: string, t: Transfer, f: Failure | null): string | null {
  const r = t.response;
  const code = String(r?.status ?? 0).padStart(3, '0');
  const values: Record<string, string> = {
    http_code: code,
    response_code: code,
    size_download: String(r?.bodyBytes ?? 0),
    size_header: String(r?.head.length ?? 0),
    num_connects: String(t.connects),
    remote_ip: t.localPort === 0 ? '' : ntoa(t.addr),
    remote_port: t.localPort === 0 ? '0' : String(t.url.port),
    local_port: String(t.localPort),
    exitcode: String(f?.exit ?? 0),
    errormsg: f === null ? '' : f.message.replace(/^curl: \(\d+\) /, ''),
    url_effective: t.url.text,
    url: t.url.text,
    http_version: r === null || r.status === 0 ? '0' : '1.1',
  };
  let bad = false;
  const text = format
    .replace(/%\{([^}]*)\}|%%/g, (all, name: string | undefined) => {
      if (name === undefined) return '%';
      const v = values[name];
      if (v === undefined) bad = true;
      return v ?? all;
    })
    .replace(/\\([nrt])/g, (_, c: string) => (c === 'n' ? '\n' : c === 'r' ? '\r' : '\t'));
  return bad ? null : text;
}
