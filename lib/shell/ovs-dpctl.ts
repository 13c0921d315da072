/**
 * `ovs-dpctl` of Open vSwitch 3.1: datapaths of the kernel, their ports and flows. Commands: add-dp, del-dp, add-if, del-if, dump-dps,
 * show, dump-flows, add-flow, add-flows, mod-flow, del-flow, del-flows.
 *
 * Upstream: lib/dpctl.c, lib/dpif-netlink.c. Of what it says on stderr the lines of its log are missing, which have a date each. Ports are devices that exist, or `type=internal`; a tunnel is made by `ip link add … type
 * vxlan external` first. Not here: other types of ports and their options, statistics of ports, names for numbers, filters, conntrack.
 * @module
 */
import type { Netdev } from '../linux/core/netdev.js';
import type { Netns } from '../linux/core/netns.js';
import { addDatapath, addInternalDev, deleteDatapath, deletePort } from '../linux/device/devices.js';
import { devOpen } from '../linux/ipv4/devinet.js';
import { type Datapath, datapathOf, datapaths } from '../linux/openvswitch/datapath.js';
import { CACHE_SIZE } from '../linux/openvswitch/flow-table.js';
import type { CommandResult } from './ip-args.js';
import { type Errno, strerror } from './ip-args.js';
import { actionsText, keyText, type Match, OdpInvalid, OdpSyntaxError, OdpUnsupported, parseActions, parseFlow, statsText } from './odp-text.js'; // prettier-ignore

/** A message for stderr (dpctl_error). */
class DpctlError extends Error {}
const fail = (text: string, errno?: Errno): never => {
  throw new DpctlError(`ovs-dpctl: ${text}${errno === undefined ? '' : ` (${strerror(errno)})`}\n`);
};
const unsupported = (what: string): never => {
  throw new DpctlError(`podwire: "ovs-dpctl ${what}" is not supported yet\n`);
};

interface Context {
  readonly net: Netns;
  readonly stdin: string;
  mayCreate: boolean;
  clear: boolean;
  out: string;
  err: string;
}

interface Command {
  least: number;
  most: number;
  run(c: Context, args: readonly string[]): void;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  'add-dp': { least: 1, most: Infinity, run: addDp },
  'del-dp': { least: 1, most: 1, run: (c, [dp]) => deleteDatapath(open(c, dp!)) },
  'add-if': { least: 2, most: Infinity, run: (c, [dp, ...devs]) => addIfs(c, open(c, dp!), dp!, devs) },
  'del-if': { least: 2, most: Infinity, run: (c, [dp, ...devs]) => delIfs(c, open(c, dp!), dp!, devs) },
  'dump-dps': { least: 0, most: 0, run: (c) => datapaths(c.net).forEach((d) => (c.out += `${title(d)}\n`)) },
  show: { least: 0, most: Infinity, run: show },
  'dump-flows': { least: 0, most: 6, run: dumpFlows },
  'add-flow': { least: 2, most: 3, run: (c, args) => putFlow(c, optional(c, args, 3), args.at(-2)!, args.at(-1)!, 'add') },
  'mod-flow': { least: 2, most: 3, run: (c, args) => putFlow(c, optional(c, args, 3), args.at(-2)!, args.at(-1)!, 'modify') },
  'del-flow': { least: 1, most: 2, run: (c, args) => delFlow(c, optional(c, args, 2), args.at(-1)!) },
  'add-flows': { least: 1, most: 2, run: (c, args) => processFlows(c, args) },
  'del-flows': { least: 0, most: 2, run: delFlows },
}; // prettier-ignore
const OTHERS = [
  'set-if', 'get-flow', 'mod-flows', 'offload-stats-show', 'dump-conntrack', 'flush-conntrack', 'cache-get-size', 'cache-set-size',
  'ct-stats-show', 'ct-bkts', 'ct-set-maxconns', 'ct-get-maxconns', 'ct-get-nconns', 'ct-enable-tcp-seq-chk', 'ct-disable-tcp-seq-chk',
  'ct-get-tcp-seq-chk', 'ct-set-limits', 'ct-del-limits', 'ct-get-limits', 'ipf-set-enabled', 'ipf-set-disabled', 'ipf-set-min-frag',
  'ipf-set-max-nfrags', 'ipf-get-status', 'help', 'list-commands', 'parse-actions', 'normalize-actions',
]; // prettier-ignore

/** Runs `ovs-dpctl …` in a namespace; `argv` without the program's name. */
export function ovsDpctl(net: Netns, argv: readonly string[], stdin: string): CommandResult {
  const c: Context = { net, stdin, mayCreate: false, clear: false, out: '', err: '' };
  try {
    const words: string[] = [];
    for (const w of argv) {
      if (w === '--may-create') c.mayCreate = true;
      else if (w === '--clear') c.clear = true;
      else if (w.startsWith('-') && w !== '-') unsupported(w);
      else words.push(w);
    }
    const [name, ...args] = words;
    if (name === undefined) return fail('missing command name; use --help for help');
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name]! : null;
    if (command === null) return OTHERS.includes(name) ? unsupported(name) : fail(`unknown command '${name}'; use --help for help`); // prettier-ignore
    if (args.length < command.least) fail(`'${name}' command requires at least ${command.least} arguments`);
    if (args.length > command.most) fail(`'${name}' command takes at most ${command.most} arguments`);
    command.run(c, args);
    return { exit: 0, out: c.out, err: c.err };
  } catch (e) {
    if (e instanceof DpctlError) return { exit: 1, out: c.out, err: c.err + e.message };
    throw e;
  }
}

