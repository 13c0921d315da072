/**
 * Which Ingresses are a controller's: by IngressClass, by the old annotation, or without either.
 * @module
 */
import { defaultClassOf } from '../../api/ingress.js';
import type { Ingress, IngressClass } from '../../api/types.js';
import type { Objects } from '../types.js';

export const CLASS_ANNOTATION = 'kubernetes.io/ingress.class';

export interface Claim {
  /** spec.controller of the IngressClasses that are this controller's; null: whatever they say (Traefik looks at names only). */
  readonly controller: string | null;
  /** Which of the two is looked at where an Ingress has both. */
  readonly first: 'class' | 'annotation';
  /** True for the annotation's value; '' when there is neither a class nor an annotation. */
  readonly annotated: (value: string) => boolean;
}

const isIngress = (o: Objects[number]): o is Ingress => o.kind === 'Ingress';
const isClass = (o: Objects[number]): o is IngressClass => o.kind === 'IngressClass';

/** The Ingresses that a controller takes, in the order of the objects; the admission plugin has filled in the default class. */
export function claimed(objects: Objects, claim: Claim): Ingress[] {
  const classes = objects.filter(isClass);
  const own = new Set(classes.filter((c) => claim.controller === null || c.spec.controller === claim.controller).map((c) => c.metadata.name)); // prettier-ignore
  return objects.filter(isIngress).filter((i) => {
    const old = i.metadata.annotations[CLASS_ANNOTATION];
    if (claim.first === 'annotation' && old !== undefined) return claim.annotated(old);
    const name = i.spec.ingressClassName ?? (old === undefined ? defaultClassOf(classes) : null);
    return name !== null ? own.has(name) : claim.annotated(old ?? '');
  });
}

/** Oldest first; those of one second by `namespace/name`, as `names` orders them. */
export function byAge<T extends Ingress>(list: readonly T[], names: (a: string, b: string) => number): T[] {
  const key = (i: T): string => `${i.metadata.namespace}/${i.metadata.name}`;
  const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  const time = (i: T): string => i.metadata.creationTimestamp;
  return [...list].sort((a, b) => compare(time(a), time(b)) || names(key(a), key(b)));
}
