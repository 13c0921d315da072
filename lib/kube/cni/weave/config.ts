/**
 * `cni: { plugin: weave }`: what the DaemonSet weave-net is told by its environment, and what is random of a peer in reality.
 * @module
 */
import { macBytes, macText } from '../../../../wire/inet.js';
import { type At, quote } from '../../api/at.js';

/** A peer as the scenario names it: its node, its name (the MAC address of its bridge) and its short id; null: derived. */
export interface PeerConfig {
  node: string;
  name: string | null;
  shortID: number | null;
}

/** weave-kube: WEAVE_MTU, NO_MASQ_LOCAL. IPALLOC_RANGE is the podSubnet; EXPECT_NPC is on. */
export interface WeaveConfig {
  plugin: 'weave';
  portMappings: boolean;
  /** Bytes, of the bridge, the datapath and the pods. */
  mtu: number;
  noMasqLocal: boolean;
  peers: readonly PeerConfig[];
}

/** 1460, the smallest network below that Weave expects, less VXLAN's 50 and ESP's 34. */
const DEFAULT_MTU = 1376;
export const SHORT_ID_BITS = 12;

/** Reads the words of `spec.cni`; `nodes` are the names of the cluster's nodes. Throws InputError with a place. */
export function parseWeave(at: At, nodes: readonly string[]): WeaveConfig {
  at.only('plugin', 'portMappings', 'mtu', 'noMasqLocal', 'peers');
  const seen = new Set<string>();
  return {
    plugin: 'weave',
    portMappings: at.opt('portMappings')?.bool() ?? true,
    mtu: at.opt('mtu')?.int(68, 65485) ?? DEFAULT_MTU,
    noMasqLocal: at.opt('noMasqLocal')?.bool() ?? true,
    peers: (at.opt('peers')?.list() ?? []).map((p) => peer(p, nodes, seen)),
  };
}

function peer(at: At, nodes: readonly string[], seen: Set<string>): PeerConfig {
  at.only('node', 'name', 'shortID');
  const once = (key: string, value: string): string => {
    if (seen.has(`${key} ${value}`)) at.req(key).fail(`found ${value} again, expected another ${key} for each peer`);
    seen.add(`${key} ${value}`);
    return value;
  };
  const node = once('node', at.req('node').oneOf(...nodes));
  const name = at.opt('name');
  const shortID = at.opt('shortID')?.int(0, 2 ** SHORT_ID_BITS - 1) ?? null;
  if (shortID !== null) once('shortID', String(shortID));
  return { node, name: name === null ? null : once('name', peerName(name)), shortID };
}

function peerName(at: At): string {
  const mac = macBytes(at.str());
  if (mac === null || (mac[0]! & 1) !== 0 || mac.every((x) => x === 0))
    return at.fail(`found ${quote(at.str())}, expected a MAC address that is none of a group`);
  return macText(mac);
}
