/**
 * Corefiles: the part of the language that kubeadm's default uses.
 * @module
 */
import { InputError } from '../../sim/input-error.js';

export interface CoreConfig {
  port: number;
  /** Zones of the kubernetes plugin, as `cluster.local.`; empty when the plugin is absent. */
  zones: string[];
  pods: 'disabled' | 'insecure' | 'verified';
  /** Zones whose NXDOMAIN goes on to forward. */
  fallthrough: string[];
  ttl: number;
  /** Seconds of `cache`; 0: no cache plugin. */
  cache: number;
  /** Arguments of `forward .`: addresses or a path; empty: no forward plugin. */
  forward: string[];
}

export const KUBEADM_COREFILE = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
`;

const fqdn = (zone: string): string => (zone.endsWith('.') ? zone : zone + '.').toLowerCase();

/** Reads a Corefile of one server block for the root zone; anything podwire does not emulate is an InputError. */
export function parseCorefile(text: string, file: string): CoreConfig {
  const c: CoreConfig = { port: 0, zones: [], pods: 'disabled', fallthrough: [], ttl: 5, cache: 0, forward: [] };
  const stack: string[] = [];
  text.split('\n').forEach((raw, i) => {
    const words = raw
      .replace(/(^|\s)#.*/, '')
      .trim()
      .split(/\s+/);
    const fail = (message: string): never => {
      throw new InputError(file, i + 1, raw.search(/\S/) + 1, message);
    };
    if (words[0] === '') return;
    if (words[0] === '}') {
      if (words.length > 1 || stack.pop() === undefined) fail(`unexpected '${raw.trim()}'`);
      return;
    }
    const opens = words.at(-1) === '{';
    if (opens) words.pop();
    const [head = '', ...args] = words;
    if (stack.length === 0) {
      const m = /^\.(?::(\d+))?$/.exec(head);
      if (m === null || args.length > 0 || !opens || c.port > 0)
        fail(`found '${raw.trim()}', expected one block '.:53 {'`);
      c.port = Number(m![1] ?? 53);
    } else if (stack.length === 1) plugin(c, head, args, opens, fail);
    else option(c, stack[1]!, head, args, opens, fail);
    if (opens) stack.push(head);
  });
  if (stack.length > 0 || c.port === 0) throw new InputError(file, 0, 0, 'a server block is missing or not closed');
  return c;
}

type Fail = (message: string) => never;

function plugin(c: CoreConfig, head: string, args: string[], opens: boolean, fail: Fail): void {
  if (head === 'kubernetes') c.zones = (args.length > 0 ? args : ['.']).map(fqdn);
  else if (head === 'forward') {
    if (args[0] !== '.' || args.length < 2) fail(`found 'forward ${args.join(' ')}', expected 'forward . UPSTREAM…'`);
    c.forward = args.slice(1);
  } else if (head === 'cache') {
    if (args.length > 1 || !/^[1-9]\d{0,6}$/.test(args[0] ?? '3600'))
      fail(`found 'cache ${args.join(' ')}', expected 'cache [SECONDS]'`);
    c.cache = Number(args[0] ?? 3600);
  } else if (['errors', 'ready', 'loop', 'reload', 'loadbalance', 'prometheus', 'health'].includes(head)) {
    if (args.length > (head === 'prometheus' ? 1 : 0)) fail(`unexpected argument '${args[0]}' of ${head}`);
    if (opens && head !== 'health') fail(`plugin ${head} takes no block here`);
  } else fail(`plugin '${head}' is not emulated; expected one of kubeadm's`);
}

function option(c: CoreConfig, plug: string, head: string, args: string[], opens: boolean, fail: Fail): void {
  const key = `${plug} ${head}`;
  if (opens) fail(`option '${head}' takes no block`);
  if (key === 'kubernetes pods') {
    const mode = args[0];
    if (mode !== 'disabled' && mode !== 'insecure' && mode !== 'verified')
      return fail(`found pods '${mode ?? ''}', expected disabled, insecure or verified`);
    c.pods = mode;
  } else if (key === 'kubernetes fallthrough') c.fallthrough = (args.length > 0 ? args : ['.']).map(fqdn);
  else if (key === 'kubernetes ttl') {
    c.ttl = /^\d{1,4}$/.test(args[0] ?? '') ? Number(args[0]) : -1;
    if (c.ttl < 0 || c.ttl > 3600) fail(`found ttl '${args[0] ?? ''}', expected 0 to 3600`);
  } else if (key === 'cache disable') {
    if (args[0] !== 'success' && args[0] !== 'denial')
      fail(`found disable '${args[0] ?? ''}', expected success or denial`);
  } else if (key === 'forward max_concurrent' || key === 'health lameduck') {
    if (args.length !== 1) fail(`option '${head}' takes one argument`);
  } else fail(`option '${head}' of ${plug} is not emulated`);
}
