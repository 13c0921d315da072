/**
 * The workload servers by name, and their common options: `podwire app NAME [--hostname NAME] [--env NAME=VALUE]… ARGUMENTS`, the
 * arguments being the real program's.
 * @module
 */
import { agnhost } from './agnhost.js';
import { httpEcho } from './http-echo.js';
import { nginx } from './nginx.js';
import type { Site, SiteArgs } from './site.js';
import { whoami } from './whoami.js';

const SERVERS: Readonly<Record<string, SiteArgs>> = { agnhost, 'http-echo': httpEcho, whoami, nginx };

export const SERVER_NAMES: readonly string[] = Object.keys(SERVERS);

/** The server that the words after `app` ask for, its name first; null: it serves nothing. */
export function serverOf(
  words: readonly string[],
): { site: Site; hostname: string } | { error: string; exit: number } | null {
  let i = 1;
  let hostname = words[0]!;
  const env: Record<string, string> = {};
  for (; words[i] === '--hostname' || words[i] === '--env'; i += 2) {
    const v = words[i + 1];
    if (v === undefined) return { error: `podwire: app ${words[0]}: ${words[i]} needs a value`, exit: 2 };
    if (words[i] === '--hostname') hostname = v;
    else if (/^[^=]+=/.test(v)) env[v.slice(0, v.indexOf('='))] = v.slice(v.indexOf('=') + 1);
    else return { error: `podwire: app ${words[0]}: found --env ${v}, expected NAME=VALUE`, exit: 2 };
  }
  const site = SERVERS[words[0]!]!(words.slice(i), env);
  return site === null || 'error' in site ? site : { site, hostname };
}
