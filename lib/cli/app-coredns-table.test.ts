/**
 * `podwire app coredns` on real sockets of 127.0.0.1: replies byte for byte as the real CoreDNS's (testdata/kubeadm.txt), and
 * the answers that Node's own resolver (c-ares), dns-packet, dig and glibc's getent get from it.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Answer, decode, encode } from 'dns-packet';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const DATA = 'lib/kube/coredns/testdata';
const MAIN = 'dist/lib/cli/main.js';
const DIG = ['/usr/bin/dig', '/usr/local/bin/dig', '/opt/homebrew/bin/dig'].find((p) => existsSync(p));
const lines = readFileSync(`${DATA}/kubeadm.txt`, 'utf8').trimEnd().split('\n');
const serial = Number(lines.find((l) => l.startsWith('serial '))!.slice(7));

interface Case {
  transport: string;
  query: Buffer;
  reply: Buffer;
  name: string;
  type: string;
  options: string[];
}
/** Names whose replies pass through the cache: their TTLs would depend on how fast the test runs. */
const CACHED = /^(ext|ch\d|_http\._tcp\.ext|x\.ext)/;
const cases: Case[] = lines
  .filter((l) => l.startsWith('query '))
  .map((l) => {
    const [, transport, query, reply, name, type, ...options] = l.split(' ') as [string, string, string, ...string[]];
    return { transport, query: Buffer.from(query, 'hex'), reply: Buffer.from(reply!, 'hex'), name: name!, type: type!, options }; // prettier-ignore
  })
  .filter((c) => /cluster\.local\.$/i.test(c.name) && !CACHED.test(c.name.toLowerCase()) && c.reply.length > 0);

/** What CoreDNS watches: the objects of the observation, the newest of them as old as its SOA serial. */
function manifests(dir: string): string {
  const at = new Date(serial * 1000).toISOString().replace('.000', '');
  const stamp = `---\napiVersion: v1\nkind: Namespace\nmetadata: { name: stamp, creationTimestamp: "${at}" }\n`;
  const file = join(dir, 'objects.yaml');
  writeFileSync(file, readFileSync(`${DATA}/objects.yaml`, 'utf8') + stamp);
  return file;
}

