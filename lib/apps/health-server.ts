/**
 * `podwire app health --port PORT --service NAMESPACE/NAME --endpoints N|FILE [--address ADDR]`: what kube-proxy serves on a
 * healthCheckNodePort (pkg/proxy/healthcheck/service_health.go, over Go's net/http). Clouds' load balancers ask it whether a
 * node has endpoints of its own. The Date is the Lab's clock. A FILE holds the number, and is read for
 * each answer. Not here: chunked requests that are malformed, Expect.
 * @module
 */
import { aton } from '../../wire/inet.js';
import { EPOCH_SEC } from '../../wire/pcap.js';
import { TcpSock } from '../linux/ipv4/tcp.js';
import { httpDate } from '../sim/calendar.js';
import { strerror } from './errno.js';
import { type Head, HttpSession, type Site } from './http-session.js';
import type { Program } from './program.js';
import { listenTcp } from './tcp-server.js';

const USAGE = '--port PORT --service NAMESPACE/NAME --endpoints N|FILE [--address ADDR]';

const failure = (status: string): string =>
  `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n`;

/** The answers for a Service with so many local Ready endpoints; `now`: seconds since 1970. */
export function healthSite(service: string, count: () => number, now: () => number): Site {
  const [namespace, name] = service.split('/');
  const json = (endpoints: number): string =>
    `{\n\t"service": {\n\t\t"namespace": "${namespace!}",\n\t\t"name": "${name!}"\n\t},\n\t"localEndpoints": ${endpoints},\n\t"serviceProxyHealthy": true\n}`;
  const fields = (endpoints: number): string =>
    `Content-Type: application/json\r\nX-Content-Type-Options: nosniff\r\nX-Load-Balancing-Endpoint-Weight: ${endpoints}\r\n`;
  const answer = (h: Head): ReturnType<Site['answer']> => {
    const endpoints = count();
    const body = new TextEncoder().encode(json(endpoints));
    if (h.minor === 1 && !h.host) {
      const why = '400 Bad Request: missing required Host header';
      return { head: failure(why), body: new TextEncoder().encode(why), close: true };
    }
    const connection =
      h.minor === 1 && h.close
        ? 'Connection: close\r\n'
        : h.minor === 0 && !h.close
          ? 'Connection: keep-alive\r\n'
          : '';
    const date = ['Date: ', httpDate(now()), '\r\n'].join('');
    const first = (status: string): string => `HTTP/1.${h.minor} ${status}\r\n`;
    if (h.method === 'OPTIONS' && h.target === '*') {
      return {
        head: `${first('200 OK')}Content-Length: 0\r\n${date}${connection}\r\n`,
        body: body.subarray(0, 0),
        close: h.close,
      };
    }
    const status = first(endpoints > 0 ? '200 OK' : '503 Service Unavailable');
    return {
      head: `${status}${fields(endpoints)}${date}Content-Length: ${body.length}\r\n${connection}\r\n`,
      body,
      close: h.close,
    };
  };
  const bad = (head: string): string => {
    const why = /^\S+ \S+ HTTP\/[2-9]\.\d(\r|$)/.test(head)
      ? '505 HTTP Version Not Supported: unsupported protocol version'
      : '400 Bad Request';
    return failure(why) + why;
  };
  return { answer, bad };
}

/** The arguments after `app health`, or null. */
export function healthArgs(
  args: readonly string[],
): { port: number; service: string; endpoints: number | string; address: number } | null {
  const o = new Map<string, string>();
  for (let i = 0; i < args.length; i += 2) {
    if (!['--port', '--service', '--endpoints', '--address'].includes(args[i]!) || i + 1 === args.length) return null;
    if (o.has(args[i]!)) return null;
    o.set(args[i]!, args[i + 1]!);
  }
  const service = o.get('--service') ?? '';
  const number = (name: string, max: number): number =>
    /^\d{1,5}$/.test(o.get(name) ?? '') && Number(o.get(name)) <= max ? Number(o.get(name)) : -1;
  const port = number('--port', 65535);
  const text = o.get('--endpoints') ?? '';
  const endpoints = text.startsWith('/') ? text : number('--endpoints', 99999);
  const address = aton(o.get('--address') ?? '0.0.0.0');
  if (
    port < 1 ||
    (typeof endpoints === 'number' && endpoints < 0) ||
    address === null ||
    !/^[a-z0-9.-]+\/[a-z0-9.-]+$/.test(service)
  )
    return null;
  return { port, service, endpoints, address };
}

export const healthServer: Program = (p) => {
  const a = healthArgs(p.argv.slice(3));
  if (a === null) {
    p.err(`podwire: app health: found "${p.argv.slice(3).join(' ')}", expected ${USAGE}\n`);
    return p.exit(2);
  }
  const { sim } = p.net.kernel;
  const { endpoints } = a;
  const count = (): number =>
    typeof endpoints === 'number' ? endpoints : Number.parseInt(p.files.read(endpoints) ?? '', 10) || 0;
  const site = healthSite(a.service, count, () => EPOCH_SEC + Math.floor(sim.now / 1e9));
  const server = listenTcp(new TcpSock(p.net, p.cred), a.address, a.port, () => new HttpSession(site));
  if (typeof server === 'number') {
    p.err(`podwire app health: port ${a.port}: ${strerror(server)}\n`);
    return p.exit(1);
  }
  p.onKill = () => server.close();
};
