/**
 * Traefik 3.7 with the Kubernetes Ingress provider: its decisions as a Controller of the proxy core, entry points as the chart has
 * them.
 *
 * Not here: middlewares, sticky cookies, health checks, the buffering of gzip (a Pod's compressed answer to the `Accept-Encoding` that
 * Go's client adds goes on as it is).
 * @module
 */
import { aton, ntoa } from '../../../../wire/inet.js';
import type { Answer, Controller, Decision, Downstream, Forward, Refusal } from '../../../apps/l7/controller.js';
import { GO_CLIENT, goAnswer, goError, goMalformed, goReason, goRefusal, goTextError } from '../../../apps/l7/go.js';
import type { Endpoint, Io } from '../../../apps/l7/io.js';
import { type RequestHead, valueOf } from '../../../apps/l7/message.js';
import type { ForwardRoute, Router } from '../types.js';
import { Wrr } from './balance.js';
import { clientResponse, upstreamRequest } from './headers.js';

const SEC = 1e9;
/** The methods that Go's client repeats when an idle connection turns out to be dead. */
const REPLAYABLE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

export class TraefikController implements Controller {
  /** respondingTimeouts: readTimeout 60 s, idleTimeout 180 s; maxHeaderBytes 1 MiB. */
  readonly client: Controller['client'] = { ...GO_CLIENT, headNs: 60 * SEC, idleNs: 180 * SEC };
  /** serversTransport: maxIdleConnsPerHost 200, idleConnTimeout 90 s. */
  readonly upstream: Controller['upstream'] = {
    idle: 200, idleNs: 90 * SEC, requests: Infinity, ageNs: Infinity, bodyApart: true, readBytes: 1 << 16,
  }; // prettier-ignore
  private router: Router;
  private readonly io: Io;
  /** The name of its Pod. */
  private readonly pod: string;
  private readonly rings = new Map<string, Wrr>();

  constructor(io: Io, router: Router, pod: string) {
    this.io = io;
    this.router = router;
    this.pod = pod;
  }

  /** The cluster has changed. */
  update(router: Router): void {
    this.router = router;
  }

  decide(r: RequestHead, from: Downstream): Decision {
    const why = goMalformed(r);
    if (why !== null) return { respond: goError(400, why) };
    const route = this.router.decide({
      method: r.method, target: r.target, fields: r.fields, port: from.port, tls: from.tls !== null, source: ntoa(from.peer.address),
    }); // prettier-ignore
    if (route.kind === 'redirect') {
      const body = goReason(route.status);
      return { respond: this.say(r, from, { status: route.status, fields: [['Location', route.location]], body }) };
    }
    if (route.kind !== 'forward') {
      const status = route.kind === 'answer' ? route.status : 404;
      if (status === 400) return { respond: goError(400) };
      return {
        respond: this.say(r, from, goTextError(status, status === 404 ? '404 page not found' : goReason(status))),
      };
    }
    const first = this.pick(route);
    if (first === null) return { respond: this.say(r, from, goTextError(503, 'no available server')) };
    return { forward: this.forward(r, from, route, first) };
  }

  refuse(why: Refusal): Answer | null {
    return goRefusal(why);
  }

  private say(r: RequestHead, from: Downstream, a: Parameters<typeof goAnswer>[3]): Answer {
    return goAnswer(r, from, this.io.wall(), { ...a, sniff: false });
  }

  private pick(route: ForwardRoute): Endpoint | null {
    const b = route.backends[0]!;
    const key = `${b.namespace}/${b.service}/${b.port.name || b.port.number}`;
    let ring = this.rings.get(key);
    if (ring === undefined) this.rings.set(key, (ring = new Wrr(this.io.rng(`traefik-servers ${key}`))));
    const u = ring.next(this.router.upstreams(b));
    return u === null ? null : { address: aton(u.address)!, port: u.port };
  }

  private forward(r: RequestHead, from: Downstream, route: ForwardRoute, to: Endpoint): Forward {
    const replayable = REPLAYABLE.has(r.method) || valueOf(r.fields, 'idempotency-key') !== null;
    return {
      next: (_, f) => (f === null || (f.reused && f.kind === 'closed' && (replayable || !f.sent)) ? to : null),
      request: (body) => upstreamRequest(r, from, route.target, this.pod, body),
      body: 'stream',
      maxBody: Infinity,
      connectNs: 30 * SEC,
      readNs: 0,
      response: (h, body, keep) => clientResponse(h, body, { minor: r.minor, now: this.io.wall(), keep }),
      failed: (f) => {
        const status = f.kind === 'connect-timeout' || f.kind === 'timeout' ? 504 : 502;
        return this.say(r, from, { status, body: goReason(status) });
      },
    };
  }
}
