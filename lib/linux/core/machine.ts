/**
 * Puts the kernel together: protocols wired in, namespaces with their loopback device.
 * @module
 */
import { deleteDevice } from '../device/devices.js';
import { Loopback } from '../device/loopback.js';
import { arpRcv } from '../ipv4/arp.js';
import { Fib } from '../ipv4/fib.js';
import { FragTable } from '../ipv4/ip-fragment.js';
import { ipRcv } from '../ipv4/ip-input.js';
import { NeighTable } from '../ipv4/neighbour.js';
import { Sockets } from '../ipv4/sock.js';
import { fallbackTunnel, ipipRcv } from '../tunnel/ipip.js';
import { Kernel } from './kernel.js';
import { Netns } from './netns.js';

/** A booted machine with one namespace, `root` (inet_init and the first setup_net). */
export function bootKernel(seed: number): Kernel {
  const kernel = new Kernel(seed, { ipRcv, arpRcv, ipipRcv });
  createNetns(kernel, 'root');
  return kernel;
}

/** A new namespace: empty tables, `lo` and (unless a sysctl forbids it) `tunl0`, down. The caller checks that the name is free. */
export function createNetns(kernel: Kernel, name: string): Netns {
  const net = new Netns(kernel, name);
  net.fib = new Fib();
  net.frags = new FragTable(net);
  net.neigh = new NeighTable(net);
  net.socks = new Sockets();
  kernel.netns.set(name, net);
  net.lo = new Loopback(net);
  // net_has_fallback_tunnels
  const tunnel = name === 'root' || kernel.fbTunnelsOnlyForInitNet === 0;
  for (const dev of tunnel ? [net.lo, fallbackTunnel(net)] : [net.lo]) {
    net.devs.push(dev);
    kernel.onDevice?.(dev);
  }
  return net;
}

/** Ends a namespace: its virtual devices go with it (default_device_exit_batch). False when there is none. */
export function deleteNetns(kernel: Kernel, name: string): boolean {
  const net = kernel.netns.get(name);
  if (net === undefined) return false;
  for (const dev of [...net.devs]) if (dev !== net.lo) deleteDevice(dev);
  net.frags.destroy();
  kernel.netns.delete(name);
  for (const other of kernel.netns.values()) {
    const id = other.nsids.indexOf(net);
    if (id >= 0) other.nsids[id] = null;
  }
  return true;
}
