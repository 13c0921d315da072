/**
 * Annotations of ingress-nginx that decide where a request goes; every other one that it knows is refused by name.
 *
 * Upstream: internal/ingress/annotations. An invalid value is refused here too, where the real controller answers 503 for the
 * location or goes on with the default.
 * @module
 */
import { failAt } from '../../api/meta.js';
import type { Ingress } from '../../api/types.js';

const PREFIX = 'nginx.ingress.kubernetes.io/';

export interface NginxAnnotations {
  /** rewrite-target, '' for none. */
  readonly rewriteTarget: string;
  readonly useRegex: boolean;
  readonly sslRedirect: boolean;
  readonly forceSslRedirect: boolean;
  readonly preserveTrailingSlash: boolean;
  /** app-root, '' for none. */
  readonly appRoot: string;
  /** server-alias: host names, sorted. */
  readonly aliases: readonly string[];
  /** service-upstream: the Service's own address instead of its endpoints. */
  readonly serviceUpstream: boolean;
}

/** Names that this file reads. */
const READ = [
  'rewrite-target', 'use-regex', 'ssl-redirect', 'force-ssl-redirect', 'preserve-trailing-slash', 'app-root', 'server-alias',
  'service-upstream', 'backend-protocol',
]; // prettier-ignore

const TRUE = ['1', 't', 'T', 'TRUE', 'true', 'True'];
const FALSE = ['0', 'f', 'F', 'FALSE', 'false', 'False'];
/** RegexPathWithCapture without variables, and a leading slash: without one nginx would write a request that is none. */
const TARGET = /^\/([-._~a-zA-Z0-9/:]|\$[1-9])*$/;
const ROOT = /^\/[-._~a-zA-Z0-9/:]*$/;
const HOST = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;

/** Fails at an annotation of an Ingress. */
const refuse = (file: string, i: Ingress, name: string, message: string): never =>
  failAt(file, i, 'metadata.annotations', `${PREFIX}${name}: ${message}`);

/** Reads the annotations of an Ingress; `others`: names without the prefix that the proxy reads itself. Throws InputError. */
export function nginxAnnotations(i: Ingress, file: string, others: readonly string[]): NginxAnnotations {
  const all = i.metadata.annotations;
  for (const key of Object.keys(all)) {
    if (!key.startsWith(PREFIX)) continue;
    const name = key.slice(PREFIX.length);
    if (!READ.includes(name) && !others.includes(name)) refuse(file, i, name, 'this annotation is not supported yet');
  }
  const text = (name: string, shape: RegExp, expected: string): string => {
    const v = all[PREFIX + name];
    if (v === undefined) return '';
    return shape.test(v) ? v : refuse(file, i, name, `found ${JSON.stringify(v)}, expected ${expected}`);
  };
  const bool = (name: string, initial: boolean): boolean => {
    const v = all[PREFIX + name];
    if (v === undefined) return initial;
    if (TRUE.includes(v)) return true;
    return FALSE.includes(v) ? false : refuse(file, i, name, `found ${JSON.stringify(v)}, expected true or false`);
  };
  text('backend-protocol', /^http$/i, 'HTTP (no other protocol is supported yet)');
  const aliases = (all[`${PREFIX}server-alias`] ?? '').split(',').map((a) => a.trim()).filter((a) => a !== ''); // prettier-ignore
  for (const a of aliases) if (!HOST.test(a)) refuse(file, i, 'server-alias', `found ${JSON.stringify(a)}, expected host names (no patterns are supported yet)`); // prettier-ignore
  return {
    rewriteTarget: text('rewrite-target', TARGET, 'a path such as /$1'),
    useRegex: bool('use-regex', false),
    sslRedirect: bool('ssl-redirect', true),
    forceSslRedirect: bool('force-ssl-redirect', false),
    preserveTrailingSlash: bool('preserve-trailing-slash', false),
    appRoot: text('app-root', ROOT, 'a path'),
    aliases: [...new Set(aliases)].sort(),
    serviceUpstream: bool('service-upstream', false),
  };
}
