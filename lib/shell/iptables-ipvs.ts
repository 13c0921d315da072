/** The options of `-m ipvs`, both ways (libxt_ipvs.c). @module */
import { bitsOf, ntoa } from '../../wire/inet.js';
import { type IpvsMatch, type IpvsTest, METHODS } from '../linux/ipvs/xt-ipvs.js';
import { type Parser } from './iptables-parse.js';
import { address, number, protocol } from './iptables-values.js';

/** Reads the options into `m`. */
export function ipvsMatch(m: IpvsMatch): Parser {
  return (a) => {
    const test = (value: number): IpvsTest => ({ value, inv: a.inv });
    switch (a.opt) {
      case '--ipvs': m.property = a.inv ? -1 : 1; return true;
      case '--vproto': m.vproto = test(protocol(a.next())); return true;
      case '--vaddr': {
        const [addr, mask] = address(a.next());
        m.vaddr = test(addr);
        m.vmask = mask;
        return true;
      }
      case '--vport': m.vport = test(number(a.next(), 65535)); return true;
      case '--vportctl': m.vportctl = test(number(a.next(), 65535)); return true;
      case '--vdir': {
        const dir = ['ORIGINAL', 'REPLY'].indexOf(a.next());
        if (dir < 0) throw new RangeError('ipvs: unsupported --vdir (expected ORIGINAL or REPLY)');
        m.vdir = dir;
        return true;
      }
      case '--vmethod': {
        const method = METHODS.indexOf(a.next() as 'MASQ');
        if (method < 0 || method === 1) throw new RangeError('ipvs: unsupported --vmethod (expected GATE, IPIP or MASQ)');
        m.vmethod = test(method);
        return true;
      }
      default: return false;
    }
  }; // prettier-ignore
}

const not = (inv: boolean): string => (inv ? '! ' : '');

/** The options as iptables-save prints them. */
export function ipvsText(m: IpvsMatch): string {
  if (!m.asksConnection) return ` ${not(m.property < 0)}--ipvs`;
  const one = (opt: string, t: IpvsTest | null, text: (v: number) => string): string =>
    t === null ? '' : ` ${not(t.inv)}--${opt} ${text(t.value)}`;
  return (
    one('vproto', m.vproto, String) +
    one(
      'vaddr',
      m.vaddr,
      (v) => `${ntoa(v)}${m.vmask === -1 ? '' : `/${bitsOf(m.vmask) >= 0 ? bitsOf(m.vmask) : ntoa(m.vmask)}`}`,
    ) +
    one('vport', m.vport, String) +
    (m.vdir < 0 ? '' : ` --vdir ${m.vdir === 1 ? 'REPLY' : 'ORIGINAL'}`) +
    one('vmethod', m.vmethod, (v) => METHODS[v]!) +
    one('vportctl', m.vportctl, String)
  );
}
