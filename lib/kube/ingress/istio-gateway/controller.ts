/**
 * An Istio ingress gateway (Envoy): its decisions as a Controller of the proxy core.
 *
 * Two hosts are drawn and the one with fewer requests in flight is taken (LEAST_REQUEST); after a failure another one is, at once:
 * Envoy waits up to 25 ms. How long a Pod took (x-envoy-upstream-service-time) is told only by a program without a seed, others say 0,
 * for two machines never take equally long. Not here: retries because of an answer's
 * status, a route's time-out other than between two reads, TLS to the Pods, tracing, gRPC, HTTP/2, access logs.
 * @module
 */
import { aton, ntoa } from '../../../../wire/inet.js';
import type { Answer, Controller, Decision, Downstream, Failure, Forward, Refusal } from '../../../apps/l7/controller.js'; // prettier-ignore
import type { Endpoint, Io } from '../../../apps/l7/io.js';
import type { RequestHead } from '../../../apps/l7/message.js';
import type { Rng } from '../../../sim/rng.js';
import type { ForwardRoute, IstioRoute, Router, Upstream, WeightedBackend } from '../types.js';
import { clientResponse, upstreamRequest } from './headers.js';
import { peerMetadata, peerMetadataId, type Workload } from './metadata.js';
import { localReply } from './replies.js';

const SEC = 1e9;
/** max_request_headers_kb 60, 100 fields; idle timeout 1 h. */
const CLIENT: Controller['client'] = {
  maxLine: 61440, maxHead: 61440, maxFields: 100, headNs: 0, idleNs: 3600 * SEC, requests: Infinity, both: 'bad', writes: 'joined',
}; // prettier-ignore
const UPSTREAM: Controller['upstream'] = {
  idle: Infinity, idleNs: 3600 * SEC, requests: Infinity, ageNs: Infinity, bodyApart: false, readBytes: 16384,
}; // prettier-ignore
/** Draws of another host for a retry (host_selection_retry_max_attempts). */
const HOST_ATTEMPTS = 5;

export interface GatewaySettings {
  readonly workload: Workload;
  /** Tell real times of service. */
  readonly timed: boolean;
}

export class IstioController implements Controller {
  readonly client = CLIENT;
  readonly upstream = UPSTREAM;
  private readonly io: Io;
  private router: Router;
  private readonly settings: GatewaySettings;
  private readonly metadata: string;
  private readonly ids: Rng;
  private readonly hosts: Rng;
  private readonly weights: Rng;
  /** Requests in flight, by address and port. */
  private readonly active = new Map<string, number>();

  constructor(io: Io, router: Router, settings: GatewaySettings) {
    this.io = io;
    this.router = router;
    this.settings = settings;
    this.metadata = peerMetadata(settings.workload);
    this.ids = io.rng('envoy-request-id');
    this.hosts = io.rng('envoy-hosts');
    this.weights = io.rng('envoy-weights');
  }

  /** The cluster has changed. */
  update(router: Router): void {
    this.router = router;
  }

  decide(r: RequestHead, from: Downstream): Decision {
    const reply = (status: number, more: { body?: string; location?: string } = {}, keep = from.keep): Decision => ({
      respond: localReply(status, { now: this.io.wall(), keep, method: r.method, ...more }),
    });
    if (r.minor === 0) return reply(426, {}, false);
    if (r.method === 'CONNECT') return reply(404);
    const { tls } = from;
    const route = this.router.decide({ ...r, port: from.port, tls: tls !== null, sni: tls?.serverName ?? null, source: ntoa(from.peer.address) }); // prettier-ignore
    if (route.kind === 'redirect') return reply(route.status, { location: route.location });
    if (route.kind === 'answer') return reply(route.status, { body: route.body?.text ?? '' }, route.status !== 400 && from.keep); // prettier-ignore
    if (route.kind === 'default-backend') throw new Error('BUG: Envoy has no default backend of its own');
    const backend = this.cluster(route);
    if (backend.namespace === '') return reply(503);
    if (this.router.upstreams(backend).length === 0) return reply(503, { body: 'no healthy upstream' });
    return { forward: this.forward(r, from, route, backend) };
  }

  refuse(why: Refusal, _: Downstream, request: RequestHead | null): Answer | null {
    if (why === 'timeout') return null;
    const o = { now: this.io.wall(), keep: false, method: request?.method ?? 'GET' };
    if (why === 'head-too-long' || why === 'line-too-long') return localReply(431, { ...o, body: 'Request Header Fields Too Large' }); // prettier-ignore
    if (why === 'body') return localReply(413, { ...o, body: 'Payload Too Large' });
    if (why === 'unknown-coding') return localReply(501, { ...o, body: 'Not Implemented' });
    return localReply(400, why === 'no-host' ? o : { ...o, body: 'Bad Request' });
  }

