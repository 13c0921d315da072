/**
 * Annotations of the AWS Load Balancer Controller that decide where a request goes; every other one is refused by name.
 *
 * Upstream: pkg/annotations, pkg/ingress/config_types.go. JSON keys are compared as Go does, whatever their case. Not here: regular
 * expressions, transforms, authentication, target groups by ARN or name.
 * @module
 */
import { quote } from '../../api/at.js';
import { failAt } from '../../api/meta.js';
import type { Ingress, ObjectMeta } from '../../api/types.js';

export const PREFIX = 'alb.ingress.kubernetes.io/';

/** Names that change no frame of a request: how AWS calls, pays for and places the load balancer. */
const SILENT = ['scheme', 'load-balancer-name', 'tags', 'subnets', 'ip-address-type', 'certificate-arn', 'ssl-policy'];
const READ = ['group.name', 'group.order', 'listen-ports', 'ssl-redirect', 'target-type', 'backend-protocol', 'backend-protocol-version']; // prettier-ignore

/** An object with annotations. */
interface Annotated {
  readonly kind: string;
  readonly metadata: ObjectMeta;
}

/** Fails at an annotation. */
export const refuse = (file: string, o: Annotated, name: string, message: string): never =>
  failAt(file, o, 'metadata.annotations', `${PREFIX}${name}: ${message}`);

/** The value of an annotation; undefined: none. */
export const annotation = (o: Annotated, name: string): string | undefined => o.metadata.annotations[PREFIX + name];

/** Refuses annotations that nothing here reads; `others`: names that the proxy reads itself. */
export function check(o: Annotated, file: string, others: readonly string[]): void {
  for (const key of Object.keys(o.metadata.annotations)) {
    if (!key.startsWith(PREFIX)) continue;
    const name = key.slice(PREFIX.length);
    if (/^(actions|conditions)\./.test(name) || SILENT.includes(name) || READ.includes(name) || others.includes(name)) continue; // prettier-ignore
    refuse(file, o, name, 'this annotation is not supported yet');
  }
  const protocol = annotation(o, 'backend-protocol') ?? 'HTTP';
  if (protocol !== 'HTTP') refuse(file, o, 'backend-protocol', `found ${quote(protocol)}, expected HTTP (no other protocol is supported yet)`); // prettier-ignore
  const version = annotation(o, 'backend-protocol-version') ?? 'HTTP1';
  if (version !== 'HTTP1') refuse(file, o, 'backend-protocol-version', `found ${quote(version)}, expected HTTP1 (no other version is supported yet)`); // prettier-ignore
}

/** A JSON value whose fields are read one by one; what is left over is refused. */
export class Json {
  private readonly value: unknown;
  readonly fail: (message: string) => never;

  constructor(value: unknown, fail: (message: string) => never) {
    this.value = value;
    this.fail = fail;
  }

  /** The annotation's JSON; null: no such annotation. */
  static of(o: Annotated, file: string, name: string): Json | null {
    const text = annotation(o, name);
    if (text === undefined) return null;
    const fail = (message: string): never => refuse(file, o, name, message);
    try {
      return new Json(JSON.parse(text), fail);
    } catch {
      return fail(`found ${quote(text)}, expected JSON`);
    }
  }

  /** The fields of an object, names in lower case; others than `known` are refused. */
  fields(...known: string[]): Map<string, Json> {
    const v = this.value;
    if (typeof v !== 'object' || v === null || Array.isArray(v)) this.fail('found no object where one is expected');
    const out = new Map<string, Json>();
    for (const [key, value] of Object.entries(v as object)) {
      const name = key.toLowerCase();
      if (!known.some((k) => k.toLowerCase() === name)) this.fail(`found the field ${quote(key)}, expected one of: ${known.join(', ')} (others are not supported yet)`); // prettier-ignore
      if (value !== null) out.set(name, new Json(value, this.fail));
    }
    return out;
  }

  list(): Json[] {
    return Array.isArray(this.value)
      ? this.value.map((v) => new Json(v, this.fail))
      : this.fail('found no list where one is expected');
  }

  text(): string {
    return typeof this.value === 'string' ? this.value : this.fail('found no string where one is expected');
  }

  /** A whole number, or one written as a string. */
  number(): number {
    const v = typeof this.value === 'string' && /^\d+$/.test(this.value) ? Number(this.value) : this.value;
    return typeof v === 'number' && Number.isInteger(v) ? v : this.fail('found no whole number where one is expected');
  }

  /** A port by number or name. */
  port(): { name: string; number: number } {
    const v = this.value;
    if (typeof v === 'string' && !/^\d+$/.test(v)) return { name: v, number: 0 };
    return { name: '', number: this.number() };
  }
}

export type AlbProtocol = 'HTTP' | 'HTTPS';

/** The ports that an Ingress wants its load balancer to listen on (computeIngressListenPorts). */
export function listenPorts(i: Ingress, file: string): Map<number, AlbProtocol> {
  const json = Json.of(i, file, 'listen-ports');
  if (json === null) return annotation(i, 'certificate-arn') === undefined ? new Map([[80, 'HTTP']]) : new Map([[443, 'HTTPS']]); // prettier-ignore
  const out = new Map<number, AlbProtocol>();
  const entries = json.list();
  if (entries.length === 0) json.fail('empty listen-ports configuration');
  for (const e of entries)
    for (const [name, value] of e.fields('HTTP', 'HTTPS')) {
      const port = value.number();
      if (port < 1 || port > 65535) json.fail(`listen port must be within [1, 65535]: ${port}`);
      out.set(port, name === 'http' ? 'HTTP' : 'HTTPS');
    }
  return out;
}

/** A whole number of an annotation; undefined: none. */
export function integer(i: Ingress, file: string, name: string, min: number, max: number): number | undefined {
  const v = annotation(i, name);
  if (v === undefined) return undefined;
  const n = /^-?\d{1,9}$/.test(v) ? Number(v) : NaN;
  return n >= min && n <= max ? n : refuse(file, i, name, `found ${quote(v)}, expected a whole number from ${min} to ${max}`); // prettier-ignore
}
