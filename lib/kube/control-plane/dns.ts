/**
 * CoreDNS's watches: what it knows of Services and endpoints is rewritten as it changes, and its pods are told by SIGHUP.
 *
 * The real program's informers change its answers at once; answers in its cache stay until their TTL.
 * @module
 */
import { podNetns } from '../cni/sandbox.js';
import { OBJECTS } from '../pod-commands.js';
import { watched } from '../watched.js';
import type { Emit } from './kubelet.js';
import type { Loop } from './loop.js';

const isCoreDns = (image: string): boolean => /coredns\/coredns(:|$)/.test(image);

export function coreDns(loop: Loop, emit: Emit): void {
  const { store } = loop;
  let known = watched({ services: store.list('Service'), slices: store.list('EndpointSlice') }).join('\n');
  loop.informer(
    (e) => e.kind === 'Service' || e.kind === 'EndpointSlice',
    (seen) => {
      const lines = watched(seen);
      if (lines.join('\n') === known) return;
      known = lines.join('\n');
      const pods = store.list('Pod').filter((p) => p.status.phase === 'Running' && p.spec.containers.some((c) => isCoreDns(c.image))); // prettier-ignore
      const hup = pods.map((p) => `ip netns pids ${podNetns(p, p.spec.nodeName)} | xargs -r kill -HUP`);
      emit('coredns', [`cat > ${OBJECTS} <<'EOF'`, ...lines, 'EOF', ...hup]);
    },
  );
}
