/**
 * Ethernet II.
 *
 *   0 destination   6 source   12 EtherType   14 payload
 * @module
 */
import { put16, u16 } from './bytes.js';

export const HLEN = 14;
export const DST = 0;
export const SRC = 6;
export const TYPE = 12;
export const ALEN = 6;

export const P_IP = 0x0800;
export const P_ARP = 0x0806;
export const P_8021Q = 0x8100;
export const P_IPV6 = 0x86dd;

export const BROADCAST: Uint8Array = new Uint8Array(6).fill(0xff);

export const type = (b: Uint8Array, o: number): number => u16(b, o + TYPE);

/** Group bit: multicast or broadcast destination. */
export const isGroup = (b: Uint8Array, o: number): boolean => (b[o]! & 1) === 1;

export function isBroadcast(b: Uint8Array, o: number): boolean {
  return (b[o]! & b[o + 1]! & b[o + 2]! & b[o + 3]! & b[o + 4]! & b[o + 5]!) === 0xff;
}

/** 01:80:c2:00:00:00 to :0f, the groups that stay on one link (IEEE 802.1Q table 8-1). */
export function isLinkLocal(b: Uint8Array, o: number): boolean {
  return (
    b[o] === 0x01 &&
    b[o + 1] === 0x80 &&
    b[o + 2] === 0xc2 &&
    b[o + 3] === 0 &&
    b[o + 4] === 0 &&
    (b[o + 5]! & 0xf0) === 0
  );
}

/** True when the 6 bytes at `o` equal `mac`. */
export function macIs(b: Uint8Array, o: number, mac: Uint8Array): boolean {
  return (
    b[o] === mac[0] &&
    b[o + 1] === mac[1] &&
    b[o + 2] === mac[2] &&
    b[o + 3] === mac[3] &&
    b[o + 4] === mac[4] &&
    b[o + 5] === mac[5]
  );
}

/** Copies a MAC into the frame. */
export function setMac(b: Uint8Array, o: number, mac: Uint8Array, from = 0): void {
  for (let i = 0; i < 6; i++) b[o + i] = mac[from + i]!;
}

export function write(b: Uint8Array, o: number, dst: Uint8Array, src: Uint8Array, etherType: number): void {
  setMac(b, o + DST, dst);
  setMac(b, o + SRC, src);
  put16(b, o + TYPE, etherType);
}
