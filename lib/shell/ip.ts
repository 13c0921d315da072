/**
 * `ip` of iproute2 6.1: options, objects, and `ip netns`. Each other object has a file of its own (ip-link.ts, ip-addr.ts,
 * ip-route.ts, ip-rule.ts, ip-neigh.ts).
 * @module
 */
import type { Kernel } from '../linux/core/kernel.js';
import { createNetns, deleteNetns } from '../linux/core/machine.js';
import type { Netns } from '../linux/core/netns.js';
import { ipAddr } from './ip-addr.js';
import { type CommandResult, fail, IpError, type IpContext, matches, unsupported, Words } from './ip-args.js';
import { ipLink } from './ip-link.js';
import { ipTunnel } from './ip-link-tunnel.js';
import { ipNeigh } from './ip-neigh.js';
import { ipRoute } from './ip-route.js';
import { ipRule } from './ip-rule.js';

export type { CommandResult } from './ip-args.js';

/** Objects in the order in which an abbreviation finds them. */
const OBJECTS: readonly (readonly [string, ((c: IpContext, w: Words) => string) | null])[] = [
  ['address', ipAddr], ['addrlabel', null], ['maddress', null], ['route', ipRoute], ['rule', ipRule], ['neighbor', ipNeigh],
  ['neighbour', ipNeigh], ['ntable', null], ['ntbl', null], ['link', ipLink], ['l2tp', null], ['fou', null], ['ila', null],
  ['macsec', null], ['tunnel', ipTunnel], ['tunl', null], ['tuntap', null], ['tap', null], ['token', null], ['tcpmetrics', null],
  ['monitor', null], ['xfrm', null], ['mroute', null], ['mrule', null], ['netns', ipNetns], ['netconf', null], ['vrf', null],
  ['sr', null], ['nexthop', null], ['mptcp', null], ['ioam', null], ['stats', null], ['help', null],
]; // prettier-ignore

/** Runs `ip …` in a namespace: its outputs and exit code, or what is wrong in iproute2's words. */
export function ip(kernel: Kernel, net: Netns, argv: string[]): CommandResult {
  try {
    return { exit: 0, out: dispatch(kernel, net, argv.slice(1)), err: '' };
  } catch (e) {
    if (e instanceof IpError) return { exit: e.exit, out: e.out, err: `${e.message}\n` };
    throw e;
  }
}

function dispatch(kernel: Kernel, net: Netns, args: string[]): string {
  const c: IpContext = { kernel, net, details: false, brief: false, oneline: false, inet: false, stats: false };
  const w = new Words(args);
  while (w.peek.startsWith('-')) option(c, w.take());
  if (!w.more) return fail('podwire: "ip" needs an object: address, link, neighbour, netns, route or rule');
  const word = w.take();
  const found = OBJECTS.find(([name]) => matches(word, name));
  if (found === undefined) return fail(`Object "${word}" is unknown, try "ip help".`, 1);
  const [name, run] = found;
  return run === null ? unsupported(`ip ${name}`) : run(c, w);
}

function option(c: IpContext, word: string): void {
  const o = word.replace(/^--/, '-');
  if (o === '-4') c.inet = true;
  else if (matches(o, '-details')) c.details = true;
  else if (matches(o, '-oneline')) c.oneline = true;
  else if (o === '-br' || matches(o, '-brief')) c.brief = true;
  else if (matches(o, '-stats', '-statistics')) c.stats = true;
  else if (o === '-N' || matches(o, '-Numeric')) unsupported('ip -N');
  else if (['-6', '-0', '-M', '-B', '-V'].includes(o)) unsupported(`ip ${o}`);
  else if (
    /^-(loops|family|resolve|human|iec|timestamp|tshort|Version|force|batch|json|pretty|rcvbuf|all|color|help)/.test(
      o,
    ) ||
    /^-(l|f|r|h|t|ts|b|j|p|rc|a|c)$/.test(o)
  )
    unsupported(`ip ${o}`); // prettier-ignore
  else fail(`Option "${word}" is unknown, try "ip -help".`);
}

/** `ip netns`: the namespaces of the machine; `root` has no name there. */
function ipNetns(c: IpContext, w: Words): string {
  const { kernel } = c;
  const word = w.take();
  if (word === '' || matches(word, 'list', 'show', 'lst')) return netnsList(c);
  const name = w.take();
  if (matches(word, 'help')) return unsupported('ip netns help');
  if (matches(word, 'add')) {
    if (name === '') fail('No netns name specified');
    if (!/^(?!\.\.?$)[^/]{1,255}$/.test(name)) fail(`Invalid netns name "${name}"`);
    if (kernel.netns.has(name)) fail(`Cannot create namespace file "/run/netns/${name}": File exists`, 1);
    createNetns(kernel, name);
    return '';
  }
  if (matches(word, 'delete')) {
    if (name === '') fail('No netns name specified');
    if (name === 'root' || !deleteNetns(kernel, name))
      fail(`Cannot remove namespace file "/run/netns/${name}": No such file or directory`, 1);
    return '';
  }
  if (matches(word, 'exec') && w.peek === '') fail(name === '' ? 'No netns name specified' : 'No command specified');
  if (matches(word, 'set', 'identify', 'pids', 'exec', 'monitor', 'list-id', 'attach')) unsupported(`ip netns ${word}`);
  return fail(`Command "${word}" is unknown, try "ip netns help".`);
}

/** Newest first, as the folder /run/netns lists them, with the ids the asking namespace knows. */
function netnsList(c: IpContext): string {
  let out = '';
  for (const [name, net] of [...c.kernel.netns].reverse()) {
    if (name === 'root') continue;
    const id = c.net.nsids.indexOf(net);
    out += `${name}${id < 0 ? '' : ` (id: ${id})`}\n`;
  }
  return out;
}