const title = (d: Datapath): string => `system@${d.local.name}`;
const plain = (dp: string): string => (dp.startsWith('system@') ? dp.slice(7) : dp);
const find = (c: Context, dp: string): Datapath | null => datapathOf(c.net, plain(dp));
const open = (c: Context, dp: string): Datapath => find(c, dp) ?? fail('opening datapath', 'ENODEV');

/** The datapath that the first word names, or the only one where it may be left out (opt_dpif_open). */
function optional(c: Context, args: readonly string[], most: number): Datapath {
  const named = args.length > 0 ? find(c, args[0]!) : null;
  if (named !== null) return named;
  if (args.length === most) fail('datapath not found', 'EINVAL');
  const all = datapaths(c.net);
  if (all.length === 1) return all[0]!;
  c.err += `ovs-dpctl: ${all.length === 0 ? 'no datapaths exist' : 'multiple datapaths, specify one'}\n`;
  return fail('datapath not found', 'EINVAL');
}

function addDp(c: Context, [dp, ...devs]: readonly string[]): void {
  const name = plain(dp!);
  if (name.includes('@')) unsupported(`add-dp ${dp}`);
  if (c.net.dev(name) !== null) fail('add_dp', 'EEXIST');
  if (name === '' || name.length > 15 || /[/\s:]/.test(name) || name === '.' || name === '..') fail('add_dp', 'EINVAL');
  const made = addDatapath(c.net, name);
  if (devs.length > 0) addIfs(c, made, dp!, devs);
}

/** Each device in turn; the last error counts (dpctl_add_if). */
function addIfs(c: Context, dp: Datapath, name: string, devs: readonly string[]): void {
  let failed = false;
  for (const text of devs) {
    try {
      addIf(c, dp, name, text);
    } catch (e) {
      if (!(e instanceof DpctlError)) throw e;
      c.err += e.message;
      failed = true;
    }
  }
  if (failed) throw new DpctlError('');
}

function addIf(c: Context, dp: Datapath, dpName: string, text: string): void {
  const [name, ...options] = text.split(',').filter((x) => x !== '');
  if (name === undefined) return fail(`${text} is not a valid network device name`);
  let type = 'system';
  let no = dp.freePort();
  for (const o of options) {
    const [k, v = ''] = o.split(/=(.*)/s) as [string, string?];
    if (k === 'type') type = v;
    else if (k === 'port_no') no = Number.parseInt(v, 10) || 0;
    else unsupported(`add-if ${o}`);
  }
  if (type !== 'system' && type !== 'internal') unsupported(`add-if type=${type}`);
  const known = c.net.dev(name);
  const adding = `adding ${name} to ${dpName} failed`;
  if (type === 'system' && known?.kind === 'openvswitch') fail(`${name}: failed to open network device`, 'EEXIST');
  if (type === 'system' && known === null) fail(`${name}: failed to open network device`, 'ENODEV');
  if (dp.port(no) !== null) fail(adding, 'EBUSY');
  if (type === 'internal' && known !== null) fail(adding, 'EEXIST');
  const dev = known ?? addInternalDev(c.net, name);
  if (type === 'system') refusePort(dev, adding);
  dp.attach(dev, no);
  if (devOpen(dev) !== 0) fail(`${name}: failed bringing interface up`, 'EADDRINUSE');
}

/** What cannot become a port (ovs_netdev_link). */
function refusePort(dev: Netdev, adding: string): void {
  if (dev.kind === '' || !dev.isEthernet) fail(adding, 'EINVAL');
  if (dev.vport !== null) fail(adding, 'EEXIST');
  if (dev.master !== null) fail(adding, 'EBUSY');
}

function delIfs(c: Context, dp: Datapath, dpName: string, devs: readonly string[]): void {
  let failed = false;
  for (const name of devs) {
    const port = [...dp.ports.values()].find((p) => (/^\d+$/.test(name) ? p.no === Number(name) : p.dev.name === name));
    if (port === undefined || port.no === 0) {
      const why = port === undefined && !/^\d+$/.test(name) ? `no port named ${name}` : `deleting port ${name} from ${dpName} failed (${strerror(port === undefined ? 'ENODEV' : 'EINVAL')})`; // prettier-ignore
      c.err += `ovs-dpctl: ${why}\n`;
      failed = true;
    } else deletePort(port);
  }
  if (failed) throw new DpctlError('');
}

function show(c: Context, args: readonly string[]): void {
  if (args.length === 0 && datapaths(c.net).length > 1) unsupported('show of several datapaths without their names');
  const list = args.length === 0 ? datapaths(c.net) : args.map((dp) => find(c, dp) ?? fail(`opening datapath ${dp} failed`, 'ENODEV')); // prettier-ignore
  for (const d of list) c.out += showText(d);
}

