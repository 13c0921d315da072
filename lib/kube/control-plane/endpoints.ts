/**
 * The endpointslice, endpointslicemirroring and endpoints controllers at work.
 *
 * An endpoint turns `terminating` and loses `ready` as soon as its pod has a deletion timestamp, and leaves when the pod has ended.
 * @module
 */
import { keyOf, type WatchEvent } from '../api-server/store.js';
import { mapSelector, selects } from '../api/selector.js';
import type { EndpointSlice, KubeObject, Pod, Service } from '../api/types.js';
import { hasSelector, isControllers, isMirrored, mirror, slicesOf } from '../controllers/endpoint-slices.js';
import { endpointsOf } from '../controllers/endpoints.js';
import { type Loop, splitKey } from './loop.js';
import { timestamp } from './pods.js';

/** Services whose EndpointSlices the manifests give: what is given is respected. */
export type GivenSlices = ReadonlySet<string>;

export function endpointControllers(loop: Loop, given: GivenSlices): void {
  const { store } = loop;
  loop.controller(
    (e) => servicesOf(loop, e),
    (key) => {
      const [namespace, name] = splitKey(key);
      const svc = store.get('Service', namespace, name);
      const old = store.list('EndpointSlice').filter((s) => s.metadata.namespace === namespace);
      if (svc === null || !hasSelector(svc)) {
        if (svc === null) store.remove('Endpoints', namespace, name);
        const orphans = old.filter((s) => serviceOf(s) === name && (svc === null ? owned(s) : isControllers(s, svc)));
        for (const s of orphans) store.remove('EndpointSlice', namespace, s.metadata.name);
        return svc === null ? undefined : mirrored(loop, svc);
      }
      const pods = store.list('Pod');
      if (!given.has(key))
        replace(loop, old.filter((s) => isControllers(s, svc)), slicesOf(svc, pods, store.list('Node'))); // prettier-ignore
      const before = store.get('Endpoints', namespace, name);
      const next = endpointsOf(svc, pods);
      if (before === null || JSON.stringify(before.subsets) !== JSON.stringify(next.subsets))
        store.put({ ...next, metadata: before?.metadata ?? { ...next.metadata, creationTimestamp: timestamp(loop.now) } }); // prettier-ignore
    },
  );
}

const serviceOf = (s: EndpointSlice): string => s.metadata.labels['kubernetes.io/service-name'] ?? '';
const owned = (s: EndpointSlice): boolean => s.metadata.ownerReferences.length > 0;

/** Slices of an Endpoints object that somebody wrote. */
function mirrored(loop: Loop, svc: Service): void {
  const e = loop.store.get('Endpoints', svc.metadata.namespace, svc.metadata.name);
  const old = loop.store.list('EndpointSlice').filter((s) => isMirrored(s, svc));
  replace(loop, old, e === null ? [] : mirror(e, loop.store.list('Service')));
}

/** Writes what differs: slices keep their names. */
function replace(loop: Loop, old: EndpointSlice[], next: EndpointSlice[]): void {
  const content = (s: EndpointSlice): string => JSON.stringify([s.metadata.labels, s.endpoints, s.ports]);
  for (const n of next) {
    const before = old.find((o) => keyOf(o) === keyOf(n));
    if (before !== undefined && content(before) === content(n)) continue;
    loop.store.put({ ...n, metadata: before === undefined ? { ...n.metadata, creationTimestamp: timestamp(loop.now) } : { ...before.metadata, labels: n.metadata.labels } }); // prettier-ignore
  }
  for (const o of old)
    if (!next.some((n) => keyOf(n) === keyOf(o)))
      loop.store.remove('EndpointSlice', o.metadata.namespace, o.metadata.name);
}

/** The Services whose endpoints a write may change: podEndpointsChanged, selectors before and after. */
function servicesOf(loop: Loop, e: WatchEvent): string[] {
  if (e.kind === 'Service') return [`${e.namespace}/${e.name}`];
  if (e.kind === 'Endpoints') {
    const svc = loop.store.get('Service', e.namespace, e.name);
    return svc !== null && !hasSelector(svc) ? [keyOf(svc)] : [];
  }
  if (e.kind !== 'Pod') return [];
  const chooses = (s: Service, o: KubeObject | null): boolean =>
    o !== null && selects(mapSelector(s.spec.selector), (o as Pod).metadata.labels);
  return loop.store
    .list('Service')
    .filter((s) => s.metadata.namespace === e.namespace && hasSelector(s))
    .filter((s) => chooses(s, e.object) || chooses(s, e.before))
    .map(keyOf);
}
