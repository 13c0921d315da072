import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { aton } from '../../../wire/inet.js';
import { hsiphash32 } from './sched-mh.js';

const Mh = suite('lib/linux/ipvs/sched-mh');
Mh('hsiphash32() gives the slots, offsets and skips that the kernel was seen to use', () => {
  const clients = [1, 2, 3, 4, 5, 6, 7, 8].map((i) => hsiphash32(aton(`10.1.0.${i}`)!, 2654435761) % 4093);
  assert.equal(clients, [2470, 1900, 3794, 1107, 1112, 107, 3658, 1239]);
  const servers = [1, 2, 3].map((i) => aton(`10.2.0.${i}`)! + 53);
  assert.equal(servers.map((s) => hsiphash32(s, 2654435761) % 4093), [2456, 1137, 206]); // prettier-ignore
  assert.equal(servers.map((s) => (hsiphash32(s, 2654446892) % 4092) + 1), [2522, 1472, 3030]); // prettier-ignore
});
Mh.run();
