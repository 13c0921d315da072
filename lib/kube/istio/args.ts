/** Arguments of `podwire app istio-proxy`. @module */
export interface IstioProxyArgs {
  /** The file with what istiod says. */
  mesh: string;
  /** NAMESPACE/NAME of the pod whose sidecar it is. */
  pod: string;
  /** Null: the machine's own. */
  seed: number | null;
}

const USAGE = 'expected --mesh FILE, --pod NAMESPACE/NAME or --seed N';

/** Reads the arguments after `istio-proxy`; a string says what is wrong. */
export function istioProxyArgs(args: readonly string[]): IstioProxyArgs | string {
  const o: IstioProxyArgs = { mesh: '', pod: '', seed: null };
  const seen = new Set<string>();
  for (let i = 0; i < args.length; i += 2) {
    const [a, v] = [args[i]!, args[i + 1]];
    if (v === undefined) return `istio-proxy: found "${a}" without a value, ${USAGE}`;
    if (seen.has(a)) return `istio-proxy: found "${a}" again, ${USAGE}`;
    seen.add(a);
    if (a === '--mesh') o.mesh = v;
    else if (a === '--pod' && /^[^/]+\/[^/]+$/.test(v)) o.pod = v;
    else if (a === '--seed' && /^\d{1,10}$/.test(v)) o.seed = Number(v);
    else return `istio-proxy: found "${a} ${v}", ${USAGE}`;
  }
  return o.mesh === '' || o.pod === '' ? 'istio-proxy: expected --mesh FILE --pod NAMESPACE/NAME' : o;
}
