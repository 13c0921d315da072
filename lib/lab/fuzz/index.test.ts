/** What a chain's index leaves out changes nothing: random Labs with indexes for every chain and with none. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hex } from '../../../wire/bytes.js';
import { Narrator } from '../../capture/narrator.js';
import type { Tap } from '../../capture/tap.js';
import type { Kernel } from '../../linux/core/kernel.js';
import type { Netns } from '../../linux/core/netns.js';
import { runLab } from '../engine.js';
import { parseLab } from '../lab.js';
import { fuzzLab, fuzzText } from './fuzz-lab.js';

class Notes extends Narrator {
  readonly lines: string[] = [];

  protected override note(id: number, net: Netns, dev: string | null, text: string): void {
    this.lines.push(`${id} ${net.name}/${dev ?? ''} ${text}`);
  }

  protected override frame(tap: Tap, _i: number, _net: Netns, id: number, bytes: Uint8Array, direction: 1 | 2): void {
    this.lines.push(`${id} ${tap.iface} ${direction} ${hex(bytes)}`);
  }
}

const tables = (k: Kernel) => [...k.netns.values()].flatMap((n) => n.xt?.loaded ?? []);

/** Everything that a Lab shows: decisions and frames in their order, what steps print (counters among it), rules visited. */
function shown(seed: number, indexFrom: number): { text: string; chains: number } {
  const lab = parseLab(fuzzText(fuzzLab(seed)), `seed ${seed}`);
  const narrator = new Notes();
  let chains = 0;
  const run = runLab(lab, {
    narrator,
    onReady: (k) => {
      for (const t of tables(k)) {
        t.indexFrom = indexFrom;
        for (const c of t.chains.values()) {
          c.least = 1;
          if (c.rules.length >= indexFrom && c.indexed().classes.length > 0) chains++;
        }
      }
    },
  });
  const visited = tables(run.kernel).map((t) => `${t.net.name} ${t.name} visited ${t.visited}`);
  const steps = run.steps.map((s) => JSON.stringify(s));
  return { text: [...narrator.lines, ...steps, ...visited].join('\n'), chains };
}

const Index = suite('lab/fuzz/index');
Index('random Labs show the same with an index for every chain as without any', () => {
  let chains = 0;
  for (let seed = 1; seed <= 150; seed++) {
    const indexed = shown(seed, 1);
    assert.fixture(indexed.text, shown(seed, Number.POSITIVE_INFINITY).text, `seed ${seed}`);
    chains += indexed.chains;
  }
  assert.ok(chains > 200, `only ${chains} chains had an index`);
});
Index.run();
