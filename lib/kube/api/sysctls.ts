/**
 * sysctls of a pod: those that kubelet allows unless told otherwise (pkg/kubelet/sysctl, safe_sysctls.go).
 * @module
 */
import type { At } from './at.js';
import { duplicate, invalid, required, textOf } from './field-error.js';

/** Safe ones: set in the pod's namespace, without effect on frames here, or not supported yet. */
const SAFE: Record<string, 'set' | 'no effect' | 'not yet'> = {
  'net.ipv4.tcp_fin_timeout': 'set',
  'kernel.shm_rmid_forced': 'no effect',
  'net.ipv4.ping_group_range': 'no effect',
  'net.ipv4.ip_unprivileged_port_start': 'set',
  // There are neither SYN cookies nor keepalive probes.
  'net.ipv4.tcp_syncookies': 'no effect',
  'net.ipv4.tcp_keepalive_time': 'no effect',
  'net.ipv4.tcp_keepalive_intvl': 'no effect',
  'net.ipv4.tcp_keepalive_probes': 'no effect',
  'net.ipv4.ip_local_port_range': 'not yet',
  'net.ipv4.ip_local_reserved_ports': 'not yet',
  'net.ipv4.tcp_rmem': 'not yet',
  'net.ipv4.tcp_wmem': 'not yet',
};

const NAME = '([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?';
const WHOLE = new RegExp(`^${NAME}$`);

/** validateSysctls, and kubelet's admission; gives those that are to be set. */
export function sysctls(list: At[], hostNetwork: boolean): { name: string; value: string }[] {
  const seen = new Set<string>();
  const out: { name: string; value: string }[] = [];
  for (const s of list) {
    const given = textOf(s, 'name');
    if (given === '') required(s, 'name');
    const at = s.req('name');
    if (given.length > 253 || !WHOLE.test(given))
      invalid(at, `must have at most 253 characters and match regex ^${NAME}$`);
    if (seen.has(given)) duplicate(at);
    seen.add(given);
    const name = given.replaceAll('/', '.');
    if (hostNetwork && name.startsWith('net.')) invalid(at, "may not be specified when 'hostNetwork' is true");
    const how = Object.hasOwn(SAFE, name) ? SAFE[name]! : at.fail(`forbidden sysctl: ${JSON.stringify(name)} not allowlisted, expected one of: ${Object.keys(SAFE).join(', ')}`); // prettier-ignore
    if (how === 'not yet') at.fail(`${name} of pods is not supported yet`);
    const value = textOf(s, 'value');
    if (how === 'set' && !/^\d{1,10}$/.test(value)) s.deep('value').fail(`found ${JSON.stringify(value.slice(0, 80))}, expected a number`); // prettier-ignore
    if (how === 'set') out.push({ name, value });
  }
  return out;
}
