/** Arguments of `podwire app coredns`. @module */
export interface CoreDnsArgs {
  manifests: string[];
  corefile: string | null;
  listen: string;
  /** 0: the Corefile's. */
  port: number;
}

/** Reads the arguments after `coredns`; a string says what is wrong. */
export function coreDnsArgs(args: readonly string[]): CoreDnsArgs | string {
  const o: CoreDnsArgs = { manifests: [], corefile: null, listen: '0.0.0.0', port: 0 };
  for (let i = 0; i < args.length; i++) {
    const a = args[i]!;
    const v = args[++i];
    if (v === undefined || v.startsWith('--')) return `coredns: found "${a}", expected an option with a value`;
    if (a === '--manifests') {
      o.manifests.push(v);
      while (args[i + 1] !== undefined && !args[i + 1]!.startsWith('--')) o.manifests.push(args[++i]!);
    } else if (a === '--corefile') o.corefile = v;
    else if (a === '--listen') o.listen = v;
    else if (a === '--port' && /^\d{1,5}$/.test(v) && Number(v) > 0 && Number(v) < 65536) o.port = Number(v);
    else return `coredns: found "${a} ${v}", expected --manifests FILE…, --corefile FILE, --listen ADDR or --port PORT`;
  }
  return o.manifests.length > 0 ? o : 'coredns: expected --manifests FILE…';
}
