/**
 * Nodes and Namespaces: YAML to objects.
 * @module
 */
import type { At } from './at.js';
import { objectMeta } from './meta.js';
import { cidr, dnsLabel, dnsSubdomain, isLabelValue, qualifiedName } from './names.js';
import type { Namespace, Node, Taint } from './types.js';

export function namespace(at: At): Namespace {
  at.only('apiVersion', 'kind', 'metadata', 'spec', 'status');
  at.opt('spec')?.only('finalizers');
  const phase = at.opt('status')?.only('phase', 'conditions').opt('phase') ?? null;
  if (phase !== null && phase.oneOf('Active', 'Terminating') === 'Terminating')
    phase.fail('found "Terminating", expected "Active" (namespaces that end are not supported yet)');
  return { kind: 'Namespace', metadata: objectMeta(at, false, dnsLabel) };
}

function taint(at: At): Taint {
  at.only('key', 'value', 'effect', 'timeAdded');
  const key = at.req('key').str();
  qualifiedName(at.req('key'), key);
  const value = at.opt('value')?.str() ?? '';
  if (!isLabelValue(value)) at.req('value').fail(`found "${value.slice(0, 80)}", expected a label value`);
  return { key, value, effect: at.req('effect').oneOf('NoSchedule', 'PreferNoSchedule', 'NoExecute') };
}

/** Unique by key and effect. */
function taints(at: At | null): Taint[] {
  const seen = new Set<string>();
  return (at?.list() ?? []).map((x) => {
    const t = taint(x);
    const key = `${t.key}:${t.effect}`;
    if (seen.has(key))
      x.fail(`found the taint ${key} twice, expected it once: taints must be unique by key and effect pair`);
    seen.add(key);
    return t;
  });
}

const NODE_STATUS = ['capacity', 'allocatable', 'phase', 'conditions', 'addresses', 'daemonEndpoints', 'nodeInfo', 'images', 'volumesInUse', 'volumesAttached', 'config', 'runtimeHandlers', 'features']; // prettier-ignore

/** Reads a Node; its capacities are not read: nodes are never full but for addresses. */
export function node(at: At): Node {
  at.only('apiVersion', 'kind', 'metadata', 'spec', 'status');
  const spec = at.opt('spec')?.only('podCIDR', 'podCIDRs', 'providerID', 'unschedulable', 'taints', 'externalID', 'configSource') ?? null; // prettier-ignore
  const one = spec?.opt('podCIDR') ?? null;
  const first = spec?.opt('podCIDRs')?.list()[0];
  const podCIDR = one !== null ? cidr(one) : first === undefined ? '' : cidr(first);
  for (const [i, c] of (spec?.opt('podCIDRs')?.list() ?? []).entries()) {
    if (i > 0) c.fail('found a second network, expected one (dual-stack is not supported yet)');
    if (cidr(c) !== podCIDR) c.fail(`found ${c.str()}, expected the podCIDR ${podCIDR}`);
  }
  const status = at.opt('status')?.only(...NODE_STATUS) ?? null;
  const info = status?.opt('nodeInfo') ?? null;
  const ready = (status?.opt('conditions')?.list() ?? []).find((c) => c.req('type').str() === 'Ready');
  const say = (k: string): string => info?.opt(k)?.str() ?? '';
  return {
    kind: 'Node',
    metadata: objectMeta(at, false, dnsSubdomain),
    spec: {
      podCIDR,
      unschedulable: spec?.opt('unschedulable')?.bool() ?? false,
      taints: taints(spec?.opt('taints') ?? null),
    },
    status: {
      addresses: (status?.opt('addresses')?.list() ?? []).map((a) => ({
        type: a.only('type', 'address').req('type').oneOf('Hostname', 'InternalIP', 'ExternalIP', 'InternalDNS', 'ExternalDNS'),
        address: a.req('address').str(),
      })), // prettier-ignore
      ready: (ready?.req('status').oneOf('True', 'False', 'Unknown') ?? 'True') === 'True',
      nodeInfo: {
        kubeletVersion: say('kubeletVersion'),
        osImage: say('osImage'),
        kernelVersion: say('kernelVersion'),
        containerRuntimeVersion: say('containerRuntimeVersion'),
      },
    },
  };
}
