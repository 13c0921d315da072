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
  const line =
    '(s) {\n  any\n}\na.b,\nc.d:54\n{\n  import s\n  bind 127.0.0.1\n  rewrite stop {\n    name a b\n  }\n}\n';
  const { blocks } = parseCorefile(line, 'f');
  assert.equal([blocks.length, blocks[0]!.any, blocks[0]!.rewrite.length], [1, true, 1]);
  assert.equal(blocks[0]!.keys, [{ zone: 'a.b.', port: 53 }, { zone: 'c.d.', port: 54 }]); // prettier-ignore
  assert.is(inside('loadbalance round_robin'), 'no error');
});
Corefile('parseCorefile() refuses what it does not emulate, with its place', () => {
  const cases: [string, RegExp][] = [
    ['dnssec', /^f:2:3: plugin 'dnssec' is not emulated/],
    ['nosuch', /^f:2:3: Unknown directive 'nosuch'/],
    ['autopath', /^f:2:3: plugin\/autopath: no resolv-conf specified/],
    ['loadbalance weighted f', /^f:2:15: plugin\/loadbalance: policy weighted is not emulated/],
    ['loadbalance best', /^f:2:15: plugin\/loadbalance: unknown policy: best/],
    ['kubernetes a {\n    nope x\n  }', /^f:3:5: plugin\/kubernetes: unknown property 'nope'/],
    ['kubernetes a {\n    pods all\n  }', /^f:3:10: plugin\/kubernetes: wrong value for pods: all, {2}must be one of/],
    ['kubernetes a {\n    ttl 3601\n  }', /^f:3:9: plugin\/kubernetes: ttl must be in range \[0, 3600\]: 3601/],
    [
      'kubernetes a {\n    ttl\n  }',
      /^f:3:5: plugin\/kubernetes: Wrong argument count or unexpected line ending after 'ttl'/,
    ],
    ['kubernetes a\n  kubernetes b', /^f:3:3: plugin\/kubernetes: this plugin can only be used once per Server Block/],
    ['kubernetes 10.in-addr.arpa', /^f:2:3: plugin\/kubernetes: non-reverse zone name must be used/],
    ['cache 0', /^f:2:9: plugin\/cache: cache TTL can not be zero or negative: 0/],
    ['forward .', /^f:2:11: plugin\/forward: Wrong argument count or unexpected line ending after '\.'/],
    ['forward . tls://1.1.1.1', /^f:2:13: plugin\/forward: found upstream 'tls:\/\/1.1.1.1', expected an IPv4 address/],
    ['forward . 1.1.1.1 {\n    policy best\n  }', /^f:3:12: plugin\/forward: unknown policy 'best'/],
    ['forward . 1.1.1.1 {\n    expire 5\n  }', /^f:3:12: plugin\/forward: time: missing unit in duration "5"/],
    ['forward . nope', /^f:2:13: plugin\/forward: not an IP address or file: "nope"/],
    [
      'forward . 1.1.1.1 {\n    max_fails x\n  }',
      /^f:3:15: plugin\/forward: strconv.ParseUint: parsing "x": invalid syntax/,
    ],
    ['hosts {\n    reload x\n  }', /^f:3:12: plugin\/hosts: invalid duration for reload 'x'/],
    ['rewrite name a', /^f:2:11: plugin\/rewrite: too few arguments for a name rule/],
    ['rewrite name regex (a b', /^f:2:22: plugin\/rewrite: invalid regex matching pattern: \(a/],
    [
      'rewrite name regex (a) {1}.{2}.x',
      /^f:2:26: plugin\/rewrite: the rewrite regex pattern \(\{1\}\.\{2\}\.x\) uses more/,
    ],
    ['rewrite edns0 local set 0xffee x', /^f:2:11: plugin\/rewrite: rules of type edns0 are not emulated/],
    ['template IN A x {\n    answer "{{ .Name "\n  }', /^f:3:12: plugin\/template: could not compile template/],
    ['template IN A x {\n    answer "{{ range .Match }}{{ end }}"\n  }', /^f:3:12: .*'range' is not emulated/],
    [
      'template IN A x {\n    match [a\n  }',
      /^f:3:11: plugin\/template: could not parse regex: \[a, error parsing regexp: missing closing \]: `\[a`/,
    ],
    ['hosts {\n    ttl x\n  }', /^f:3:9: plugin\/hosts: ttl needs a number of second/],
    [
      'acl {\n    deny\n  }',
      /^f:3:5: plugin\/acl: unexpected token "deny"; expect 'allow', 'block', 'filter' or 'drop'/,
    ],
    ['reload 1s', /^f:2:10: plugin\/reload: interval value must be greater or equal to 2s/],
    ['bufsize 100', /^f:2:11: plugin\/bufsize: Wrong argument count/],
    ['log {$X}', /^f:2:7: found '\{\$X\}' \(an environment variable\)/],
    ['template IN constructor', /^f:2:15: plugin\/template: invalid RR class constructor/],
    ['template __proto__ A', /^f:2:12: plugin\/template: invalid query class __proto__/],
    ['acl {\n    block type toString\n  }', /^f:3:16: plugin\/acl: unexpected token "toString"; expect legal QTYPE/],
    ['header {\n    response set constructor\n  }', /^f:3:18: .*unknown\/unsupported flag=constructor/],
    ['hosts {\n    reload 1ns\n  }', /^f:3:12: plugin\/hosts: found '1ns', expected 0s or at least 1ms/],
    ['forward . 1.1.1.1 {\n    health_check 1us\n  }', /^f:3:18: plugin\/forward: found '1us', expected 0s or at/],
    ['import x', /^f:2:10: File to import not found: x/],
    ['errors { log }', /^f:2:10: found '\{' within a line/],
    ['log "a', /^f:2:7: found no end of the quotation/],
  ];
  for (const [line, expected] of cases) assert.match(inside(line), expected, line);
  const laughs = 'abcdefgh'.replace(/./g, (c) => `(${c}) {\n${`import ${String.fromCharCode(c.charCodeAt(0) + 1)}\n`.repeat(50)}}\n`); // prettier-ignore
  assert.match(failure(`${laughs}(i) {\nlog\n}\n.:53 {\nimport a\n}\n`), /found more than 100000 lines by imports/);
  assert.match(failure(''), /^f:1:1: found no server block/);
  assert.match(failure('.:53 {\n'), /^f:1:6: Unexpected EOF/);
  assert.match(failure('}\n'), /^f:1:1: Unexpected '}' because no matching opening brace/);
  assert.match(failure('tls://a {\n}\n'), /^f:1:1: found 'tls:\/\/a'/);
});
Corefile.run();
