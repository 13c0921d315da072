/**
 * CoreDNS as a program of the emulator.
 * @module
 */
import { dnsSockets, serveDns } from '../../apps/dns-server.js';
import type { Proc, Program } from '../../apps/program.js';
import { aton, ntoa } from '../../../wire/inet.js';
import { addressBytes } from '../../../wire/inet6.js';
import { InputError } from '../../sim/input-error.js';
import { loadManifests } from '../api/manifest.js';
import type { KubeObject } from '../api/types.js';
import { coreDnsArgs } from './args.js';
import type { Client } from './handler.js';
import { watchCorefile } from './reload.js';
import { CoreDns } from './server.js';

/** `podwire app coredns …` inside a Lab; files are read as the namespace sees them. */
export const corednsProgram: Program = (p: Proc): void => {
  const a = coreDnsArgs(p.argv.slice(p.argv.indexOf('coredns') + 1));
  const fail = (text: string): void => {
    p.err(text + '\n');
    p.exit(1);
  };
  if (typeof a === 'string') return fail(a);
  if (a.listen !== '0.0.0.0') return fail(`coredns: found --listen ${a.listen}, expected 0.0.0.0 in a Lab`);
  const objects = (): KubeObject[] =>
    a.manifests.flatMap((f) => {
      const text = p.files.read(f);
      if (text === null) throw new InputError(f, 0, 0, 'no such file');
      return loadManifests(text, f);
    });
  try {
    const text = a.corefile === null ? null : p.files.read(a.corefile);
    if (a.corefile !== null && text === null) return fail(`coredns: ${a.corefile}: no such file`);
    const orders = p.net.kernel.rng('coredns-order');
    const rng = p.net.kernel.rng('coredns-id');
    const io = dnsSockets(
      p,
      () => rng.u16(),
      () => orders.u16(),
    );
    const start = (now: string | null): CoreDns =>
      new CoreDns({
        corefile: now === null ? null : { text: now, file: a.corefile! },
        objects: objects(),
        serial: 0,
        readFile: (path) => p.files.read(path),
        localAddresses: p.net.devs.flatMap((d) => d.addrs.map((x) => ntoa(x.addr))),
        deviceAddresses: (name) => p.net.devs.find((d) => d.name === name)?.addrs.map((x) => ntoa(x.addr)) ?? null,
        io,
      });
    let dns = start(text);
    if (text !== null)
      watchCorefile(dns, text, {
        io,
        read: () => p.files.read(a.corefile!),
        start,
        change: (next) => (dns = next),
        log: (line) => p.err(`${line}\n`),
      });
    dns.listeners.forEach((l, i) => {
      const address = l.address === '' ? 0 : aton(l.address);
      if (address === null) return;
      serveDns(p, address, a.port > 0 ? a.port : l.port, (q, from, send) => {
        const client: Client = {
          transport: from.transport,
          address: addressBytes(ntoa(from.address))!,
          port: from.port,
        };
        dns.handle(q, client, send, i);
      });
    });
    // What the watches of the real program tell it comes as a changed file and a signal.
    p.onHup = () => dns.update(objects());
  } catch (e) {
    if (!(e instanceof InputError)) throw e;
    fail(e.message);
  }
};
