/**
 * `curl` 7.88.1 for HTTP and HTTPS (curl-tls.ts): its requests byte for byte, its output, its exit codes, one connection kept
 * for URLs of one host. Not here: redirects, cookies, authentication, upload, the progress meter's real speeds.
 * @module
 */
import { ntoa } from '../../wire/inet.js';
import { EINPROGRESS, TcpSock } from '../linux/ipv4/tcp.js';
import { SEC, type Timer } from '../sim/sim.js';
import { curlArgs, type CurlOptions, parseUrl, type Url } from './curl-args.js';
import { caFile, type CurlSock, CurlTls } from './curl-tls.js';
import { curlWriteOut, meterEnd, METER_HEAD } from './curl-output.js';
import { strerror } from './errno.js';
import { getaddrinfo } from './hosts.js';
import { HttpResponse } from './http-response.js';
import type { Proc, Program } from './program.js';
import type { Certificate } from './x509/certificate.js';

const BUFFER = 102400;
/** Seconds of silence before curl's connections are probed, and between the probes (CURLOPT_TCP_KEEPIDLE, _KEEPINTVL). */
const KEEPALIVE = 60;
const EAGAIN = -11;

export interface Failure {
  exit: number;
  message: string;
}

/** What became of one URL. */
export interface Transfer {
  url: Url;
  response: HttpResponse | null;
  /** A connection had to be made. */
  connects: number;
  addr: number;
  localPort: number;
  startNs: number;
}

/** A connection that may serve further URLs of the same host and port. */
interface Kept {
  key: string;
  sock: CurlSock;
  number: number;
}

export const curl: Program = (p) => {
  const o = curlArgs(p.argv);
  if (typeof o === 'string') {
    p.err(`${o}\n`);
    return p.exit(2);
  }
  new Curl(p, o).next(0);
};

/** The request's bytes (Curl_http). */
export function requestBytes(o: CurlOptions, url: Url): Uint8Array {
  const custom = o.headers.map((h) => ({ name: h.split(/[:;]/, 1)[0]!.trim().toLowerCase(), line: h }));
  const own = (name: string): string | undefined => custom.find((c) => c.name === name)?.line;
  const method = o.method ?? (o.head ? 'HEAD' : o.data !== null ? 'POST' : 'GET');
  const lines = [`${method} ${url.path} HTTP/1.1`];
  const host = own('host');
  if (host === undefined) lines.push(`Host: ${url.host}${url.port === (url.tls ? 443 : 80) ? '' : `:${url.port}`}`);
  else if (/^host:\s*\S/i.test(host)) lines.push(`Host: ${host.replace(/^host:\s*/i, '')}`);
  if (own('user-agent') === undefined && o.agent !== '') lines.push(`User-Agent: ${o.agent}`);
  if (own('accept') === undefined) lines.push('Accept: */*');
  for (const c of custom) {
    if (c.name === 'host') continue;
    if (/^[^:;]+;$/.test(c.line)) lines.push(`${c.line.slice(0, -1)}:`);
    else if (/^[^:]+:\s*\S/.test(c.line)) lines.push(c.line);
  }
  const body = o.data === null ? null : new TextEncoder().encode(o.data);
  if (body !== null) {
    if (own('content-length') === undefined) lines.push(`Content-Length: ${body.length}`);
    if (own('content-type') === undefined) lines.push('Content-Type: application/x-www-form-urlencoded');
  }
  const head = new TextEncoder().encode(`${lines.join('\r\n')}\r\n\r\n`);
  if (body === null) return head;
  const all = new Uint8Array(head.length + body.length);
  all.set(head);
  all.set(body, head.length);
  return all;
}

class Curl {
  private readonly p: Proc;
  private readonly o: CurlOptions;
  private roots: Certificate[] = [];
  private kept: Kept | null = null;
  private connections = 0;
  private timer: Timer | null = null;
  private exit = 0;
  private meter = false;

  constructor(p: Proc, o: CurlOptions) {
    this.p = p;
    this.o = o;
  }

  private get now(): number {
    return this.p.net.kernel.sim.now;
  }

  /** The next URL, or the end. */
  next(i: number): void {
    const text = this.o.urls[i];
    if (text === undefined) {
      this.kept?.sock.close();
      return this.p.exit(this.exit);
    }
    const url = parseUrl(text);
    const done = (t: Transfer | null, f: Failure | null): void => {
      this.report(t, f);
      this.next(i + 1);
    };
    if ('exit' in url) return done(null, url);
    if (url.tls && this.roots.length === 0) {
      const list = caFile(this.p, this.o.caFile);
      if ('exit' in list) return done(null, list);
      this.roots = list;
    }
    this.meter = !this.o.silent && !this.o.head;
    this.transfer(url, done);
  }

