/**
 * What a packet carries from or to a tunnel device that has no far end of its own (struct ip_tunnel_info): six words in `skb.tun`.
 *
 *   0 id, upper half   1 id, lower half   2 outer source   3 outer destination   4 flags<<16 | TOS<<8 | TTL   5 source<<16 | destination port
 *
 * Kernel counterpart: include/net/ip_tunnels.h, include/net/dst_metadata.h. Not here: options (GBP, Geneve), IPv6.
 * @module
 */
export const TUN_WORDS = 6;
export const TUN_ID_HI = 0;
export const TUN_ID = 1;
export const TUN_SRC = 2;
export const TUN_DST = 3;
export const TUN_FLAGS_TOS_TTL = 4;
export const TUN_PORTS = 5;

/** skb.tunMode: nothing; the packet came out of a tunnel (IP_TUNNEL_INFO without TX); it is to go into one (IP_TUNNEL_INFO_TX). */
export const TUN_NONE = 0;
export const TUN_RX = 1;
export const TUN_TX = 2;

/** tun_flags (TUNNEL_CSUM, TUNNEL_KEY, TUNNEL_DONT_FRAGMENT). */
export const TUNNEL_CSUM = 1;
export const TUNNEL_KEY = 4;
export const TUNNEL_DONT_FRAGMENT = 0x100;
