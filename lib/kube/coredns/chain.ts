/**
 * The plugins of a server block in CoreDNS's compiled-in order (plugin.cfg); the order of the Corefile does not matter.
 * @module
 */
import { AA, type DnsMessage, type Rr, RCODE, TC, TYPE } from '../../../wire/dns.js';
import { addressText } from '../../../wire/inet6.js';
import { InputError } from '../../sim/input-error.js';
import { aclPlugin } from './acl.js';
import { autopathPlugin, autopathSearch, searchList } from './autopath.js';
import { CachePlugin } from './cache.js';
import { cacheHandler } from './cache-handler.js';
import type { ServerBlock } from './corefile.js';
import { upstreamAddress } from './corefile-forward.js';
import type { Place, ReadFile } from './corefile-lexer.js';
import { ForwardPlugin, type Upstream } from './forward.js';
import { type Handler, type Plugin, type Request, setRcode, sizeOf } from './handler.js';
import { hostsPlugin } from './hosts.js';
import { type Answer, KubernetesPlugin } from './kubernetes.js';
import { rewritePlugin } from './rewrite.js';
import type { CoreDnsOptions } from './server.js';
import { anyPlugin, bufsizePlugin, headerPlugin, loadbalancePlugin, localPlugin, minimalPlugin, whoamiPlugin } from './small-plugins.js'; // prettier-ignore
import { templatePlugin } from './template.js';
import { below, longestZone } from './zones.js';

export interface Chain {
  handler: Handler;
  kubernetes: KubernetesPlugin | null;
}

/** The chain of one block; its end answers SERVFAIL. Files are looked at again until `stopped`. */
export function chainOf(b: ServerBlock, o: CoreDnsOptions, place: Place, stopped: () => boolean): Chain {
  const k = b.kubernetes === null ? null : new KubernetesPlugin(b.kubernetes, o.objects, o.serial, o.localAddresses);
  const plugins: Plugin[] = [];
  const put = (on: boolean, make: () => Plugin): void => {
    if (on) plugins.push(make());
  };
  put(b.bufsize > 0, () => bufsizePlugin(b.bufsize));
  put(b.local, () => localPlugin);
  put(b.acl.length > 0, () => aclPlugin(b.acl));
  put(b.any, () => anyPlugin);
  put(b.loadbalance, () => loadbalancePlugin(o.io.order));
  if (b.cache !== null) plugins.push(cacheHandler(new CachePlugin(b.cache, o.io.now)));
  put(b.rewrite.length > 0, () => rewritePlugin(b.rewrite));
  if (b.header !== null) plugins.push(headerPlugin(b.header));
  if (b.autopath !== null) {
    const node = searchList(o.readFile('/etc/resolv.conf') ?? '');
    const own = autopathSearch(b.autopath, place.of('autopath'), o.readFile);
    plugins.push(autopathPlugin(b.autopath.zones, own, (r) => clientSearch(k, r, node)));
  }
  put(b.minimal, () => minimalPlugin);
  put(b.template.length > 0, () => templatePlugin(b.template));
  if (b.hosts !== null)
    plugins.push(hostsPlugin(b.hosts, { readFile: o.readFile, every: (ns, f) => every(o, ns, f, stopped) }));
  if (k !== null) plugins.push(kubernetes(k));
  b.forward.forEach((f, i) => {
    const alternate = i + 1 < b.forward.length ? f.next : [];
    plugins.push(forward(new ForwardPlugin(f, upstreams(f.to, o.readFile), o.io), alternate));
  });
  put(b.whoami, () => whoamiPlugin);
  const end: Handler = (_r, out) => out.fail(RCODE.SERVFAIL);
  return { handler: plugins.reduceRight((next, p) => p(next), end), kubernetes: k };
}

function every(o: CoreDnsOptions, ns: number, fire: () => void, stopped: () => boolean): void {
  o.io.after(ns, () => {
    if (stopped()) return;
    fire();
    every(o, ns, fire, stopped);
  });
}

/** `alternate`: RCODEs that are not the answer if the next forward has one. */
const forward =
  (f: ForwardPlugin, alternate: readonly number[]): Plugin =>
  (next): Handler =>
  (r, out) => {
    if (!f.covers(r.q.question[0]!.name)) return next(r, out);
    const write = (m: DnsMessage): void => (alternate.includes(m.flags & 15) ? next(r, out) : out.write(m));
    f.serve(r.q, r.client.transport, sizeOf(r), write, (rcode) => out.fail(rcode));
  };

/** The kubernetes plugin; what does not exist goes on where the zone falls through. */
const kubernetes =
  (k: KubernetesPlugin): Plugin =>
  (next): Handler =>
  (r, out) => {
    const { name, type } = r.q.question[0]!;
    const zone = longestZone(k.config.zones, name);
    if (zone === null) return next(r, out);
    if (type === TYPE.AXFR || type === TYPE.IXFR) return out.fail(RCODE.REFUSED);
    const spelled = name.slice(below(name, zone)) || '.';
    const lookup = (target: string, t: number, then: (answer: Rr[], truncated: boolean) => void): void =>
      r.lookup(r, target, t, then);
    k.query(name, type, spelled, lookup, (a) => {
      if (!a.exists && longestZone(k.config.fallthrough, name) !== null) return next(r, out);
      out.write(reply(r.q, a, k.soa(spelled)));
    });
  };

function reply(q: DnsMessage, a: Answer, soa: Rr): DnsMessage {
  const m = setRcode(q, a.exists ? 0 : RCODE.NXDOMAIN);
  m.flags |= AA | (a.exists && a.answer.length > 0 && a.truncated ? TC : 0);
  if (!a.exists || a.answer.length === 0) return { ...m, authority: [soa] };
  return { ...m, answer: a.answer, additional: a.additional };
}

/** The search list of the Pod that asks (plugin/kubernetes/autopath.go). */
function clientSearch(k: KubernetesPlugin | null, r: Request, node: string[]): string[] | null {
  const zone = k === null ? null : longestZone(k.config.zones, r.q.question[0]!.name);
  const ns = k === null || zone === null ? null : k.namespaceOf(addressText(r.client.address));
  if (ns === null) return null;
  const right = zone === '.' ? '' : zone!;
  return [`${ns}.svc.${right}`, `svc.${right}`, zone!, ...node, ''];
}

/** Addresses of `forward`, those of a file included. */
function upstreams(to: readonly (Upstream | string)[], readFile: ReadFile): Upstream[] {
  return to.flatMap((t) => {
    if (typeof t !== 'string') return [t];
    return [...(readFile(t) ?? '').matchAll(/^nameserver\s+(\S+)/gm)].map((m) => {
      const up = upstreamAddress(m[1]!);
      if (up === null) throw new InputError(t, 0, 0, `nameserver '${m[1]}' is not an IPv4 address`);
      return up;
    });
  });
}
