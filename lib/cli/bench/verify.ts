/**
 * Are captures whole? Every file is read again: as many frames as its interface has seen, stamps that rise, and right
 * checksums in a sample of the frames, also of the packets inside tunnels.
 * @module
 */
import { readFileSync } from 'node:fs';
import { u16 } from '../../../wire/bytes.js';
import { sum } from '../../../wire/checksum.js';
import * as eth from '../../../wire/ethernet.js';
import * as icmp from '../../../wire/icmp.js';
import * as ipv4 from '../../../wire/ipv4.js';
import { EN10MB, readPcap } from '../../../wire/pcap.js';
import * as tcp from '../../../wire/tcp.js';
import * as udp from '../../../wire/udp.js';
import * as vxlan from '../../../wire/vxlan.js';

/** What stands in a capture file, and what should. */
export interface Capture {
  /** `netns/dev`. */
  iface: string;
  path: string;
  /** Frames that its interface has counted while the file was written. */
  frames: number;
}

export interface Verified {
  files: number;
  frames: number;
  /** Frames whose checksums were computed again. */
  checksums: number;
}

const SAMPLE = 1000;
const VXLAN_PORT = 8472;

/** Reads captures again. Throws Error with the interface, the frame and what is wrong. */
export function verify(captures: readonly Capture[]): Verified {
  const v = { files: 0, frames: 0, checksums: 0 };
  for (const c of captures) {
    const { frames, linktype } = readPcap(readFileSync(c.path));
    if (frames.length !== c.frames) throw new Error(`${c.iface}: ${c.path} has ${frames.length} frames, the interface has seen ${c.frames}`); // prettier-ignore
    const step = Math.max(1, Math.floor(frames.length / SAMPLE));
    let last = -1;
    frames.forEach((f, i) => {
      const at = f.sec * 1e9 + f.nsec;
      if (at < last) throw new Error(`${c.iface}: frame ${i + 1} is earlier than the one before`);
      last = at;
      if (i % step !== 0) return;
      const bad = linktype === EN10MB ? badFrame(f.data, 0) : badPacket(f.data, 0);
      if (bad !== null) throw new Error(`${c.iface}: frame ${i + 1}: ${bad}`);
      v.checksums++;
    });
    v.files++;
    v.frames += frames.length;
  }
  return v;
}

/** What is wrong with the Ethernet frame at `o`, null: nothing. */
export function badFrame(b: Uint8Array, o: number): string | null {
  if (b.length - o < eth.HLEN) return 'shorter than an Ethernet header';
  return eth.type(b, o) === eth.P_IP ? badPacket(b, o + eth.HLEN) : null;
}

/** What is wrong with the IPv4 packet at `o` and with what it carries, null: nothing. */
export function badPacket(b: Uint8Array, o: number): string | null {
  const len = ipv4.check(b, o, b.length);
  if (len < 0) return 'no whole IPv4 packet';
  if (!ipv4.csumOk(b, o)) return 'wrong IPv4 header checksum';
  if (ipv4.isFragment(b, o)) return null;
  const th = o + ipv4.headerLen(b, o);
  const end = o + len;
  const [src, dst] = [ipv4.src(b, o), ipv4.dst(b, o)];
  switch (ipv4.proto(b, o)) {
    case ipv4.UDP:
      if (udp.check(b, th, end) < 0) return 'no whole UDP datagram';
      if (!udp.csumOk(b, th, end, src, dst)) return 'wrong UDP checksum';
      return u16(b, th + 2) === VXLAN_PORT ? badFrame(b, th + udp.HLEN + vxlan.HLEN) : null;
    case ipv4.TCP:
      return tcp.check(b, th, end) >= 0 && tcp.csumOk(b, th, end, src, dst) ? null : 'wrong TCP header or checksum';
    case ipv4.ICMP:
      return end - th >= icmp.HLEN && sum(b, th, end) === 0xffff ? null : 'wrong ICMP checksum';
    case ipv4.IPIP:
      return badPacket(b, th);
    default:
      return null;
  }
}