  private report(t: Transfer | null, f: Failure | null): void {
    const { o, p } = this;
    if (this.meter && t !== null) {
      const n = f === null ? (t.response?.bodyBytes ?? 0) : 0;
      if (n > 0 || f !== null) p.err(meterEnd(n, f === null));
      this.meter = false;
    }
    if (t !== null && o.writeOut !== '') {
      const text = curlWriteOut(o.writeOut, t, f);
      if (text === null) {
        p.err('podwire: curl: this -w variable is not supported yet\n');
        f ??= { exit: 2, message: '' };
      } else p.out(text);
    }
    this.exit = f === null ? 0 : f.exit;
    if (f !== null && f.message !== '' && (!o.silent || o.showError)) p.err(`${f.message}\n`);
  }

  private transfer(url: Url, done: (t: Transfer, f: Failure | null) => void): void {
    const { sim } = this.p.net.kernel;
    const t: Transfer = { url, response: null, connects: 0, addr: 0, localPort: 0, startNs: this.now };
    let over = false;
    const end = (f: Failure | null): void => {
      if (over) return;
      over = true;
      if (this.timer !== null) sim.cancel(this.timer);
      done(t, f);
    };
    if (this.o.maxTime > 0) {
      this.timer = sim.after(this.o.maxTime * SEC, () => {
        this.drop();
        const ms = Math.round((this.now - t.startNs) / 1e6);
        const got = t.response?.bodyBytes ?? 0;
        const what = t.localPort === 0 || t.response === null ? 'Connection' : 'Operation';
        end({
          exit: 28,
          message:
            what === 'Connection'
              ? `curl: (28) Connection timed out after ${ms} milliseconds`
              : `curl: (28) Operation timed out after ${ms} milliseconds with ${got} bytes received`,
        });
      });
    }
    if (!this.o.silent) this.p.err(METER_HEAD);
    const name = `${url.host.toLowerCase()}:${url.port}`;
    const key = `${url.tls ? 'https' : 'http'}://${name}`;
    if (this.kept !== null && this.kept.key === key && !this.kept.sock.readable && this.kept.sock.connected) {
      this.verbose(`Re-using existing connection #${this.kept.number} with host ${url.host}`);
      return this.exchange(t, this.kept, end);
    }
    this.drop();
    const given = this.o.resolve.get(name);
    if (given !== undefined) return this.connect(t, [given], key, end);
    getaddrinfo(this.p, url.host, this.o.inet, (r) => {
      if (over) return;
      if (typeof r === 'string') return end({ exit: 6, message: `curl: (6) Could not resolve host: ${url.host}` });
      this.connect(t, r, key, end);
    });
  }

  private drop(): void {
    this.kept?.sock.close();
    this.kept = null;
  }

  private connect(t: Transfer, addrs: readonly number[], key: string, end: (f: Failure | null) => void): void {
    const { sim } = this.p.net.kernel;
    const { o } = this;
    const { host, port } = t.url;
    const start = this.now;
    t.connects = 1;
    let sock: TcpSock;
    let timer: Timer | null = null;
    const giveUp = (f: Failure): void => {
      if (timer !== null) sim.cancel(timer);
      sock.close();
      this.kept = null;
      end(f);
    };
    const attempt = (i: number): void => {
      t.addr = addrs[i]!;
      sock = new TcpSock(this.p.net, this.p.cred);
      sock.setKeepalive(KEEPALIVE, KEEPALIVE);
      this.p.onKill = () => sock.close();
      this.verbose(`  Trying ${ntoa(t.addr)}:${port}...`);
      const failed = (err: number): void => {
        this.verbose(`connect to ${ntoa(t.addr)} port ${port} failed: ${strerror(err)}`);
        if (i + 1 < addrs.length) {
          sock.close();
          return attempt(i + 1);
        }
        const ms = Math.round((this.now - start) / 1e6);
        const text = `Failed to connect to ${host} port ${port} after ${ms} ms: Couldn't connect to server`;
        this.verbose(text);
        this.verbose('Closing connection 0');
        giveUp({ exit: 7, message: `curl: (7) ${text}` });
      };
      if (o.source !== 0 || o.sourcePort !== 0) {
        const err = sock.bind(o.source, o.sourcePort);
        if (err !== 0)
          return giveUp({ exit: 45, message: `curl: (45) bind failed with errno ${-err}: ${strerror(-err)}` });
      }
      sock.setNodelay();
      this.kept = { key, sock, number: this.connections };
      sock.onReady = () => {
        const err = sock.takeError();
        if (err !== 0) return failed(err);
        if (!sock.connected) return;
        this.connections++;
        this.verbose(`Connected to ${host} (${ntoa(t.addr)}) port ${port} (#${this.kept!.number})`);
        this.secure(t, sock, end, () => (timer === null ? undefined : sim.cancel(timer)));
      };
      const err = sock.connect(t.addr, port);
      if (err !== -EINPROGRESS) failed(-err);
    };
    if (o.connectTimeout > 0) {
      timer = sim.after(o.connectTimeout * SEC, () => {
        const ms = Math.round((this.now - start) / 1e6);
        const text = `Failed to connect to ${host} port ${port} after ${ms} ms: Timeout was reached`;
        giveUp({ exit: 28, message: `curl: (28) ${text}` });
      });
    }
    attempt(0);
  }

