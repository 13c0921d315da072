/** The `kubernetes` plugin's part of a Corefile (plugin/kubernetes/setup.go). @module */
import type { Directive, Place } from './corefile.js';

export interface KubernetesConfig {
  zones: string[];
  pods: 'disabled' | 'insecure' | 'verified';
  /** Zones whose NXDOMAIN goes on to the next plugin. */
  fallthrough: string[];
  ttl: number;
  /** Served namespaces; empty: all. */
  namespaces: string[];
  /** Headless Services and endpoint names do not exist. */
  noEndpoints: boolean;
  ignoreEmptyService: boolean;
  /** Endpoints without a hostname are named by their Pod. */
  endpointPodNames: boolean;
}

/** Options that only say how to reach the API server, whose traffic is not emulated. */
const API_ACCESS = ['endpoint', 'tls', 'kubeconfig'];

/** Reads `kubernetes [ZONE…] { … }`. */
export function kubernetesPlugin(d: Directive, blockZones: string[], place: Place): KubernetesConfig {
  const c: KubernetesConfig = {
    zones: d.words.length > 1 ? place.zones(d.words.slice(1)) : blockZones,
    pods: 'disabled',
    fallthrough: [],
    ttl: 5,
    namespaces: [],
    noEndpoints: false,
    ignoreEmptyService: false,
    endpointPodNames: false,
  };
  for (const o of d.block ?? []) {
    const head = o.words[0]!;
    if (o.block !== null) place.fail(head, `option '${head.text}' takes no block`);
    if (API_ACCESS.includes(head.text)) continue;
    else if (head.text === 'pods') {
      const mode = place.args(o, 1, 1)[0]!;
      if (mode.text !== 'disabled' && mode.text !== 'insecure' && mode.text !== 'verified')
        return place.fail(mode, `found pods '${mode.text}', expected disabled, insecure or verified`);
      c.pods = mode.text;
    } else if (head.text === 'fallthrough') c.fallthrough = o.words.length > 1 ? place.zones(o.words.slice(1)) : ['.'];
    else if (head.text === 'ttl') c.ttl = place.int(place.args(o, 1, 1)[0]!, 0, 3600);
    else if (head.text === 'namespaces') c.namespaces = place.args(o, 1, 1000).map((t) => t.text);
    else if (head.text === 'noendpoints') c.noEndpoints = place.args(o, 0, 0).length === 0;
    else if (head.text === 'endpoint_pod_names') c.endpointPodNames = place.args(o, 0, 0).length === 0;
    else if (head.text === 'ignore') {
      const what = place.args(o, 1, 1)[0]!;
      if (what.text !== 'empty_service') place.fail(what, `found ignore '${what.text}', expected empty_service`);
      c.ignoreEmptyService = true;
    } else place.fail(head, `option '${head.text}' of kubernetes is not emulated`);
  }
  return c;
}
