/**
 * ingress-nginx (controller-v1.15.1, nginx 1.27): its decisions as a Controller of the proxy core, with the defaults of its ConfigMap.
 *
 * Upstream: rootfs/etc/nginx/template/nginx.tmpl, lua/balancer.lua. One worker. Not here: modsecurity, snippets, authentication, rate
 * limits, mirrors, canaries, affinity (routes refuses their annotations).
 * @module
 */
import { aton, ntoa } from '../../../../wire/inet.js';
import { hex } from '../../../../wire/bytes.js';
import type {
  Answer,
  Controller,
  Decision,
  Downstream,
  Failure,
  Forward,
  Refusal,
} from '../../../apps/l7/controller.js';
import type { Endpoint, Io } from '../../../apps/l7/io.js';
import { type RequestHead, valueOf, valuesOf, wordsOf } from '../../../apps/l7/message.js';
import type { Rng } from '../../../sim/rng.js';
import type { Backend, RedirectRoute, Router, Upstream } from '../types.js';
import { RoundRobin } from './balance.js';
import { clientResponse, upstreamRequest } from './headers.js';
import { pageAnswer, type PageOptions, tooLarge } from './pages.js';

const SEC = 1e9;
/** proxy-body-size 1m. */
const MAX_BODY = 1 << 20;
/** proxy-next-upstream-tries. */
const TRIES = 3;
/** Methods that are not tried again once the request has been sent. */
const NOT_IDEMPOTENT = new Set(['POST', 'LOCK', 'PATCH']);
const METHOD = /^[A-Z_-]+$/;
/** Where the controller's own server of last resort listens (--default-server-port). */
export const DEFAULT_SERVER_PORT = 8181;
const LOOPBACK = { address: 0x7f000001, port: DEFAULT_SERVER_PORT };

/** How nginx reads clients: client_header_buffer_size, large_client_header_buffers 4 8k, keepalive_timeout 75, keepalive_requests 1000. */
export const NGINX_CLIENT: Controller['client'] = {
  maxLine: 8190, maxHead: 32768, maxFields: 100000, headNs: 60 * SEC, idleNs: 75 * SEC, requests: 1000, both: 'bad', writes: 'nginx',
}; // prettier-ignore
/** upstream-keepalive-connections 320, -timeout 60, -requests 10000, -time 1h; proxy_buffer_size 4k. */
export const NGINX_UPSTREAM: Controller['upstream'] = {
  idle: 320, idleNs: 60 * SEC, requests: 10000, ageNs: 3600 * SEC, bodyApart: false, readBytes: 4096,
}; // prettier-ignore

/** What changes from one installation to another. */
export interface NginxSettings {
  /** use-proxy-protocol: every connection begins with a PROXY header, which the headers believe. */
  readonly proxyProtocol: boolean;
}

const endpointOf = (u: Upstream): Endpoint => ({ address: aton(u.address)!, port: u.port });

/** proxy_next_upstream error timeout, without non_idempotent. */
const mayRepeat = (method: string, f: Failure): boolean =>
  f.kind !== 'invalid' && !(f.sent && NOT_IDEMPOTENT.has(method));

export class NginxController implements Controller {
  readonly client = NGINX_CLIENT;
  readonly upstream = NGINX_UPSTREAM;
  private router: Router;
  private readonly io: Io;
  private readonly settings: NginxSettings;
  private readonly ids: Rng;
  private readonly rings = new Map<string, RoundRobin>();

  constructor(io: Io, router: Router, settings: NginxSettings) {
    this.io = io;
    this.router = router;
    this.settings = settings;
    this.ids = io.rng('nginx-request-id');
  }

  /** The cluster has changed. */
  update(router: Router): void {
    this.router = router;
  }

