/**
 * From an interface to the chain of its pod: a list, or a tree of one level where interfaces share their first letters.
 *
 * Upstream: projectcalico/calico v3.31, felix/rules/dispatch.go.
 * @module
 */
import { type Chain, DROP, goTo, inInterface, outInterface, type Rule, rule } from './felix.js';
import { chainName } from './hash.js';

/** A packet of an interface that Felix does not know (yet). */
const UNKNOWN = [rule('', DROP, 'Unknown interface')];

/** cali-from-wl-dispatch, cali-to-wl-dispatch and their branches. */
export function dispatchChains(ifaces: readonly string[]): Chain[] {
  const names = [...ifaces].sort();
  const both = [
    { name: 'cali-from-wl-dispatch', match: inInterface, prefix: 'cali-fw-' },
    { name: 'cali-to-wl-dispatch', match: outInterface, prefix: 'cali-tw-' },
  ];
  return both.flatMap(({ name, match, prefix }) => {
    const { children, root } = dispatchTree(name, names, match, prefix, UNKNOWN);
    return [...children, { name, rules: root }];
  });
}

/**
 * The rules of a root chain and its branches, from sorted names: those that go on with the same character after what all have in
 * common share a branch. `end` closes every chain, for the root goes to a branch and does not come back.
 */
export function dispatchTree(
  name: string,
  names: readonly string[],
  match: (iface: string) => string,
  prefix: string,
  end: readonly Rule[],
): { children: Chain[]; root: Rule[] } {
  const common = commonPrefix(names);
  const groups = new Map<string, string[]>();
  for (const n of names) {
    const key = n.slice(0, common.length + 1);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [n]);
    else group.push(n);
  }
  const entry = (n: string): Rule => rule(match(n), goTo(chainName(prefix, n)));
  const children: Chain[] = [];
  const root = [...groups].map(([key, members]): Rule => {
    if (members.length === 1) return entry(members[0]!);
    const child = `${name}-${key.slice(common.length)}`;
    children.push({ name: child, rules: [...members.map(entry), ...end] });
    return rule(match(`${key}+`), goTo(child));
  });
  return { children, root: [...root, ...end] };
}

/** Of sorted names, the first and the last decide. */
function commonPrefix(names: readonly string[]): string {
  if (names.length === 0) return '';
  const [a, z] = [names[0]!, names.at(-1)!];
  let n = 0;
  while (n < a.length && a[n] === z[n]) n++;
  return a.slice(0, n);
}
