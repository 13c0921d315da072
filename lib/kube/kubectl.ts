/**
 * kubectl's views: `get` services, endpoints, pods, nodes and `describe svc`, laid out as kubectl prints them.
 *
 * Upstream: cli-runtime's table printer (columns padded to their widest cell plus three blanks), kubectl describe.
 * @module
 */
import type { Service } from './api/types.js';
import type { Cluster } from './controllers.js';

export interface View {
  exit: number;
  stdout: string;
  stderr: string;
}

const fail = (stderr: string): View => ({ exit: 1, stdout: '', stderr: `${stderr}\n` });

/** duration.HumanDuration of apimachinery, for ages below an hour. */
function age(ns: number): string {
  const s = Math.floor(ns / 1e9);
  if (s < 120) return `${s}s`;
  const m = Math.floor(s / 60);
  if (m < 10) return s % 60 === 0 ? `${m}m` : `${m}m${s % 60}s`;
  return `${m}m`;
}

function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((r) => r[i]!.length)));
  return rows.map((r) => r.map((c, i) => (i === r.length - 1 ? c : c.padEnd(widths[i]! + 3))).join('') + '\n').join('');
}

interface Flags {
  namespace: string;
  all: boolean;
  wide: boolean;
  headers: boolean;
  words: string[];
}

function parse(args: string[]): Flags | string {
  const f: Flags = { namespace: 'default', all: false, wide: false, headers: true, words: [] };
  for (let i = 0; i < args.length; i++) {
    const a = args[i]!;
    if (a === '-n' || a === '--namespace') f.namespace = args[++i] ?? '';
    else if (a === '-A' || a === '--all-namespaces') f.all = true;
    else if (a === '--no-headers') f.headers = false;
    else if (a === '-o' || a === '--output') {
      if (args[++i] !== 'wide')
        return `error: podwire's kubectl: output format "${args[i] ?? ''}" is not supported yet`;
      f.wide = true;
    } else if (a === '-owide') f.wide = true;
    else if (a.startsWith('-')) return `error: unknown flag: ${a}`;
    else f.words.push(a);
  }
  return f;
}

/** Runs `kubectl ARGS` against a cluster at a time (ns after the objects were created). */
export function kubectl(args: string[], c: Cluster, now: number): View {
  const [verb, ...rest] = args;
  const f = parse(rest);
  if (typeof f === 'string') return fail(f);
  const [kind, name] = f.words;
  if (verb === 'describe' && ['svc', 'service', 'services'].includes(kind ?? '')) return describe(c, f.namespace, name);
  if (verb !== 'get')
    return fail(`error: podwire's kubectl: "${verb ?? ''}" is not supported yet, expected get or describe svc`);
  const mine = <T extends { metadata: { name: string; namespace: string } }>(list: T[]): T[] =>
    list
      .filter(
        (o) => (f.all || o.metadata.namespace === f.namespace) && (name === undefined || o.metadata.name === name),
      )
      .sort((a, b) => cmp(a.metadata.namespace, b.metadata.namespace) || cmp(a.metadata.name, b.metadata.name));
  const out = (plural: string, head: string[], rows: { namespace: string; cells: string[] }[], stderr = ''): View => {
    if (rows.length === 0) {
      if (name !== undefined) return fail(`Error from server (NotFound): ${plural} "${name}" not found`);
      return {
        exit: 0,
        stdout: '',
        stderr: `${stderr}No resources found${f.all ? '' : ` in ${f.namespace} namespace.`}\n`,
      };
    }
    const full = rows.map((r) => (f.all ? [r.namespace, ...r.cells] : r.cells));
    return { exit: 0, stdout: table(f.headers ? [f.all ? ['NAMESPACE', ...head] : head, ...full] : full), stderr };
  };
  const t = age(now);
  switch (kind) {
    case 'svc':
    case 'service':
    case 'services':
      return out(
        'services',
        ['NAME', 'TYPE', 'CLUSTER-IP', 'EXTERNAL-IP', 'PORT(S)', 'AGE', ...(f.wide ? ['SELECTOR'] : [])],
        mine(c.services).map((s) => ({
          namespace: s.metadata.namespace,
          cells: [
            s.metadata.name,
            s.spec.type,
            s.spec.clusterIP || '<none>',
            external(s),
            ports(s),
            t,
            ...(f.wide ? [labels(s.spec.selector)] : []),
          ],
        })),
      );
    case 'po':
    case 'pod':
    case 'pods':
      return out(
        'pods',
        [
          'NAME',
          'READY',
          'STATUS',
          'RESTARTS',
          'AGE',
          ...(f.wide ? ['IP', 'NODE', 'NOMINATED NODE', 'READINESS GATES'] : []),
        ],
        mine(c.pods).map((p) => ({
          namespace: p.metadata.namespace,
          cells: [
            p.metadata.name,
            `${p.spec.containers.length}/${p.spec.containers.length}`,
            'Running',
            '0',
            t,
            ...(f.wide ? [p.status.podIP, p.spec.nodeName, '<none>', '<none>'] : []),
          ],
        })),
      );
    case 'ep':
    case 'endpoints':
      return out(
        'endpoints',
        ['NAME', 'ENDPOINTS', 'AGE'],
        mine(c.services.filter((s) => slicesOf(c, s).length > 0)).map((s) => ({
          namespace: s.metadata.namespace,
          cells: [s.metadata.name, endpoints(c, s, 3), t],
        })),
        'Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\n',
      );
    default:
      return fail(
        `error: podwire's kubectl: resource "${kind ?? ''}" is not supported yet, expected svc, endpoints or pods`,
      );
  }
}

