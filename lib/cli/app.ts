/** `podwire app echo|http|coredns|ingress|agnhost|http-echo|nginx|whoami|tcp-proxy …`: podwire's own servers on real sockets. */
import { SERVER_NAMES } from '../apps/servers/index.js';
import { UsageError } from './usage.js';

export async function main(args: string[]): Promise<number> {
  if (args[0] === 'echo') return (await import('./app-echo.js')).main(args.slice(1));
  if (args[0] === 'http') return (await import('./app-http.js')).main(args.slice(1));
  if (args[0] === 'coredns') return (await import('./app-coredns.js')).main(args.slice(1));
  if (SERVER_NAMES.includes(args[0] ?? '')) return (await import('./app-server.js')).main(args);
  if (args[0] === 'ingress') return (await import('./app-ingress.js')).main(args.slice(1));
  if (args[0] === 'tcp-proxy') return (await import('./app-tcp-proxy.js')).main(args.slice(1));
  if (args[0] === 'probe') throw new UsageError("app probe: runs inside a Lab only, it runs the Lab's commands");
  if (args[0] === 'metallb-speaker')
    throw new UsageError('app metallb-speaker: runs inside a Lab only, it needs a packet socket');
  if (args[0] === 'istio-proxy') return (await import('./app-istio-proxy.js')).main(args.slice(1));
  if (args[0] === 'health') throw new UsageError("app health: runs inside a Lab only, its clock is the Lab's");
  if (args[0] === 'flood') throw new UsageError('app flood: runs inside a Lab only, it needs a raw socket');
  throw new UsageError(
    `app: found "${args[0] ?? ''}", expected echo, http, coredns, ingress, istio-proxy, ${SERVER_NAMES.join(', ')}, tcp-proxy`,
  );
}
