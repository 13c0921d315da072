/**
 * One line on stderr that says how far a verb is; nothing unless stderr is a terminal.
 * @module
 */
export class Progress {
  private readonly total: number;
  private readonly running: string[] = [];
  private done = 0;

  constructor(total: number) {
    this.total = total;
  }

  begin(name: string): void {
    this.running.push(name);
    this.show();
  }

  /** `print` writes what the finished one has to say, above the line. */
  end(name: string, print: () => void = () => {}): void {
    this.running.splice(this.running.indexOf(name), 1);
    this.done++;
    this.say(print);
  }

  /** `print` writes something above the line. */
  say(print: () => void): void {
    this.clear();
    print();
    this.show();
  }

  clear(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }

  private show(): void {
    if (!process.stderr.isTTY || this.running.length === 0) return;
    const width = (process.stderr.columns ?? 80) - 1;
    const line = `${this.done}/${this.total} ${this.running.join(', ')}`;
    process.stderr.write(`\r\x1b[K${line.slice(0, width)}`);
  }
}
