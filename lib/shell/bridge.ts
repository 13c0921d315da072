/** `bridge link set`, `bridge fdb add|del|show` (iproute2). */
import { macBytes } from '../../wire/inet.js';
import { Bridge, type BrPort, fdbAdd, fdbDel } from '../linux/bridge/bridge.js';
import type { Netns } from '../linux/core/netns.js';
import type { CommandResult } from './ip.js';

const error = (err: string, exit = 255): CommandResult => ({ exit, out: '', err: `${err}\n` });

export function bridge(net: Netns, argv: readonly string[]): CommandResult {
  const [, object, verb, ...rest] = argv;
  if (object === 'link' && verb === 'set') return linkSet(net, rest);
  if (object === 'fdb' && (verb === 'show' || verb === undefined)) return { exit: 0, out: fdbShow(net), err: '' };
  if (object === 'fdb' && (verb === 'add' || verb === 'append' || verb === 'del')) {
    const mac = macBytes(rest[0] ?? '');
    const dev = rest[1] === 'dev' ? net.dev(rest[2] ?? '') : null;
    if (mac === null || dev === null) return error('Device and address are required arguments.');
    const words = rest.slice(3);
    const unknown = words.find((w) => !['master', 'static', 'permanent', 'dynamic', 'local'].includes(w));
    if (unknown !== undefined) return error(`podwire: "bridge fdb … ${unknown}" is not supported yet`);
    const kind = words.includes('static') ? 'static' : words.includes('dynamic') ? 'dynamic' : 'permanent';
    const ok = verb === 'del' ? fdbDel(dev, mac) : fdbAdd(dev, mac, kind);
    return ok ? { exit: 0, out: '', err: '' } : error('RTNETLINK answers: Operation not supported', 2);
  }
  return error(`podwire: "${argv.join(' ')}" is not supported yet`);
}

function linkSet(net: Netns, args: string[]): CommandResult {
  const dev = net.dev(args[1] ?? '');
  if (args[0] !== 'dev' || dev === null) return error(`Cannot find bridge device "${args[1] ?? ''}"`);
  const port = dev.brport as BrPort | null;
  if (port === null) return error('RTNETLINK answers: Operation not supported', 2);
  for (let i = 2; i < args.length; i += 2) {
    const k = args[i]!;
    const v = args[i + 1];
    if (v !== 'on' && v !== 'off') return error(`Error: argument of "${k}" must be "on" or "off", not "${v ?? ''}"`);
    if (k === 'hairpin' || k === 'learning' || k === 'flood' || k === 'isolated') port[k] = v === 'on';
    else return error(`podwire: "bridge link set … ${k}" is not supported yet`);
  }
  return { exit: 0, out: '', err: '' };
}

function fdbShow(net: Netns): string {
  let out = '';
  for (const d of net.devs) {
    if (!(d instanceof Bridge)) continue;
    for (const e of d.fdbEntries()) {
      const state = e.kind === 'dynamic' ? '' : ` ${e.kind}`;
      out +=
        e.port === null
          ? `${e.mac} dev ${d.name} master ${d.name}${state}\n`
          : `${e.mac} dev ${e.port.dev.name} master ${d.name}${state}\n`;
    }
  }
  return out;
}