  decide(r: RequestHead, from: Downstream): Decision {
    const page = (status: number, keep = from.keep): Decision => ({
      respond: pageAnswer(status, this.page(from, keep)),
    });
    if (
      !METHOD.test(r.method) ||
      r.method === 'CONNECT' ||
      r.target === '*' ||
      valuesOf(r.fields, 'content-length').length > 1
    )
      return page(400, false);
    if (r.method === 'TRACE') return page(405, false);
    const route = this.router.decide({
      method: r.method, target: r.target, fields: r.fields, port: from.port, tls: from.tls !== null, source: ntoa(from.peer.address),
    }); // prettier-ignore
    if (route.kind === 'answer') return page(route.status, route.status !== 400 && from.keep);
    if (route.kind === 'redirect') return { respond: this.redirect(route, from) };
    if (route.kind === 'default-backend') return { forward: this.forward(r, from, route.target, () => LOOPBACK) };
    const backend = route.backends[0]!;
    if (this.router.upstreams(backend).length === 0) return page(503);
    const pick = (): Endpoint | null => this.pick(backend);
    return { forward: this.forward(r, from, route.target, pick) };
  }

  refuse(why: Refusal, from: Downstream): Answer | null {
    const o = this.page(from, false);
    if (why === 'timeout') return null;
    if (why === 'head-too-long') return tooLarge(o);
    const statuses = { version: 505, 'line-too-long': 414, 'unknown-coding': 501, body: 413 } as const;
    return pageAnswer(why in statuses ? statuses[why as keyof typeof statuses] : 400, o);
  }

  private page(from: Downstream, keep: boolean): PageOptions {
    return { now: this.io.wall(), keep, tls: from.tls !== null };
  }

  private redirect(route: RedirectRoute, from: Downstream): Answer {
    const location = { value: route.location, early: route.why === 'slash' };
    return pageAnswer(route.status, { ...this.page(from, from.keep), location });
  }

  private pick(b: Backend): Endpoint | null {
    const key = `${b.namespace}/${b.service}/${b.port.name || b.port.number}`;
    let ring = this.rings.get(key);
    if (ring === undefined) this.rings.set(key, (ring = new RoundRobin(this.io.rng(`nginx-balancer ${key}`))));
    const u = ring.next(this.router.upstreams(b));
    return u === null ? null : endpointOf(u);
  }

  /** $req_id: the client's, or 16 random bytes. */
  private requestId(r: RequestHead): string {
    const given = valueOf(r.fields, 'x-request-id') ?? '';
    if (given !== '') return given;
    return hex(Uint8Array.from({ length: 16 }, () => this.ids.u32() >>> 24));
  }

  private forward(r: RequestHead, from: Downstream, target: string, pick: () => Endpoint | null): Forward {
    const id = this.requestId(r);
    const port = this.settings.proxyProtocol ? from.local.port : from.port;
    const tls = from.tls !== null;
    const upgrade = wordsOf(r.fields, 'connection').includes('upgrade') || valueOf(r.fields, 'upgrade') !== null;
    let left = TRIES;
    return {
      next: (_, failure) => {
        if (failure === null) return pick();
        // An idle connection that the Pod has closed costs no try.
        if (!failure.reused || failure.kind !== 'closed') left--;
        return left > 0 && mayRepeat(r.method, failure) ? pick() : null;
      },
      request: (body) => upstreamRequest(r, from, target, id, port, body),
      body: 'whole',
      maxBody: MAX_BODY,
      connectNs: 5 * SEC,
      readNs: 60 * SEC,
      response: (head, body, keep) =>
        clientResponse(head, body, { minor: r.minor, now: this.io.wall(), keep, tls, upgrade }),
      failed: (f) =>
        pageAnswer(f.kind === 'timeout' || f.kind === 'connect-timeout' ? 504 : 502, this.page(from, from.keep)),
    };
  }
}

/** The server on 8181 that answers where no rule matches: 404, whatever is asked. */
export class NginxDefaultServer implements Controller {
  readonly client = NGINX_CLIENT;
  readonly upstream = NGINX_UPSTREAM;
  private readonly io: Io;

  constructor(io: Io) {
    this.io = io;
  }

  decide(r: RequestHead, from: Downstream): Decision {
    const known = METHOD.test(r.method);
    return { respond: pageAnswer(known ? 404 : 400, { now: this.io.wall(), keep: known && from.keep, tls: false }) };
  }

  refuse(why: Refusal): Answer | null {
    return why === 'timeout' ? null : pageAnswer(400, { now: this.io.wall(), keep: false, tls: false });
  }
}
