/** The CNI plugins by name. @module */
import { AwsVpcPlugin } from './aws-vpc/index.js';
import { BridgePlugin } from './bridge.js';
import { CalicoPlugin } from './calico/index.js';
import { FlannelPlugin } from './flannel.js';
import type { CniCluster, CniPlugin } from './plugin.js';
import { PtpPlugin } from './ptp.js';
import { WeavePlugin } from './weave/index.js';

/** The plugin that a cluster's `cni` names, with nothing set up yet. */
export function cniPlugin(cluster: CniCluster): CniPlugin {
  const { cni } = cluster;
  switch (cni.plugin) {
    case 'aws-vpc':
      return new AwsVpcPlugin(cluster, cni);
    case 'bridge':
      return new BridgePlugin(cluster, cni);
    case 'ptp':
      return new PtpPlugin(cluster, cni);
    case 'flannel':
      return new FlannelPlugin(cluster, cni);
    case 'calico':
      return new CalicoPlugin(cluster, cni);
    case 'weave':
      return new WeavePlugin(cluster, cni);
  }
}
