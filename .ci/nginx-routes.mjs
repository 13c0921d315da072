// Asks a real nginx about the column `nginx` of the routing table: its server and location blocks are those that ingress-nginx would
// write, its upstream says which one a request came from and what it was sent. Not asked: redirects to https, which are Lua's.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadManifests } from '../dist/lib/kube/api/manifest.js';
import { nginxModel, nginxRouter } from '../dist/lib/kube/ingress/routes/nginx.js';
import { locationText, targetOf } from '../dist/lib/kube/ingress/routes/nginx-config.js';
import { blocks, manifests } from '../dist/lib/kube/ingress/routes/table.js';

const UPSTREAM = 18600;
const FIRST = 18601;
const dir = mkdtempSync(join(tmpdir(), 'nginx-routes-'));
const table = blocks(readFileSync('lib/kube/ingress/routes/testdata/routes.txt', 'utf8'));
const models = table.map((b) => loadManifests(manifests(b, 'nginx'), 'routes.yaml'));

const quoted = (text) => `"${text.replace(/[\\"]/g, '\\$&')}"`;
const serverName = (host) =>
  host.startsWith('*.') ? `~^(?<subdomain>[\\w-]+)\\.${host.slice(2).replaceAll('.', '\\.')}$` : host;

function locationBlock(l, server) {
  const target = targetOf(l);
  const rewrite = target === '' || target === l.path ? '' : `rewrite ${quoted(`(?i)${l.path}`)} ${target} break;`;
  const name = l.backend?.service ?? 'default-backend';
  return `location ${locationText(l, server)} { port_in_redirect off; ${rewrite} proxy_set_header X-Backend ${name}; proxy_pass http://127.0.0.1:${UPSTREAM}; }`;
}

function serverBlock(s, port) {
  const root = s.locations.map((l) => (l.plain ? '' : (l.from?.anns.appRoot ?? ''))).filter((a) => a !== '');
  const roots = root.map((a) => `if ($uri = /) { return 302 $scheme://$http_host${a}; }`);
  const listen = `listen 127.0.0.1:${port}${s.host === '_' ? ' default_server' : ''};`;
  return `server { ${listen} server_name "${serverName(s.host)}" ${s.aliases.join(' ')}; ${roots.join(' ')}\n${s.locations.map((l) => locationBlock(l, s)).join('\n')} }`;
}

const servers = models.flatMap((objects, i) =>
  [...nginxModel(objects).servers.values()].map((s) => serverBlock(s, FIRST + i)),
);
writeFileSync(
  join(dir, 'nginx.conf'),
  `daemon off; pid ${dir}/pid; error_log ${dir}/error.log; worker_processes 1;
events { worker_connections 512; }
http { access_log off; server_name_in_redirect off; port_in_redirect off; default_type text/plain;
${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((n) => `${n}_temp_path ${dir}/${n};`).join(' ')}
server { listen 127.0.0.1:${UPSTREAM}; location / { return 200 "$http_x_backend $request_uri"; } }
${servers.join('\n')}
}`,
);
const nginx = spawn('nginx', ['-c', join(dir, 'nginx.conf'), '-p', dir, '-e', join(dir, 'error.log')], {
  stdio: ['ignore', 'inherit', 'inherit'],
});

/** The status, Location and body of one request, byte for byte as written. */
const ask = (port, host, target) =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.setEncoding('latin1');
    socket.on('data', (d) => (text += d));
    socket.on('error', reject);
    socket.on('end', () => resolve(text));
    socket.write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`, 'latin1');
  });

function said(text) {
  const status = text.slice(9, 12);
  const location = /\r\nLocation: ([^\r]*)/.exec(text)?.[1];
  if (location !== undefined) return `${status} ${location}`;
  return status === '200' ? text.slice(text.indexOf('\r\n\r\n') + 4) : status;
}

function ours(router, host, target) {
  const r = router.decide({
    method: 'GET',
    target,
    fields: [['Host', host]],
    port: 80,
    tls: false,
    sni: null,
    source: '127.0.0.1',
  });
  if (r.kind === 'redirect') return `${r.status} ${r.location}`;
  if (r.kind === 'answer') return String(r.status);
  return `${r.kind === 'forward' ? r.backends[0].service : 'default-backend'} ${r.target}`;
}

/** Targets of every case: the table's, and more of their kind. */
const MORE = [
  '/',
  '/foo',
  '/foo/',
  '/foo//bar',
  '/a/./b/../c?x=%2F',
  '/%2e%2e/x',
  '/x#y',
  '/a b'.replace(' ', '%20'),
  '/%41%2f%3f%23%25',
  '/"<>\\^`{|}~',
  '/%22%3c%5e',
  '/a?b#c',
  '/..',
  '/a/..',
  '/a/.',
  '/+%2B',
  '/%C3%A9',
  '/api/%22%5E%7C',
  '//',
];

async function judge() {
  for (let i = 0; ; i++) {
    try {
      await ask(UPSTREAM, 'up', '/');
      break;
    } catch (e) {
      if (i > 50 || nginx.exitCode !== null)
        throw new Error(`nginx does not start: ${readFileSync(join(dir, 'error.log'), 'utf8')}`);
      await new Promise((r) => setTimeout(r, 100));
    }
  }
  let [asked, lua, wrong] = [0, 0, 0];
  for (const [i, b] of table.entries()) {
    const router = nginxRouter(models[i]);
    const hosts = [...new Set([...b.requests.map((q) => q.host), 'nobody.example'])];
    const cases = [
      ...b.requests.filter((q) => !q.tls).map((q) => [q.host, q.target]),
      ...hosts.flatMap((h) => MORE.map((t) => [h, t])),
    ];
    for (const [host, target] of cases) {
      const expected = ours(router, host, target);
      if (expected.startsWith('308 ')) {
        lua++;
        continue;
      }
      const found = said(await ask(FIRST + i, host, target));
      asked++;
      // Where it listens is no part of what the table says.
      if (found.replace(`:${FIRST + i}`, '') === expected) continue;
      wrong++;
      console.error(`${b.title}: ${host} ${target}: nginx ${found}, podwire ${expected}`);
    }
  }
  console.log(`nginx: ${asked} requests answered as podwire says, ${lua} not asked (Lua), ${wrong} otherwise`);
  return wrong;
}

try {
  process.exitCode = (await judge()) === 0 ? 0 : 1;
} finally {
  // It takes its own files away as it ends.
  if (nginx.kill()) await once(nginx, 'exit');
  rmSync(dir, { recursive: true, force: true });
}
