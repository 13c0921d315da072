/**
 * Words for what the kernel decides, and for which frame: the explainer is the executor, these classes only write down.
 * @module
 */
import type { Netdev, Tap as Listener } from '../linux/core/netdev.js';
import type { Netns } from '../linux/core/netns.js';
import type { Skb } from '../linux/core/skb.js';
import type { Flow } from '../linux/openvswitch/flow-table.js';
import type { Tracer } from '../linux/core/tracer.js';
import { type Dst, INPUT_LOCAL } from '../linux/ipv4/dst.js';
import type { Neigh } from '../linux/ipv4/neighbour.js';
import { CommentMatch } from '../linux/netfilter/xt-match.js';
import { type Chain, xtTables } from '../linux/netfilter/xtables.js';
import { neighLine } from '../shell/ip-neigh.js';
import { routeLine } from '../shell/ip-route-show.js';
import { ruleLine } from '../shell/ip-rule.js';
import { ruleText } from '../shell/iptables-save.js';
import { flowText } from '../shell/odp-text.js';
import type { Tap } from './tap.js';

/** Chains that Felix makes of a network policy say its name in their first rule: `Policy default/web ingress`; '' for others. */
function policyOf(chain: Chain | undefined): string {
  for (const m of chain?.rules[0]?.matches ?? []) if (m instanceof CommentMatch && m.text.startsWith('Policy ')) return m.text; // prettier-ignore
  return '';
}

/** Turns every decision into one line of text; sees every captured frame as well. */
export abstract class Narrator implements Tracer {
  /** Packets that there were before the captures began; ids count from there (`Tap.packetIdOf`). */
  before = 0;
  private id = (skb: Skb): number => Math.max(0, skb.id - this.before);

  /** The rule told last: the one that drops a packet is told right before. */
  private latest = { id: 0, text: '' };

  /** A decision about packet `id` in `net`; `dev` when it was a device's. */
  protected abstract note(id: number, net: Netns, dev: string | null, text: string): void;
  /** Frame `index` of `tap`, which is packet `id`; its bytes are `buf[start, end)`. */
  protected abstract frame(tap: Tap, index: number, net: Netns, id: number, bytes: Uint8Array, direction: 1 | 2): void;

  /** What a device gets as its capture: the tap, then this narrator. */
  listen(tap: Tap, dev: Netdev): Listener {
    const { net } = dev;
    return {
      frame: (now, direction, buf, start, end, id) => {
        tap.frame(now, direction, buf, start, end, id);
        this.frame(tap, tap.frames - 1, net, tap.packetIdOf(tap.frames - 1), buf.subarray(start, end), direction);
      },
    };
  }

  rule(net: Netns, skb: Skb, table: string, chain: string, rule: number | null, verdict: string): void {
    const chains = xtTables(net).get(table)?.chains;
    const r = rule === null ? undefined : chains?.get(chain)?.rules[rule - 1];
    const words = r === undefined ? '' : ruleText(r).trim();
    const place = `${table}/${chain} ${rule === null ? 'policy' : `rule ${rule}`}: ${verdict}`;
    const policy = chains === undefined ? '' : policyOf(chains.get(verdict) ?? chains.get(chain));
    const of = policy === '' || words.includes(policy) ? '' : `: ${policy}`;
    this.latest = { id: skb.id, text: `${place}${words === '' ? '' : ` (${words})`}${of}` };
    this.note(this.id(skb), net, null, this.latest.text);
  }

  conntrack(net: Netns, skb: Skb, state: string): void {
    this.note(this.id(skb), net, null, `conntrack: ${state}`);
  }

  nat(net: Netns, skb: Skb, kind: 'SNAT' | 'DNAT', before: string, after: string): void {
    this.note(this.id(skb), net, null, `${kind}: ${before} → ${after}`);
  }

  route(net: Netns, skb: Skb, d: Dst): void {
    const text = d.route === null ? (d.input === INPUT_LOCAL ? 'local' : `dev ${d.dev.name}`) : routeLine(d.route);
    const by = d.route === null || d.rule === null ? '' : `, by rule ${ruleLine(net, d.rule)}`;
    this.note(this.id(skb), net, null, `route: ${text}${by}`);
  }

  neighbour(net: Netns, skb: Skb, n: Neigh): void {
    this.note(this.id(skb), net, null, `neighbour: ${neighLine(n)}${n.valid ? '' : ', the packet waits'}`);
  }

  tunnel(net: Netns, skb: Skb, dev: { name: string }, text: string): void {
    this.note(this.id(skb), net, dev.name, text);
  }

  bridge(net: Netns, skb: Skb, dev: { name: string }, text: string): void {
    this.note(this.id(skb), net, dev.name, `bridge: ${text}`);
  }

  flow(net: Netns, skb: Skb, dev: Netdev, from: Netdev, flow: Flow | null): void {
    const text = flow === null ? `${from.name}: no flow` : flowText(flow);
    this.note(this.id(skb), net, dev.name, `datapath: ${text}`);
  }

  drop(net: Netns, skb: Skb, reason: string): void {
    const why = reason === 'NETFILTER_DROP' && this.latest.id === skb.id ? ` by ${this.latest.text}` : '';
    this.note(this.id(skb), net, null, `dropped: ${reason}${why}`);
  }
}

/**
 * Comments for the frames of a capture. A decision belongs to the latest frame of its packet in the same namespace: what
 * happened to this frame next. Before a packet's first frame there (it was made there), to that first frame.
 */
export class Explainer extends Narrator {
  private readonly texts = new Map<Tap, string[][]>();
  /** Packet → namespace → comments of its latest frame, or those that wait for its first. */
  private readonly open = new Map<number, Map<Netns, string[]>>();

  protected override note(id: number, net: Netns, dev: string | null, text: string): void {
    let nets = this.open.get(id);
    if (nets === undefined) this.open.set(id, (nets = new Map()));
    let list = nets.get(net);
    if (list === undefined) nets.set(net, (list = []));
    list.push(dev === null ? text : `${dev}: ${text}`);
  }

  protected override frame(tap: Tap, index: number, net: Netns, id: number): void {
    let frames = this.texts.get(tap);
    if (frames === undefined) this.texts.set(tap, (frames = []));
    let nets = this.open.get(id);
    if (nets === undefined) this.open.set(id, (nets = new Map()));
    const waiting = nets.get(net);
    // A list that no frame has taken yet waits for this one.
    const list = waiting !== undefined && !this.taken.has(waiting) ? waiting : [];
    this.taken.add(list);
    nets.set(net, list);
    frames[index] = list;
  }

  private readonly taken = new Set<string[]>();

  /** The comments of a frame, in the order of the decisions. */
  commentsOf = (tap: Tap, index: number): readonly string[] => this.texts.get(tap)?.[index] ?? [];
}
