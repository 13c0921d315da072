/** The command lines kube-proxy would run, one after the other, and the rules that lead into its chains. @module */

const NEW = '-m conntrack --ctstate NEW ';
/** A rule that jumps into a chain: table, source, state match, comment, destination. */
type Jump = readonly [string, string, string, string, string];

/** iptablesJumpChains and iptablesKubeletJumpChains. */
export const JUMPS: readonly Jump[] = [
  ['filter', 'INPUT', NEW, 'kubernetes externally-visible service portals', 'KUBE-EXTERNAL-SERVICES'],
  ['filter', 'FORWARD', NEW, 'kubernetes externally-visible service portals', 'KUBE-EXTERNAL-SERVICES'],
  ['filter', 'INPUT', '', 'kubernetes health check service ports', 'KUBE-NODEPORTS'],
  ['filter', 'FORWARD', NEW, 'kubernetes service portals', 'KUBE-SERVICES'],
  ['filter', 'OUTPUT', NEW, 'kubernetes service portals', 'KUBE-SERVICES'],
  ['filter', 'FORWARD', '', 'kubernetes forwarding rules', 'KUBE-FORWARD'],
  ['filter', 'INPUT', NEW, 'kubernetes load balancer firewall', 'KUBE-PROXY-FIREWALL'],
  ['filter', 'OUTPUT', NEW, 'kubernetes load balancer firewall', 'KUBE-PROXY-FIREWALL'],
  ['filter', 'FORWARD', NEW, 'kubernetes load balancer firewall', 'KUBE-PROXY-FIREWALL'],
  ['nat', 'OUTPUT', '', 'kubernetes service portals', 'KUBE-SERVICES'],
  ['nat', 'PREROUTING', '', 'kubernetes service portals', 'KUBE-SERVICES'],
  ['nat', 'POSTROUTING', '', 'kubernetes postrouting rules', 'KUBE-POSTROUTING'],
  ['filter', 'INPUT', '', '', 'KUBE-FIREWALL'],
  ['filter', 'OUTPUT', '', '', 'KUBE-FIREWALL'],
];

/** iptablesJumpChain of the IPVS mode. */
export const IPVS_JUMPS: readonly Jump[] = [
  ['nat', 'OUTPUT', '', 'kubernetes service portals', 'KUBE-SERVICES'],
  ['nat', 'PREROUTING', '', 'kubernetes service portals', 'KUBE-SERVICES'],
  ['nat', 'POSTROUTING', '', 'kubernetes postrouting rules', 'KUBE-POSTROUTING'],
  ['filter', 'FORWARD', '', 'kubernetes forwarding rules', 'KUBE-FORWARD'],
  ['filter', 'INPUT', '', 'kubernetes health check rules', 'KUBE-NODE-PORT'],
  ['filter', 'INPUT', '', 'kube-proxy firewall rules', 'KUBE-PROXY-FIREWALL'],
  ['filter', 'FORWARD', '', 'kube-proxy firewall rules', 'KUBE-PROXY-FIREWALL'],
  ['filter', 'INPUT', '', 'kubernetes ipvs access filter', 'KUBE-IPVS-FILTER'],
  ['filter', 'OUTPUT', '', 'kubernetes ipvs access filter', 'KUBE-IPVS-OUT-FILTER'],
];

const WAIT = '-w 5 -W 100000';

/** `iptables-restore` with its input as a heredoc. */
export const restore = (input: string): string => `iptables-restore ${WAIT} --noflush --counters <<'EOF'\n${input}EOF`;

export class Commands {
  readonly lines: string[] = [];
  private readonly made = new Set<string>();

  /** EnsureChain on a node where only this program makes chains. */
  chain(table: string, name: string): void {
    if (this.made.has(`${table} ${name}`)) return;
    this.made.add(`${table} ${name}`);
    this.lines.push(`iptables ${WAIT} -N ${name} -t ${table}`);
  }

  /** EnsureRule, each in front of those before. */
  jumps(rows: readonly Jump[]): void {
    for (const [table, src, state, comment, dst] of rows) {
      this.chain(table, dst);
      const text = comment === '' ? '' : `-m comment --comment "${comment}" `;
      this.lines.push(`iptables ${WAIT} -I ${src} -t ${table} ${state}${text}-j ${dst}`);
    }
  }

  sysctls(...settings: string[]): void {
    for (const s of settings) this.lines.push(`sysctl -w net.${s}`);
  }
}

/**
 * The same commands in few processes, for a start before any traffic: addresses first, then what ipvsadm and ipset do in a
 * row each as one `-R` and one `restore`. The real program makes an IPVS call for each line.
 */
export function batched(lines: readonly string[]): string[] {
  const out: string[] = [];
  let run: string[] = [];
  let tool = '';
  const end = (): void => {
    if (run.length > 0) out.push(`${tool} <<'EOF'\n${run.join('\n')}\nEOF`);
    run = [];
  };
  const address = /^ip addr add /;
  const link = lines.findIndex((l) => l.startsWith('ip link add ')) + 1;
  const ordered = [
    ...lines.slice(0, link),
    ...lines.filter((l) => address.test(l)),
    ...lines.slice(link).filter((l) => !address.test(l)),
  ];
  for (const line of ordered) {
    const m = /^(ipvsadm|ipset) (-[Aa] .*|(?:create|add) .*)$/.exec(line);
    const next = m === null ? '' : m[1] === 'ipset' ? 'ipset restore' : 'ipvsadm -R';
    if (next !== tool) end();
    tool = next;
    if (m === null) out.push(line);
    else run.push(m[2]!);
  }
  end();
  return out;
}
