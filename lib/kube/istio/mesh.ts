/**
 * What istiod tells the proxies of a mesh, as one document that all of them read: Services with their endpoints, and workloads with
 * their identity and what they demand of their peers.
 *
 * The real istiod sends each proxy its listeners, routes, clusters and endpoints over xDS; podwire's proxies derive those from this
 * document, each for itself.
 * @module
 */
import { aton } from '../../../wire/inet.js';
import { InputError } from '../../sim/input-error.js';

/** How a port is served: HTTP/1.1, bytes, or whichever the first bytes look like. */
export type MeshProtocol = 'http' | 'tcp' | 'auto';
/** PeerAuthentication: mTLS refused, taken beside plain text, demanded. */
export type MtlsMode = 'DISABLE' | 'PERMISSIVE' | 'STRICT';

export interface MeshEndpoint {
  readonly address: string;
  readonly port: number;
  /** NAMESPACE/NAME of the pod behind it; empty: none. */
  readonly workload: string;
}

export interface MeshPort {
  readonly port: number;
  readonly protocol: MeshProtocol;
  readonly endpoints: readonly MeshEndpoint[];
}

export interface MeshService {
  /** NAME.NAMESPACE.svc.DOMAIN */
  readonly host: string;
  /** Cluster IPs; none of a headless Service. */
  readonly addresses: readonly string[];
  readonly ports: readonly MeshPort[];
}

export interface Workload {
  readonly address: string;
  readonly serviceAccount: string;
  /** Has a sidecar, which takes mTLS. */
  readonly sidecar: boolean;
  readonly mtls: MtlsMode;
  /** By port of the pod, where it differs. */
  readonly portMtls: Readonly<Record<string, MtlsMode>>;
  /** What x-envoy-peer-metadata says of it. */
  readonly owner: string;
  readonly workloadName: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Mesh {
  /** The trust domain, which is the cluster's DNS domain. */
  readonly domain: string;
  /** Makes the keys of the mesh's certificate authority. */
  readonly seed: number;
  readonly services: readonly MeshService[];
  /** By NAMESPACE/NAME. */
  readonly workloads: Readonly<Record<string, Workload>>;
}

/** The document's text. */
export const meshText = (m: Mesh): string => JSON.stringify(m, null, 1);

/** A workload's namespace and name. */
export function nameOf(key: string): { namespace: string; name: string } {
  const at = key.indexOf('/');
  return { namespace: key.slice(0, at), name: key.slice(at + 1) };
}

/** SPIFFE identity of a workload (pkg/spiffe). */
export const identityOf = (m: Mesh, key: string): string =>
  `spiffe://${m.domain}/ns/${nameOf(key).namespace}/sa/${m.workloads[key]!.serviceAccount}`;

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v);
const isPort = (v: unknown): v is number => Number.isInteger(v) && (v as number) > 0 && (v as number) < 65536;
const isAddress = (v: unknown): v is string => typeof v === 'string' && aton(v) !== null;
const isMode = (v: unknown): boolean => v === 'DISABLE' || v === 'PERMISSIVE' || v === 'STRICT';
const isMap = (v: unknown, of: (x: unknown) => boolean): boolean => isObject(v) && Object.values(v).every(of);
const isList = (v: unknown, of: (x: unknown) => boolean): boolean => Array.isArray(v) && v.every(of);
const isText = (v: unknown): boolean => typeof v === 'string';

const isEndpoint = (v: unknown): boolean =>
  isObject(v) && isAddress(v['address']) && isPort(v['port']) && isText(v['workload']);
const isMeshPort = (v: unknown): boolean =>
  isObject(v) &&
  isPort(v['port']) &&
  (v['protocol'] === 'http' || v['protocol'] === 'tcp' || v['protocol'] === 'auto') &&
  isList(v['endpoints'], isEndpoint);
const isService = (v: unknown): boolean =>
  isObject(v) && isText(v['host']) && isList(v['addresses'], isAddress) && isList(v['ports'], isMeshPort);
const isWorkload = (v: unknown): boolean =>
  isObject(v) &&
  isAddress(v['address']) &&
  ['serviceAccount', 'owner', 'workloadName'].every((k) => isText(v[k])) &&
  typeof v['sidecar'] === 'boolean' &&
  isMode(v['mtls']) &&
  isMap(v['portMtls'], isMode) &&
  isMap(v['labels'], isText);

/** Reads the document. Throws InputError where it is none. */
export function parseMesh(text: string, file: string): Mesh {
  const fail = (what: string): never => {
    throw new InputError(file, 1, 1, `found ${what}, expected a mesh as "podwire compile" writes it`);
  };
  let m: unknown;
  try {
    m = JSON.parse(text);
  } catch {
    return fail('no JSON');
  }
  if (!isObject(m) || !isText(m['domain']) || !Number.isSafeInteger(m['seed'])) return fail('no domain or no seed');
  if (!Array.isArray(m['services']) || !isObject(m['workloads'])) return fail('no services or no workloads');
  const service = m['services'].findIndex((s) => !isService(s));
  if (service >= 0) return fail(`services[${service}] that is no Service`);
  for (const [key, w] of Object.entries(m['workloads']))
    if (!isWorkload(w) || !/^[^/]+\/[^/]+$/.test(key)) return fail(`workloads["${key}"] that is no workload`);
  return m as unknown as Mesh;
}
