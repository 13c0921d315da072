/**
 * Pods as policies see them: labels, with those of their namespace and service account, addresses and named ports.
 *
 * Upstream: libcalico-go/lib/backend/k8s/conversion/workload_endpoint_default.go, updateprocessors/workloadendpointprocessor.go;
 * felix/labelindex/named_port_index.go.
 * @module
 */
import { matches, type Selector } from '../../../api/calico-selector.js';
import type { Namespace, Pod, Stored } from '../../../api/types.js';
import {
  ACCOUNT_LABEL,
  ACCOUNT_PREFIX,
  NAME_LABEL,
  NAMESPACE_LABEL,
  NAMESPACE_PREFIX,
  ORCHESTRATOR_LABEL,
} from './model.js';
import type { IpsetOf } from './parse.js';

/** A pod with a network of its own that has an address. */
export interface PolicyEndpoint {
  podIP: string;
  /** The value of a label, or null where there is none. */
  label: (name: string) => string | null;
  /** Protocols in lower case. */
  ports: readonly { name: string; protocol: string; port: number }[];
}

/** What a pod's labels are inherited from. */
export interface Parents {
  namespaces: ReadonlyMap<string, Namespace>;
  /** By `NAMESPACE/NAME`; one that no manifest has has its name only. */
  accounts: ReadonlyMap<string, Stored>;
}

/** A pod as an endpoint: its own labels before those of its namespace and of its service account. */
export function endpointOf(p: Pod, podIP: string, parents: Parents): PolicyEndpoint {
  const { namespace } = p.metadata;
  const account = p.spec.serviceAccountName ?? 'default';
  const inherited = (prefix: string, labels: Record<string, string>, name: string): [string, string][] => [
    ...Object.entries(labels).map(([k, v]): [string, string] => [prefix + k, v]),
    [prefix + NAME_LABEL, name],
  ];
  const own = Object.entries(p.metadata.labels).filter(([k]) => !k.startsWith(NAMESPACE_PREFIX) && !k.startsWith(ACCOUNT_PREFIX)); // prettier-ignore
  const labels = new Map([
    ...inherited(ACCOUNT_PREFIX, parents.accounts.get(`${namespace}/${account}`)?.metadata.labels ?? {}, account),
    ...inherited(NAMESPACE_PREFIX, parents.namespaces.get(namespace)?.metadata.labels ?? {}, namespace),
    ...own,
    [NAMESPACE_LABEL, namespace],
    [ORCHESTRATOR_LABEL, 'k8s'],
    [ACCOUNT_LABEL, account],
  ] as [string, string][]);
  const ports = p.spec.containers.flatMap((c) =>
    c.ports
      .filter((x) => x.name !== '')
      .map((x) => ({ name: x.name, protocol: x.protocol.toLowerCase(), port: x.containerPort })),
  );
  return { podIP, label: (name) => labels.get(name) ?? null, ports };
}

/** Whether a selector chooses an endpoint. */
export const chooses = (s: Selector, e: PolicyEndpoint): boolean => matches(s, e.label);

/** The members of an ipset, as `ipset add` takes them, each once. */
export function membersOf(set: IpsetOf, endpoints: Iterable<PolicyEndpoint>): string[] {
  const out = new Set<string>();
  for (const e of endpoints) {
    if (!chooses(set.selector, e)) continue;
    if (set.port === null) out.add(`${e.podIP}/32`);
    else
      for (const p of e.ports)
        if (p.name === set.port.name && p.protocol === set.port.protocol) out.add(`${e.podIP},${p.protocol}:${p.port}`);
  }
  return [...out];
}
