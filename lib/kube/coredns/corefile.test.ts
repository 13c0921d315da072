import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InputError } from '../../sim/input-error.js';
import { KUBEADM_COREFILE, NO_EFFECT, parseCorefile } from './corefile.js';

const failure = (text: string): string => {
  try {
    parseCorefile(text, 'f');
  } catch (e) {
    if (e instanceof InputError) return e.message;
    throw e;
  }
  return 'no error';
};
const inside = (line: string): string => failure(`.:53 {\n  ${line}\n}\n`);

const Corefile = suite('lib/kube/coredns/corefile');
Corefile("parseCorefile() reads kubeadm's", () => {
  const { port, blocks } = parseCorefile(KUBEADM_COREFILE, 'f');
  const b = blocks[0]!;
  assert.equal([port, blocks.length, b.zones], [53, 1, ['.']]);
  assert.equal(b.kubernetes!.zones, ['cluster.local.', 'in-addr.arpa.', 'ip6.arpa.']);
  assert.equal([b.kubernetes!.pods, b.kubernetes!.ttl], ['insecure', 30]);
  assert.equal(b.cache!.success, { capacity: 10000, max: 30, min: 5, except: ['cluster.local.'] });
  assert.equal(b.cache!.denial, { capacity: 10000, max: 30, min: 5, except: ['cluster.local.'] });
  assert.equal([b.forward[0]!.to, b.forward[0]!.maxConcurrent], [['/etc/resolv.conf'], 1000]);
});
Corefile('parseCorefile() reads stub domains, comments, quotes, several zones and networks', () => {
  const text = `# comment
consul.local:53, "b.example" { # opened
  errors
  forward . 10.1.2.3:5353 10.1.2.4 { policy
  }
}
10.96.0.0/15 {
}
`.replace('{ policy\n', '{\n    policy sequential # why\n    expire 1m30s\n');
  const { blocks } = parseCorefile(text, 'f');
  assert.equal(blocks.map((b) => b.zones), [['consul.local.', 'b.example.'], ['96.10.in-addr.arpa.', '97.10.in-addr.arpa.']]); // prettier-ignore
  assert.equal(blocks[0]!.forward[0]!.to, [{ address: 0x0a010203, port: 5353 }, { address: 0x0a010204, port: 53 }]); // prettier-ignore
  assert.equal([blocks[0]!.forward[0]!.policy, blocks[0]!.forward[0]!.expire], ['sequential', 90e9]);
});
Corefile('parseCorefile() takes plugins that change no message, whatever they say', () => {
  for (const p of Object.keys(NO_EFFECT)) assert.is(inside(`${p} x {\n    y z\n  }`), 'no error', p);
  assert.is(inside('loadbalance round_robin'), 'no error');
});
Corefile('parseCorefile() refuses what it does not emulate, with its place', () => {
  const cases: [string, RegExp][] = [
    ['rewrite name a b', /^f:2:3: plugin 'rewrite' is not emulated, expected one of: cache/],
    ['autopath @kubernetes', /^f:2:3: plugin 'autopath'/],
    ['loadbalance weighted', /^f:2:15: found loadbalance weighted/],
    ['kubernetes a {\n    labels x\n  }', /^f:3:5: option 'labels' of kubernetes is not emulated/],
    ['kubernetes a {\n    pods all\n  }', /^f:3:10: found pods 'all', expected disabled/],
    ['kubernetes a {\n    ttl 3601\n  }', /^f:3:9: found '3601', expected a number from 0 to 3600/],
    ['kubernetes a {\n    ttl\n  }', /^f:3:5: found 0 arguments of 'ttl', expected 1/],
    ['kubernetes a\n  kubernetes b', /^f:3:3: found plugin 'kubernetes' twice/],
    ['cache 0', /^f:2:9: found '0', expected a number from 1/],
    ['cache {\n    prefetch 10\n  }', /^f:3:5: option 'prefetch' of cache is not emulated/],
    ['cache {\n    serve_stale\n  }', /^f:3:5: option 'serve_stale'/],
    ['forward .', /^f:2:3: found 1 arguments of 'forward', expected 2/],
    ['forward . tls://1.1.1.1', /^f:2:13: found upstream 'tls:\/\/1.1.1.1', expected an IPv4 address/],
    ['forward . 1.1.1.1 {\n    prefer_udp\n  }', /^f:3:5: option 'prefer_udp' of forward/],
    ['forward . 1.1.1.1 {\n    policy best\n  }', /^f:3:12: found policy 'best'/],
    ['forward . 1.1.1.1 {\n    expire 5\n  }', /^f:3:12: found '5', expected a duration like 5s/],
    ['log {$X}', /^f:2:7: found '{\$X}' \(an environment variable\)/],
    ['import x', /^f:2:3: found 'import'/],
    ['errors { log }', /^f:2:10: found '{' within a line/],
    ['log "a', /^f:2:7: found no end of the quotation/],
  ];
  for (const [line, expected] of cases) assert.match(inside(line), expected, line);
  assert.match(failure(''), /^f:1:1: found no server block/);
  assert.match(failure('.:53 {\n'), /^f:1:6: found no '}'/);
  assert.match(failure('}\n'), /^f:1:1: found '}' without a block/);
  assert.match(failure('a {\n}\na {\n}\n'), /^f:3:1: found zone a. twice/);
  assert.match(failure('a:53 {\n}\nb:54 {\n}\n'), /^f:3:1: found port 54 beside 53/);
  assert.match(failure('tls://a {\n}\n'), /^f:1:1: found 'tls:\/\/a'/);
});
Corefile.run();
