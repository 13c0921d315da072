/**
 * Pods as network namespaces.
 * @module
 */
import { sha256 } from '@noble/hashes/sha2.js';
import type { Pod } from '../api/types.js';
import type { PortMapping, Sandbox } from './plugin.js';

/** The network namespace of a pod: its own, or its node's. */
export const podNetns = (p: Pod, node: string): string =>
  p.spec.hostNetwork ? node : `${p.metadata.namespace}_${p.metadata.name}`;

/** The hostPorts of a pod that has a network of its own. */
export const hostPorts = (p: Pod): PortMapping[] =>
  p.spec.hostNetwork
    ? []
    : p.spec.containers.flatMap((c) =>
        c.ports
          .filter((x) => x.hostPort !== 0)
          .map(({ hostPort, containerPort, protocol, hostIP }) => ({ hostPort, containerPort, protocol, hostIP })),
      );

/** A pod's sandbox; its container id, which the runtime draws at random, is a hash of its name. */
export const sandboxOf = (p: Pod): Sandbox => ({
  namespace: p.metadata.namespace,
  name: p.metadata.name,
  netns: podNetns(p, ''),
  containerId: digest(`${p.metadata.namespace}/${p.metadata.name}`),
  annotations: p.metadata.annotations,
  serviceAccount: p.spec.serviceAccountName ?? 'default',
  podIP: p.status.podIP,
  ports: hostPorts(p),
});

const digest = (text: string): string =>
  Array.from(sha256(new TextEncoder().encode(text)), (x) => x.toString(16).padStart(2, '0')).join('');
