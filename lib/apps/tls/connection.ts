/**
 * What both sides of TLS 1.3 have in common: records, alerts, key updates, application data. The handshakes are in server.ts
 * and client.ts.
 *
 *   feed ─▶ RecordStream ─▶ [open with the read keys] ─▶ handshake ─▶ HandshakeStream ─▶ message() of the side
 *                                                     ├▶ alert
 *                                                     └▶ application data ─▶ out.plain
 *
 * Nothing is thrown for what a peer sends: the first thing that is wrong ends the session with RFC 8446's alert.
 * @module
 */
import { type HandshakeMessage, HandshakeStream, MAX_HANDSHAKE } from '../../../wire/tls-handshake.js';
import * as hs from '../../../wire/tls-handshake.js';
import { hex, joined } from '../../../wire/bytes.js';
import * as tls from '../../../wire/tls.js';
import { deriveSecret, handshakeSecret, masterSecret, type Suite, SUITES, Transcript, TrafficKeys } from './keys.js';
import type { TlsFailure, TlsOptions, TlsOutput, TlsSession, TlsState } from './types.js';

const NOTHING: Uint8Array = new Uint8Array(0);
/** KeyUpdates in a row that OpenSSL takes (MAX_KEY_UPDATE_MESSAGES). */
const MAX_KEY_UPDATES = 32;

/** The secrets of a connection's two directions. */
export interface Secrets {
  client: Uint8Array;
  server: Uint8Array;
}

export abstract class TlsConnection implements TlsSession {
  state: TlsState = 'handshake';
  failure: TlsFailure | null = null;
  eof = false;
  serverName: string | null = null;
  alpn: string | null = null;
  peerCertificates: readonly Uint8Array[] = [];
  protected readonly transcript = new Transcript();
  /** Chosen with the ServerHello. */
  protected suite: Suite = SUITES[0]!;
  protected readKeys: TrafficKeys | null = null;
  protected writeKeys: TrafficKeys | null = null;
  /** The client's random: the key log's name of the connection. */
  protected clientRandom = NOTHING;
  /** Early data that may come and is not for us, in bytes. */
  protected skipEarly = 0;
  /** An alert in the clear is allowed although there are read keys: the peer may not have come to its own yet. */
  protected plainAlerts = false;
  private readonly options: TlsOptions;
  private readonly records = new tls.RecordStream();
  private readonly messages = new HandshakeStream();
  private first = true;
  private updates = 0;
  private closeSent = false;
  /** Records for the next write, the writes, and plaintext, of the call that runs. */
  private flight: Uint8Array[] = [];
  private wire: Uint8Array[] = [];
  private plain: Uint8Array[] = [];
  private handshakeKey = NOTHING;

  constructor(options: TlsOptions) {
    this.options = options;
  }

  /** The suite agreed on; its number says nothing before the ServerHello. */
  get cipherSuite(): number {
    return this.suite.id;
  }

  abstract start(): readonly Uint8Array[];
  /** A whole handshake message before the handshake's end. */
  protected abstract message(m: HandshakeMessage): void;
  /** A whole handshake message after it, no KeyUpdate. */
  protected abstract later(m: HandshakeMessage): void;

  feed(bytes: Uint8Array): TlsOutput {
    if (this.state !== 'closed') {
      this.records.push(bytes);
      this.run();
    }
    return this.output();
  }

  write(plain: Uint8Array): Uint8Array {
    if (this.state !== 'open' || this.closeSent) return NOTHING;
    for (let o = 0; o < plain.length; o += tls.MAX_PLAIN) {
      this.send(tls.APPLICATION_DATA, plain.subarray(o, o + tls.MAX_PLAIN));
    }
    return this.taken();
  }

  close(): Uint8Array {
    if (this.state === 'closed' || this.closeSent) return NOTHING;
    this.closeSent = true;
    this.send(tls.ALERT, tls.alert(tls.WARNING, tls.CLOSE_NOTIFY));
    if (this.state === 'handshake' || this.eof) this.state = 'closed';
    return this.taken();
  }

  end(): void {
    if (this.state === 'closed') return;
    if (!this.eof) this.failure = { alert: null, by: 'eof', reason: 'the connection ended without close_notify' };
    this.state = 'closed';
  }

  private run(): void {
    while (this.state !== 'closed') {
      if (this.first && this.records.queue.length >= tls.RECORD_HLEN && this.records.queue.at(1) !== 3) {
        this.noTls();
        return;
      }
      const r = this.records.next();
      if (r === null) return;
      if (r === tls.RECORD_OVERFLOW) return this.fail(tls.RECORD_OVERFLOW, 'a record is too long');
      this.record(r);
      this.first = false;
    }
  }

