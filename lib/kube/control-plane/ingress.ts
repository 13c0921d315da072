/**
 * The watches of ingress controllers: what they know of Services, endpoints and rules is rewritten as it changes, and their pods are
 * told by SIGHUP. The real ones wait for more changes before they act (ingress-nginx at most one sync in 3.3 s, Traefik 2 s); here
 * they act at once.
 * @module
 */
import type { KubeObject } from '../api/types.js';
import { podNetns } from '../cni/sandbox.js';
import { INGRESS_OBJECTS, ingressKinds, ingressWatched } from '../ingress/watched.js';
import { isIngress } from '../pod-commands.js';
import { REACTION } from './delays.js';
import type { Emit } from './kubelet.js';
import type { Loop } from './loop.js';

/** Nothing where no pod was an ingress controller when the scenario began. */
export function ingressControllers(loop: Loop, emit: Emit): void {
  const { store } = loop;
  if (loop.scenario.ingressControllers.length === 0 && !store.list('Pod').some(isIngress)) return;
  const kinds = ingressKinds(loop.scenario.ingressControllers);
  const lines = (): string[] => ingressWatched(kinds.flatMap((k): KubeObject[] => store.list(k)));
  let known = lines().join('\n');
  store.watch((e) => {
    if (!(kinds as readonly string[]).includes(e.kind)) return;
    const seen = lines();
    loop.sim.after(REACTION, () => {
      if (seen.join('\n') === known) return;
      known = seen.join('\n');
      const pods = store.list('Pod').filter((p) => p.status.phase === 'Running' && isIngress(p));
      const machines = loop.scenario.ingressControllers.map((c) => c.host).filter((h) => h !== '');
      const netns = [...pods.map((p) => podNetns(p, p.spec.nodeName)), ...machines];
      if (netns.length === 0) return;
      const hup = netns.map((n) => `ip netns pids ${n} | xargs -r kill -HUP`);
      emit('ingress', [`cat > ${INGRESS_OBJECTS} <<'EOF'`, ...seen, 'EOF', ...hup]);
    });
  });
}
