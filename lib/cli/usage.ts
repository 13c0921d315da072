/**
 * What every verb takes: one table that parses the arguments and prints the help.
 * @module
 */

/** Wrong use of a verb: printed without a stack, exit code 2. */
export class UsageError extends Error {}

interface Verb {
  /** What follows the verb, as the help prints it. */
  takes: string;
  does: string;
  /** `-x, --xx VALUE` → what it does. */
  options: Readonly<Record<string, string>>;
  more?: string;
}

/** What `bench` can measure. */
export const CASE_NAMES: readonly string[] = [
  'same-node', 'routed', 'vxlan', 'ipip', 'clusterip-iptables', 'clusterip-ipvs', 'egress', 'dns', 'tcp-bulk',
]; // prettier-ignore

/** Cases of `bench` that have a number in their names. */
export const SERVICES = /^services-(iptables|ipvs)-([1-9]\d{0,4})$/;

const JSON_ = { '--json': 'print JSON instead of text' };

export const VERBS: Readonly<Record<string, Verb>> = {
  run: {
    takes: '[FILE…] [-o DIR] [--no-explain] [--json]',
    does: 'run scenarios or Labs (default: all of scenarios/), write captures',
    options: {
      '-o, --out DIR': 'where: DIR/NAME/NETNS/DEV.pcap, all.pcapng, steps.json (default: out)',
      '--no-explain': "leave the kernel's decisions out of all.pcapng",
      ...JSON_,
    },
  },
  check: {
    takes: '[FILE…] [-u] [-o DIR] [--golden DIR] [--all] [--json]',
    does: 'run (default: all of scenarios/), compare with the golden trees',
    options: {
      '-u, --update': 'accept what podwire gives as the new golden; one recorded by the kernel stays (podwire kernel --record)',
      '-o, --out DIR': 'write the captures too',
      '--golden DIR': 'where the golden trees are (default: golden)',
      '--all': 'both frames of every difference, not only of the first one',
      ...JSON_,
    },
  },
  kernel: {
    takes: 'FILE… [-o DIR | --record] [--jobs N]',
    does: 'record the same tree on the real Linux kernel (User-Mode Linux)',
    options: {
      '-o, --out DIR': 'where (default: out-kernel)',
      '--record': 'to golden/NAME instead',
      '--jobs N': 'kernels at a time (default: 2)',
    },
    more: 'Exit 1: recorded, but podwire gives something else or an `expect` is not met there.',
  },
  diff: {
    takes: 'A B [--macs] [--nat-ports] [--all] [--json]',
    does: 'compare two captures (pcap, pcapng) or trees; A is the expected side',
    options: {
      '--macs': 'the Lab left MAC addresses to chance: map them one to one',
      '--nat-ports': 'NAT chose ports at random (masquerade --random-fully): map 1024-65535, not only 32768-60999',
      '--all': 'both frames of every difference, not only of the first one',
      ...JSON_,
    },
  },
  walk: {
    takes: 'FILE [--packet N] [--json]',
    does: 'the way of each packet, hop by hop: frames, rules, conntrack, NAT, drops',
    options: {
      '--packet N': 'only this one; N is the number that walk prints and that all.pcapng has as packet id',
      ...JSON_,
    },
  },
  compile: { takes: 'FILE', does: 'the Lab (plain Linux commands) that a Scenario compiles to', options: {} },
  show: {
    takes: 'FILE [--in NETNS] [--at TIME] -- COMMAND',
    does: 'what a command prints there, at that time',
    options: {
      '--in NETNS': 'the namespace; of a Scenario also pod/NAME, pod/NAMESPACE/NAME, node/NAME, host/NAME. Without it: kubectl',
      '--at TIME': 'how long after the setup, as 1500ms (default: 0s, after the steps that begin at 0s have begun)',
    },
    more: "Exit: 0 when the command's is 0, 1 otherwise.",
  },
  bench: {
    takes: '[CASE[:known|:new]…] [--packets N] [--rounds N] [--against kernel] [-o DIR] [--profile DIR] [--json]',
    does: 'packets a second on every data path, without captures and with every interface captured to files; the files are verified',
    options: {
      '--packets N': 'packets of a round (default: 20000; DNS and TCP fewer)',
      '--rounds N': 'rounds of each kind (default: 5)',
      '--against KERNEL': 'with the value "kernel": the same on this machine\'s kernel (Linux, root), in network namespaces, in turn, without and with a tcpdump on every interface; prints the ratios',
      '-o, --out DIR': 'keep the captures: DIR/CASE-FLOWS/NETNS/DEV.pcap',
      '--profile DIR': 'write DIR/CASE-FLOWS.cpuprofile',
      ...JSON_,
    },
    more: `Cases: ${CASE_NAMES.join(', ')}, services-MODE-N (a ClusterIP among N more Services of ten endpoints); :known, packets of one flow that all have seen; :new, the first packets of flows.\nTimes are CPU times of the process.`,
  },
  fuzz: {
    takes: '[--count N] [--seed S] [--jobs N] [--no-shrink] [-o DIR]',
    does: 'random Labs, run by podwire and on the real kernel; a difference is made small and written to a file',
    options: {
      '--count N': 'how many Labs (default: 50)',
      '--seed S': 'seed of the first one (default: the time of day, printed)',
      '--jobs N': 'kernels side by side (default: 2)',
      '--no-shrink': 'leave a Lab that differs as it is',
      '-o DIR': 'where Labs that differ are written (default: out-fuzz)',
    },
    more: 'A Lab that differs is recorded up to three times more; one that is equal then was decided by time, is named and counted apart.\nExit: 0 no difference, 1 a difference, 2 the kernel did not finish some.',
  },
  app: {
    takes: 'echo|http|coredns|ingress|istio-proxy|agnhost|http-echo|nginx|whoami|tcp-proxy …',
    does: "podwire's own servers on real sockets",
    options: {
      'echo --udp PORT | --tcp PORT': 'sends back what it reads',
      'http --port PORT [--body TEXT | --size BYTES]': 'answers every request with TEXT',
      'coredns --manifests FILE… [--corefile FILE] [--listen ADDR] [--port PORT]': 'CoreDNS over these objects, UDP and TCP',
      'agnhost|http-echo|nginx|whoami [--hostname NAME] [--env NAME=VALUE]… ARGUMENTS': "the servers of these images, with the real programs' arguments",
      'ingress --controller NAME --manifests FILE… [--http PORT] [--https PORT] [--listen ADDR] [--pod NAME] [--namespace NS] [--group NAME] [--seed N] [--proxy-protocol on|off]': 'an ingress controller over these objects',
      'istio-proxy --mesh FILE --pod NAMESPACE/NAME [--seed N]': "the sidecar of a pod, behind istio-init's rules",
      'tcp-proxy --listen ADDR:PORT --to ADDR:PORT… [--send-proxy v1|v2] [--accept-proxy]': 'a TCP load balancer, with PROXY protocol',
    },
  },
}; // prettier-ignore

