/**
 * What a program inside a network namespace sees: its arguments, its streams, its files and its clock.
 *
 * A program is a function that starts; it ends when it calls `exit`. Between the two it lives on socket wake-ups and
 * timers of the virtual clock. Programs know nothing of how their namespace was configured.
 * @module
 */
import type { Cred } from '../linux/core/cred.js';
import type { Netns } from '../linux/core/netns.js';

/** Files as a program in one namespace sees them (`/etc/netns/NAME/x` is mounted over `/etc/x`). */
export interface Files {
  /** Text of a file, or null when it does not exist. */
  read(path: string): string | null;
}

export interface Proc {
  readonly net: Netns;
  /** Who it runs as; its sockets are opened with it. */
  readonly cred: Cred;
  readonly files: Files;
  /** Arguments, the program's own name first. */
  readonly argv: readonly string[];
  readonly stdin: Uint8Array;
  out(text: string): void;
  err(text: string): void;
  /** Runs a command in the program's namespace, its output the program's own (system(3)); `done` gets its exit code. */
  run(argv: readonly string[], done: (code: number) => void): void;
  /** A line of the NSS key log, for captures: each is kept once, in the order of the first calls. */
  secret(line: string): void;
  /** Ends the program; sockets must have been closed. Later calls are ignored. */
  exit(code: number): void;
  /** Set by long-running programs: called when the Lab ends or kills the program. */
  onKill: (() => void) | null;
  /** Set by programs that handle SIGHUP; it ends all others. */
  onHup: (() => void) | null;
}

export type Program = (p: Proc) => void;
