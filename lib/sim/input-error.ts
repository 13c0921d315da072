/** Bad input from a user: a place, what was found and what was expected. The CLI prints it and exits with 2. */
export class InputError extends Error {
  readonly file: string;
  readonly line: number;
  readonly column: number;

  /** Line and column are 1-based; 0 when the place is the whole file. */
  constructor(file: string, line: number, column: number, message: string) {
    super(message);
    this.name = 'InputError';
    this.file = file;
    this.line = line;
    this.column = column;
  }

  /** `file:line:column: message`, as compilers print it. */
  get text(): string {
    return this.line > 0
      ? `${this.file}:${this.line}:${this.column}: ${this.message}`
      : `${this.file}: ${this.message}`;
  }
}
