/**
 * What a tier's policies put into the chains of an endpoint: a jump for each policy, or for each group of policies that one selector
 * chooses for, and a drop for what none of them decides.
 *
 * Upstream: felix/rules/endpoints.go (endpointIptablesChain, PolicyGroupToIptablesChains), felix/dataplane/linux/endpoint_mgr.go
 * (groupPolicies).
 * @module
 */
import { type Chain, clearMark, DROP, jump, MARK_ACCEPT, MARK_PASS, markClear, markIs, markNotClear, RETURN, type Rule, rule } from '../felix.js'; // prettier-ignore
import { chainName } from '../hash.js';
import { groupId } from './ids.js';

/** A policy for the purpose of order: its name and its selector's canonical text. */
export interface TierPolicy {
  tier: string;
  name: string;
  selector: string;
}

export type Direction = 'inbound' | 'outbound';

/** cali-pi-… or cali-po-… of a policy. */
export const policyChain = (p: TierPolicy, d: Direction): string =>
  chainName(d === 'inbound' ? 'cali-pi-' : 'cali-po-', `${p.tier}/${p.name}`);

/** Policies that stand behind each other and have one selector. */
function groups<P extends TierPolicy>(policies: readonly P[]): P[][] {
  const out: P[][] = [];
  for (const p of policies) {
    const last = out.at(-1);
    if (last !== undefined && last[0]!.selector === p.selector) last.push(p);
    else out.push([p]);
  }
  return out;
}

const STRIDE = 5;

/** The chain of a group: every fifth policy is preceded by a return for what has been decided. */
function groupChain(group: readonly TierPolicy[], d: Direction): Chain {
  const { tier, selector } = group[0]!;
  const id = groupId(tier, selector, d, group.map((p) => p.name)); // prettier-ignore
  const decided = MARK_PASS | MARK_ACCEPT;
  const rules = group.flatMap((p, i): Rule[] => {
    const fresh = i % STRIDE === 0;
    const to = rule(fresh ? '' : markClear(decided), jump(policyChain(p, d)));
    return fresh && i > 0 ? [rule(markNotClear(decided), RETURN, 'Return on verdict'), to] : [to];
  });
  return { name: `${d === 'inbound' ? 'cali-gi-' : 'cali-go-'}${id}`, rules };
}

/** The rules of an endpoint's chain for one direction, in the order of the policies; `chains`: where chains of groups go. */
export function tierRules(policies: readonly TierPolicy[], d: Direction, chains: Map<string, Chain>): Rule[] {
  if (policies.length === 0) return [];
  const { tier } = policies[0]!;
  const targets = groups(policies).map((g) => {
    if (g.length === 1) return policyChain(g[0]!, d);
    const chain = groupChain(g, d);
    chains.set(chain.name, chain);
    return chain.name;
  });
  return [
    rule('', clearMark(MARK_PASS), `Start of tier ${tier}`),
    ...targets.flatMap((t) => [
      rule(markClear(MARK_PASS), jump(t)),
      rule(markIs(MARK_ACCEPT), RETURN, 'Return if policy accepted'),
    ]),
    rule(markClear(MARK_PASS), DROP, `End of tier ${tier}. Drop if no policies passed packet`),
  ];
}
