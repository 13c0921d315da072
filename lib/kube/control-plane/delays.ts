/**
 * How long the parts of a control plane take, on the virtual clock. Periods are those of Kubernetes 1.34; what depends on
 * the machine in a real cluster is one written value here, so that the same scenario always has the same timeline.
 * @module
 */
import { MS, SEC } from '../../sim/sim.js';
import type { KubeProxyConfig } from '../kube-proxy/index.js';

/**
 * From a write to the API server to what a watcher does about it. Written value: a write is in etcd and with every watcher
 * within some milliseconds, and controllers act at once (no batching: --endpoint-updates-batch-period is 0).
 */
export const REACTION = 10 * MS;

/**
 * From a pod being bound to its programs: the runtime makes the sandbox, calls CNI ADD and starts the containers, whose images
 * are there. Written value.
 */
export const POD_START = 500 * MS;

/** The kubelet hears of started and ended containers when it lists them (genericPlegRelistPeriod), here at whole seconds. */
export const RELIST = SEC;

/** From the end of a pod's last process to CNI DEL and the end of its namespace. Written value. */
export const SANDBOX_STOP = 500 * MS;

/** Grace that is left for SIGTERM after a preStop hook has used it up (minimumGracePeriodInSeconds). */
export const MINIMUM_GRACE = 2 * SEC;

/**
 * kube-proxy's minSyncPeriod: between the end of one sync and the next (runner.BoundedFrequencyRunner). iptables mode's default
 * is a second, IPVS mode has none (v1alpha1's SetDefaults_KubeProxyConfiguration).
 */
export const MIN_SYNC: Readonly<Record<KubeProxyConfig['mode'], number>> = { iptables: SEC, ipvs: 0 };

/** kube-proxy's IPVS mode looks after the destinations it drains (rsCheckDeleteInterval). */
export const DRAIN_CHECK = 60 * SEC;

/** The next whole second at or after a time. */
export const nextRelist = (now: number): number => Math.ceil(now / RELIST) * RELIST;