  /** TLS first, for https, which the time to connect covers as well; then the request. */
  private secure(t: Transfer, sock: TcpSock, end: (f: Failure | null) => void, stop: () => void): void {
    const k = this.kept!;
    if (!t.url.tls) {
      stop();
      return this.exchange(t, k, end);
    }
    const tls = new CurlTls(this.p, this.o, t.url, sock, this.roots, (text) => this.verbose(text));
    k.sock = tls;
    this.p.onKill = () => tls.close();
    tls.handshake((f) => {
      if (this.kept !== k) return;
      stop();
      if (f === null) return this.exchange(t, k, end);
      this.verbose(`Closing connection ${k.number}`);
      this.drop();
      end(f);
    });
  }

  /** Sends the request and reads the answer. */
  private exchange(t: Transfer, k: Kept, end: (f: Failure | null) => void): void {
    const { sock } = k;
    const request = requestBytes(this.o, t.url);
    t.addr = sock.daddr;
    t.localPort = sock.sport;
    t.response = new HttpResponse(this.o.head);
    let at = 0;
    const send = (): boolean => {
      while (at < request.length) {
        const n = sock.send(at === 0 ? request : request.subarray(at));
        if (n === EAGAIN) return true;
        if (n < 0) {
          this.drop();
          end({ exit: 55, message: `curl: (55) Send failure: ${strerror(-n)}` });
          return false;
        }
        at += n;
      }
      return true;
    };
    if (this.o.verbose) this.traceRequest(request);
    sock.onReady = () => {
      if (!send()) return;
      this.receive(t, sock, end);
    };
    if (send() && sock.readable) sock.wake();
  }

  private receive(t: Transfer, sock: CurlSock, end: (f: Failure | null) => void): void {
    const r = t.response!;
    for (;;) {
      const b = sock.recv(BUFFER);
      if (b === EAGAIN) return;
      if (typeof b === 'number' || b.length === 0) {
        const broken = sock instanceof CurlTls ? sock.broken : null;
        this.drop();
        return end(typeof b === 'number' ? recvFailure(-b) : ((this.ended(r) && broken) ?? this.ended(r)));
      }
      const headBefore = r.head.length;
      const body = r.data(b);
      this.show(r, headBefore, body);
      if (r.error !== null) {
        this.drop();
        return end({ exit: 1, message: `curl: (1) ${r.error}` });
      }
      if (!r.complete) continue;
      sock.onReady = null;
      if (r.close) {
        this.verbose(`Closing connection ${this.kept!.number}`);
        this.drop();
      } else this.verbose(`Connection #${this.kept!.number} to host ${t.url.host} left intact`);
      return this.finish(t, end);
    }
  }

  private finish(t: Transfer, end: (f: Failure | null) => void): void {
    const { status } = t.response!;
    const bad = this.o.fail && status >= 400;
    end(bad ? { exit: 22, message: `curl: (22) The requested URL returned error: ${status}` } : null);
  }

  private ended(r: HttpResponse): Failure | null {
    if (r.eof()) return null;
    if (!r.started) return { exit: 52, message: 'curl: (52) Empty reply from server' };
    return { exit: 18, message: `curl: (18) transfer closed with outstanding read data remaining` };
  }

  private show(r: HttpResponse, headBefore: number, body: Uint8Array): void {
    const { o, p } = this;
    const head = r.head.slice(headBefore);
    if (head !== '') {
      if (o.verbose) for (const line of head.split(/(?<=\n)/)) p.err(`< ${line}`);
      if ((o.include || o.head) && !o.discard) p.out(head);
    }
    if (body.length > 0) {
      if (o.verbose) p.err(`{ [${body.length} bytes data]\n`);
      if (!o.discard && !(o.fail && r.status >= 400)) p.out(new TextDecoder().decode(body));
    }
  }

  private traceRequest(request: Uint8Array): void {
    const text = new TextDecoder().decode(request);
    const end = text.indexOf('\r\n\r\n') + 4;
    for (const line of text.slice(0, end).split(/(?<=\n)/)) this.p.err(`> ${line}`);
    if (end < text.length) this.p.err(`} [${request.length - end} bytes data]\n`);
  }

  private verbose(text: string): void {
    if (this.o.verbose) this.p.err(`* ${text}\n`);
  }
}

const recvFailure = (errno: number): Failure => ({
  exit: 56,
  message: `curl: (56) Recv failure: ${strerror(errno)}`,
});
