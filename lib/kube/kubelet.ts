/**
 * What kubelet and the container runtime put into a pod's sandbox: sysctls and /etc/hosts.
 * @module
 */
import type { Pod } from './api/types.js';
import { podNetns } from './cni/sandbox.js';

/** Commands that set a pod's sysctls. */
export const podSysctls = (p: Pod): string[] =>
  (p.spec.sysctls ?? []).map((x) => `ip netns exec ${podNetns(p, '')} sysctl -q -w ${x.name}='${x.value}'`);

/**
 * The /etc/hosts of a pod that has hostAliases (kubelet_pods.go, managedHostsFileContent). Other pods' say their own name only,
 * and are left out: no frame depends on them.
 */
export function etcHosts(p: Pod, clusterDomain: string): string[] {
  const { hostname, subdomain, hostAliases = [] } = p.spec;
  if (hostAliases.length === 0) return [];
  const name = (hostname === '' ? p.metadata.name : hostname).slice(0, 63).replace(/[-.]+$/, '');
  const domain = subdomain === '' ? '' : `${subdomain}.${p.metadata.namespace}.svc.${clusterDomain}`;
  const dir = `/etc/netns/${podNetns(p, '')}`;
  return [
    `mkdir -p ${dir}`,
    `cat > ${dir}/hosts <<'EOF'`,
    '# Kubernetes-managed hosts file.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
    `${p.status.podIP}\t${domain === '' ? name : `${name}.${domain}\t${name}`}`,
    '',
    '# Entries added by HostAliases.',
    ...hostAliases.map((a) => `${a.ip}\t${a.hostnames.join('\t')}`),
    'EOF',
  ];
}
