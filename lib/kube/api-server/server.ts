/**
 * The API server's side of a request: what is stored after it, or why it is refused, in its own words.
 *
 * Every object has its JSON form, which patches change; what comes out is read by the same readers as manifests are.
 * Upstream: pkg/registry (strategies: what a create allots and an update may not change), apimachinery's api/errors.
 * @module
 */
import { InputError } from '../../sim/input-error.js';
import { documents } from '../api/at.js';
import { readObjects } from '../api/manifest.js';
import { placeOf } from '../api/meta.js';
import type { Deployment, KubeObject, Pod, ReplicaSet, Service } from '../api/types.js';
import { assignClusterIPs, assignNodePorts } from '../controllers/services.js';
import { templateText } from '../control-plane/deployments.js';
import type { Loop } from '../control-plane/loop.js';
import { isTerminating, timestamp } from '../control-plane/pods.js';
import { apiVersionOf, kindText, namesOf, resourceOf } from './kinds.js';
import { copy, isMap, type Json, type JsonMap } from './patches.js';
import { type Kind, type OfKind, withMeta } from './store.js';

/** A request that the API server refuses. */
export class Refused extends Error {
  /** `NotFound`, `AlreadyExists`, …; Invalid has no prefix in kubectl's output. */
  readonly reason: string;

  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

export class ApiServer {
  readonly loop: Loop;
  /** The JSON form of objects that a request has changed. */
  private readonly forms = new WeakMap<KubeObject['metadata']['labels'], JsonMap>();

  /** The JSON of the pod templates that Deployments have had, by what they mean. */
  private readonly templates = new Map<string, JsonMap>();

  constructor(loop: Loop) {
    this.loop = loop;
    for (const d of loop.store.list('Deployment')) this.remember(d);
    loop.store.watch((e) => {
      if (e.object?.kind === 'Deployment') this.remember(e.object);
    });
  }

  private remember(d: Deployment): void {
    const spec = this.formOf(d)['spec'];
    if (isMap(spec) && isMap(spec['template'])) this.templates.set(templateText(d.spec.template), spec['template']);
  }

  /** The template of a Deployment's ReplicaSet as its manifest had it. */
  templateOf(rs: ReplicaSet): Json {
    const own = this.templates.get(templateText(rs.spec.template));
    return own === undefined ? ((formOf(rs)['spec'] as JsonMap)['template'] ?? null) : copy(own);
  }

  get<K extends Kind>(kind: K, namespace: string, name: string): OfKind<K> {
    const o = this.loop.store.get(kind, namespace, name);
    if (o === null) throw new Refused('NotFound', `${resourceOf(namesOf(kind))} "${name}" not found`);
    return o;
  }

  /** POST: an object as its reader made it. */
  create(o: KubeObject): void {
    const { store, now } = this.loop;
    const { namespace, name } = o.metadata;
    const names = namesOf(o.kind);
    if (store.get(o.kind, namespace, name) !== null)
      throw new Refused('AlreadyExists', `${resourceOf(names)} "${name}" already exists`);
    if (names.group === 'projectcalico.org' && this.loop.scenario.cni.plugin !== 'calico')
      throw new Refused('NotFound', 'the server could not find the requested resource');
    if (names.namespaced) this.inNamespace(o);
    if (o.kind === 'Node') throw new Refused('Forbidden', `nodes "${name}" is forbidden: podwire's machines are those of spec.nodes`); // prettier-ignore
    const created = withMeta(o, { creationTimestamp: timestamp(now) });
    if (created.kind === 'Pod') {
      this.loop.namesOf(namespace).add(name);
      created.status = { podIP: '', hostIP: '', phase: 'Pending', ready: false, restarts: 0 };
    }
    store.put(created.kind === 'Service' ? this.allotted(created) : created);
  }

  private inNamespace(o: KubeObject): void {
    const ns = this.loop.store.get('Namespace', '', o.metadata.namespace);
    if (ns === null) throw new Refused('NotFound', `namespaces "${o.metadata.namespace}" not found`);
    if (isTerminating(ns))
      throw new Refused('Forbidden', `${resourceOf(namesOf(o.kind))} "${o.metadata.name}" is forbidden: unable to create new content in namespace ${o.metadata.namespace} because it is being terminated`); // prettier-ignore
  }

  /** A Service with the cluster IP and the ports that it lacks. */
  private allotted(s: Service): Service {
    const { scenario, store } = this.loop;
    const mine: Service = { ...withMeta(s, {}), spec: { ...s.spec, ports: s.spec.ports.map((p) => ({ ...p })) } };
    const others = store.list('Service').filter((x) => x.metadata.name !== s.metadata.name || x.metadata.namespace !== s.metadata.namespace); // prettier-ignore
    const all = [...others, mine];
    this.checked(s, () => {
      assignClusterIPs(scenario.file, scenario.serviceSubnet, all);
      assignNodePorts(scenario.file, all);
    });
    return mine;
  }

