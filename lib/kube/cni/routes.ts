/**
 * One route for every other node's podCIDR, by its own address: what flannel's host-gw, kindnet and a static set-up write.
 * @module
 */
import { onLink } from '../machines.js';
import type { Machine } from '../scenario.js';
import type { CniCluster } from './plugin.js';

/** The address that other nodes know a node by. */
export const addressOf = (node: Machine): string => node.addresses[0]!.split('/')[0]!;

/** The nodes but `node`, in order. */
export const peersOf = (cluster: CniCluster, node: Machine): Machine[] => cluster.nodes.filter((x) => x !== node);

/** True when a node reaches another without a router. */
export const isDirect = (node: Machine, peer: Machine): boolean => onLink(node, addressOf(peer));

/** `ip route` commands on a node, for the peers it reaches without a router (the others' podCIDRs are by the default route). */
export function podRoutes(cluster: CniCluster, node: Machine, verb: 'add' | 'replace', dev = ''): string[] {
  return peersOf(cluster, node)
    .filter((peer) => isDirect(node, peer))
    .map((peer) => `ip -n ${node.name} route ${verb} ${peer.podCIDR} via ${addressOf(peer)}${dev}`);
}

/** A machine that hands packets on. */
export const forwarding = (node: Machine): string => `ip netns exec ${node.name} sysctl -q -w net.ipv4.ip_forward=1`;
