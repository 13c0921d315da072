/** `podwire app http --port PORT [--body TEXT | --size BYTES]`: an HTTP/1.1 server that keeps connections alive. */
import { TcpSock } from '../linux/ipv4/tcp.js';
import { strerror } from './errno.js';
import { HttpSession, plainSite } from './http-session.js';
import type { Program } from './program.js';
import { listenTcp } from './tcp-server.js';

export const DEFAULT_BODY = 'podwire\n';

const USAGE = '--port PORT [--body TEXT | --size BYTES]';

/** `n` bytes of text in lines of 64. */
function filler(n: number): string {
  const line = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.\n';
  return line.repeat(Math.ceil(n / line.length)).slice(0, n);
}

/** The arguments after `app http`, or what is wrong with them. */
export function httpArgs(args: readonly string[]): { port: number; body: string } | string {
  let port = 0;
  let body = DEFAULT_BODY;
  for (let i = 0; i < args.length; i += 2) {
    const v = args[i + 1];
    if (v === undefined) return `app http: ${args[i]} needs a value`;
    if (args[i] === '--port' && /^\d+$/.test(v) && Number(v) > 0 && Number(v) < 65536) port = Number(v);
    else if (args[i] === '--body') body = v;
    else if (args[i] === '--size' && /^\d{1,8}$/.test(v)) body = filler(Number(v));
    else return `app http: found "${args[i]} ${v}", expected ${USAGE}`;
  }
  return port === 0 ? `app http: expected ${USAGE}` : { port, body };
}

export const httpServer: Program = (p) => {
  const a = httpArgs(p.argv.slice(3));
  if (typeof a === 'string') {
    p.err(`podwire: ${a}\n`);
    return p.exit(2);
  }
  const server = listenTcp(new TcpSock(p.net, p.cred), 0, a.port, () => new HttpSession(plainSite(a.body)));
  if (typeof server === 'number') {
    p.err(`podwire app http: port ${a.port}: ${strerror(server)}\n`);
    return p.exit(1);
  }
  p.onKill = () => server.close();
};