  /** PUT or PATCH: the object with its JSON form changed by `change`; returns false when that leaves it as it is. */
  update(kind: Kind, namespace: string, name: string, change: (form: JsonMap) => Json): boolean {
    const old = this.get(kind, namespace, name);
    const before = this.formOf(old);
    const after = change(copy(before));
    if (!isMap(after)) throw new Refused('BadRequest', 'found no object');
    if (JSON.stringify(after) === JSON.stringify(before)) return false;
    const next = this.carried(old, this.read(old, after), before, after);
    this.forms.set(next.metadata.labels, after);
    this.loop.store.put(next);
    return true;
  }

  /** Labels or annotations alone, which every object lets change. */
  mark(o: KubeObject, field: 'labels' | 'annotations', values: Record<string, string>): void {
    const form = copy(this.formOf(o));
    const meta = isMap(form['metadata']) ? form['metadata'] : {};
    const next = withMeta(o, { labels: { ...o.metadata.labels }, [field]: { ...values } });
    this.forms.set(next.metadata.labels, { ...form, metadata: { ...meta, [field]: { ...values } } });
    this.loop.store.put(next);
  }

  private read(old: KubeObject, form: JsonMap): KubeObject {
    const text = JSON.stringify(form);
    return this.checked(old, () => readObjects(documents(text, 'the API server')[0]!, new Set())[0]!);
  }

  /** Errors of a reader or of an allocator as the API server's Invalid. */
  private checked<T>(o: KubeObject, run: () => T): T {
    try {
      return run();
    } catch (e) {
      if (!(e instanceof InputError)) throw e;
      throw new Refused('Invalid', `The ${kindText(o.kind)} "${o.metadata.name}" is invalid: ${e.reason}`);
    }
  }

  /** What a client does not say stays: status, allotted values, identity. What may not change does not. */
  private carried(old: KubeObject, read: KubeObject, before: JsonMap, after: JsonMap): KubeObject {
    const invalid = (path: string, why: string): never => {
      throw new Refused('Invalid', `The ${kindText(old.kind)} "${old.metadata.name}" is invalid: ${path}: ${why}`);
    };
    if (read.kind !== old.kind || read.metadata.name !== old.metadata.name || read.metadata.namespace !== old.metadata.namespace)
      throw new Refused('BadRequest', 'the name of the object does not match the name on the URL'); // prettier-ignore
    const { labels, annotations } = read.metadata;
    const spec = JSON.stringify(before['spec']) !== JSON.stringify(after['spec']);
    const generation = (old.metadata.generation ?? 1) + (spec ? 1 : 0);
    const meta = { ...old.metadata, labels, annotations, generation };
    if (old.kind === 'Service') return this.service(old, { ...(read as Service), metadata: meta });
    if (old.kind === 'Pod') return this.pod(old, read as Pod, meta, spec);
    if (old.kind === 'Node') {
      const next = read as typeof old;
      return { ...old, metadata: meta, spec: { ...old.spec, unschedulable: next.spec.unschedulable, taints: next.spec.taints } }; // prettier-ignore
    }
    if (old.kind === 'Deployment' || old.kind === 'ReplicaSet' || old.kind === 'StatefulSet' || old.kind === 'DaemonSet') {
      const next = read as typeof old;
      if (JSON.stringify(next.spec.selector) !== JSON.stringify(old.spec.selector))
        invalid('spec.selector', 'Invalid value: field is immutable');
      // The place of the object is that of the text it was read from.
      Object.assign(read.metadata, meta);
      return read;
    } // prettier-ignore
    return { ...read, metadata: meta } as KubeObject;
  }

  private pod(old: Pod, read: Pod, meta: Pod['metadata'], spec: boolean): Pod {
    const images = (p: Pod): string => JSON.stringify(p.spec.containers.map((c) => ({ ...c, image: '' })));
    if (spec && (images(old) !== images(read) || read.spec.hostNetwork !== old.spec.hostNetwork))
      throw new Refused('Invalid', `The Pod "${old.metadata.name}" is invalid: spec: Forbidden: pod updates may not change fields other than \`spec.containers[*].image\`,\`spec.initContainers[*].image\`,\`spec.activeDeadlineSeconds\`,\`spec.tolerations\` (only additions to existing tolerations),\`spec.terminationGracePeriodSeconds\` (allow it to be set to 1 if it was previously negative)`); // prettier-ignore
    return withMeta(old, meta);
  }

