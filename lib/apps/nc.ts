/**
 * `nc -u`, OpenBSD netcat's UDP side: a connected client, or a server that connects to its first peer.
 *
 * As the real one: a client without -w stays; with -w N it ends after N s of silence; ECONNREFUSED ends it
 * at once. The exit code is 0 in both cases.
 * @module
 */
import { aton } from '../../wire/inet.js';
import { UdpSock } from '../linux/ipv4/udp.js';
import { SEC, Timer } from '../sim/sim.js';
import type { Proc, Program } from './program.js';

interface Options {
  udp: boolean;
  listen: boolean;
  wait: number;
  port: number;
  source: number;
  words: string[];
}

function parse(argv: readonly string[]): Options | string {
  const o: Options = { udp: false, listen: false, wait: -1, port: 0, source: 0, words: [] };
  for (let i = 1; i < argv.length; i++) {
    const a = argv[i]!;
    if (!/^-[a-zA-Z]/.test(a)) {
      o.words.push(a);
      continue;
    }
    for (let k = 1; k < a.length; k++) {
      const c = a[k]!;
      if (c === 'u') o.udp = true;
      else if (c === 'l') o.listen = true;
      else if (c === 'n') continue;
      else if (c === 'w' || c === 'p' || c === 's') {
        const v = a.slice(k + 1) || argv[++i] || '';
        if (c === 's') {
          const s = aton(v);
          if (s === null) return `nc: getaddrinfo for host "${v}": Name or service not known`;
          o.source = s;
        } else if (!/^\d+$/.test(v)) return c === 'w' ? `nc: timeout invalid: ${v}` : `nc: port number invalid: ${v}`;
        else if (c === 'w') o.wait = Number(v);
        else o.port = Number(v);
        break;
      } else return `podwire: nc: option -${c} is not supported yet`;
    }
  }
  return o;
}

export const nc: Program = (p) => {
  const o = parse(p.argv);
  if (typeof o === 'string') {
    p.err(`${o}\n`);
    return p.exit(1);
  }
  if (!o.udp) {
    p.err('podwire: nc: TCP is not supported yet, use -u\n');
    return p.exit(2);
  }
  if (o.listen) return server(p, o);
  const addr = aton(o.words[0] ?? '');
  const port = Number(o.words[1]);
  if (addr === null || !(port > 0 && port < 65536) || o.words.length !== 2) {
    p.err(`podwire: nc: found "${o.words.join(' ')}", expected an IPv4 address and a port\n`);
    return p.exit(1);
  }
  const sock = new UdpSock(p.net);
  const bad = o.source !== 0 || o.port !== 0 ? sock.bind(o.source, o.port) : 0;
  if (bad !== 0 || sock.connect(addr, port) !== 0) {
    sock.close();
    return p.exit(1);
  }
  talk(p, sock, o.wait);
};

function server(p: Proc, o: Options): void {
  const port = o.port !== 0 ? o.port : Number(o.words[o.words.length - 1]);
  const sock = new UdpSock(p.net);
  if (!(port > 0 && port < 65536) || sock.bind(o.source, port) !== 0) {
    p.err('nc: Address already in use\n');
    return p.exit(1);
  }
  p.onKill = () => sock.close();
  sock.onReady = () => {
    const d = sock.recv();
    if (d === null) return;
    sock.connect(d.src, d.sport);
    p.out(new TextDecoder().decode(d.data));
    talk(p, sock, o.wait);
  };
}

/** readwrite(): standard input to the socket in 16 KiB pieces, what comes to standard output. */
function talk(p: Proc, sock: UdpSock, wait: number): void {
  const { sim } = p.net.kernel;
  const end = (code: number): void => {
    sim.cancel(idle);
    sock.close();
    p.exit(code);
  };
  const idle = new Timer(() => end(0));
  const touch = (): void => {
    if (wait >= 0) sim.arm(idle, sim.now + wait * SEC);
  };
  p.onKill = () => sock.close();
  sock.onReady = () => {
    // POLLERR closes the socket's side; with standard input at its end that is all, and no failure.
    if (sock.takeError() !== 0) return end(0);
    for (let d = sock.recv(); d !== null; d = sock.recv()) p.out(new TextDecoder().decode(d.data));
    touch();
  };
  touch();
  for (let o = 0; o < p.stdin.length; o += 16384) {
    if (sock.send(p.stdin.slice(o, o + 16384)) !== 0) break;
  }
}
