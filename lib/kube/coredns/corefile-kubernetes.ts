/** The `kubernetes` plugin's part of a Corefile (plugin/kubernetes/setup.go). @module */
import { parseSelector } from '../api/selector.js';
import type { Requirement } from '../api/types.js';
import type { Directive, Place } from './corefile-lexer.js';

export interface KubernetesConfig {
  zones: string[];
  pods: 'disabled' | 'insecure' | 'verified';
  /** Zones whose NXDOMAIN goes on to the next plugin. */
  fallthrough: string[];
  ttl: number;
  /** Served namespaces; empty: all. */
  namespaces: string[];
  /** What Services, EndpointSlices and Pods must match to be seen. */
  labels: Requirement[];
  /** What the served namespaces must match; null: anything. */
  namespaceLabels: Requirement[] | null;
  /** Headless Services and endpoint names do not exist. */
  noEndpoints: boolean;
  ignoreEmptyService: boolean;
  /** Endpoints without a hostname are named by their Pod. */
  endpointPodNames: boolean;
}

/** Options that only say how to reach the API server, whose traffic is not emulated, and how many words each takes. */
const API_ACCESS: Record<string, [min: number, max: number]> = { endpoint: [1, 100], tls: [3, 3], kubeconfig: [1, 2] };

/** Reads `kubernetes [ZONE…] { … }`. */
export function kubernetesPlugin(d: Directive, blockZones: string[], place: Place): KubernetesConfig {
  const c: KubernetesConfig = {
    zones: d.words.length > 1 ? place.zones(d.words.slice(1)) : blockZones,
    pods: 'disabled', fallthrough: [], ttl: 5, namespaces: [], labels: [], namespaceLabels: null, noEndpoints: false,
    ignoreEmptyService: false, endpointPodNames: false,
  }; // prettier-ignore
  if (c.zones.every((z) => /(^|\.)(in-addr|ip6)\.arpa\.$/.test(z)))
    place.fail(d.words[0]!, 'non-reverse zone name must be used');
  for (const o of d.block ?? []) option(c, o, place);
  if (c.namespaces.length > 0 && c.namespaceLabels !== null)
    place.fail(d.words[0]!, 'namespaces and namespace_labels cannot both be set');
  return c;
}

function option(c: KubernetesConfig, o: Directive, place: Place): void {
  const head = o.words[0]!;
  if (o.block !== null) place.fail(head, `unknown property '${head.text}'`);
  if (Object.hasOwn(API_ACCESS, head.text)) place.args(o, ...API_ACCESS[head.text]!);
  else if (head.text === 'pods') {
    const mode = place.args(o, 1, 1)[0]!;
    if (mode.text !== 'disabled' && mode.text !== 'insecure' && mode.text !== 'verified')
      return place.fail(mode, `wrong value for pods: ${mode.text},  must be one of: disabled, verified, insecure`);
    c.pods = mode.text;
  } else if (head.text === 'fallthrough') c.fallthrough = o.words.length > 1 ? place.zones(o.words.slice(1)) : ['.'];
  else if (head.text === 'ttl') {
    const t = place.args(o, 1, 1)[0]!;
    c.ttl = place.int(t, 0, 3600, `ttl must be in range [0, 3600]: ${t.text}`);
  } else if (head.text === 'namespaces') c.namespaces = place.args(o, 1, 1000).map((t) => t.text);
  else if (head.text === 'labels') c.labels = selector(o, 'label selector', place);
  else if (head.text === 'namespace_labels') c.namespaceLabels = selector(o, 'namespace_label selector', place);
  else if (head.text === 'noendpoints') c.noEndpoints = place.args(o, 0, 0).length === 0;
  else if (head.text === 'endpoint_pod_names') c.endpointPodNames = place.args(o, 0, 0).length === 0;
  else if (head.text === 'ignore') {
    const what = place.args(o, 1, 1)[0]!;
    if (what.text !== 'empty_service') place.fail(what, `unable to parse ignore value: '${what.text}'`);
    c.ignoreEmptyService = true;
  } else place.fail(head, `unknown property '${head.text}'`);
}

function selector(o: Directive, what: string, place: Place): Requirement[] {
  const words = place.args(o, 1, 1000);
  const text = words.map((t) => t.text).join(' ');
  return parseSelector(text) ?? place.fail(words[0]!, `unable to parse ${what} value: '${text}'`);
}
