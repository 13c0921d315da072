/**
 * CoreDNS's `reload` plugin: the Corefile is looked at every `interval` (shifted once by up to half the jitter); when its
 * words or their lines have changed, a new server takes over, with empty caches. One that cannot be used is not tried again.
 * @module
 */
import { InputError } from '../../sim/input-error.js';
import { corefileWords } from './corefile-lexer.js';
import type { DnsIo } from './forward.js';
import type { CoreDns } from './server.js';

export interface Reload {
  io: Pick<DnsIo, 'after' | 'order'>;
  /** The Corefile as it is now; null: there is none. */
  read(): string | null;
  /** A server for this text. Throws InputError. */
  start(text: string): CoreDns;
  /** A server is to answer from now on. */
  change(dns: CoreDns): void;
  /** A line of the log. */
  log(line: string): void;
}

const addresses = (dns: CoreDns): string => dns.listeners.map((l) => `${l.address}:${l.port}`).join();

/** Watches the Corefile that `dns` was started with. */
export function watchCorefile(dns: CoreDns, text: string, w: Reload): void {
  const { reload } = dns.config.blocks.find((b) => b.reload !== null) ?? { reload: null };
  if (reload === null) return;
  const every = reload.interval + Math.floor((w.io.order() / 65536 - 0.5) * reload.jitter);
  let known = corefileWords(text);
  const tick = (): void => {
    const now = w.read();
    const words = now === null ? known : corefileWords(now);
    if (now === null || words === null || words === known) return w.io.after(every, tick);
    known = words;
    let next: CoreDns;
    try {
      next = w.start(now);
    } catch (e) {
      if (!(e instanceof InputError)) throw e;
      w.log(`[ERROR] plugin/reload: Corefile changed but reload failed: ${e.message}`);
      return w.io.after(every, tick);
    }
    if (addresses(next) !== addresses(dns)) {
      w.log('[ERROR] plugin/reload: Corefile changed but reload failed: podwire does not change where it listens');
      return w.io.after(every, tick);
    }
    dns.stop();
    w.change(next);
    watchCorefile(next, now, w);
  };
  w.io.after(every, tick);
}
