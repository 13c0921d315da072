/**
 * Felix's chains that do not depend on pods: the jumps in the kernel's chains and what these lead to.
 *
 *   raw PREROUTING: from a pod? its source must be reached by its interface  ─▶  filter FORWARD: cali-from-wl-dispatch, then
 *   cali-to-wl-dispatch (each says yes by the accept mark) ─▶ at the end of FORWARD: accepted ─▶ nat POSTROUTING, last: natOutgoing
 *
 * Upstream: projectcalico/calico v3.31, felix/rules/static.go, nat.go and the jumps of felix/dataplane/linux/int_dataplane.go, with
 * the configuration of manifests/calico.yaml. Not here: host endpoints' policies (their chains exist, empty), failsafe ports, which
 * only those use, floating IPs, DSCP, WireGuard, IPv6.
 * @module
 */
import type { TableName } from '../../../linux/netfilter/xtables.js';
import {
  ACCEPT, all, type Chain, clearMark, ctState, DROP, dstSet, goTo, inInterface, jump, MARK_ACCEPT, MARK_ALL, MARK_ENDPOINT,
  MARK_SCRATCH0, markClear, markIs, markNotClear, MASQUERADE, NOTRACK, notCtState, notDstSet, outInterface, RETURN, type Rule, rule,
  setMark, srcSet,
} from './felix.js'; // prettier-ignore
import { ipsetName } from './hash.js';
import { forwardCheck, forwardEndpointMark } from './ipvs-chains.js';

/** The port of vxlan.calico. */
export const VXLAN_PORT = 4789;

/** What of a cluster decides about the static chains. */
export interface StaticOptions {
  /** The device of the tunnels, which has an address; null: no encapsulation. */
  readonly tunnel: 'tunl0' | 'vxlan.calico' | null;
  readonly natOutgoing: boolean;
  /** kube-proxy is in IPVS mode (KubeIPVSSupportEnabled). */
  readonly ipvs: boolean;
}

/** One table as Felix wants it. */
export interface TableModel {
  readonly table: TableName;
  /** At the top of the kernel's chains, and at their end. */
  readonly inserts: readonly Chain[];
  readonly appends: readonly Chain[];
  readonly chains: readonly Chain[];
}

const chain = (name: string, ...rules: Rule[]): Chain => ({ name, rules });
const jumps = (...names: string[]): Chain[] => names.map((n) => chain(n, rule('', jump(`cali-${n}`))));
const accepted = (action: string, ...comment: string[]): Rule => rule(markIs(MARK_ACCEPT), action, ...comment);
const hostEndpointAccepted = (action: string): Rule => accepted(action, 'Host endpoint policy accepted packet.');

const FROM_POD = inInterface('cali+');
const TO_POD = outInterface('cali+');
/** Chains of host endpoints, of which there are none. */
const HEP = chain('cali-from-host-endpoint');
const TO_HEP = chain('cali-to-host-endpoint');

/** All tables without what belongs to pods. */
export const staticTables = (o: StaticOptions): TableModel[] => [raw(o), mangle(o), nat(o), filter(o)];

function raw({ tunnel }: StaticOptions): TableModel {
  const untracked = tunnel === 'vxlan.calico' ? [rule(`-p udp --dport ${VXLAN_PORT}`, NOTRACK)] : [];
  const fromPod = markIs(MARK_SCRATCH0);
  return {
    table: 'raw',
    inserts: jumps('PREROUTING', 'OUTPUT'),
    appends: [],
    chains: [
      chain(
        'cali-PREROUTING',
        rule('', clearMark(MARK_ALL)),
        ...untracked,
        rule(FROM_POD, setMark(MARK_SCRATCH0)),
        rule(fromPod, jump('cali-rpf-skip')),
        rule(all(fromPod, '-m rpfilter --invert --validmark'), DROP),
        rule(markClear(MARK_SCRATCH0), jump(HEP.name)),
        accepted(ACCEPT),
      ),
      chain('cali-OUTPUT', rule('', clearMark(MARK_ALL)), rule('', jump(TO_HEP.name)), ...untracked, accepted(ACCEPT)),
      chain('cali-rpf-skip'),
      HEP,
      TO_HEP,
    ],
  };
}

function mangle({ ipvs }: StaticOptions): TableModel {
  const leaving = all(srcSet(ipsetName('dscp-src-net')), notDstSet(ipsetName('all-ipam-pools')), notDstSet(ipsetName('this-host'))); // prettier-ignore
  return {
    table: 'mangle',
    inserts: jumps('PREROUTING', 'POSTROUTING'),
    appends: [],
    chains: [
      chain(
        'cali-PREROUTING',
        rule(ctState('RELATED,ESTABLISHED'), ACCEPT),
        accepted(ACCEPT),
        rule('', jump(HEP.name)),
        hostEndpointAccepted(ACCEPT),
      ),
      chain(
        'cali-POSTROUTING',
        rule(leaving, jump('cali-egress-dscp'), 'set dscp for traffic leaving cluster.'),
        accepted(RETURN),
        ...(ipvs ? [rule(markNotClear(MARK_ENDPOINT), RETURN)] : []),
        rule('', clearMark(MARK_ALL)),
        rule(ctState('DNAT'), jump(TO_HEP.name)),
        hostEndpointAccepted(RETURN),
      ),
      chain('cali-egress-dscp'),
      HEP,
      TO_HEP,
    ],
  };
}

