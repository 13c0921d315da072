/**
 * Peers of a Weave network: names, short ids, tunnel ids, and the parts of the address range that they own.
 *
 * Upstream: weaveworks/weave, net/mac.go (MACfromUUID), router/fastdp.go (tunnelIDFor), ipam/ring/ring.go (ClaimForPeers),
 * weaveworks/mesh (short ids, 12 random bits that are gossiped). A node here has no machine id; the hash of its name stands for one.
 * @module
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { hex } from '../../../../wire/bytes.js';
import { macText } from '../../../../wire/inet.js';
import type { Machine } from '../../scenario.js';
import { networkOf } from '../../networks.js';
import { addressOf } from '../routes.js';
import { type PeerConfig, SHORT_ID_BITS } from './config.js';

export interface Peer {
  node: string;
  /** The address that other peers send to. */
  address: string;
  /** Its name, which is its bridge's MAC address. */
  name: string;
  shortID: number;
  /** Addresses it owns, int32, and how many. */
  start: number;
  size: number;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A locally administered address from the hash of a text. */
export function macOf(text: string): string {
  const mac = sha256(bytes(text)).slice(0, 6);
  mac[0] = (mac[0]! & 0xfe) | 0x02;
  return macText(mac);
}

/** MACfromUUID of a machine id. */
export const peerNameOf = (machineID: string): string => macOf(`9oBJ0Jmip-${machineID}`);

/** The peers of nodes, in the order of the nodes; the range is divided in the order of their names. */
export function peersOfNodes(nodes: readonly Machine[], given: readonly PeerConfig[], range: string): Peer[] {
  const taken = new Set(given.flatMap((p) => (p.shortID === null ? [] : [p.shortID])));
  const peers = nodes.map((n): Peer => {
    const p = given.find((x) => x.node === n.name);
    const name = p?.name ?? peerNameOf(hex(sha256(bytes(n.name))).slice(0, 32));
    return { node: n.name, address: addressOf(n), name, shortID: p?.shortID ?? freeID(name, taken), start: 0, size: 0 };
  });
  const { net, bits } = networkOf(range);
  const byName = [...peers].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  subdivide(net, 2 ** (32 - bits), byName);
  return peers;
}

/** A short id that no other peer has. */
function freeID(name: string, taken: Set<number>): number {
  const most = 2 ** SHORT_ID_BITS;
  const h = sha256(bytes(`short ${name}`));
  let id = ((h[0]! << 8) | h[1]!) % most;
  while (taken.has(id) && taken.size < most) id = (id + 1) % most;
  taken.add(id);
  return id;
}

/** Ring.subdivide: halves, each for half of the peers. */
function subdivide(from: number, share: number, peers: readonly Peer[]): void {
  if (share === 0) return;
  if (share === 1 || peers.length === 1) {
    peers[0]!.start = from | 0;
    peers[0]!.size = share;
    return;
  }
  const half = Math.floor(share / 2);
  const middle = Math.floor(peers.length / 2);
  subdivide(from, half, peers.slice(0, middle));
  subdivide(from + half + (share % 2), half, peers.slice(middle));
}

/** VXLAN's VNI from one peer to another. */
export const tunnelID = (from: Peer, to: Peer): string =>
  `0x${(from.shortID + to.shortID * 2 ** SHORT_ID_BITS).toString(16)}`;
