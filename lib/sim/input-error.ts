/**
 * Bad input from a user: a place, what was found and what was expected. The CLI prints it and exits with 2.
 * `message` begins with the place, as compilers print it: `file:line:column: `.
 */
export class InputError extends Error {
  readonly file: string;
  readonly line: number;
  readonly column: number;

  /** The message without the place. */
  readonly reason: string;

  /** Line and column are 1-based; 0 when the place is the whole file. */
  constructor(file: string, line: number, column: number, reason: string) {
    super(line > 0 ? `${file}:${line}:${column}: ${reason}` : `${file}: ${reason}`);
    this.reason = reason;
    this.name = 'InputError';
    this.file = file;
    this.line = line;
    this.column = column;
  }
}
