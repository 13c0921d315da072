/** The CNI plugins by name. @module */
import type { CniCluster, CniPlugin } from './plugin.js';
import { BridgePlugin } from './bridge.js';

/** The plugin that a cluster's `cni` names, with nothing set up yet. */
export function cniPlugin(cluster: CniCluster): CniPlugin {
  switch (cluster.cni.plugin) {
    case 'bridge':
      return new BridgePlugin(cluster);
  }
}
