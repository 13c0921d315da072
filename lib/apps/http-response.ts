/**
 * The client's view of an HTTP/1.x response: head, then a body by length, by chunks, or to the end of the connection.
 * @module
 */

const MAX_HEAD = 300 * 1024;
/** Characters kept of a chunk's size line and of a trailer; what follows them says nothing. */
const MAX_LINE = 4096;
const SIZE = /^[0-9A-Fa-f]{1,16}(?![0-9A-Fa-f])/;
const LF = 10;

export class HttpResponse {
  status = 0;
  /** Header lines as they came, the status line first; each ends in CRLF, the last is the empty one. */
  head = '';
  /** The server will close the connection (or the body ends with it). */
  close = false;
  complete = false;
  /** Why the bytes are no HTTP, or null. */
  error: string | null = null;
  bodyBytes = 0;
  private readonly noBody: boolean;
  private inHead = true;
  private text = '';
  /** The last four bytes of the head. */
  private last = 0;
  /** Body bytes still to come; -1: chunked, -2: to the end. */
  private left = 0;
  private chunkLeft = -1;

  /** `noBody`: the answer to HEAD. */
  constructor(noBody: boolean) {
    this.noBody = noBody;
  }

  /** Takes bytes; returns those of the body among them. */
  data(b: Uint8Array): Uint8Array {
    let at = 0;
    while (this.inHead && at < b.length && this.error === null) {
      const c = b[at++]!;
      this.text += String.fromCharCode(c);
      this.last = (this.last << 8) | c;
      if (this.last === 0x0d0a0d0a || (this.last & 0xffff) === 0x0a0a) this.endHead();
      else if (this.text.length > MAX_HEAD) this.error = 'Too large response headers';
      else if (this.text.length === 5 && this.text !== 'HTTP/') this.error = 'Received HTTP/0.9 when not allowed';
    }
    if (this.inHead || this.complete || this.error !== null) return b.subarray(0, 0);
    const body = this.left === -1 ? this.chunks(b.subarray(at)) : this.plain(b.subarray(at));
    this.bodyBytes += body.length;
    return body;
  }

  /** The connection ended: true when the response was complete or ends so. */
  eof(): boolean {
    if (!this.inHead && this.left === -2) this.complete = true;
    return this.complete;
  }

  /** Something has come. */
  get started(): boolean {
    return this.text !== '' || !this.inHead;
  }

  private endHead(): void {
    const [first = '', ...lines] = this.text.split(/\r?\n/);
    const m = /^HTTP\/1\.([01]) (\d{3})/.exec(first);
    if (m === null) {
      this.error = 'Received HTTP/0.9 when not allowed';
      return;
    }
    const status = Number(m[2]);
    this.head += this.text;
    this.text = '';
    this.last = 0;
    if (status < 200) return;
    this.inHead = false;
    this.status = status;
    this.close = m[1] === '0';
    this.left = -2;
    for (const line of lines) {
      const at = line.indexOf(':');
      const name = line.slice(0, at).toLowerCase();
      const value = line
        .slice(at + 1)
        .trim()
        .toLowerCase();
      if (name === 'content-length' && this.left === -2) this.left = Number(value);
      else if (name === 'transfer-encoding' && value.includes('chunked')) this.left = -1;
      else if (name === 'connection')
        this.close = value.includes('close') || (this.close && !value.includes('keep-alive'));
    }
    if (this.noBody || status === 204 || status === 304) this.left = 0;
    if (this.left === -2) this.close = true;
    if (this.left === 0) this.complete = true;
  }

  private plain(b: Uint8Array): Uint8Array {
    if (this.left === -2) return b;
    const n = Math.min(this.left, b.length);
    this.left -= n;
    if (this.left === 0) this.complete = true;
    return b.subarray(0, n);
  }

  private chunks(b: Uint8Array): Uint8Array {
    const out: number[] = [];
    for (let i = 0; i < b.length && !this.complete; i++) {
      if (this.chunkLeft > 0) {
        out.push(b[i]!);
        if (--this.chunkLeft === 0) this.chunkLeft = -2;
        continue;
      }
      if (b[i] !== LF) {
        if (this.text.length < MAX_LINE) this.text += String.fromCharCode(b[i]!);
        continue;
      }
      const line = this.text.trim();
      this.text = '';
      if (this.chunkLeft === -2) this.chunkLeft = -1;
      else if (this.chunkLeft === -3) this.complete = line === '';
      else {
        const size = SIZE.exec(line);
        if (size === null) {
          this.error = 'Illegal or missing hexadecimal sequence';
          return Uint8Array.from(out);
        }
        this.chunkLeft = Number.parseInt(size[0], 16) || -3;
      }
    }
    return Uint8Array.from(out);
  }
}
