/** CoreDNS's `rewrite` plugin: the question on its way in, question and records on their way out. @module */
import { dataName, type DnsMessage, type Question, RCODE, type Rr, TYPE, validName } from '../../../wire/dns.js';
import type { Directive, Place } from './corefile-lexer.js';
import { type Handler, type Out, type Plugin, type Request, setRcode } from './handler.js';
import { type Applied, type Rule, rewriteRule } from './rewrite-rules.js';

/** Reads the `rewrite` lines of a block. */
export const rewriteRules = (list: Directive[], place: Place): Rule[] => list.map((d) => rewriteRule(d, place));

export function rewritePlugin(rules: Rule[]): Plugin {
  return (next: Handler): Handler =>
    (r, out) => {
      const asked = r.q.question[0]!;
      const applied: Applied[] = [];
      let stopped = false;
      for (const rule of rules) {
        const a = rule.apply(r.q);
        if (a === null) continue;
        if (!validName(r.q.question[0]!.name)) {
          r.q.question = [asked];
          return out.fail(RCODE.SERVFAIL);
        }
        applied.push(a);
        stopped = rule.stop;
        if (stopped) break;
      }
      if (!stopped && applied.every((a) => a.rules.length === 0 && a.cname === null)) return next(r, out);
      const write = (m: DnsMessage): void => revert(r, m, asked, applied, (x) => out.write(x));
      next(r, { write, fail: (rcode) => (stopped ? write(setRcode(r.q, rcode)) : out.fail(rcode)) });
    };
}

/** The reply as an answer to the question that was asked; rules in the opposite order. */
function revert(r: Request, m: DnsMessage, asked: Question, applied: Applied[], write: Out['write']): void {
  const copy = (list: Rr[]): Rr[] => list.map((rr) => ({ ...rr }));
  const res: DnsMessage = {
    ...m,
    question: [asked],
    answer: copy(m.answer),
    authority: copy(m.authority),
    additional: copy(m.additional),
  };
  const records = [...res.authority, ...res.answer, ...res.additional];
  const step = (i: number): void => {
    const rr = records[i];
    if (rr === undefined) return write(res);
    const back = applied.toReversed();
    const rule = (k: number): void => {
      const a = back[k];
      if (a === undefined) return step(i + 1);
      for (const f of a.rules.toReversed()) f(res, rr);
      const target = rr.type === TYPE.CNAME ? (a.cname?.(dataName(rr) ?? '') ?? null) : null;
      if (target === null) return rule(k + 1);
      retarget(r, res, target, () => rule(k + 1));
    };
    rule(0);
  };
  step(0);
}

/** Every CNAME of the reply gets the target, whose own records take the place of the others. */
function retarget(r: Request, res: DnsMessage, target: string, done: () => void): void {
  const { type } = r.q.question[0]!;
  r.q.question = [{ ...r.q.question[0]!, name: target }];
  r.lookup(r, target, type, (answer) => {
    const own = res.answer.filter((x) => x.type === TYPE.CNAME);
    for (const x of own) x.data = [{ name: target, compress: true }];
    res.answer = [...own, ...answer.filter((x) => x.name === target)];
    done();
  });
}
