/**
 * The rules that turn a pod's TCP into its sidecar, as istio-init writes them (istio-iptables -p 15001 -z 15006 -u 1337 -g 1337
 * -m REDIRECT -i '*' -b '*' -d 15090,15021,15020).
 * @module
 */

/** User and group of the sidecar, whose own connections are not turned. */
export const PROXY_UID = 1337;
/** Where the sidecar takes what the pod sends, and what is sent to it. */
export const OUTBOUND_PORT = 15001;
export const INBOUND_PORT = 15006;
/** The address that the sidecar talks to the application from. */
export const INBOUND_SOURCE = '127.0.0.6';

/** Ports that the sidecar itself serves: HBONE, Prometheus, health, metrics. */
const OWN_PORTS = [15090, 15021, 15020];
const HBONE_PORT = 15008;

/** The input of `iptables-restore --noflush`, in the order of istio-iptables (tools/istio-iptables/pkg/capture). */
export function redirectRules(): string[] {
  const lo = (id: string): string =>
    `-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport ${HBONE_PORT} -m owner --${id} ${PROXY_UID} -j ISTIO_IN_REDIRECT`;
  const own = (id: string): string[] => [
    lo(id),
    `-A ISTIO_OUTPUT -o lo -m owner ! --${id} ${PROXY_UID} -j RETURN`,
    `-A ISTIO_OUTPUT -m owner --${id} ${PROXY_UID} -j RETURN`,
  ];
  return [
    '* nat',
    '-N ISTIO_INBOUND',
    '-N ISTIO_REDIRECT',
    '-N ISTIO_IN_REDIRECT',
    '-N ISTIO_OUTPUT',
    `-A ISTIO_INBOUND -p tcp --dport ${HBONE_PORT} -j RETURN`,
    `-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports ${OUTBOUND_PORT}`,
    `-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports ${INBOUND_PORT}`,
    '-A PREROUTING -p tcp -j ISTIO_INBOUND',
    ...OWN_PORTS.map((p) => `-A ISTIO_INBOUND -p tcp --dport ${p} -j RETURN`),
    '-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT',
    '-A OUTPUT -j ISTIO_OUTPUT',
    `-A ISTIO_OUTPUT -o lo -s ${INBOUND_SOURCE}/32 -j RETURN`,
    ...own('uid-owner'),
    ...own('gid-owner'),
    '-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN',
    '-A ISTIO_OUTPUT -j ISTIO_REDIRECT',
    'COMMIT',
  ];
}

/** The lines of a Lab that write them in a pod's namespace. */
export const redirectCommands = (netns: string): string[] => [
  `ip netns exec ${netns} iptables-restore --noflush <<'EOF'`,
  ...redirectRules(),
  'EOF',
];