/** show_dpif. */
function showText(d: Datapath): string {
  const { flows } = d;
  const packets = d.hits + d.missed;
  const per = (n: number): string => (packets === 0 ? 0 : n / packets).toFixed(2);
  const cache = flows.cacheHits === 0 ? '' : `  cache: hit:${flows.cacheHits} hit-rate:${per(flows.cacheHits * 100)}%\n`;
  const ports = [...d.ports.values()].sort((a, b) => a.no - b.no);
  return (
    `${title(d)}:\n  lookups: hit:${d.hits} missed:${d.missed} lost:${d.lost}\n  flows: ${flows.count}\n` +
    `  masks: hit:${flows.maskHits} total:${flows.masks.length} hit/pkt:${per(flows.maskHits)}\n${cache}` +
    `  caches:\n    masks-cache: size:${CACHE_SIZE}\n` +
    ports.map((p) => `  port ${p.no}: ${p.dev.name}${p.internal ? ' (internal)' : ''}\n`).join('')
  );
} // prettier-ignore

function dumpFlows(c: Context, args: readonly string[]): void {
  for (const a of args) if (/^(filter|type|pmd)=/.test(a)) unsupported(`dump-flows ${a}`);
  const dp = optional(c, args, 1);
  const { now } = c.net.kernel.sim;
  for (const f of dp.flows.list()) c.out += `${keyText(f)}, ${statsText(f, now)}, actions:${actionsText(f.actions)}\n`;
}

const portNames = (dp: Datapath): Map<string, number> => new Map([...dp.ports.values()].map((p) => [p.dev.name, p.no]));

/** What reading a flow may end in. */
function read<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (e) {
    if (e instanceof OdpUnsupported) return unsupported(`… ${e.message}`);
    if (e instanceof OdpInvalid) return fail('updating flow table', 'EINVAL');
    if (e instanceof OdpSyntaxError) return fail(what === 'key' ? `parsing flow key (${e.message})` : 'parsing actions', 'EINVAL'); // prettier-ignore
    throw e;
  }
}

/** dpctl_put_flow_dpif and the kernel's ovs_flow_cmd_new, ovs_flow_cmd_set. */
function putFlow(c: Context, dp: Datapath, key: string, actions: string, verb: 'add' | 'modify'): void {
  const match: Match = read('key', () => parseFlow(key, portNames(dp)));
  const list = read('actions', () => parseActions(actions));
  const { flows } = dp;
  const masked = match.key.map((w, i) => w & match.mask[i]!);
  if (verb === 'add' || c.mayCreate) {
    const old = flows.taking(masked);
    if (old === null) return void flows.insert(match.key, match.mask, list);
    if (verb === 'add') fail('updating flow table', 'EEXIST');
  }
  const flow = flows.exact(match.key) ?? fail('updating flow table', 'ENOENT');
  flow.actions = list;
  if (!c.clear) return;
  flow.packets = flow.bytes = flow.tcpFlags = 0;
  flow.used = -1;
}

function delFlow(c: Context, dp: Datapath, key: string): void {
  const { key: unmasked } = read('key', () => parseFlow(key, portNames(dp)));
  const flow = dp.flows.exact(unmasked);
  if (flow !== null) return dp.flows.remove(flow);
  c.out += 'Perhaps you need to specify a UFID?\n';
  fail('deleting flow', 'ENOENT');
}

/** `add-flows [DP] -`: a line is `[add|modify|delete] FLOW [ACTIONS]`; what is wrong with one does not stop the others. */
function processFlows(c: Context, args: readonly string[]): void {
  if (args.at(-1) !== '-') unsupported('add-flows of a file other than -');
  const dp = optional(c, args, 3);
  c.stdin.split('\n').forEach((raw, i) => {
    const line = raw.replace(/#.*/s, '').trim();
    if (line === '') return;
    const first = /^[^, \t]*/.exec(line)![0];
    const verb = first === '' ? undefined : ['add', 'delete', 'modify'].find((v) => v.startsWith(first));
    const [flow, ...rest] = (verb === undefined ? line : line.slice(first.length)).trim().split(/[ \t]+/);
    const actions = rest.join(' ');
    try {
      if (flow === undefined || flow === '' || (verb === 'delete') !== (actions === '')) return fail(`Failed parsing line number ${i + 1}, skipped!`); // prettier-ignore
      if (verb === 'delete') delFlow(c, dp, flow);
      else putFlow({ ...c, mayCreate: false, clear: false }, dp, flow, actions, verb === 'modify' ? 'modify' : 'add');
    } catch (e) {
      if (!(e instanceof DpctlError)) throw e;
      c.err += e.message;
    }
  });
}

function delFlows(c: Context, args: readonly string[]): void {
  if (args.length > 1 || (args.length === 1 && find(c, args[0]!) === null)) unsupported('del-flows of a file');
  optional(c, args, 1).flows.flush();
}
