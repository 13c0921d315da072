/** `podwire app coredns`: the DNS server on real UDP and TCP sockets. */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { ntoa } from '../../wire/inet.js';
import { loadManifests } from '../kube/api/manifest.js';
import { coreDnsArgs } from '../kube/coredns/args.js';
import { CoreDns, type Forward } from '../kube/coredns/server.js';
import { UsageError } from './usage.js';

/** Sends a query upstream over UDP and hands back the finished reply. */
function ask(f: Forward, send: (reply: Uint8Array) => void): void {
  const s = createSocket('udp4');
  let over = false;
  const end = (reply: Uint8Array | null): void => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    s.close();
    send(f.done(reply));
  };
  const timer = setTimeout(() => end(null), 5000);
  s.on('message', (m) => end(m));
  s.on('error', () => end(null));
  s.connect(f.forward.port, ntoa(f.forward.address), (e?: Error) => (e === undefined ? s.send(f.query) : end(null)));
}

function serveTcp(dns: CoreDns, c: Socket): void {
  let buffer = Buffer.alloc(0);
  c.setTimeout(10000, () => c.end());
  c.on('error', () => c.destroy());
  const send = (r: Uint8Array): void => {
    if (!c.destroyed) c.write(Buffer.concat([Buffer.of(r.length >> 8, r.length & 255), r]));
  };
  c.on('data', (d: Buffer) => {
    buffer = Buffer.concat([buffer, d]);
    while (buffer.length >= 2 && buffer.length >= 2 + buffer.readUInt16BE(0)) {
      const n = buffer.readUInt16BE(0);
      const r = dns.handle(buffer.subarray(2, 2 + n), 'tcp', false);
      buffer = buffer.subarray(2 + n);
      if (r instanceof Uint8Array) send(r);
      else if (r !== null) ask(r, send);
    }
  });
}

export async function main(args: string[]): Promise<number> {
  const a = coreDnsArgs(args);
  if (typeof a === 'string') throw new UsageError(a);
  const objects = a.manifests.flatMap((f) => loadManifests(readFileSync(f, 'utf8'), f));
  const resolvConf = existsSync('/etc/resolv.conf') ? readFileSync('/etc/resolv.conf', 'utf8') : null;
  const dns = new CoreDns({
    corefile: a.corefile === null ? null : readFileSync(a.corefile, 'utf8'),
    objects,
    serial: 0,
    resolvConf,
    random: () => randomInt(65536),
  });
  const port = a.port > 0 ? a.port : dns.config.port;
  const udp = createSocket('udp4');
  udp.on('message', (m, from) => {
    const send = (r: Uint8Array): void => udp.send(r, from.port, from.address);
    const r = dns.handle(m, 'udp', false);
    if (r instanceof Uint8Array) send(r);
    else if (r !== null) ask(r, send);
  });
  const tcp = createServer((c) => serveTcp(dns, c));
  return new Promise((_, reject) => {
    udp.on('error', reject);
    tcp.on('error', reject);
    udp.bind(port, a.listen, () =>
      tcp.listen(port, a.listen, () => {
        const dir = process.env['PODWIRE_READY_DIR'];
        if (dir !== undefined) writeFileSync(`${dir}/${process.pid}`, '');
      }),
    );
  });
}