  /** The first bytes are no record: OpenSSL closes without an alert, and a server may want to answer in the clear. */
  private noTls(): void {
    const plain = this.records.queue.peek(tls.MAX_PLAIN);
    this.failure = { alert: null, by: 'local', reason: 'the peer does not speak TLS', plain };
    this.state = 'closed';
  }

  private record(r: tls.TlsRecord): void {
    if (r.version >> 8 !== 3) return this.fail(tls.PROTOCOL_VERSION, 'a record has another version');
    if (r.type === tls.CHANGE_CIPHER_SPEC) return this.changeCipherSpec(r.fragment);
    if (this.readKeys === null) {
      if (r.fragment.length > tls.MAX_PLAIN) return this.fail(tls.RECORD_OVERFLOW, 'a record is too long');
      if (r.type === tls.APPLICATION_DATA && this.skipped(r)) return;
      return this.content(r.type, r.fragment);
    }
    if (r.type === tls.ALERT && this.plainAlerts) return this.content(r.type, r.fragment);
    if (r.type !== tls.APPLICATION_DATA) return this.fail(tls.UNEXPECTED_MESSAGE, 'a record is not encrypted');
    const inner = this.readKeys.open(r);
    if (inner === null) {
      if (this.skipped(r)) return;
      return this.fail(tls.BAD_RECORD_MAC, 'a record cannot be decrypted');
    }
    this.skipEarly = 0;
    this.plainAlerts = false;
    let end = inner.length;
    while (end > 0 && inner[end - 1] === 0) end--;
    if (inner.length > tls.MAX_PLAIN + 1) return this.fail(tls.RECORD_OVERFLOW, 'a record is too long');
    if (end === 0) return this.fail(tls.UNEXPECTED_MESSAGE, 'a record has no type');
    this.content(inner[end - 1]!, inner.subarray(0, end - 1));
  }

  /** Whether a record may be early data, which is not for us (RFC 8446 4.2.10). */
  private skipped(r: tls.TlsRecord): boolean {
    if (this.skipEarly <= 0) return false;
    this.skipEarly -= r.fragment.length;
    return this.skipEarly >= 0;
  }

  /** For middleboxes only (RFC 8446 5): dropped between the first ClientHello, ours or the peer's, and the end of the handshake. */
  private changeCipherSpec(b: Uint8Array): void {
    const allowed = this.state === 'handshake' && this.clientRandom.length > 0;
    if (!allowed || b.length !== 1 || b[0] !== 1 || this.messages.partial) {
      this.fail(tls.UNEXPECTED_MESSAGE, 'a ChangeCipherSpec came where none may be');
    }
  }

  private content(type: number, b: Uint8Array): void {
    if (type === tls.HANDSHAKE) return this.handshake(b);
    if (this.messages.partial) return this.fail(tls.UNEXPECTED_MESSAGE, 'a handshake message is interrupted');
    if (type === tls.ALERT) return this.alert(b);
    if (type !== tls.APPLICATION_DATA) return this.fail(tls.UNEXPECTED_MESSAGE, `a record has type ${type}`);
    if (this.state !== 'open' || this.readKeys === null) {
      return this.fail(tls.UNEXPECTED_MESSAGE, 'application data came before the handshake was over');
    }
    this.updates = 0;
    if (b.length > 0 && !this.eof) this.plain.push(b);
  }

  private handshake(b: Uint8Array): void {
    if (b.length === 0) return this.fail(tls.UNEXPECTED_MESSAGE, 'a handshake record is empty');
    this.messages.push(b);
    while (this.state !== 'closed') {
      if (this.messages.claimed > MAX_HANDSHAKE) {
        return this.fail(tls.ILLEGAL_PARAMETER, 'a handshake message is too long');
      }
      const m = this.messages.next();
      if (m === null) return;
      if (this.state === 'handshake') this.message(m);
      else if (m.type === hs.KEY_UPDATE) this.keyUpdate(m.body);
      else this.later(m);
    }
  }

  private keyUpdate(body: Uint8Array): void {
    const wanted = hs.readKeyUpdate(body);
    if (wanted === null) return this.fail(tls.DECODE_ERROR, 'a KeyUpdate is malformed');
    if (wanted > 1) return this.fail(tls.ILLEGAL_PARAMETER, 'a KeyUpdate asks for what is not defined');
    if (++this.updates > MAX_KEY_UPDATES) return this.fail(tls.UNEXPECTED_MESSAGE, 'too many KeyUpdates');
    if (!this.readWith(this.readKeys!.next()) || wanted === 0 || this.closeSent) return;
    this.send(tls.HANDSHAKE, hs.message(hs.KEY_UPDATE, Uint8Array.of(0)));
    this.writeKeys = this.writeKeys!.next();
  }