/** The jump of POSTROUTING comes last: kube-proxy's masquerading takes its mark off first. */
function nat({ tunnel, natOutgoing }: StaticOptions): TableModel {
  const wrongSource = '-m addrtype ! --src-type LOCAL --limit-iface-out -m addrtype --src-type LOCAL';
  const outgoing = all(srcSet(ipsetName('masq-ipam-pools')), notDstSet(ipsetName('all-ipam-pools')));
  return {
    table: 'nat',
    inserts: jumps('PREROUTING', 'OUTPUT'),
    appends: jumps('POSTROUTING'),
    chains: [
      chain('cali-PREROUTING', rule('', jump('cali-fip-dnat'))),
      chain('cali-OUTPUT', rule('', jump('cali-fip-dnat'))),
      chain(
        'cali-POSTROUTING',
        rule('', jump('cali-fip-snat')),
        rule('', jump('cali-nat-outgoing')),
        ...(tunnel === null ? [] : [rule(all(outInterface(tunnel), wrongSource), MASQUERADE)]),
      ),
      chain('cali-fip-dnat'),
      chain('cali-fip-snat'),
      chain('cali-nat-outgoing', ...(natOutgoing ? [rule(outgoing, MASQUERADE)] : [])),
    ],
  };
}

function filter(o: StaticOptions): TableModel {
  return {
    table: 'filter',
    inserts: jumps('INPUT', 'FORWARD', 'OUTPUT'),
    // The last rule tells mangle POSTROUTING that the packet was forwarded.
    appends: [chain('FORWARD', accepted(ACCEPT, 'Policy explicitly accepted packet.'), rule('', setMark(MARK_ACCEPT)))],
    chains: [
      forward(),
      input(o),
      chain(
        'cali-wl-to-host',
        rule('', jump('cali-from-wl-dispatch')),
        rule('', ACCEPT, 'Configured DefaultEndpointToHostAction'),
      ),
      output(o),
      ...(o.ipvs ? [forwardCheck(), forwardEndpointMark()] : []),
      chain('cali-from-hep-forward'),
      chain('cali-to-hep-forward'),
      chain('cali-cidr-block'),
      HEP,
      TO_HEP,
    ],
  };
}

const forward = (): Chain =>
  chain(
    'cali-FORWARD',
    rule('', clearMark(MARK_ALL & ~MARK_ACCEPT)),
    rule(markClear(MARK_ACCEPT), jump('cali-from-hep-forward')),
    rule(FROM_POD, jump('cali-from-wl-dispatch')),
    rule(TO_POD, jump('cali-to-wl-dispatch')),
    rule('', jump('cali-to-hep-forward')),
    rule('', jump('cali-cidr-block')),
  );

/** Tunnels' packets come from nodes only; pods reach the node as their egress says. */
function input({ tunnel, ipvs }: StaticOptions): Chain {
  const vxlan = `-p 17 -m multiport --destination-ports ${VXLAN_PORT}`;
  const local = '-m addrtype --dst-type LOCAL';
  const encap =
    tunnel === 'tunl0'
      ? [
          rule(all('-p 4', srcSet(ipsetName('all-hosts-net')), local), ACCEPT, 'Allow IPIP packets from Calico hosts'),
          rule('-p 4', DROP, 'Drop IPIP packets from non-Calico hosts'),
        ]
      : tunnel === 'vxlan.calico'
        ? [
            rule(all(vxlan, srcSet(ipsetName('all-vxlan-net')), local), ACCEPT, 'Allow IPv4 VXLAN packets from allowed hosts'),
            rule(all(vxlan, local), DROP, 'Drop IPv4 VXLAN packets from non-allowed hosts'),
          ]
        : []; // prettier-ignore
  return chain(
    'cali-INPUT',
    ...encap,
    ...(ipvs
      ? [rule('', clearMark(MARK_ENDPOINT)), rule('', jump('cali-forward-check')), rule(markNotClear(MARK_ENDPOINT), RETURN)]
      : []),
    rule(FROM_POD, goTo('cali-wl-to-host')),
    accepted(ACCEPT),
    rule('', clearMark(MARK_ALL)),
    rule('', jump(HEP.name)),
    hostEndpointAccepted(ACCEPT),
  ); // prettier-ignore
}

function output({ tunnel, ipvs }: StaticOptions): Chain {
  const own = '-m addrtype --src-type LOCAL';
  const encap =
    tunnel === 'tunl0'
      ? [rule(all('-p 4', dstSet(ipsetName('all-hosts-net')), own), ACCEPT, 'Allow IPIP packets to other Calico hosts')]
      : tunnel === 'vxlan.calico'
        ? [rule(all(`-p 17 -m multiport --destination-ports ${VXLAN_PORT}`, own, dstSet(ipsetName('all-vxlan-net'))), ACCEPT, 'Allow IPv4 VXLAN packets to other allowed hosts')]
        : []; // prettier-ignore
  return chain(
    'cali-OUTPUT',
    accepted(ACCEPT),
    ...(ipvs ? [rule(markNotClear(MARK_ENDPOINT), goTo('cali-forward-endpoint-mark'))] : []),
    rule(TO_POD, RETURN),
    ...encap,
    rule('', clearMark(MARK_ALL)),
    rule(notCtState('DNAT'), jump(TO_HEP.name)),
    hostEndpointAccepted(ACCEPT),
  );
}
