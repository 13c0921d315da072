/**
 * Nodes and Namespaces: YAML to objects.
 * @module
 */
import type { At } from './at.js';
import { invalid, invalidChild, required, shown, textOf } from './field-error.js';
import { objectMeta } from './meta.js';
import { cidr, dnsLabel, dnsSubdomain, labelValue, qualifiedName } from './names.js';
import { unsupportedEffect } from './pod.js';
import type { Namespace, Node, Taint } from './types.js';

export function namespace(at: At): Namespace {
  const phase = at.opt('status')?.opt('phase') ?? null;
  if (phase !== null && phase.str() === 'Terminating')
    phase.fail('found "Terminating", expected "Active" (namespaces that end are not supported yet)');
  return { kind: 'Namespace', metadata: objectMeta(at, false, dnsLabel) };
}

function taint(at: At): Taint {
  if (textOf(at, 'key') === '') invalidChild(at, 'key', 'name part must be non-empty', '');
  const key = at.req('key');
  qualifiedName(key);
  const value = textOf(at, 'value');
  if (value !== '') labelValue(at.req('value'));
  if (textOf(at, 'effect') === '') required(at, 'effect');
  return { key: key.str(), value, effect: unsupportedEffect(at.req('effect')) as Taint['effect'] };
}

/** Unique by key and effect. */
function taints(at: At | null): Taint[] {
  const seen = new Set<string>();
  return (at?.list() ?? []).map((item) => {
    // ValidateNode's own path.
    const x = item.called(item.path.replace('spec.taints', 'metadata.taints'));
    const t = taint(x);
    const key = `${t.key}:${t.effect}`;
    if (seen.has(key))
      x.fail(`Duplicate value: ${shown({ Key: t.key, Value: t.value, Effect: t.effect, TimeAdded: null })}: taints must be unique by key and effect pair`); // prettier-ignore
    seen.add(key);
    return t;
  });
}

/** ValidateNode of podCIDR, which it calls podCIDRs[0]; the host bits are zero, as the node controller writes it. */
function network(at: At): string {
  const v = at.text();
  if (!/^[\da-fA-F.:]+\/\d+$/.test(v))
    invalid(at.called(at.path.replace(/podCIDR$/, 'podCIDRs[0]')), 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)', v); // prettier-ignore
  return cidr(at);
}

/** Reads a Node; its capacities are not read: nodes are never full but for addresses. */
export function node(at: At): Node {
  const spec = at.opt('spec');
  const one = spec?.opt('podCIDR') ?? null;
  const first = spec?.opt('podCIDRs')?.list()[0];
  const podCIDR = one !== null ? network(one) : first === undefined ? '' : network(first);
  for (const [i, c] of (spec?.opt('podCIDRs')?.list() ?? []).entries()) {
    if (i > 0) c.fail('found a second network, expected one (dual-stack is not supported yet)');
    if (network(c) !== podCIDR) c.fail(`found ${c.str()}, expected the podCIDR ${podCIDR}`);
  }
  const status = at.opt('status');
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
        type: textOf(a, 'type'),
        address: textOf(a, 'address'),
      })),
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
