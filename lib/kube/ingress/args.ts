/** Arguments of `podwire app ingress`. @module */
import { aton } from '../../../wire/inet.js';

export interface IngressArgs {
  controller: string;
  /** Files of the objects that it watches. */
  manifests: string[];
  /** The address it listens at. */
  listen: number;
  /** Its ports for HTTP and HTTPS; 0: none. */
  http: number;
  https: number;
  /** Of what it draws; null: another one each time (the kernel's own in the engine). */
  seed: number | null;
  /** The Pod's name, which some controllers tell, and its namespace. */
  pod: string;
  namespace: string;
  /** alb: the group of Ingresses that it balances; '' where there is only one. */
  group: string;
  /** Every connection begins with a PROXY header. */
  proxyProtocol: boolean;
}

export const INGRESS_USAGE =
  '--controller NAME --manifests FILE… [--http PORT] [--https PORT] [--listen ADDR] [--pod NAME] [--namespace NS] [--group NAME] [--seed N] [--proxy-protocol on|off]';

const port = (v: string): number | null => (/^\d{1,5}$/.test(v) && Number(v) < 65536 ? Number(v) : null);

/** Reads the arguments after `ingress`; a string says what is wrong. */
export function ingressArgs(args: readonly string[], controllers: readonly string[]): IngressArgs | string {
  const o: IngressArgs = {
    controller: '', manifests: [], listen: 0, http: 80, https: 443, seed: null, pod: 'ingress', namespace: 'istio-system', group: '', proxyProtocol: false,
  }; // prettier-ignore
  const wrong = (what: string): string => `ingress: found "${what}", expected ${INGRESS_USAGE}`;
  for (let i = 0; i < args.length; i++) {
    const a = args[i]!;
    const v = args[++i];
    if (v === undefined) return wrong(a);
    if (a === '--manifests') {
      o.manifests.push(v);
      while (args[i + 1] !== undefined && !args[i + 1]!.startsWith('--')) o.manifests.push(args[++i]!);
    } else if (a === '--controller') o.controller = v;
    else if (a === '--pod') o.pod = v;
    else if (a === '--namespace') o.namespace = v;
    else if (a === '--group') o.group = v;
    else if (a === '--http' && port(v) !== null) o.http = port(v)!;
    else if (a === '--https' && port(v) !== null) o.https = port(v)!;
    else if (a === '--listen' && aton(v) !== null) o.listen = aton(v)!;
    else if (a === '--seed' && /^\d{1,15}$/.test(v)) o.seed = Number(v);
    else if (a === '--proxy-protocol' && (v === 'on' || v === 'off')) o.proxyProtocol = v === 'on';
    else return wrong(`${a} ${v}`);
  }
  if (!controllers.includes(o.controller))
    return `ingress: found --controller "${o.controller}", expected one of: ${controllers.join(', ')}`;
  if (o.controller === 'alb' && args.includes('--https') && o.https > 0)
    return 'ingress: found --https, expected none: the ALB has no HTTPS listeners yet';
  if (o.controller !== 'alb' && o.group !== '')
    return `ingress: found --group ${o.group}, expected none: ${o.controller} has no groups of Ingresses`;
  if (o.proxyProtocol && (o.controller === 'alb' || o.controller === 'istio'))
    return `ingress: found --proxy-protocol on, expected off: ${o.controller} is not asked for PROXY headers here`;
  if (o.controller === 'alb' && args.includes('--http'))
    return 'ingress: found --http, expected none: the listen-ports of its Ingresses say where the ALB listens';
  if (o.controller !== 'istio' && args.includes('--namespace'))
    return `ingress: found --namespace, expected none: ${o.controller} does not ask for its own`;
  return o.manifests.length > 0 ? o : 'ingress: expected --manifests FILE…';
}