const cmp = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const labels = (l: Record<string, string>): string =>
  Object.keys(l).sort().map((k) => `${k}=${l[k]}`).join(',') || '<none>'; // prettier-ignore
const ports = (s: Service): string =>
  s.spec.ports.map((p) => `${p.port}${p.nodePort > 0 ? `:${p.nodePort}` : ''}/${p.protocol}`).join(',') || '<none>';

function external(s: Service): string {
  if (s.spec.type === 'ExternalName') return s.spec.externalName;
  const ips = [...s.status.loadBalancer.ingress.map((i) => i.ip), ...s.spec.externalIPs];
  return ips.join(',') || (s.spec.type === 'LoadBalancer' ? '<pending>' : '<none>');
}

const slicesOf = (c: Cluster, s: Service) =>
  c.slices.filter(
    (e) =>
      e.metadata.namespace === s.metadata.namespace &&
      e.metadata.labels['kubernetes.io/service-name'] === s.metadata.name,
  );

/** Addresses of a Service's endpoints as kubectl lists them, `max` of them, then `+ n more...`. */
function endpoints(c: Cluster, s: Service, max: number, port?: string): string {
  const all = slicesOf(c, s).flatMap((e) =>
    e.ports
      .filter((p) => port === undefined || p.name === port)
      .flatMap((p) => e.endpoints.filter((x) => x.conditions.ready).map((x) => `${x.addresses[0]}:${p.port}`)),
  );
  if (all.length === 0) return port === undefined ? '<none>' : '';
  return all.slice(0, max).join(',') + (all.length > max ? ` + ${all.length - max} more...` : '');
}

function describe(c: Cluster, namespace: string, name: string | undefined): View {
  const s = c.services.find((x) => x.metadata.namespace === namespace && x.metadata.name === name);
  if (s === undefined) return fail(`Error from server (NotFound): services "${name ?? ''}" not found`);
  const rows: [string, string][] = [
    ['Name', s.metadata.name],
    ['Namespace', s.metadata.namespace],
    ['Labels', labels(s.metadata.labels)],
    ['Annotations', Object.entries(s.metadata.annotations).map(([k, v]) => `${k}: ${v}`).join('\n') || '<none>'],
    ['Selector', labels(s.spec.selector)],
    ['Type', s.spec.type],
    ['IP Family Policy', 'SingleStack'],
    ['IP Families', 'IPv4'],
    ['IP', s.spec.clusterIP],
    ['IPs', s.spec.clusterIPs.join(',')],
  ]; // prettier-ignore
  for (const p of s.spec.ports) {
    rows.push(['Port', `${p.name === '' ? '<unset>' : p.name}  ${p.port}/${p.protocol}`]);
    rows.push([
      'TargetPort',
      typeof p.targetPort === 'number' ? `${p.targetPort}/${p.protocol}` : `${p.targetPort}/${p.protocol}`,
    ]);
    if (p.nodePort > 0) rows.push(['NodePort', `${p.name === '' ? '<unset>' : p.name}  ${p.nodePort}/${p.protocol}`]);
    rows.push(['Endpoints', endpoints(c, s, 3, p.name)]);
  }
  rows.push(['Session Affinity', s.spec.sessionAffinity]);
  if (s.spec.type !== 'ClusterIP') rows.push(['External Traffic Policy', s.spec.externalTrafficPolicy]);
  rows.push(['Internal Traffic Policy', s.spec.internalTrafficPolicy], ['Events', '<none>']);
  const width = Math.max(...rows.map(([k]) => k.length)) + 3;
  return { exit: 0, stdout: rows.map(([k, v]) => `${`${k}:`.padEnd(width)}${v}\n`).join(''), stderr: '' };
}
