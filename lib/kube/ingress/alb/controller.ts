/**
 * An AWS Application Load Balancer: its decisions as a Controller of the proxy core.
 *
 * It stands outside the cluster, and its targets are Pods (target-type ip) or the nodes' NodePorts (instance). Facts: the Elastic Load
 * Balancing user guide, and captures that users published. Not known, and chosen here: that the round robin begins at the first
 * target, that a connection which a target refuses is not tried elsewhere. Not here: health checks (every registered target is taken
 * for healthy), stickiness, HTTP/2.
 * @module
 */
import { hex } from '../../../../wire/bytes.js';
import { aton, ntoa } from '../../../../wire/inet.js';
import type { Answer, Controller, Decision, Downstream, Failure, Forward, Refusal } from '../../../apps/l7/controller.js'; // prettier-ignore
import type { Endpoint, Io } from '../../../apps/l7/io.js';
import type { RequestHead } from '../../../apps/l7/message.js';
import type { Rng } from '../../../sim/rng.js';
import type { Backend, ForwardRoute, Router, WeightedBackend } from '../types.js';
import { clientResponse, targetRequest } from './headers.js';
import { albAnswer } from './pages.js';

const SEC = 1e9;
/** Request line 16 K, whole head 64 K; the idle timeout's default. */
const CLIENT: Controller['client'] = {
  maxLine: 16384, maxHead: 65536, maxFields: 100000, headNs: 60 * SEC, idleNs: 60 * SEC, requests: Infinity, both: 'bad', writes: 'joined',
}; // prettier-ignore
const UPSTREAM: Controller['upstream'] = {
  idle: 1000, idleNs: 60 * SEC, requests: Infinity, ageNs: Infinity, bodyApart: false, readBytes: 16384,
}; // prettier-ignore

export class AlbController implements Controller {
  readonly client = CLIENT;
  readonly upstream = UPSTREAM;
  private readonly io: Io;
  private router: Router;
  private readonly ids: Rng;
  private readonly weights: Rng;
  /** How often each target group has been asked. */
  private readonly turns = new Map<string, number>();

  constructor(io: Io, router: Router) {
    this.io = io;
    this.router = router;
    this.ids = io.rng('alb-trace-id');
    this.weights = io.rng('alb-weights');
  }

  /** The cluster has changed. */
  update(router: Router): void {
    this.router = router;
  }

  decide(r: RequestHead, from: Downstream): Decision {
    const own = (status: number, keep = from.keep): Decision => ({ respond: albAnswer(status, { now: this.io.wall(), keep }) }); // prettier-ignore
    if (r.method === 'CONNECT' || r.target === '*') return own(400, false);
    const route = this.router.decide({
      ...r,
      port: from.port,
      tls: from.tls !== null,
      source: ntoa(from.peer.address),
    });
    const options = { now: this.io.wall(), keep: from.keep };
    if (route.kind === 'redirect') return { respond: albAnswer(route.status, { ...options, location: route.location }) }; // prettier-ignore
    if (route.kind === 'answer') {
      if (route.body === null) return own(route.status, false);
      return { respond: albAnswer(route.status, { ...options, body: route.body }) };
    }
    if (route.kind === 'default-backend') throw new Error('BUG: an ALB has no default backend of its own');
    const backend = this.group(route);
    if (this.router.upstreams(backend).length === 0) return own(503);
    return { forward: this.forward(r, from, backend) };
  }

  refuse(why: Refusal): Answer | null {
    if (why === 'timeout') return null;
    const statuses = { version: 505, 'line-too-long': 414, 'unknown-coding': 501, body: 413 } as const;
    const status = why in statuses ? statuses[why as keyof typeof statuses] : 400;
    return albAnswer(status, { now: this.io.wall(), keep: false });
  }

  /** One of the rule's target groups, by weight. */
  private group(route: ForwardRoute): WeightedBackend {
    const all = route.backends;
    if (all.length === 1) return all[0]!;
    let at = this.weights.below(
      Math.max(
        1,
        all.reduce((n, b) => n + b.weight, 0),
      ),
    );
    return all.find((b) => (at -= b.weight) < 0) ?? all[0]!;
  }

  /** The next target of a group. */
  private pick(b: Backend): Endpoint | null {
    const list = this.router.upstreams(b);
    if (list.length === 0) return null;
    const key = `${b.namespace}/${b.service}/${b.port.name || b.port.number}/${b.target ?? ''}`;
    const turn = this.turns.get(key) ?? 0;
    this.turns.set(key, turn + 1);
    const u = list[turn % list.length]!;
    return { address: aton(u.address)!, port: u.port };
  }

  /** `1-`, the time in eight digits, and 24 random ones. */
  private trace(): string {
    const random = hex(Uint8Array.from({ length: 12 }, () => this.ids.u32() >>> 24));
    return `1-${this.io.wall().toString(16).padStart(8, '0')}-${random}`;
  }

  private forward(r: RequestHead, from: Downstream, backend: Backend): Forward {
    const id = this.trace();
    const failed = (f: Failure): number => (f.kind === 'timeout' || f.kind === 'connect-timeout' ? 504 : 502);
    return {
      next: (_, failure) => (failure === null ? this.pick(backend) : null),
      request: (body) => targetRequest(r, from, id, body),
      body: 'stream',
      maxBody: Infinity,
      connectNs: 10 * SEC,
      readNs: 60 * SEC,
      response: (head, body, keep) => clientResponse(head, body, { minor: r.minor, now: this.io.wall(), keep }),
      failed: (f) => albAnswer(failed(f), { now: this.io.wall(), keep: from.keep }),
    };
  }
}