  private service(old: Service, read: Service): Service {
    const { spec } = read;
    const keeps = spec.clusterIP === '' && spec.type !== 'ExternalName';
    if (!keeps && spec.type !== 'ExternalName' && old.spec.type !== 'ExternalName' && spec.clusterIP !== old.spec.clusterIP)
      throw new Refused('Invalid', `The Service "${old.metadata.name}" is invalid: spec.clusterIPs[0]: Invalid value: ["${spec.clusterIP}"]: may not change once set`); // prettier-ignore
    const open = spec.type === 'NodePort' || spec.type === 'LoadBalancer';
    const ports = spec.ports.map((p) => {
      const same = old.spec.ports.find((x) => x.port === p.port && x.protocol === p.protocol);
      return { ...p, nodePort: p.nodePort === 0 && open ? (same?.nodePort ?? 0) : p.nodePort };
    });
    const ip = keeps ? { clusterIP: old.spec.clusterIP, clusterIPs: old.spec.clusterIPs } : {};
    const health = spec.healthCheckNodePort === 0 ? { healthCheckNodePort: old.spec.healthCheckNodePort } : {};
    return this.allotted({ ...read, spec: { ...spec, ...ip, ...health, ports }, status: old.status });
  }

  /** An object as JSON: as it was written last, else as its manifest has it, else what podwire knows of it. */
  formOf(o: KubeObject): JsonMap {
    const own = this.forms.get(o.metadata.labels);
    if (own !== undefined) return own;
    const place = placeOf(o);
    const from = place === null || place.req('kind').str() !== kindText(o.kind) ? null : (place.plain() as JsonMap);
    if (from !== null) return from;
    return formOf(o);
  }
}

/** The JSON form of an object that a controller made. */
function formOf(o: KubeObject): JsonMap {
  const { name, namespace, labels, annotations } = o.metadata;
  const head: JsonMap = {
    apiVersion: apiVersionOf(namesOf(o.kind)),
    kind: kindText(o.kind),
    metadata: {
      name,
      ...(namespace === '' ? {} : { namespace }),
      labels: { ...labels },
      annotations: { ...annotations },
    },
  };
  const plain = JSON.parse(JSON.stringify(o)) as JsonMap;
  if (o.kind === 'Node') return { ...head, spec: { unschedulable: o.spec.unschedulable, taints: plain['spec'] === undefined ? [] : (plain['spec'] as JsonMap)['taints']! } }; // prettier-ignore
  if (o.kind === 'Namespace') return head;
  if (o.kind === 'Endpoints') return { ...head, subsets: plain['subsets']! };
  if (o.kind === 'EndpointSlice') return { ...head, addressType: o.addressType, endpoints: plain['endpoints']!, ports: plain['ports']! }; // prettier-ignore
  return { ...head, spec: specOf(o.kind, plain['spec'] as JsonMap) };
}

function specOf(kind: Kind, spec: JsonMap): Json {
  if (kind === 'Pod') return podSpec(spec);
  if (kind === 'Service') {
    const { sessionAffinityTimeoutSeconds: _, healthCheckNodePort: health, ports, clusterIPs, ...rest } = spec;
    const list = (ports as JsonMap[]).map(({ name, nodePort, ...p }) => ({ ...p, ...(name === '' ? {} : { name: name! }), ...(nodePort === 0 ? {} : { nodePort: nodePort! }) })); // prettier-ignore
    const { externalName, ...more } = rest;
    return { ...more, ports: list, ...(externalName === '' ? {} : { externalName: externalName! }), ...(health === 0 ? {} : { healthCheckNodePort: health! }), ...(Array.isArray(clusterIPs) && clusterIPs.length > 0 ? { clusterIPs } : {}) }; // prettier-ignore
  }
  const { template, strategy, updateStrategy, ordinalsStart, ...rest } = spec;
  const t = template as JsonMap;
  const rolling = (v: Json | undefined): JsonMap => {
    const { type, ...fields } = v as JsonMap;
    return { type: type!, ...(type === 'RollingUpdate' ? { rollingUpdate: fields } : {}) };
  };
  return {
    ...rest,
    ...(strategy === undefined ? {} : { strategy: rolling(strategy) }),
    ...(updateStrategy === undefined ? {} : { updateStrategy: rolling(updateStrategy) }),
    ...(ordinalsStart === undefined || ordinalsStart === 0 ? {} : { ordinals: { start: ordinalsStart } }),
    template: { metadata: t['metadata']!, spec: podSpec(t['spec'] as JsonMap) },
  };
}

/** A PodSpec without what readers derived and without empty fields. */
function podSpec(spec: JsonMap): JsonMap {
  const { nodeAffinity: _, containers, nodeName, hostname, subdomain, tolerations, ...rest } = spec;
  const said = (m: JsonMap): JsonMap => Object.fromEntries(Object.entries(m).filter(([, v]) => v !== '')) as JsonMap;
  const list = (containers as JsonMap[]).map(({ unsent: _u, readySeconds: _r, preStopSeconds: _p, ports, ...c }) => ({
    ...c,
    ports: ((ports ?? []) as JsonMap[]).map(({ name, ...p }) => ({ ...p, ...(name === '' ? {} : { name: name! }) })),
  }));
  const named = Object.entries({ nodeName, hostname, subdomain }).filter(([, v]) => v !== '' && v !== undefined);
  return {
    ...rest,
    ...(Object.fromEntries(named) as JsonMap),
    tolerations: ((tolerations ?? []) as JsonMap[]).map(said),
    containers: list as Json,
  };
}
