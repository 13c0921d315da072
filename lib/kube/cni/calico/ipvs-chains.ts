/**
 * What Felix adds where kube-proxy is in IPVS mode. Packets to a Service go through INPUT and OUTPUT there, and never meet FORWARD:
 * INPUT marks them with a number of the pod's interface they come from, OUTPUT applies that pod's egress by the number.
 *
 * Upstream: projectcalico/calico v3.31, felix/rules/{static,dispatch,epmark}.go.
 * @module
 */
import {
  ACCEPT, all, type Chain, clearMark, ctState, DROP, dstSet, goTo, inInterface, jump, MARK_ACCEPT, MARK_ENDPOINT, markIs, markIsNot,
  notDstSet, outInterface, RETURN, rule, setMark,
} from './felix.js'; // prettier-ignore
import { dispatchTree } from './dispatch.js';
import { chainName, ipsetName } from './hash.js';

/** Bit of MARK_ENDPOINT where the numbers begin. */
const SHIFT = 21;
const NUMBERS = 2048;
/** The number of what comes from elsewhere than a pod. */
const NON_CALI = 1;

const SET_MARK = 'cali-set-endpoint-mark';
const FROM_MARK = 'cali-from-endpoint-mark';

/** Does a packet in INPUT belong to a Service? Then it gets its mark. */
export const forwardCheck = (): Chain => {
  const nodePort = (proto: string): string =>
    all(`-p ${proto} -m multiport --destination-ports 30000:32767`, dstSet(ipsetName('this-host')));
  return {
    name: 'cali-forward-check',
    rules: [
      rule(ctState('RELATED,ESTABLISHED'), RETURN),
      rule(nodePort('tcp'), goTo(SET_MARK), 'To kubernetes NodePort service'),
      rule(nodePort('udp'), goTo(SET_MARK), 'To kubernetes NodePort service'),
      rule(notDstSet(ipsetName('this-host')), jump(SET_MARK), 'To kubernetes service'),
    ],
  };
};

/** The mark goes before the packet is encapsulated, or the outer one would have it. */
export const forwardEndpointMark = (): Chain => ({
  name: 'cali-forward-endpoint-mark',
  rules: [
    rule(markIsNot(NON_CALI << SHIFT, MARK_ENDPOINT), jump(FROM_MARK)),
    rule(outInterface('cali+'), jump('cali-to-wl-dispatch')),
    rule('', jump('cali-to-hep-forward')),
    rule('', clearMark(MARK_ENDPOINT)),
    rule(markIs(MARK_ACCEPT), ACCEPT, 'Policy explicitly accepted packet.'),
  ],
});

/** The numbers of a node's interfaces: by a hash of the name, the next one where it is taken (DefaultEPMarkManager). */
export class EndpointMarks {
  private readonly marks = new Map<string, number>();
  private readonly taken = new Set([0, NON_CALI]);

  /** The mark of an interface, from now on its own. More than 2046 of them at once have none: null. */
  of(iface: string): number | null {
    const known = this.marks.get(iface);
    if (known !== undefined) return known;
    const start = fnv1(iface) % NUMBERS;
    for (let i = 0; i < NUMBERS; i++) {
      const n = (start + i) % NUMBERS;
      if (this.taken.has(n)) continue;
      this.taken.add(n);
      const mark = (n << SHIFT) >>> 0;
      this.marks.set(iface, mark);
      return mark;
    }
    return null;
  }

  release(iface: string): void {
    const mark = this.marks.get(iface);
    if (mark === undefined) return;
    this.marks.delete(iface);
    this.taken.delete(mark >>> SHIFT);
  }
}

/** FNV-1, 32 bits. */
function fnv1(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = (Math.imul(h, 0x01000193) ^ text.charCodeAt(i)) >>> 0;
  return h;
}

/** The chains of the marks for a node's interfaces. */
export function markChains(ifaces: readonly string[], marks: EndpointMarks): Chain[] {
  const names = [...ifaces].sort();
  const own = names.flatMap((name): { name: string; mark: number }[] => {
    const mark = marks.of(name);
    return mark === null ? [] : [{ name, mark }];
  });
  const { children, root } = dispatchTree(SET_MARK, names, inInterface, 'cali-sm-', []);
  return [
    ...children,
    {
      name: SET_MARK,
      rules: [
        ...root,
        rule(inInterface('cali+'), DROP, 'Unknown endpoint'),
        rule('', setMark(NON_CALI << SHIFT, MARK_ENDPOINT), 'Non-Cali endpoint mark'),
      ],
    },
    {
      name: FROM_MARK,
      rules: [
        ...own.map((x) => rule(markIs(x.mark, MARK_ENDPOINT), goTo(chainName('cali-fw-', x.name)))),
        rule('', DROP, 'Unknown interface'),
      ],
    },
    ...own.map((x) => ({ name: chainName('cali-sm-', x.name), rules: [rule('', setMark(x.mark, MARK_ENDPOINT))] })),
  ];
}
