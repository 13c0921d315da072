/**
 * A DNS server on one wildcard UDP socket; replies leave from the address that was asked.
 * @module
 */
import { UdpSock } from '../linux/ipv4/udp.js';
import type { Proc } from './program.js';

/** A query to send upstream first; structurally CoreDNS's forward result. */
export interface Upstream {
  forward: { address: number; port: number };
  query: Uint8Array;
  done(reply: Uint8Array | null): Uint8Array;
}
export type Handler = (query: Uint8Array) => Uint8Array | null | Upstream;

/** Serves UDP `port` until the program is killed. */
export function serveDns(p: Proc, port: number, handle: Handler): void {
  const sock = new UdpSock(p.net);
  const { sim } = p.net.kernel;
  const open = new Set<UdpSock>();
  const e = sock.bind(0, port);
  if (e !== 0) {
    p.err(`listen udp :${port}: bind: errno ${-e}\n`);
    sock.close();
    p.exit(1);
    return;
  }
  sock.onReady = () => {
    for (let d = sock.recv(); d !== null; d = sock.recv()) {
      const { src, sport, dst } = d;
      const r = handle(d.data);
      if (r === null) continue;
      if (r instanceof Uint8Array) {
        sock.send(r, src, sport, dst);
        continue;
      }
      const up = new UdpSock(p.net);
      open.add(up);
      const finish = (reply: Uint8Array | null): void => {
        sim.cancel(timer);
        up.onReady = null;
        up.close();
        open.delete(up);
        sock.send(r.done(reply), src, sport, dst);
      };
      const timer = sim.after(5e9, () => finish(null));
      up.onReady = () => {
        const got = up.recv();
        if (got !== null) finish(got.data);
        else if (up.takeError() !== 0) finish(null);
      };
      if (up.connect(r.forward.address, r.forward.port) !== 0 || up.send(r.query) !== 0) finish(null);
    }
  };
  p.onKill = () => {
    for (const s of [sock, ...open]) s.close();
  };
}
