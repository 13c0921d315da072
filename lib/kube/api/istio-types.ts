/**
 * Istio's Gateway and VirtualService, reduced to what decides where an HTTP request of a gateway goes.
 * @module
 */
import type { ObjectMeta } from './types.js';

export interface IstioGateway {
  kind: 'Gateway.networking.istio.io';
  metadata: ObjectMeta;
  spec: { selector: Record<string, string>; servers: IstioServer[] };
}

export interface IstioServer {
  port: { number: number; name: string; protocol: 'HTTP' | 'HTTPS' };
  /** `host`, `namespace/host`, `*` or `./` before it; `*` and `*.a.b` are wildcards. In lower case. */
  hosts: string[];
  /** HTTP only: every request is sent to https. */
  httpsRedirect: boolean;
  /** HTTPS only: the Secret with the certificate. */
  credentialName: string;
}

export interface StringMatch {
  kind: 'exact' | 'prefix' | 'regex';
  value: string;
}

/** A field by its name (header, query parameter); null: it only has to be there. */
export type NamedMatch = [name: string, match: StringMatch | null];

export interface HttpMatch {
  uri: StringMatch | null;
  scheme: StringMatch | null;
  method: StringMatch | null;
  authority: StringMatch | null;
  headers: NamedMatch[];
  withoutHeaders: NamedMatch[];
  queryParams: NamedMatch[];
  /** 0: every port. */
  port: number;
  /** Empty: every gateway of the VirtualService. */
  gateways: string[];
  ignoreUriCase: boolean;
}

export interface HeaderOperations {
  set: [string, string][];
  add: [string, string][];
  remove: string[];
}

export interface HttpDestination {
  host: string;
  /** 0: not given. */
  port: number;
  weight: number;
  request: HeaderOperations;
  response: HeaderOperations;
}

export interface HttpRoute {
  name: string;
  match: HttpMatch[];
  route: HttpDestination[];
  redirect: HttpRedirect | null;
  directResponse: { status: number; body: string } | null;
  /** Empty texts: not given. */
  rewrite: { uri: string; authority: string } | null;
  timeoutNs: number;
  /** Null: the mesh's default. */
  retries: { attempts: number; retryOn: string } | null;
  request: HeaderOperations;
  response: HeaderOperations;
}

export interface HttpRedirect {
  /** Empty texts and 0: not given. */
  uri: string;
  authority: string;
  scheme: string;
  port: number;
  derivePort: 'FROM_PROTOCOL_DEFAULT' | 'FROM_REQUEST_PORT' | null;
  code: number;
}

export interface VirtualService {
  kind: 'VirtualService';
  metadata: ObjectMeta;
  spec: {
    /** In lower case. */
    hosts: string[];
    /** Empty: the sidecars only, as with `mesh`. */
    gateways: string[];
    http: HttpRoute[];
  };
}
