/**
 * HTTP through a sidecar: which fields its connection manager, its filters and its router add and take away, on either side.
 *
 *   outbound: + x-forwarded-proto, x-request-id, x-envoy-decorator-operation, x-envoy-peer-metadata(-id), x-envoy-attempt-count
 *   inbound:  - decorator and peer metadata, + x-forwarded-client-cert (of mTLS)
 *   answers:  + x-envoy-upstream-service-time, date, server (outbound says `envoy`, inbound `istio-envoy`)
 *
 * Upstream: istiod, pilot/pkg/networking/core; Envoy's ConnectionManagerImpl and Router; istio/proxy's peer_metadata filter.
 * @module
 */
import type { Answer, ClientRules, Controller, Decision, Downstream, Failure, Forward, Refusal, UpstreamRules } from '../../apps/l7/controller.js'; // prettier-ignore
import type { Endpoint, Io, Layer } from '../../apps/l7/io.js';
import { type Field, type Framing, type RequestHead, type ResponseHead, valueOf } from '../../apps/l7/message.js';
import type { Rng } from '../../sim/rng.js';
import {
  encodeRequest, encodeResponse, finishResponse, kept, localReply, reasonOf, removed, resetReason, set, setAbsent, uuid,
} from './envoy-headers.js'; // prettier-ignore
import { clientCert } from './client-cert.js';
import type { Mesh } from './mesh.js';
import { peerId, peerMetadata } from './peer-metadata.js';

/** Where a request goes. */
export interface HttpRoute {
  /** x-envoy-decorator-operation; null: the route has none. */
  readonly operation: string | null;
  readonly endpoints: readonly Endpoint[];
  /** One of them, by the requests that are on each; null: there is none. */
  pick(active: (e: Endpoint) => number): Endpoint | null;
  layer(e: Endpoint): Layer | null;
  /** The cluster's name. */
  readonly pool: string;
  readonly source?: number;
  /** Out of the mesh: nothing is told of the workload. */
  readonly passthrough: boolean;
}

export interface EnvoyOptions {
  readonly io: Io;
  readonly ids: Rng;
  /** NAMESPACE/NAME of the pod. */
  readonly me: string;
  mesh(): Mesh;
  readonly side: 'inbound' | 'outbound';
  route(host: string, to: Endpoint): HttpRoute;
}

const HOUR = 3600e9;
/** connectTimeout of the mesh's defaults. */
const CONNECT_NS = 10e9;
/** Attempts: the first, and two more (retry policy of istiod's routes). */
const ATTEMPTS = 3;
/** Where an answer is looked for among other hosts (host_selection_retry_max_attempts). */
const OTHER_HOSTS = 5;

const OPERATION = 'x-envoy-decorator-operation';
const PEER = 'x-envoy-peer-metadata';
const PEER_ID = 'x-envoy-peer-metadata-id';

const CLIENT: ClientRules = {
  maxLine: 61440, maxHead: 61440, maxFields: 100, headNs: 0, idleNs: HOUR, requests: Infinity, both: 'bad', writes: 'joined',
}; // prettier-ignore
const UPSTREAM: UpstreamRules = {
  idle: Infinity,
  idleNs: HOUR,
  requests: Infinity,
  ageNs: Infinity,
  bodyApart: false,
  readBytes: 16384,
};

/** One side of one sidecar. */
export class EnvoyController implements Controller {
  readonly client = CLIENT;
  readonly upstream = UPSTREAM;
  private readonly o: EnvoyOptions;
  private readonly active = new Map<string, number>();
  private readonly server: string;

  constructor(o: EnvoyOptions) {
    this.o = o;
    this.server = o.side === 'inbound' ? 'istio-envoy' : 'envoy';
  }

  decide(request: RequestHead, from: Downstream, _body: Framing): Decision {
    if (request.minor === 0) return { respond: this.reply(426, '', true) };
    const fields = kept(request.fields);
    const host = valueOf(fields, 'host') ?? '';
    const route = this.o.route(host, from.originalDst);
    const seen = this.requestFields(fields, from, route);
    const forward = route.endpoints.length === 0 ? null : this.forward(request, fields, from, route, seen);
    return forward === null ? { respond: this.reply(503, 'no healthy upstream', !from.keep, this.operation(route, seen)) } : { forward }; // prettier-ignore
  }

  refuse(why: Refusal, from: Downstream, _request: RequestHead | null): Answer | null {
    if (why === 'version') return this.reply(426, '', true);
    if (why === 'head-too-long' || why === 'line-too-long') return this.reply(431, '', true);
    if (why === 'timeout') return from.nth === 0 ? this.reply(408, '', true) : null;
    return this.reply(400, why === 'no-host' ? '' : 'Bad Request', true);
  }

  private reply(status: number, text: string, close: boolean, extra: readonly Field[] = []): Answer {
    const a = localReply(status, text, { server: this.server, wall: this.o.io.wall(), close });
    return { ...a, head: { ...a.head, fields: [...a.head.fields, ...extra] } };
  }

