/** The table of testdata/routes.txt: every case over all controllers, every difference with its reason. */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadManifests } from '../../api/manifest.js';
import type { KubeObject } from '../../api/types.js';
import type { Route, Router, RouteRequest } from '../types.js';
import { albRouter } from './alb.js';
import { istioRouter } from './istio.js';
import { nginxRouter } from './nginx.js';
import { blocks, CONTROLLERS, type Block, type Controller, manifests } from './table.js';
import { traefikRouter } from './traefik.js';

const ROUTERS: Record<Controller, (objects: KubeObject[]) => Router> = {
  nginx: (o) => nginxRouter(o),
  traefik: (o) => traefikRouter(o),
  alb: (o) => albRouter(o),
  istio: (o) => istioRouter(o),
  vs: (o) => istioRouter(o),
};

function outcome(route: Route, router: Router, target: string): string {
  if (route.kind === 'redirect') return `${route.status} ${route.location}`;
  if (route.kind === 'answer') return String(route.status);
  if (route.kind === 'default-backend') return '404';
  const [b] = route.backends;
  if (router.upstreams(b!).length === 0) return '503';
  return b!.service + (route.target === target ? '' : ` ${route.target}`);
}

const request = (host: string, target: string, tls: boolean): RouteRequest => ({
  method: 'GET',
  target,
  fields: [['Host', host]],
  port: tls ? 443 : 80,
  tls,
  sni: tls ? host : null,
  source: '203.0.113.50',
});

/** What is wrong with one block, a line each. */
function judge(block: Block): string[] {
  const wrong: string[] = [];
  for (const c of CONTROLLERS) {
    const router = ROUTERS[c](loadManifests(manifests(block, c), 'routes.yaml'));
    for (const q of block.requests) {
      const expected = q.differences.get(c)?.outcome ?? q.outcome;
      const found = outcome(router.decide(request(q.host, q.target, q.tls)), router, q.target);
      if (found !== expected) wrong.push(`line ${q.line}: ${q.host} ${q.target}: ${c}: found ${found}, expected ${expected}`); // prettier-ignore
      if (q.differences.get(c)?.outcome === q.outcome) wrong.push(`line ${q.line}: ${c} does not differ`);
    }
  }
  return wrong;
}

const Cases = suite('lib/kube/ingress/routes/cases');
const all = blocks(readFileSync('lib/kube/ingress/routes/testdata/routes.txt', 'utf8'));
for (const block of all) Cases(block.title, () => assert.equal(judge(block), []));
Cases('there are more than 150 of them, and every difference has its reason', () => {
  const requests = all.flatMap((b) => b.requests);
  console.log(`lib/kube/ingress/routes: ${requests.length} cases, ${requests.length * CONTROLLERS.length} decisions`);
  assert.ok(requests.length >= 150);
  for (const q of requests) for (const d of q.differences.values()) assert.ok(d.reason.length > 5, `line ${q.line}`);
});
Cases.run();
