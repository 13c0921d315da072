/** Where the server blocks of a Corefile listen (core/dnsserver/register.go, plugin/bind). @module */
import { addressBytes } from '../../../wire/inet6.js';
import type { CoreConfig, ServerBlock } from './corefile.js';
import type { Place, Token } from './corefile-lexer.js';

export interface Listener {
  /** '' for every address. */
  address: string;
  port: number;
  /** Indexes of the server blocks behind it. */
  blocks: number[];
}

/** Blocks by address and port. A zone served twice at one of them is an error. */
export function listenersOf(c: CoreConfig, place: Place, devices: (name: string) => string[] | null): Listener[] {
  const out: Listener[] = [];
  const taken = new Set<string>();
  c.blocks.forEach((b, i) => {
    for (const { zone, port } of b.keys)
      for (const address of addressesOf(b, place.of('bind'), devices)) {
        const key = `dns://${zone}:${port}${address === '' ? '' : ` on ${address}`}`;
        if (taken.has(key)) place.fail(b.place, `cannot serve ${key} - it is already defined`);
        taken.add(key);
        const found = out.find((l) => l.address === address && l.port === port);
        if (found === undefined) out.push({ address, port, blocks: [i] });
        else if (!found.blocks.includes(i)) found.blocks.push(i);
      }
  });
  return out;
}

function addressesOf(b: ServerBlock, place: Place, devices: (name: string) => string[] | null): string[] {
  if (b.bind.length === 0) return [''];
  const list = (tokens: Token[]): string[] =>
    tokens.flatMap((t) => {
      const found = devices(t.text);
      if (found !== null) return found;
      if (addressBytes(t.text) === null) place.fail(t, `not a valid IP address or interface name: "${t.text}"`);
      return [t.text];
    });
  const except = list(b.bindExcept);
  const all = list(b.bind).filter((a) => !except.includes(a));
  return all.length > 0 ? all : [''];
}