async function serving(use: (port: number) => Promise<void> | void): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'podwire-table-'));
  const probe = createSocket('udp4');
  await new Promise<void>((done) => probe.bind(0, '127.0.0.1', done));
  const { port } = probe.address();
  await new Promise<void>((done) => probe.close(done));
  const args = ['app', 'coredns', '--manifests', manifests(dir), '--corefile', `${DATA}/kubeadm.corefile`];
  const child = spawn(process.execPath, [MAIN, ...args, '--listen', '127.0.0.1', '--port', String(port)], {
    env: { ...process.env, PODWIRE_READY_DIR: dir },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  try {
    for (let i = 0; i < 400 && !readdirSync(dir).includes(String(child.pid)); i++)
      await new Promise((r) => setTimeout(r, 50));
    await use(port);
  } finally {
    child.kill();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** One exchange; null when nothing comes. */
function ask(c: Case, port: number): Promise<Buffer | null> {
  return new Promise((done) => {
    if (c.transport === 'udp') {
      const s = createSocket('udp4');
      const end = (b: Buffer | null): void => {
        clearTimeout(timer);
        s.close();
        done(b);
      };
      const timer = setTimeout(() => end(null), 5000);
      s.on('message', end);
      return s.send(c.query, port, '127.0.0.1');
    }
    const s = connect(port, '127.0.0.1', () => s.write(Buffer.concat([Buffer.of(0, c.query.length), c.query])));
    let got = Buffer.alloc(0);
    s.on('data', (b) => {
      got = Buffer.concat([got, b]);
      if (got.length < 2 || got.length < 2 + got.readUInt16BE(0)) return;
      s.destroy();
      done(got.subarray(2));
    });
  });
}

const App = suite('lib/cli/app-coredns-table');
App('every reply over UDP and TCP is the real one, byte for byte', async () => {
  assert.ok(cases.length >= 150, `${cases.length} cases`);
  await serving(async (port) => {
    for (const c of cases)
      assert.is((await ask(c, port))?.toString('hex'), c.reply.toString('hex'), `${c.transport} ${c.name} ${c.type} ${c.options.join(' ')}`); // prettier-ignore
  });
});

/** Plain questions of one type, once each, with what dns-packet reads from the real reply. */
const plain = [
  ...new Map(
    cases
      .filter((c) => c.options.length === 0 && /^(A|AAAA|SRV|PTR|TXT|SOA|NS|MX|CNAME)$/.test(c.type))
      .map((c) => [`${c.name} ${c.type}`, { ...c, expected: decode(c.reply) }]),
  ).values(),
];

/** Answers as sorted text, the same for what c-ares and what dns-packet return. */
function caresText(type: string, r: unknown): string[] {
  const list = (Array.isArray(r) ? r : [r]) as (string | string[] | Record<string, unknown>)[];
  return list
    .map((x) => {
      if (typeof x === 'string') return x.replace(/\.$/, '');
      if (Array.isArray(x)) return x.join('|');
      const o = x as Record<string, string | number>;
      if (type === 'SRV') return `${o['priority']} ${o['weight']} ${o['port']} ${o['name']}`;
      if (type === 'SOA') return [o['nsname'], o['hostmaster'], o['serial'], o['refresh'], o['retry'], o['expire'], o['minttl']].join(' '); // prettier-ignore
      return JSON.stringify(o);
    })
    .sort();
}
function packetText(type: string, answers: Answer[]): string[] {
  return answers
    .filter((a) => a.type === type)
    .map((a) => {
      const d = (a as { data: unknown }).data;
      if (a.type === 'SRV') return `${a.data.priority} ${a.data.weight} ${a.data.port} ${a.data.target}`;
      if (a.type === 'SOA') return [a.data.mname, a.data.rname, a.data.serial, a.data.refresh, a.data.retry, a.data.expire, a.data.minimum].join(' '); // prettier-ignore
      if (a.type === 'TXT') return (d as Buffer[]).map(String).join('|');
      return String(d);
    })
    .sort();
}

App("Node's own resolver (c-ares) gets the same answers, over TCP when they are truncated", async () => {
  await serving(async (port) => {
    const r = new Resolver({ timeout: 5000, tries: 1 });
    r.setServers([`127.0.0.1:${port}`]);
    for (const { name, type, expected } of plain) {
      const rcode = (expected as unknown as { rcode: string }).rcode;
      let got: string[] | string;
      try {
        got = caresText(type, await r.resolve(name, type));
      } catch (e) {
        got = (e as NodeJS.ErrnoException).code!;
      }
      const answers = (expected.answers ?? []).filter((a) => a.type === type);
      const failed = rcode === 'NXDOMAIN' ? 'ENOTFOUND' : rcode === 'SERVFAIL' ? 'ESERVFAIL' : 'ENODATA';
      if (!expected.flag_tc)
        assert.equal(got, answers.length > 0 ? packetText(type, answers) : failed, `${name} ${type}`);
    }
    assert.is((await r.resolve4('big.web.svc.cluster.local')).length, 40);
    assert.equal(await r.reverse('10.96.12.34'), ['web.web.svc.cluster.local']);
  });
});
App('dns-packet writes the questions and reads the replies', async () => {
  await serving(async (port) => {
    for (const { name, type, expected } of plain) {
      const questions = [{ name: name.replace(/\.$/, ''), type: type as 'A' }];
      const query = encode({ type: 'query', id: expected.id!, flags: 0x100, questions });
      const reply = await ask({ transport: 'udp', query, reply: query, name, type, options: [] }, port);
      assert.equal(decode(reply!), expected, `${name} ${type}`);
    }
  });
});

App('dig prints the same answers', async () => {
  if (DIG === undefined) return console.log('skipped: there is no dig here (Debian: bind9-dnsutils)');
  await serving((port) => {
    for (const { name, type, expected } of plain.filter(
      (c) => /^(A|AAAA|SRV|PTR)$/.test(c.type) && !c.expected.flag_tc,
    )) {
      const args = [
        '@127.0.0.1',
        '-p',
        String(port),
        '+tries=1',
        '+time=5',
        '+noedns',
        '+short',
        '-q',
        name,
        '-t',
        type,
      ];
      const out = spawnSync(DIG, args, { encoding: 'utf8' });
      assert.is(out.status, 0, out.stdout + out.stderr);
      const got = out.stdout.trim().split('\n').filter((l) => l !== '').map((l) => l.replace(/\.$/, '')).sort(); // prettier-ignore
      assert.equal(got, packetText(type, expected.answers ?? []), `${name} ${type}`);
    }
  });
});
App("glibc's getent asks port 53 of a namespace of its own and gets the same answers", () => {
  const dir = mkdtempSync(join(tmpdir(), 'podwire-getent-'));
  try {
    writeFileSync(join(dir, 'resolv.conf'), 'search web.svc.cluster.local svc.cluster.local cluster.local\nnameserver 127.0.0.1\noptions ndots:5\n'); // prettier-ignore
    const serve = `PODWIRE_READY_DIR=${dir} ${process.execPath} ${MAIN} app coredns --manifests ${manifests(dir)} --corefile ${DATA}/kubeadm.corefile --listen 127.0.0.1 --port 53`; // prettier-ignore
    const script = [
      `ip link set lo up && ip addr add 192.0.2.1/32 dev lo && mount --bind ${dir}/resolv.conf /etc/resolv.conf || exit 77`,
      `${serve} & server=$!`,
      `i=0; while [ $i -lt 200 ] && [ ! -e ${dir}/$server ]; do sleep 0.05; i=$((i+1)); done`,
      'getent ahostsv4 web; getent ahostsv4 headless.web; getent hosts 10.96.12.34; getent ahostsv4 nosuch; echo exit $?',
      'getent ahostsv4 big | grep -c STREAM; kill $server',
    ].join('\n');
    const r = spawnSync('unshare', ['-rmn', 'sh', '-c', script], { encoding: 'utf8' });
    if (r.error !== undefined || r.status === 77 || /unshare|not found/.test(r.stderr ?? ''))
      return console.log(`skipped: no namespace of its own for getent here (${r.error?.message ?? r.stderr.trim()})`);
    const out = r.stdout.replace(/ +/g, ' ');
    assert.match(out, /^10\.96\.12\.34 STREAM web\.web\.svc\.cluster\.local$/m, r.stderr);
    assert.match(out, /^10\.244\.2\.1 STREAM headless\.web\.svc\.cluster\.local$/m);
    assert.match(out, /^10\.244\.2\.2 STREAM ?$/m);
    assert.match(out, /^10\.96\.12\.34 web\.web\.svc\.cluster\.local$/m);
    assert.match(out, /^exit 2\n40$/m);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
App.run();
