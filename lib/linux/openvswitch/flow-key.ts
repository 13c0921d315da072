/**
 * What a datapath's flows can match of a packet, as words that are compared under a mask (struct sw_flow_key).
 *
 *   0 in_port   1-6 tunnel (tunnel/tunnel-info.ts)   7 1: it came out of a tunnel   8-10 Ethernet source, destination   11 VLAN tag
 *
 * Kernel counterpart: net/openvswitch/flow.c (ovs_flow_key_extract). Not here: what stands above Ethernet, priority, mark,
 * conntrack, recirculation.
 * @module
 */
import { i32, u16 } from '../../../wire/bytes.js';
import * as eth from '../../../wire/ethernet.js';
import * as ipv4 from '../../../wire/ipv4.js';
import * as tcp from '../../../wire/tcp.js';
import type { Skb } from '../core/skb.js';
import { TUN_RX, TUN_WORDS } from '../tunnel/tunnel-info.js';

export const KEY_WORDS = 12;
export const IN_PORT = 0;
export const TUN = 1;
/** tun_proto: matched by a flow with a tunnel key, and by no other. */
export const TUN_PROTO = 7;
/** Six bytes of source and six of destination. */
export const ETH = 8;
/** A flow without a VLAN key takes untagged frames only (“always match on tci”). */
export const VLAN = 11;

export type Words = Int32Array;
export const newWords = (): Words => new Int32Array(KEY_WORDS);

const CFI = 0x1000;
const P_8021AD = 0x88a8;

/** Writes a frame's key; `mac` at its Ethernet header. */
export function extract(skb: Skb, port: number, key: Words): void {
  const b = skb.buf;
  const o = skb.mac;
  key[IN_PORT] = port;
  const rx = skb.tunMode === TUN_RX;
  for (let i = 0; i < TUN_WORDS; i++) key[TUN + i] = rx ? skb.tun[i]! : 0;
  key[TUN_PROTO] = rx ? 1 : 0;
  key[ETH] = i32(b, o + eth.SRC);
  key[ETH + 1] = (u16(b, o + eth.SRC + 4) << 16) | u16(b, o + eth.DST);
  key[ETH + 2] = i32(b, o + eth.DST + 2);
  const type = eth.type(b, o);
  key[VLAN] = type === eth.P_8021Q || type === P_8021AD ? u16(b, o + eth.HLEN) | CFI : 0;
}

/** TCP flags of a frame as its flow's statistics note them (key.tp.flags), 0: it is no TCP segment of IPv4. */
export function tcpFlags(skb: Skb): number {
  const b = skb.buf;
  const ip = skb.mac + eth.HLEN;
  if (eth.type(b, skb.mac) !== eth.P_IP || ipv4.check(b, ip, skb.tail) < 0 || ipv4.proto(b, ip) !== ipv4.TCP) return 0;
  const th = ip + ipv4.headerLen(b, ip);
  if ((ipv4.frag(b, ip) & ipv4.OFFSET) !== 0 || tcp.check(b, th, skb.tail) < 0) return 0;
  return u16(b, th + tcp.DOFF) & 0xfff;
}
