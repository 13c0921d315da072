/**
 * glibc's resolver over TCP (resolv/res_send.c, send_vc; glibc 2.36): all queries in one segment, the answers in any order, no
 * timeout but TCP's own.
 * @module
 */
import { type DnsMessage, packDns } from '../../wire/dns.js';
import { unpackDnsPartly } from '../../wire/dns-unpack.js';
import { DnsTcpClient } from './dns-tcp-client.js';
import type { Proc } from './program.js';

const ECONNRESET = 104;
const EMSGSIZE = 90;

/** Asks one server; `done` gets one answer for each query, or none and the errno (0: the server ended the connection). */
export function sendVc(
  p: Proc,
  server: number,
  queries: readonly DnsMessage[],
  done: (messages: DnsMessage[], errno: number) => void,
  again = true,
): void {
  const messages: DnsMessage[] = [];
  const open = new Set(queries.map((q) => q.id));
  const end = (errno: number): void => {
    client.close();
    if (errno === ECONNRESET && again) return sendVc(p, server, queries, done, false);
    done(errno === 0 && open.size === 0 ? messages : [], errno);
  };
  const client = new DnsTcpClient(p.net, p.cred, true, {
    connected: () => client.send(queries.map((q) => packDns(q, false))),
    message: (bytes) => {
      if (bytes.length < 12) return end(EMSGSIZE);
      const { message } = unpackDnsPartly(bytes);
      if (!open.delete(message.id)) return;
      messages.push(message);
      if (open.size === 0) end(0);
    },
    ended: end,
  });
  const e = client.connect(server, 53);
  if (e !== 0) end(-e);
}
