/**
 * Every command of the Lab language, by name.
 * @module
 */
import { arping } from '../apps/arping.js';
import { dig } from '../apps/dig.js';
import { echoServer } from '../apps/echo.js';
import { curl } from '../apps/curl.js';
import { fault } from '../apps/fault.js';
import { flood } from '../apps/flood.js';
import { getent } from '../apps/getent.js';
import { healthServer } from '../apps/health-server.js';
import { httpServer } from '../apps/http-server.js';
import { metallbSpeaker } from '../apps/metallb-speaker.js';
import { nc } from '../apps/nc.js';
import { ping } from '../apps/ping.js';
import { probe } from '../apps/probe.js';
import type { Program } from '../apps/program.js';
import { SERVER_NAMES } from '../apps/servers/index.js';
import { siteServer } from '../apps/servers/program.js';
import { tcpProxyProgram } from '../apps/tcp-proxy.js';
import type { Kernel } from '../linux/core/kernel.js';
import type { Netns } from '../linux/core/netns.js';
import { bridge } from './bridge.js';
import { conntrack, conntrackEvents } from './conntrack.js';
import { type CommandResult, ip } from './ip.js';
import { ipset } from './ipset.js';
import { iptables } from './iptables.js';
import { iptablesRestore } from './iptables-restore.js';
import { iptablesSave } from './iptables-save.js';
import { ipvsadm } from './ipvsadm.js';
import { ovsDpctl } from './ovs-dpctl.js';
import { seq } from './seq.js';
import { sysctl } from './sysctl.js';
import { tc } from './tc.js';

export type { CommandResult } from './ip.js';
export type SyncCommand = (kernel: Kernel, net: Netns, argv: string[], stdin: string) => CommandResult;

/** Commands that end at once. */
export const commands: Record<string, SyncCommand> = {
  ip: (kernel, net, argv) => ip(kernel, net, argv),
  bridge: (_k, net, argv) => bridge(net, argv),
  sysctl: (_k, net, argv) => sysctl(net, argv),
  tc: (_k, net, argv) => tc(net, argv),
  iptables: (_k, net, argv) => iptables(net, argv.slice(1)),
  'iptables-restore': (_k, net, argv, stdin) => iptablesRestore(net, argv.slice(1), stdin),
  'iptables-save': (_k, net, argv) => iptablesSave(net, argv.slice(1)),
  ipset: (_k, net, argv, stdin) => ipset(net, argv.slice(1), stdin),
  ipvsadm: (_k, net, argv, stdin) => ipvsadm(net, argv.slice(1), stdin),
  conntrack: (_k, net, argv) => conntrack(net, argv.slice(1)),
  'ovs-dpctl': (_k, net, argv, stdin) => ovsDpctl(net, argv.slice(1), stdin),
  true: () => ({ exit: 0, out: '', err: '' }),
  seq: (_k, _n, argv) => seq(argv.slice(1)),
  echo: (_k, _n, argv) => ({ exit: 0, out: `${argv.slice(1).join(' ')}\n`, err: '' }),
};

const PROGRAMS: Record<string, Program> = { ping, arping, nc, getent, curl, dig };

/** `podwire app NAME`. */
const APPS: Readonly<Record<string, Program>> = {
  echo: echoServer,
  http: httpServer,
  health: healthServer,
  flood,
  'metallb-speaker': metallbSpeaker,
  probe,
  'tcp-proxy': tcpProxyProgram,
};

/** Programs that run until they end or are killed. */
export const PROGRAM_NAMES: readonly string[] = Object.keys(PROGRAMS);

/** The program a command line starts, or null when there is none of that name. */
export function programFor(argv: readonly string[]): Program | null {
  if (argv[0] === 'podwire' && argv[1] === 'app' && Object.hasOwn(APPS, argv[2] ?? '')) return APPS[argv[2]!]!;
  if (argv[0] === 'podwire' && argv[1] === 'app' && SERVER_NAMES.includes(argv[2] ?? '')) return siteServer;
  if (argv[0] === 'podwire' && argv[1] === 'fault') return fault;
  if (argv[0] === 'conntrack' && argv.some((w) => w === '-E' || w === '--event')) return conntrackEvents;
  return Object.hasOwn(PROGRAMS, argv[0]!) ? PROGRAMS[argv[0]!]! : null;
}
