/**
 * What the real kube-proxy 1.34.3 does, byte for byte, over made-up clusters that change.
 *
 * testdata/observed.jsonl was observed: each mode's proxier ran with its own fakes of iptables, ipset, IPVS and netlink; its
 * maps were walked in sorted order. A line is one call as a command, the input of iptables-restore whole, `health SERVICE
 * PORT COUNT` a health check server, `gone DESTINATION ENDPOINT` a conntrack entry that was deleted out of `flows`. The
 * cases hold every shape of line that 4000 such clusters (16584 steps) had; all of them were compared.
 */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { documents } from '../api/at.js';
import { loadManifests } from '../api/manifest.js';
import type { EndpointSlice, Service } from '../api/types.js';
import { type Connections, KubeProxy, parseKubeProxyConfig } from './index.js';

interface Case {
  config: object;
  addresses: string[];
  zone: string;
  steps: {
    objects?: object[];
    /** `SERVER DEST` to a number of connections. */
    connections?: Record<string, number>;
    /** `PROTOCOL DESTINATION ENDPOINT` */
    flows?: string[];
    minute?: true;
    observed: string;
  }[];
}

const cases = readFileSync('lib/kube/kube-proxy/testdata/observed.jsonl', 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Case);

/** Which entries the `conntrack -D` commands among `lines` delete. */
function gone(lines: string[], flows: string[]): string[] {
  const deletes = lines.flatMap((l) => {
    const m = /^conntrack -D -p udp (?:--orig-dst (\S+) )?--orig-port-dst (\S+) --reply-src (\S+) --reply-port-src (\S+)$/.exec(l); // prettier-ignore
    return m === null ? [] : [m];
  });
  return flows.flatMap((f) => {
    const [protocol, dst, endpoint] = f.split(' ') as [string, string, string];
    const hit = deletes.some(
      (m) => dst === `${m[1] ?? dst.split(':')[0]!}:${m[2]!}` && endpoint === `${m[3]!}:${m[4]!}`,
    );
    return protocol === '17' && hit ? [`gone ${dst} ${endpoint}`] : [];
  });
}

function replay(c: Case): void {
  const config = parseKubeProxyConfig(documents(JSON.stringify(c.config), 'config.yaml')[0]!);
  const proxy = new KubeProxy(config, '');
  const node = { name: 'node1', addresses: c.addresses, podCIDR: '10.0.1.0/24', zone: c.zone };
  c.steps.forEach((step, i) => {
    const connections: Connections = (server, dest) => step.connections?.[`${server} ${dest}`] ?? 0;
    let lines: string[];
    if (step.minute === true) lines = proxy.drain(connections);
    else {
      const text = step.objects!.map((o) => JSON.stringify(o)).join('\n---\n');
      const objects = loadManifests(text, 'objects.yaml');
      const services = objects.filter((o): o is Service => o.kind === 'Service');
      const slices = objects.filter((o): o is EndpointSlice => o.kind === 'EndpointSlice');
      const all = proxy.sync({ node, services, slices }, 0, connections);
      // The fakes have no canary chains and no sysctls.
      lines = all.filter((l) => !/^(sysctl|conntrack) | KUBE-PROXY-CANARY /.test(l));
      if (all.length > 0)
        lines.push(...proxy.healthChecks.map((h) => `health ${h.namespace}/${h.name} ${h.port} ${h.endpoints}`));
      lines.push(...gone(all, step.flows ?? []));
    }
    assert.fixture(lines.map((l) => `${l}\n`).join(''), step.observed, `${JSON.stringify(c.config)} step ${i}`);
  });
}

const Observed = suite('lib/kube/kube-proxy/observed');
Observed('each sync writes what kube-proxy wrote', () => {
  assert.ok(cases.length > 30);
  for (const c of cases) replay(c);
});
Observed.run();
