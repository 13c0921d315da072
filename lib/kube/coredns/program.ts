/**
 * CoreDNS as a program of the emulator (UDP only).
 * @module
 */
import { serveDns } from '../../apps/dns-server.js';
import type { Proc, Program } from '../../apps/program.js';
import { InputError } from '../../sim/input-error.js';
import { loadManifests } from '../api/manifest.js';
import type { KubeObject } from '../api/types.js';
import { coreDnsArgs } from './args.js';
import { CoreDns } from './server.js';

/** CoreDNS serving `objects`; a null corefile is kubeadm's default. */
export function coreDnsOf(objects: KubeObject[], corefile: string | null, port = 0): Program {
  return (p: Proc): void => {
    try {
      const rng = p.net.kernel.rng('coredns-id');
      const dns = new CoreDns({
        corefile,
        objects,
        serial: 0,
        resolvConf: p.files.read('/etc/resolv.conf'),
        random: () => rng.u16(),
      });
      serveDns(p, port > 0 ? port : dns.config.port, (q) => dns.handle(q, 'udp', false));
    } catch (e) {
      if (!(e instanceof InputError)) throw e;
      p.err(e.text + '\n');
      p.exit(1);
    }
  };
}

/** `podwire app coredns …` inside a Lab; files are read as the namespace sees them. */
export const corednsProgram: Program = (p: Proc): void => {
  const a = coreDnsArgs(p.argv.slice(p.argv.indexOf('coredns') + 1));
  const fail = (text: string): void => {
    p.err(text + '\n');
    p.exit(1);
  };
  if (typeof a === 'string') return fail(a);
  if (a.listen !== '0.0.0.0') return fail(`coredns: found --listen ${a.listen}, expected 0.0.0.0 in a Lab`);
  const objects: KubeObject[] = [];
  try {
    for (const f of a.manifests) {
      const text = p.files.read(f);
      if (text === null) return fail(`coredns: ${f}: no such file`);
      objects.push(...loadManifests(text, f));
    }
    const corefile = a.corefile === null ? null : p.files.read(a.corefile);
    if (a.corefile !== null && corefile === null) return fail(`coredns: ${a.corefile}: no such file`);
    coreDnsOf(objects, corefile, a.port)(p);
  } catch (e) {
    if (!(e instanceof InputError)) throw e;
    fail(e.text);
  }
};
