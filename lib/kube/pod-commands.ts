/**
 * A pod beyond its network: the programs of its containers as lines of a Lab.
 * @module
 */
import { type Command, parseScript } from '../shell/script.js';
import { InputError } from '../sim/input-error.js';
import { placeOf } from './api/meta.js';
import type { Container, Pod } from './api/types.js';
import { podNetns } from './cni/sandbox.js';
import { installedIn } from './ingress/install.js';
import { INGRESS_OBJECTS } from './ingress/watched.js';
import type { Scenario } from './scenario.js';

const CLIENTS =
  /^(docker\.io\/(library\/)?)?(busybox|alpine|curlimages\/curl|nicolaka\/netshoot|debian|ubuntu)([:@]|$)/;

/** Where the Lab keeps what CoreDNS reads. */
export const OBJECTS = '/etc/podwire/objects.yaml';
export const COREFILE = '/etc/podwire/Corefile';

/** A command line of a container, and the command it was made of; null: of its image. */
export interface ContainerLine {
  text: string;
  from: Command | null;
}

/** What a container's program is told of its cluster. */
export type Around = Pick<Scenario, 'seed' | 'ingressControllers'>;

/** The programs of a pod's containers; what podwire cannot run is said in `warnings`, once. */
export function containers(p: Pod, warnings: string[], around: Around): ContainerLine[] {
  const netns = podNetns(p, p.spec.nodeName);
  const own = p.metadata.annotations['podwire.dev/run'];
  if (own !== undefined) return annotated(p, own, netns);
  const out: ContainerLine[] = [];
  const warn = (w: string): void => {
    if (!warnings.includes(w)) warnings.push(w);
  };
  for (const c of p.spec.containers) {
    if (/coredns\/coredns(:|$)/.test(c.image)) {
      const files = `--manifests ${OBJECTS} --corefile ${COREFILE}`;
      out.push({ text: `ip netns exec ${netns} podwire app coredns ${files} &`, from: null });
    } else if (ingressOf(c.image) !== null) {
      out.push({ text: `ip netns exec ${netns} ${ingressLine(p, ingressOf(c.image)!, around)} &`, from: null });
    } else if (serverOf(c.image) !== null) {
      const words = serverLine(p, c, serverOf(c.image)!);
      const ignored = notFollowed(c, serverOf(c.image)!);
      if (ignored !== null) warn(ignored);
      if (words !== null) out.push({ text: `ip netns exec ${netns} ${words} &`, from: null });
    } else if (!CLIENTS.test(c.image)) {
      warn(`image "${c.image}" serves nothing (podwire does not know it, or its protocol is not supported yet)`);
    }
  }
  return out;
}

/** Images of ingress controllers, and their names. */
const INGRESS: readonly [RegExp, string][] = [
  [/(^|\/)ingress-nginx\/controller([:@]|$)/, 'ingress-nginx'],
  [/^(docker\.io\/(library\/)?)?traefik([:@]|$)/, 'traefik'],
  [/^(docker\.io\/)?istio\/proxyv2([:@]|$)/, 'istio'],
];

/** The ingress controller that an image is, or null. */
export const ingressOf = (image: string): string | null => INGRESS.find(([re]) => re.test(image))?.[1] ?? null;

/** Whether a pod runs an ingress controller. */
export const isIngress = (p: Pod): boolean => p.spec.containers.some((c) => ingressOf(c.image) !== null);

/** What a controller listens on where that is not 80 and 443; and what else it is told. */
const PORTS: Readonly<Record<string, string>> = {
  traefik: ' --http 8000 --https 8443',
  istio: ' --http 8080 --https 8443',
};

function ingressLine(p: Pod, name: string, around: Around): string {
  const own = installedIn(around.ingressControllers, p.metadata.namespace);
  const proxied = own?.proxyProtocol === true && own.name === name ? ' --proxy-protocol on' : '';
  const ports = PORTS[name] ?? '';
  return `podwire app ingress --controller ${name} --manifests ${INGRESS_OBJECTS} --pod ${p.metadata.name} --seed ${around.seed}${ports}${proxied}${name === 'istio' ? ` --namespace ${p.metadata.namespace}` : ''}`;
}

/** The programs of controllers that are machines outside of the cluster. */
export const machineControllers = (s: Around): string[] =>
  s.ingressControllers.filter((c) => c.host !== '').map((c) => `ip netns exec ${c.host} podwire app ingress --controller ${c.name} --manifests ${INGRESS_OBJECTS} --seed ${s.seed}${c.group === '' ? '' : ` --group ${shellWord(c.group)}`} &`); // prettier-ignore

