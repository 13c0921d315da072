/** The `forward` plugin's part of a Corefile (plugin/forward/setup.go). @module */
import { aton } from '../../../wire/inet.js';
import type { Directive, Place, Token } from './corefile-lexer.js';
import { RCODE_NAMES } from './names.js';

export interface ForwardConfig {
  from: string;
  /** Addresses, or a path to a file like /etc/resolv.conf. */
  to: ({ address: number; port: number } | string)[];
  /** Names below these go on to the next plugin. */
  except: string[];
  policy: 'random' | 'round_robin' | 'sequential';
  /** An upstream with more failed health checks is down; 0: never, and none is made. */
  maxFails: number;
  /** Nanoseconds between health checks of a failing upstream, and what they ask. */
  healthInterval: number;
  healthDomain: string;
  healthRecursion: boolean;
  transport: 'client' | 'tcp';
  /** UDP for clients of TCP too; a truncated reply is then asked for over TCP. */
  preferUdp: boolean;
  /** RCODEs that make the next forward try. */
  next: number[];
  /** Nanoseconds a socket to an upstream is kept for the next query. */
  expire: number;
  /** Queries in progress above this are refused; 0: no limit. */
  maxConcurrent: number;
  failFast: boolean;
}

/** An IPv4 address with an optional port, or null. */
export function upstreamAddress(text: string): { address: number; port: number } | null {
  const m = /^(?:dns:\/\/)?([\d.]+)(?::(\d{1,5}))?$/.exec(text);
  const address = m === null ? null : aton(m[1]!);
  const port = Number(m?.[2] ?? 53);
  return address === null || port < 1 || port > 65535 ? null : { address, port };
}

/** Reads `forward FROM TO… { … }`. */
export function forwardPlugin(d: Directive, place: Place): ForwardConfig {
  const [from, ...to] = place.args(d, 2, 16) as [Token, ...Token[]];
  const c: ForwardConfig = {
    from: place.zones([from])[0]!,
    to: to.map((t) => {
      if (t.text.startsWith('/')) return t.text;
      const up = upstreamAddress(t.text);
      if (up === null && !/^\w+:\/\/|:.*:/.test(t.text)) place.fail(t, `not an IP address or file: "${t.text}"`);
      return (
        up ?? place.fail(t, `found upstream '${t.text}', expected an IPv4 address with an optional port, or a file`)
      );
    }),
    except: [],
    policy: 'random',
    maxFails: 2,
    healthInterval: 0.5e9,
    healthDomain: '.',
    healthRecursion: true,
    transport: 'client',
    preferUdp: false,
    next: [],
    expire: 10e9,
    maxConcurrent: 0,
    failFast: false,
  };
  for (const o of d.block ?? []) option(c, o, place);
  return c;
}

function option(c: ForwardConfig, o: Directive, place: Place): void {
  const head = o.words[0]!;
  if (o.block !== null) place.fail(head, `unknown property '${head.text}'`);
  const one = (): Token => place.args(o, 1, 1)[0]!;
  const none = (): boolean => place.args(o, 0, 0).length === 0;
  if (head.text === 'except') c.except.push(...place.zones(place.args(o, 1, 1000)));
  else if (head.text === 'policy') {
    const p = one();
    if (p.text !== 'random' && p.text !== 'round_robin' && p.text !== 'sequential')
      return place.fail(p, `unknown policy '${p.text}'`);
    c.policy = p.text;
  } else if (head.text === 'max_fails') {
    const t = one();
    if (!/^\d+$/.test(t.text)) place.fail(t, `strconv.ParseUint: parsing "${t.text}": invalid syntax`);
    c.maxFails = place.int(t, 0, 2 ** 32 - 1);
  } else if (head.text === 'max_concurrent')
    c.maxConcurrent = place.int(one(), 0, 2 ** 31, `max_concurrent can't be negative: ${o.words[1]?.text}`);
  else if (head.text === 'expire') c.expire = place.duration(one(), `expire can't be negative: ${o.words[1]?.text}`);
  else if (head.text === 'force_tcp') c.transport = none() ? 'tcp' : c.transport;
  else if (head.text === 'failfast_all_unhealthy_upstreams') c.failFast = none();
  else if (head.text === 'health_check') health(c, place.args(o, 1, 4), place);
  else if (head.text === 'prefer_udp') c.preferUdp = none();
  else if (head.text === 'next') c.next = place.args(o, 1, 100).map((t) => rcode(t, place));
  else if (head.text === 'tls' || head.text === 'tls_servername')
    place.fail(head, `option '${head.text}' is not emulated`);
  else place.fail(head, `unknown property '${head.text}'`);
}

function rcode(t: Token, place: Place): number {
  return RCODE_NAMES[t.text.toUpperCase()] ?? place.fail(t, `${t.text} is not a valid rcode`);
}

function health(c: ForwardConfig, [every, ...more]: Token[], place: Place): void {
  c.healthInterval = place.period(every!);
  for (let i = 0; i < more.length; i++) {
    if (more[i]!.text === 'no_rec') c.healthRecursion = false;
    else if (more[i]!.text === 'domain' && more[i + 1] !== undefined) c.healthDomain = place.zones([more[++i]!])[0]!;
    else place.fail(more[i]!, `health_check: unknown option ${more[i]!.text}`);
  }
}
