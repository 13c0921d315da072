/** `podwire app echo --udp PORT | --tcp PORT [--stray BYTES]`: answers what it reads with its own bytes. */
import { sendCopyAt } from '../linux/ipv4/tcp-output.js';
import { TcpSock } from '../linux/ipv4/tcp.js';
import { UdpSock } from '../linux/ipv4/udp.js';
import type { Proc, Program } from './program.js';
import { type Handler, listenTcp } from './tcp-server.js';

const ECHO: Handler = { data: (bytes) => ({ bytes, close: false }) };

export interface EchoArgs {
  udp: boolean;
  port: number;
  /** Each answer is said again so many bytes further on in the stream, 0: not. */
  stray: number;
}

export const ECHO_USAGE = 'expected --udp PORT or --tcp PORT [--stray BYTES]';

/** What follows `podwire app echo`, or null. */
export function echoArgs(args: readonly string[]): EchoArgs | null {
  const [flag, port, stray, bytes] = args;
  const number = (text: string | undefined, max: number): number =>
    /^[1-9]\d*$/.test(text ?? '') && Number(text) <= max ? Number(text) : 0;
  const a = { udp: flag === '--udp', port: number(port, 65535), stray: number(bytes, 2 ** 31 - 1) };
  if ((flag !== '--udp' && flag !== '--tcp') || a.port === 0) return null;
  if (args.length === 2) return a;
  return args.length === 4 && stray === '--stray' && !a.udp && a.stray > 0 ? a : null;
}

export const echoServer: Program = (p) => {
  const a = echoArgs(p.argv.slice(3));
  if (a === null) {
    p.err(`podwire: app echo: found "${p.argv.slice(3).join(' ')}", ${ECHO_USAGE}\n`);
    return p.exit(2);
  }
  const inUse = (): void => {
    p.err(`podwire app echo: port ${a.port} is in use\n`);
    p.exit(1);
  };
  if (a.udp) return udpEcho(p, a.port, inUse);
  const make = a.stray === 0 ? (): Handler => ECHO : (sock: TcpSock): Handler => strayEcho(sock, a.stray);
  const server = listenTcp(new TcpSock(p.net, p.cred), 0, a.port, make);
  if (typeof server === 'number') return inUse();
  p.onKill = () => server.close();
};

/**
 * Answers, then sends the answer again by a raw socket, `ahead` bytes further on in the stream: a segment out of the window
 * of whoever looks at it, with an acknowledgement that is right.
 */
function strayEcho(sock: TcpSock, ahead: number): Handler {
  let seq = 0;
  let answer = new Uint8Array(0);
  return {
    data: (bytes) => {
      seq = (sock.sndUna + ahead) | 0;
      answer = Uint8Array.from(bytes);
      return { bytes, close: false };
    },
    answered: () => sendCopyAt(sock, seq, answer),
  };
}

function udpEcho(p: Proc, port: number, inUse: () => void): void {
  const sock = new UdpSock(p.net, p.cred);
  if (sock.bind(0, port) !== 0) return inUse();
  sock.onReady = () => {
    sock.takeError();
    for (let d = sock.recv(); d !== null; d = sock.recv()) sock.send(d.data, d.src, d.sport);
  };
  p.onKill = () => sock.close();
}