/** Images that serve, and their programs. */
const SERVERS: readonly [RegExp, string][] = [
  [/(^|\/)e2e-test-images\/agnhost([:@]|$)/, 'agnhost'],
  [/^(docker\.io\/)?hashicorp\/http-echo([:@]|$)/, 'http-echo'],
  [/^(docker\.io\/)?traefik\/whoami([:@]|$)/, 'whoami'],
  [/^(docker\.io\/(library\/)?)?nginx([:@]|$)/, 'nginx'],
];

const serverOf = (image: string): string | null => SERVERS.find(([re]) => re.test(image))?.[1] ?? null;

/** A word for a shell. */
const shellWord = (w: string): string => (/^[A-Za-z0-9_@%+=:,.\/-]+$/.test(w) ? w : `'${w.replaceAll("'", `'\\''`)}'`);

/**
 * The command line of a server's container; null: it serves nothing (agnhost's `pause`, a command that is a shell). A `command`
 * replaces the image's own program: it is taken where it names that program.
 */
function serverLine(p: Pod, c: Container, name: string): string | null {
  const [program, ...first] = c.command;
  if (program !== undefined && program.split('/').at(-1) !== name) return null;
  if (name === 'agnhost' && (first[0] ?? c.args[0] ?? 'pause') === 'pause') return null;
  const env = c.env.flatMap((e) => (/^(ECHO_TEXT|WHOAMI_)/.test(e.name) ? ['--env', `${e.name}=${e.value}`] : []));
  const host = p.spec.hostname === '' ? p.metadata.name : p.spec.hostname;
  const words = [
    'podwire',
    'app',
    name,
    '--hostname',
    host,
    ...env,
    ...(name === 'nginx' ? [] : [...first, ...c.args]),
  ];
  return words.map(shellWord).join(' ');
}

/** What a server's container says that podwire does not do, in words; null: nothing. */
function notFollowed(c: Container, name: string): string | null {
  const [program, ...first] = c.command;
  if (program !== undefined && program.split('/').at(-1) !== name)
    return `container "${c.name}" of image "${c.image}" serves nothing: podwire does not run its command "${program}", expected ${name}`;
  const args = [...first, ...c.args].join(' ');
  if (name !== 'nginx' || args === '' || args === '-g daemon off;') return null;
  return `container "${c.name}": found the arguments "${args}", expected none: nginx serves the page that it comes with, whatever they say`;
}

/** The annotation's command lines, each a program in the background. */
function annotated(p: Pod, run: string, netns: string): ContainerLine[] {
  const { text, file, line, column } = placeOfRun(p, run);
  return parseScript(text, file, line, column).map((c) => {
    if (c.text.includes('\n'))
      throw new InputError(file, c.line, c.column, 'found a command of several lines, expected one line each');
    return { text: `${inNetns([c], netns, file).replace(/\s*&$/, '')} &`, from: c };
  });
}

/** Where the annotation stands; nowhere when it was changed since the manifest. */
function placeOfRun(p: Pod, run: string): { text: string; file: string; line: number; column: number } {
  const at = placeOf(p);
  const owner = at === null || at.req('kind').str() === 'Pod' ? at : at.req('spec').req('template');
  const place = owner?.opt('metadata')?.opt('annotations')?.opt('podwire.dev/run') ?? null;
  if (place === null || place.str() !== run) return { text: run, file: 'podwire.dev/run', line: 1, column: 1 };
  return { ...place.script(), file: place.file };
}

/** Commands as they run in a namespace: each part of a pipeline under `ip netns exec`. */
export function inNetns(commands: readonly Command[], netns: string, file: string): string {
  const prefix = `ip netns exec ${netns} `;
  const text = (c: Command): string => {
    if (c.pipeFrom === null) return prefix + c.text;
    const before = c.pipeFrom.text;
    if (!c.text.startsWith(before))
      throw new InputError(file, c.line, c.column, 'found a pipeline with a heredoc, expected <<< WORD or no pipeline');
    const rest = c.text.slice(before.length).replace(/^([\s\\]*\|[\s\\]*)/, (m) => m + prefix);
    return text(c.pipeFrom) + rest;
  };
  return commands.map(text).join('\n');
}
