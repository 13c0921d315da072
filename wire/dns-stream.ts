/**
 * DNS over TCP: two bytes of length before each message (RFC 1035 4.2.2, RFC 7766).
 * @module
 */

/** A message as it stands in the stream. Longer ones than 65535 bytes do not exist. */
export function frameDns(message: Uint8Array): Uint8Array {
  const b = new Uint8Array(2 + message.length);
  b[0] = message.length >> 8;
  b[1] = message.length & 255;
  b.set(message, 2);
  return b;
}

/** Several messages in one piece. */
export function frameAll(messages: readonly Uint8Array[]): Uint8Array {
  const b = new Uint8Array(messages.reduce((n, m) => n + 2 + m.length, 0));
  let o = 0;
  for (const m of messages) {
    b.set(frameDns(m), o);
    o += 2 + m.length;
  }
  return b;
}

/** Puts a stream's pieces together again; holds what has been pushed and not yet taken. */
export class DnsStream {
  private bytes = new Uint8Array(0);
  /** What is held lies between these. */
  private start = 0;
  private end = 0;

  push(piece: Uint8Array): void {
    const held = this.end - this.start;
    const need = held + piece.length;
    if (this.start + need > this.bytes.length) {
      // Twice the room, so that neither many pieces nor many messages copy the same bytes again and again.
      const b = new Uint8Array(2 * need);
      b.set(this.bytes.subarray(this.start, this.end));
      this.bytes = b;
      this.start = 0;
      this.end = held;
    }
    this.bytes.set(piece, this.end);
    this.end += piece.length;
  }

  /** The next whole message, or null. */
  take(): Uint8Array | null {
    if (this.missing > 0) return null;
    const from = this.start + 2;
    this.start = from + this.length;
    return this.bytes.slice(from, this.start);
  }

  /** Bytes to read until the length, and then the message, is complete. */
  get missing(): number {
    const have = this.end - this.start;
    return Math.max(0, (have < 2 ? 2 : 2 + this.length) - have);
  }

  private get length(): number {
    return (this.bytes[this.start]! << 8) | this.bytes[this.start + 1]!;
  }
}