  private alert(b: Uint8Array): void {
    if (b.length !== 2) return this.fail(tls.DECODE_ERROR, 'an alert is malformed');
    const n = b[1]!;
    if (n === tls.USER_CANCELED) {
      if (++this.updates > MAX_KEY_UPDATES) this.fail(tls.UNEXPECTED_MESSAGE, 'too many alerts');
      return;
    }
    if (n === tls.CLOSE_NOTIFY && this.state === 'open') {
      this.eof = true;
      if (this.closeSent) this.state = 'closed';
      return;
    }
    this.failure = { alert: n, by: 'peer', reason: `the peer said ${tls.alertName(n)}` };
    this.state = 'closed';
  }

  /** Ends the session with an alert. */
  protected fail(alert: number, reason: string): void {
    if (this.state === 'closed') return;
    this.failure = { alert, by: 'local', reason };
    this.send(tls.ALERT, tls.alert(tls.FATAL, alert));
    this.state = 'closed';
  }

  /** Ends the session without one. */
  protected hangUp(reason: string): void {
    this.failure = { alert: null, by: 'local', reason };
    this.state = 'closed';
  }

  /** Adds one record to the flight, under the write keys that hold now. */
  protected send(type: number, fragment: Uint8Array, version = tls.TLS12): void {
    this.flight.push(this.writeKeys?.seal(type, fragment) ?? tls.record(type, fragment, version));
  }

  /** Adds a handshake message, in records of its own, and counts it into the transcript. */
  protected sendMessage(m: Uint8Array, version = tls.TLS12): void {
    this.transcript.add(m);
    for (let o = 0; o < m.length; o += tls.MAX_PLAIN) {
      this.send(tls.HANDSHAKE, m.subarray(o, o + tls.MAX_PLAIN), version);
    }
  }

  protected sendChangeCipherSpec(): void {
    this.flight.push(tls.record(tls.CHANGE_CIPHER_SPEC, Uint8Array.of(1)));
  }

  /** The flight so far is one write. */
  protected flush(): void {
    if (this.flight.length > 0) this.wire.push(joined(this.flight));
    this.flight = [];
  }

  /** Reads with other keys from the next record on; false, with an alert, in the middle of a message. */
  protected readWith(keys: TrafficKeys): boolean {
    if (this.messages.partial) {
      this.fail(tls.UNEXPECTED_MESSAGE, 'a handshake message spans a change of keys');
      return false;
    }
    this.readKeys = keys;
    return true;
  }

  /** The secrets after the ServerHello, from the key exchange's. */
  protected handshakeSecrets(shared: Uint8Array): Secrets {
    this.handshakeKey = handshakeSecret(this.suite, shared);
    return this.secrets(this.handshakeKey, 'hs', '_HANDSHAKE_TRAFFIC_SECRET');
  }

  /** The secrets after the server's Finished. */
  protected applicationSecrets(): Secrets {
    const master = masterSecret(this.suite, this.handshakeKey);
    const s = this.secrets(master, 'ap', '_TRAFFIC_SECRET_0');
    this.log('EXPORTER_SECRET', deriveSecret(this.suite, master, 'exp master', this.transcript.hash));
    return s;
  }

  private secrets(from: Uint8Array, what: string, name: string): Secrets {
    const { hash } = this.transcript;
    const client = deriveSecret(this.suite, from, `c ${what} traffic`, hash);
    const server = deriveSecret(this.suite, from, `s ${what} traffic`, hash);
    this.log(`CLIENT${name}`, client);
    this.log(`SERVER${name}`, server);
    return { client, server };
  }

  private log(label: string, secret: Uint8Array): void {
    this.options.keyLog?.(`${label} ${hex(this.clientRandom)} ${hex(secret)}`);
  }

  private taken(): Uint8Array {
    const b = joined(this.flight);
    this.flight = [];
    return b;
  }

  private output(): TlsOutput {
    this.flush();
    const out = { wire: this.wire, plain: joined(this.plain) };
    this.wire = [];
    this.plain = [];
    return out;
  }

  /** What `start` has to send. */
  protected begun(): readonly Uint8Array[] {
    return this.output().wire;
  }
}
