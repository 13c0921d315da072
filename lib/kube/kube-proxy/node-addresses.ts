/** The addresses a node's kube-proxy finds on its devices. @module */
import { aton } from '../../../wire/inet.js';

const ADD = /^ip (?:-n (\S+)|netns exec (\S+) ip) addr(?:ess)? add ([0-9.]+)(?:\/\d+)?(?: .*)? dev (\S+)/;

/** True for the commands that `nodeAddresses` reads. */
export const givesAddress = (command: string): boolean => ADD.test(command);

/**
 * IPv4 addresses that the commands so far give to the devices of `netns`, lo left out: `primary` first, the others
 * ascending, as net.InterfaceAddrs would find them (GetNodeIPs, GetAllLocalAddressesExcept).
 */
export function nodeAddresses(commands: readonly string[], netns: string, primary: string): string[] {
  const found = new Set<string>();
  for (const line of commands) {
    const m = ADD.exec(line);
    if (m !== null && (m[1] ?? m[2]) === netns && m[4] !== 'lo' && m[3] !== primary) found.add(m[3]!);
  }
  return [primary, ...[...found].sort((a, b) => (aton(a)! >>> 0) - (aton(b)! >>> 0))];
}
