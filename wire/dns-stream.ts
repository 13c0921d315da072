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

  push(piece: Uint8Array): void {
    const b = new Uint8Array(this.bytes.length + piece.length);
    b.set(this.bytes);
    b.set(piece, this.bytes.length);
    this.bytes = b;
  }

  /** The next whole message, or null. */
  take(): Uint8Array | null {
    const missing = this.missing;
    if (missing > 0) return null;
    const end = 2 + this.length;
    const message = this.bytes.slice(2, end);
    this.bytes = this.bytes.slice(end);
    return message;
  }

  /** Bytes to read until the length, and then the message, is complete. */
  get missing(): number {
    const have = this.bytes.length;
    return Math.max(0, (have < 2 ? 2 : 2 + this.length) - have);
  }

  private get length(): number {
    return (this.bytes[0]! << 8) | this.bytes[1]!;
  }
}