  /** Changes a request's fields; what of them matters for the answer. */
  private requestFields(fields: Field[], from: Downstream, route: HttpRoute): Seen {
    const { side, ids, me } = this.o;
    const mesh = this.o.mesh();
    setAbsent(fields, 'x-forwarded-proto', () => (from.tls === null ? 'http' : 'https'));
    setAbsent(fields, 'x-request-id', () => uuid(ids));
    clientCert(fields, from.tls, mesh, me);
    const seen: Seen = {
      operation: valueOf(fields, OPERATION) !== null,
      peerId: valueOf(fields, PEER_ID) !== null,
      peer: valueOf(fields, PEER) !== null,
    };
    const drop = side === 'inbound' ? [OPERATION, PEER_ID, PEER] : [PEER_ID, PEER];
    fields.splice(0, fields.length, ...removed(fields, drop));
    if (side === 'inbound') return seen;
    if (route.operation !== null) set(fields, OPERATION, route.operation);
    if (!route.passthrough) {
      set(fields, PEER_ID, peerId(mesh, me));
      set(fields, PEER, peerMetadata(mesh, me));
    }
    set(fields, 'x-envoy-attempt-count', '1');
    return seen;
  }

  private forward(
    request: RequestHead,
    fields: Field[],
    from: Downstream,
    route: HttpRoute,
    seen: Seen,
  ): Forward | null {
    const first = route.pick((e) => this.busy(e));
    if (first === null) return null;
    let attempts = 0;
    let to = first;
    return {
      next: (tried, failure) => {
        const e = this.next(route, first, tried, failure);
        to = e ?? to;
        return e;
      },
      request: (body) => {
        if (this.o.side === 'outbound' && ++attempts > 1) set(fields, 'x-envoy-attempt-count', String(attempts));
        return encodeRequest(request, fields, body);
      },
      body: 'stream',
      maxBody: Infinity,
      connectNs: CONNECT_NS,
      readNs: 0,
      ...(route.source === undefined ? {} : { source: route.source }),
      layer: (below, above) => {
        const l = route.layer(to);
        return l === null ? above(below) : l(below, above);
      },
      pool: route.pool,
      response: (head, body, keep) => this.response(request, head, body, from.keep && keep, route, seen),
      failed: (last) => this.reply(503, resetReason(last, true), !from.keep, this.operation(route, seen)),
      done: (e) => this.busyBy(e, -1),
    };
  }

  /** Retries on connect-failure, refused-stream and reset-before-request, at another host where there is one. */
  private next(route: HttpRoute, first: Endpoint, tried: readonly Endpoint[], f: Failure | null): Endpoint | null {
    if (f !== null) this.busyBy(tried.at(-1)!, -1);
    if (f !== null && (tried.length >= ATTEMPTS || (f.sent && !f.reused))) return null;
    let to: Endpoint | null = tried.length === 0 ? first : route.pick((e) => this.busy(e));
    for (let i = 1; i < OTHER_HOSTS && to !== null && tried.includes(to); i++) to = route.pick((e) => this.busy(e));
    if (to !== null) this.busyBy(to, 1);
    return to;
  }

  private busy(e: Endpoint): number {
    return this.active.get(`${e.address}:${e.port}`) ?? 0;
  }

  private busyBy(e: Endpoint, n: number): void {
    const key = `${e.address}:${e.port}`;
    const now = this.busy(e) + n;
    if (now > 0) this.active.set(key, now);
    else this.active.delete(key);
  }

  /** What an inbound proxy answers a peer that named no operation itself. */
  private operation(route: HttpRoute, seen: Seen): Field[] {
    return this.o.side === 'inbound' && !seen.operation && route.operation !== null ? [[OPERATION, route.operation]] : []; // prettier-ignore
  }

  private response(
    request: RequestHead,
    head: ResponseHead,
    body: Framing,
    keep: boolean,
    route: HttpRoute,
    seen: Seen,
  ): { head: ResponseHead; body: Framing; close: boolean } {
    const { side, me, io } = this.o;
    const fields = kept(head.fields);
    // What the upstream took; the clock of podwire stands still while a program works, and a recording says the same.
    set(fields, 'x-envoy-upstream-service-time', '0');
    if (side === 'outbound') fields.splice(0, fields.length, ...removed(fields, [PEER_ID, PEER]));
    else {
      if (seen.peerId) set(fields, PEER_ID, peerId(this.o.mesh(), me));
      if (seen.peer) set(fields, PEER, peerMetadata(this.o.mesh(), me));
    }
    finishResponse(fields, this.server, io.wall(), !keep);
    fields.push(...this.operation(route, seen));
    const e = encodeResponse(head.status, fields, body, request.method);
    return { head: { minor: 1, status: head.status, reason: reasonOf(head.status), fields: e.fields }, body: e.body, close: !keep }; // prettier-ignore
  }
}

/** What a request said, as far as its answer depends on it. */
interface Seen {
  readonly operation: boolean;
  readonly peerId: boolean;
  readonly peer: boolean;
}
