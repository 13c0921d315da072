/**
 * SCTP in conntrack: the state table and its timeouts.
 *
 * Kernel counterpart: net/netfilter/nf_conntrack_proto_sctp.c. Not here: verification tags (a forged chunk is believed).
 * @module
 */
import * as sctp from '../../../wire/sctp.js';
import {
  type Conn, CT_INVALID, CT_OK, IPCT_ASSURED, IPCT_PROTOINFO, S_ASSURED, S_CONFIRMED,
} from './ct-conn.js'; // prettier-ignore
import type { CtConfig } from './ct-config.js';

export const SCTP_STATES = [
  'NONE', 'CLOSED', 'COOKIE_WAIT', 'COOKIE_ECHOED', 'ESTABLISHED', 'SHUTDOWN_SENT', 'SHUTDOWN_RECD', 'SHUTDOWN_ACK_SENT',
  'HEARTBEAT_SENT',
] as const; // prettier-ignore
const CL = 1;
const CW = 2;
const CE = 3;
const ES = 4;
const SS = 5;
const SR = 6;
const SA = 7;
const HS = 8;
const IV = 9;

const INIT = 1;
const INIT_ACK = 2;
const ABORT = 6;
const COOKIE_ECHO = 10;
const COOKIE_ACK = 11;
const SHUTDOWN_COMPLETE = 14;

/** Rows of the tables by chunk type: INIT, INIT ACK, ABORT, SHUTDOWN, its ACK, ERROR, COOKIE ECHO, ACK, COMPLETE, HEARTBEATs. */
const ROW = new Int8Array(256).fill(-1);
[1, 2, 6, 7, 8, 9, 10, 11, 14, 4, 5].forEach((type, row) => (ROW[type] = row));

const ORIGINAL: readonly (readonly number[])[] = [
  [CL, CL, CW, CE, ES, CL, CL, SA, CW],
  [CL, CL, CW, CE, ES, SS, SR, SA, CL],
  [CL, CL, CL, CL, CL, CL, CL, CL, CL],
  [CL, CL, CW, CE, SS, SS, SR, SA, CL],
  [SA, CL, CW, CE, ES, SA, SA, SA, SA],
  [CL, CL, CW, CE, ES, SS, SR, SA, CL],
  [CL, CL, CE, CE, ES, SS, SR, SA, CL],
  [CL, CL, CW, ES, ES, SS, SR, SA, CL],
  [CL, CL, CW, CE, ES, SS, SR, CL, CL],
  [HS, CL, CW, CE, ES, SS, SR, SA, HS],
  [CL, CL, CW, CE, ES, SS, SR, SA, HS],
];
const REPLY: readonly (readonly number[])[] = [
  [IV, CL, CW, CE, ES, SS, SR, SA, IV],
  [IV, CW, CW, CE, ES, SS, SR, SA, IV],
  [IV, CL, CL, CL, CL, CL, CL, CL, IV],
  [IV, CL, CW, CE, SR, SS, SR, SA, IV],
  [IV, CL, CW, CE, ES, SA, SA, SA, IV],
  [IV, CL, CW, CL, ES, SS, SR, SA, IV],
  [IV, CL, CE, CE, ES, SS, SR, SA, IV],
  [IV, CL, CW, ES, ES, SS, SR, SA, IV],
  [IV, CL, CW, CE, ES, SS, SR, CL, IV],
  [IV, CL, CW, CE, ES, SS, SR, SA, HS],
  [IV, CL, CW, CE, ES, SS, SR, SA, ES],
];

/** The header is whole and (where `verify`) the checksum right (sctp_error). */
export function sctpValid(b: Uint8Array, th: number, end: number, verify: boolean): boolean {
  return end - th >= sctp.HLEN && (!verify || sctp.csumOk(b, th, end));
}

const seen = new Uint8Array(256);

/** Chunks stand as they may (do_basic_checks); their types are noted in `seen`. */
function basicChecks(b: Uint8Array, th: number, end: number): boolean {
  seen.fill(0);
  let count = 0;
  let alone = false;
  let ok = true;
  const whole = sctp.chunks(b, th, end, (type) => {
    if (type === INIT || type === INIT_ACK || type === SHUTDOWN_COMPLETE) alone = true;
    if ((type === COOKIE_ACK || type === COOKIE_ECHO || alone) && count !== 0) ok = false;
    seen[type] = 1;
    count++;
    return ok;
  });
  return whole && ok && count > 0;
}

/** Advances the state with one packet (nf_conntrack_sctp_packet). */
export function sctpPacket(
  ct: Conn,
  b: Uint8Array,
  th: number,
  end: number,
  reply: boolean,
  now: number,
  cfg: CtConfig,
): number {
  if (!basicChecks(b, th, end)) return CT_INVALID;
  const fresh = (ct.status & S_CONFIRMED) === 0;
  if (fresh && (seen[ABORT] !== 0 || seen[SHUTDOWN_COMPLETE] !== 0 || seen[COOKIE_ACK] !== 0)) return CT_INVALID;
  const table = reply ? REPLY : ORIGINAL;
  let state = ct.sctpState;
  let keep = false;
  let bad = false;
  sctp.chunks(b, th, end, (type) => {
    const row = ROW[type]!;
    // DATA, SACK and the like change nothing, but cannot begin a connection.
    const next = row < 0 ? state : table[row]![state]!;
    if (next === IV || next === 0) {
      bad = true;
      return false;
    }
    // An INIT sent again does not keep the entry.
    if (type === INIT && next === CL && state === CL && !fresh) keep = true;
    if (next !== state) {
      ct.event(IPCT_PROTOINFO);
      if (next === ES && (ct.status & S_ASSURED) === 0) {
        ct.status |= S_ASSURED;
        ct.event(IPCT_ASSURED);
      }
    }
    state = next;
    return true;
  });
  if (bad) return CT_INVALID;
  ct.sctpState = state;
  if (!keep) ct.refresh(now + cfg.sctp[state]!);
  return CT_OK;
}
