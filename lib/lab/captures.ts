/**
 * The captures of a Lab that runs on podwire's own kernel: a tap on every device that it wants, from the end of the setup on.
 * @module
 */
import { EN10MB, RAW } from '../../wire/pcap.js';
import type { Narrator } from '../capture/narrator.js';
import { CaptureClock, Tap } from '../capture/tap.js';
import type { Kernel } from '../linux/core/kernel.js';
import { ARPHRD_TUNNEL, type Netdev } from '../linux/core/netdev.js';
import { InputError } from '../sim/input-error.js';
import type { Lab } from './lab.js';

export class Captures {
  /** In the order in which their devices came. */
  readonly taps: Tap[] = [];
  private readonly kernel: Kernel;
  private readonly lab: Lab;
  private readonly narrator: Narrator | null;

  constructor(kernel: Kernel, lab: Lab, narrator: Narrator | null) {
    this.kernel = kernel;
    this.lab = lab;
    this.narrator = narrator;
  }

  /** Opens the captures on every device, and on those that appear later. */
  attach(): void {
    const clock = new CaptureClock(this.kernel.skbs.made);
    if (this.narrator !== null) this.narrator.before = clock.before;
    const wanted = this.lab.captures === null ? null : new Set(this.lab.captures);
    const byName = new Map<string, Tap>();
    const open = (dev: Netdev): void => {
      const name = `${dev.net.name}/${dev.name}`;
      const linktype = dev.type === ARPHRD_TUNNEL ? RAW : EN10MB;
      dev.tap = null;
      if (wanted !== null && !wanted.has(name)) return;
      let tap = byName.get(name);
      if (tap === undefined) {
        tap = new Tap(clock, name, linktype, dev.mac);
        byName.set(name, tap);
        this.taps.push(tap);
      } else if (tap.linktype !== linktype) {
        throw new InputError(this.lab.file, 0, 0, `captures: ${name} changed its link layer, expected another name`);
      }
      dev.tap = this.narrator?.listen(tap, dev) ?? tap;
    };
    this.kernel.tracer = this.narrator;
    for (const net of this.kernel.netns.values()) net.devs.forEach(open);
    this.kernel.onDevice = open;
  }

  /** Ends the captures: what programs send as they are killed belongs to no Lab. */
  detach(): void {
    this.kernel.tracer = null;
    this.kernel.onDevice = null;
    for (const net of this.kernel.netns.values()) for (const d of net.devs) d.tap = null;
  }

  /** A capture of a device that never was is a mistake of the Lab. */
  check(): void {
    const { captures, capturePlaces, file } = this.lab;
    const i = captures?.findIndex((name) => !this.taps.some((t) => t.iface === name)) ?? -1;
    if (i < 0) return;
    const { line, column } = capturePlaces[i]!;
    throw new InputError(file, line, column, `captures: there was never a device "${captures![i]}"`);
  }
}
