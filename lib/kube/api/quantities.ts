/**
 * Resources of containers: not read further (nodes have no capacities here), but named as the API server wants them.
 * @module
 */
import type { At } from './at.js';
import { invalid } from './field-error.js';

const STANDARD = /^(cpu|memory|storage|ephemeral-storage|hugepages-.+|requests\..+|limits\..+)$/;
const OF_CONTAINERS = /^(cpu|memory|ephemeral-storage|hugepages-.+)$/;

/** ValidateResourceRequirements, of names; the decoder has read the quantities. Throws InputError. */
export function resources(at: At | null): void {
  for (const key of ['limits', 'requests']) {
    for (const e of at?.opt(key)?.entries() ?? []) {
      if (!STANDARD.test(e.key) && !e.key.includes('/'))
        invalid(
          e.keyAt.called(at!.req(key).path + `[${e.key}]`),
          'must be a standard resource type or fully qualified',
          e.key,
        );
      if (!OF_CONTAINERS.test(e.key) && !e.key.includes('/'))
        invalid(e.keyAt.called(at!.req(key).path + `[${e.key}]`), 'must be a standard resource for containers', e.key);
      const v = String(e.at.plain());
      if (v.startsWith('-'))
        invalid(e.at.called(at!.req(key).path + `[${e.key}]`), 'must be greater than or equal to 0', v);
      if (e.key.includes('/') && /[.mun]/.test(v))
        invalid(e.at.called(at!.req(key).path + `[${e.key}]`), 'must be an integer', v);
    }
  }
}
