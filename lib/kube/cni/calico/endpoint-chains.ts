/**
 * The two chains of a pod, to it and from it, and its profiles: where no policy decides, its namespace and its service account do.
 *
 * Upstream: projectcalico/calico v3.31, felix/rules/endpoints.go, policy.go; libcalico-go/lib/backend/k8s/conversion (profiles).
 * @module
 */
import {
  ACCEPT, type Chain, clearMark, ctState, DROP, type Endpoint, type EndpointPolicy, jump, MARK_ACCEPT, MARK_PASS, markIs, RETURN,
  type Rule, rule, setMark,
} from './felix.js'; // prettier-ignore
import { chainName } from './hash.js';
import { VXLAN_PORT } from './static-chains.js';

/** The profiles of a pod in the order in which they are asked. */
const profilesOf = (e: Endpoint, serviceAccount: string): string[] => [
  `kns.${e.namespace}`,
  `ksa.${e.namespace}.${serviceAccount}`,
];

/** A pod could reach by its own tunnel what its egress forbids. */
const NO_ENCAPSULATION = [
  rule(`-p 17 -m multiport --destination-ports ${VXLAN_PORT}`, DROP, 'Drop VXLAN encapped packets originating in workloads'), // prettier-ignore
  rule('-p 4', DROP, 'Drop IPinIP encapped packets originating in workloads'),
];

/** cali-tw-… and cali-fw-… of a pod. */
export function endpointChains(e: Endpoint, serviceAccount: string, policy: EndpointPolicy): Chain[] {
  const profiles = profilesOf(e, serviceAccount);
  const body = (prefix: string, encap: readonly Rule[], own: readonly Rule[]): Rule[] => [
    rule(ctState('RELATED,ESTABLISHED'), ACCEPT),
    rule(ctState('INVALID'), DROP),
    rule('', clearMark(MARK_ACCEPT | MARK_PASS)),
    ...encap,
    ...own,
    ...profiles.flatMap((p) => [
      rule('', jump(chainName(prefix, p))),
      rule(markIs(MARK_ACCEPT), RETURN, 'Return if profile accepted'),
    ]),
    rule('', DROP, 'Drop if no profiles matched'),
  ];
  return [
    { name: chainName('cali-tw-', e.iface), rules: body('cali-pri-', [], policy.ingress) },
    { name: chainName('cali-fw-', e.iface), rules: body('cali-pro-', NO_ENCAPSULATION, policy.egress) },
  ];
}

/** The chains of the profiles that a node's pods have: a namespace allows all, a service account says nothing. */
export function profileChains(pods: readonly { endpoint: Endpoint; serviceAccount: string }[]): Chain[] {
  const names = new Set(pods.flatMap((p) => profilesOf(p.endpoint, p.serviceAccount)));
  return [...names].sort().flatMap((p) => {
    const allow = p.startsWith('kns.') ? setMark(MARK_ACCEPT) : '';
    return [
      { name: chainName('cali-pri-', p), rules: [rule('', allow, `Profile ${p} ingress`)] },
      { name: chainName('cali-pro-', p), rules: [rule('', allow, `Profile ${p} egress`)] },
    ];
  });
}