  /** One of the route's clusters, by weight. */
  private cluster(route: ForwardRoute): WeightedBackend {
    const all = route.backends;
    if (all.length === 1) return all[0]!;
    let at = this.weights.below(all.reduce((n, b) => n + b.weight, 0));
    return all.find((b) => (at -= b.weight) < 0) ?? all[0]!;
  }

  private load(u: Upstream): number {
    return this.active.get(`${u.address}:${u.port}`) ?? 0;
  }

  private count(e: Endpoint, by: 1 | -1): void {
    const key = `${ntoa(e.address)}:${e.port}`;
    const n = (this.active.get(key) ?? 0) + by;
    if (n > 0) this.active.set(key, n);
    else this.active.delete(key);
  }

  /** Two draws; the first stays unless the second has fewer requests. */
  private draw(list: readonly Upstream[]): Upstream {
    const [a, b] = [list[this.hosts.below(list.length)]!, list[this.hosts.below(list.length)]!];
    return this.load(b) < this.load(a) ? b : a;
  }

  /** A host; for a retry one that has not been tried, if a few draws find one (previous_hosts). */
  private pick(list: readonly Upstream[], tried: readonly Endpoint[]): Endpoint {
    let u = this.draw(list);
    const known = (x: Upstream): boolean => tried.some((t) => t.address === aton(x.address)! && t.port === x.port);
    for (let n = 1; n < HOST_ATTEMPTS && known(u); n++) u = this.draw(list);
    return { address: aton(u.address)!, port: u.port };
  }

  /** A UUID of version 4; its version digit says that nothing traces. */
  private uuid(): string {
    const b = Array.from({ length: 16 }, () => this.ids.u32() >>> 24);
    b[6] = (b[6]! & 0x0f) | 0x40;
    b[8] = (b[8]! & 0x3f) | 0x80;
    const text = b.map((x) => x.toString(16).padStart(2, '0')).join('');
    return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join('-');
  }

  private forward(r: RequestHead, from: Downstream, route: ForwardRoute, backend: WeightedBackend): Forward {
    const istio = route.istio!;
    const requestId = this.uuid();
    const own = backend.headers === undefined ? [] : [backend.headers];
    const changes = [istio.headers, ...own];
    let attempt = 0;
    let begun = 0;
    let at: Endpoint | null = null;
    const leave = (): void => {
      if (at !== null) this.count(at, -1);
      at = null;
    };
    return {
      next: (tried, failure) => {
        leave();
        if (failure !== null && (attempt > istio.retries.attempts || !retries(failure, istio))) return null;
        const list = this.router.upstreams(backend);
        if (list.length === 0) return null;
        attempt++;
        at = this.pick(list, tried);
        this.count(at, 1);
        return at;
      },
      request: (body) => {
        begun = this.io.now();
        return upstreamRequest(r, from, {
          target: route.target, requestId, decorator: route.rule, peerMetadata: this.metadata, attempt,
          peerMetadataId: peerMetadataId(this.settings.workload, ntoa(from.local.address)), originalPath: istio.originalPath,
          authority: istio.authority, edits: changes.map((c) => c.request),
        }, body); // prettier-ignore
      },
      body: 'stream',
      maxBody: Infinity,
      connectNs: 10 * SEC,
      readNs: istio.timeoutNs,
      response: (head, body, keep) => {
        const serviceMs = this.settings.timed ? Math.floor((this.io.now() - begun) / 1e6) : 0;
        return clientResponse(head, body, { now: this.io.wall(), keep, serviceMs, edits: changes.map((c) => c.response) }); // prettier-ignore
      },
      failed: (f) => {
        leave();
        return localReply(f.kind === 'timeout' ? 504 : 503, { now: this.io.wall(), keep: from.keep, method: r.method, body: text(f, attempt) }); // prettier-ignore
      },
      done: leave,
    };
  }
}

/** Whether a failure is one of those that the route retries; its time-out is for all tries (onResponseTimeout). */
function retries(f: Failure, { retries: { retryOn } }: IstioRoute): boolean {
  const on = (...names: string[]): boolean => names.some((n) => retryOn.includes(n));
  if (f.kind === 'refused' || f.kind === 'connect-timeout')
    return on('connect-failure', '5xx', 'gateway-error', 'reset');
  if (f.kind === 'timeout') return false;
  return on('reset', '5xx', 'gateway-error') || (f.reused && !f.sent && on('reset-before-request'));
}

/** The body of the reply, by the reason of the reset. */
function text(f: Failure, attempts: number): string {
  if (f.kind === 'timeout') return 'upstream request timeout';
  const start = 'upstream connect error or disconnect/reset before headers. ';
  const again = attempts > 1 ? 'retried and the latest ' : '';
  const reasons = {
    refused: 'remote connection failure, transport failure reason: delayed connect error: Connection refused',
    'connect-timeout': 'connection timeout',
    closed: 'connection termination',
    invalid: 'protocol error',
  };
  return `${start}${again}reset reason: ${reasons[f.kind]}`;
}