const EXIT =
  'Exit codes: 0 fine or equal, 1 a difference or a failed expectation, 2 usage or bad input, 3 a bug in podwire.';

/** The help of all verbs. */
export function usage(): string {
  const list = Object.entries(VERBS).map(([name, v]) => `  podwire ${name} ${v.takes}\n      ${v.does}\n`);
  return `usage: podwire VERB …\n\n${list.join('')}  podwire VERB --help\n  podwire --version\n\n${EXIT}\n`;
}

/** The help of one verb. */
export function verbUsage(name: string): string {
  const v = VERBS[name]!;
  const list = Object.entries(v.options).map(([o, text]) => `  ${o}\n      ${text}\n`);
  const more = v.more === undefined ? '' : `\n${v.more}\n`;
  return `usage: podwire ${name} ${v.takes}\n\n${v.does}\n${list.length > 0 ? '\n' : ''}${list.join('')}${more}`;
}

export interface Args {
  files: string[];
  /** Options without a value, by their long name. */
  flags: Set<string>;
  /** Options with a value, by their long name. */
  values: Map<string, string>;
  /** What follows `--`. */
  rest: string[];
}

/** Splits the arguments of a verb by its table. Throws `UsageError` for an option it does not have, or has twice. */
export function parseArgs(verb: string, args: readonly string[]): Args {
  const known = new Map<string, { long: string; value: boolean }>();
  for (const key of Object.keys(VERBS[verb]!.options)) {
    const names = key.replace(/ .*$/, '') === key ? [key] : key.split(/,? /).filter((w) => w.startsWith('-'));
    for (const n of names) known.set(n, { long: names.at(-1)!, value: / [A-Z]+$/.test(key) });
  }
  const out: Args = { files: [], flags: new Set(), values: new Map(), rest: [] };
  for (let i = 0; i < args.length; i++) {
    const a = args[i]!;
    if (a === '--') {
      out.rest = args.slice(i + 1);
      break;
    }
    if (!a.startsWith('-') || a.length === 1) {
      out.files.push(a);
      continue;
    }
    const eq = a.indexOf('=');
    const name = eq > 0 ? a.slice(0, eq) : a;
    const option = known.get(name);
    if (option === undefined) {
      const list = [...known.keys()].join(', ') || 'none';
      throw new UsageError(`${verb}: unknown option "${name}", expected one of: ${list}`);
    }
    if (out.values.has(option.long)) throw new UsageError(`${verb}: option ${name} given twice`);
    if (!option.value) {
      if (eq > 0) throw new UsageError(`${verb}: option ${name} takes no value`);
      out.flags.add(option.long);
      continue;
    }
    const v = eq > 0 ? a.slice(eq + 1) : args[++i];
    if (v === undefined || v === '') throw new UsageError(`${verb}: option ${name} needs a value`);
    out.values.set(option.long, v);
  }
  return out;
}

/** A whole number from 1, or a `UsageError`. */
export function count(verb: string, option: string, text: string): number {
  const n = /^\d+$/.test(text) ? Number(text) : 0;
  if (!Number.isSafeInteger(n) || n < 1)
    throw new UsageError(`${verb}: ${option}: found "${text}", expected a number from 1`);
  return n;
}
