/**
 * What the four ingress controllers share: a request as their routers see it, and where it is routed.
 *
 * A router is built once from the objects of a cluster and then decides request by request, without state: which Service answers, or
 * which answer the controller makes itself. It sends nothing and draws no random numbers: the choice among addresses, header fields
 * and bodies are the proxy's.
 * @module
 */
import type { KubeObject } from '../api/types.js';

/** One request, as it came from the client; a RequestHead of lib/apps/l7 and where it came in. */
export interface RouteRequest {
  readonly method: string;
  /** The request target byte for byte, with its query. */
  readonly target: string;
  /** Header fields in the client's order and case. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** The port that the client reached, as the client knows it: 80 or 443. */
  readonly port: number;
  readonly tls: boolean;
  /** The server name of the handshake; null: none. */
  readonly sni?: string | null;
  /** The peer's address. */
  readonly source: string;
}

/** A Service's port that answers. */
export interface Backend {
  readonly namespace: string;
  readonly service: string;
  /** As the rule gives it: a name, or a number where the name is empty. */
  readonly port: { readonly name: string; readonly number: number };
  /** Of ALB: Pods, or the nodes' NodePort. */
  readonly target?: 'ip' | 'instance';
}

/** One of the backends of a rule; the weights of a rule's backends are relative to their sum. */
export interface WeightedBackend extends Backend {
  readonly weight: number;
  /** Header changes of this destination, after the rule's; only Istio has them. */
  readonly headers?: HeaderChanges;
}

/** Header changes of a VirtualService. */
export interface HeaderChanges {
  readonly request: HeaderEdit;
  readonly response: HeaderEdit;
}

export interface HeaderEdit {
  readonly set: readonly (readonly [string, string])[];
  readonly add: readonly (readonly [string, string])[];
  readonly remove: readonly string[];
}

/** A Pod's (or node's) address and port. */
export interface Upstream {
  readonly address: string;
  readonly port: number;
}

/** What a controller does with a request. */
export type Route =
  | ForwardRoute
  | RedirectRoute
  | AnswerRoute
  /** ingress-nginx's own server on 127.0.0.1:8181, which answers 404 over a real connection; the target goes there as `target`. */
  | { readonly kind: 'default-backend'; readonly target: string };

export interface ForwardRoute {
  readonly kind: 'forward';
  /** One, but for Istio's weighted routes and ALB's weighted target groups. */
  readonly backends: readonly WeightedBackend[];
  /** The target to write to the upstream, with its query. */
  readonly target: string;
  /** The rule that matched, in the controller's own words (nginx: its location; Traefik: the router's rule); for logs and tests. */
  readonly rule: string;
  /** `namespace/name` of the object that the rule came from. */
  readonly from: string;
  /** What a VirtualService says beyond that. */
  readonly istio?: IstioRoute;
}

export interface IstioRoute {
  /** The authority to write instead of the client's; null: as it came. */
  readonly authority: string | null;
  /** The path before a rewrite (x-envoy-original-path); null: not rewritten. */
  readonly originalPath: string | null;
  readonly headers: HeaderChanges;
  /** Nanoseconds for the whole answer; 0: none. */
  readonly timeoutNs: number;
  readonly retries: {
    readonly attempts: number;
    readonly retryOn: readonly string[];
  };
}

export interface RedirectRoute {
  readonly kind: 'redirect';
  readonly status: number;
  readonly location: string;
  /** `slash`: nginx adds the slash of a location that ends in one. */
  readonly why: 'slash' | 'ssl-redirect' | 'rule';
}

/** An answer that the controller makes itself. */
export interface AnswerRoute {
  readonly kind: 'answer';
  readonly status: number;
  /**
   * `no-route`: no rule matches. `bad-request`: the target or the Host is refused. `no-service`: the rule's Service or port does not
   * exist (ALB 503, Istio 503; the others say so by way of an empty list of upstreams, or have no such rule). `rule`: the rule itself.
   */
  readonly why: 'no-route' | 'bad-request' | 'no-service' | 'rule';
  /** Of answers by a rule: the body and its type; null: the controller's own page for the status. */
  readonly body: { readonly type: string; readonly text: string } | null;
}

export interface Router {
  /** Where a request goes. */
  decide(r: RouteRequest): Route;
  /** The addresses behind a backend as this controller takes them; empty: none is ready. */
  upstreams(b: Backend): readonly Upstream[];
}

/** What a cluster has for a controller. */
export type Objects = readonly KubeObject[];

/** What a router says about objects that it does not take as they are meant: once, when it is built. */
export type Warn = (text: string) => void;
