/**
 * SO_ORIGINAL_DST for Node, which has no getsockopt of its own: the kernel's connection table, as /proc lists it.
 *
 * getsockopt looks up the connection whose reply has the socket's numbers (getorigdst of nf_conntrack_proto.c); so does this. The
 * file is root's, and its group's: `setpriv --groups 0` lets a sidecar read it that runs as another user.
 * @module
 */
import { openSync, readSync } from 'node:fs';
import { aton, ntoa } from '../../wire/inet.js';
import type { OriginalDst } from './node-io.js';

const TABLE = '/proc/net/nf_conntrack';
const CHUNK = 65536;

/** Finds where an accepted connection was to go; null: it is not tracked. Throws where the table cannot be read. */
export function originalDstReader(): OriginalDst {
  const fd = openSync(TABLE, 'r');
  const buffer = Buffer.alloc(CHUNK);
  const table = (): string => {
    let text = '';
    for (let at = 0; ;) {
      const n = readSync(fd, buffer, 0, CHUNK, at);
      if (n === 0) return text;
      text += buffer.toString('latin1', 0, n);
      at += n;
    }
  };
  return (local, peer) => {
    const reply = `src=${ntoa(local.address)} dst=${ntoa(peer.address)} sport=${local.port} dport=${peer.port} `;
    const line = table()
      .split('\n')
      .find((l) => l.includes(' tcp ') && l.lastIndexOf(reply) > l.indexOf('src='));
    const m = line === undefined ? null : / dst=(\S+) sport=\d+ dport=(\d+) /.exec(line);
    return m === null ? null : { address: aton(m[1]!) ?? 0, port: Number(m[2]) };
  };
}
