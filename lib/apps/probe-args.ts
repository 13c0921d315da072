/**
 * The arguments of `podwire app probe`.
 * @module
 */
import { aton } from '../../wire/inet.js';
import { SEC } from '../sim/sim.js';

export const PROBE_USAGE =
  '--http ADDRESS:PORT/PATH | --tcp ADDRESS:PORT --interval SECONDS --timeout SECONDS [--healthy N] [--unhealthy N] ' +
  '[--delay SECONDS] [--agent TEXT] [--close] [--up COMMAND]… [--down COMMAND]…';

export interface ProbeOptions {
  addr: number;
  port: number;
  /** The request; null: a connection is enough. */
  request: string | null;
  /** It asks for the end of the connection, and waits for it. */
  close: boolean;
  delayNs: number;
  intervalNs: number;
  timeoutNs: number;
  /** So many in a row change the target's state. */
  healthy: number;
  unhealthy: number;
  /** Commands, cut into words. */
  up: string[][];
  down: string[][];
}

const ONCE = ['--http', '--tcp', '--interval', '--timeout', '--healthy', '--unhealthy', '--delay', '--agent'];

/** The options of a command line from the word after `probe`, or null. */
export function probeArgs(args: readonly string[]): ProbeOptions | null {
  const o = new Map<string, string>();
  const [up, down]: [string[][], string[][]] = [[], []];
  let close = false;
  for (let i = 0; i < args.length; i += 2) {
    if (args[i] === '--close' && !close) {
      close = true;
      i--;
      continue;
    }
    const [name, value] = [args[i]!, args[i + 1]];
    if (value === undefined || value === '') return null;
    if (name === '--up' || name === '--down') (name === '--up' ? up : down).push(value.trim().split(/\s+/));
    else if (!ONCE.includes(name) || o.has(name)) return null;
    else o.set(name, value);
  }
  if (o.has('--http') === o.has('--tcp')) return null;
  const m = /^([\d.]+):(\d{1,5})(\/[!-~]*)?$/.exec(o.get('--http') ?? o.get('--tcp')!);
  const addr = m === null ? null : aton(m[1]!);
  const port = Number(m?.[2] ?? 0);
  const path = m?.[3];
  if (addr === null || port < 1 || port > 65535 || (path !== undefined) !== o.has('--http')) return null;
  const seconds = (name: string, byDefault: string): number => {
    const text = o.get(name) ?? byDefault;
    return /^\d{1,5}(\.\d{1,3})?$/.test(text) ? Number(text) * SEC : -1;
  };
  const number = (name: string): number => (/^[1-9]\d?$/.test(o.get(name) ?? '1') ? Number(o.get(name) ?? '1') : 0);
  const [delayNs, intervalNs, timeoutNs] = [seconds('--delay', '0'), seconds('--interval', ''), seconds('--timeout', '')];
  const [healthy, unhealthy] = [number('--healthy'), number('--unhealthy')];
  if (delayNs < 0 || intervalNs <= 0 || timeoutNs <= 0 || timeoutNs > intervalNs || healthy < 1 || unhealthy < 1) return null; // prettier-ignore
  const agent = o.get('--agent');
  if (agent !== undefined && (!/^[ -~]+$/.test(agent) || path === undefined)) return null;
  if (close && path === undefined) return null;
  const agentLine = agent === undefined ? '' : `User-Agent: ${agent}\r\n`;
  const request =
    path === undefined ? null : `GET ${path} HTTP/1.1\r\nHost: ${m![1]!}:${port}\r\n${close ? 'Connection: close\r\n' : ''}${agentLine}\r\n`;
  return { addr, port, request, close, delayNs, intervalNs, timeoutNs, healthy, unhealthy, up, down };
} // prettier-ignore
