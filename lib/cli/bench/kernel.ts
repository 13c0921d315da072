/**
 * The kernel of this machine with the bench's cluster in network namespaces: the same command lines that podwire executes, run
 * by bash, and datagrams sent and received by Perl. A mount and a network namespace of its own keep the machine's apart.
 * @module
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';

/** What one round of the kernel gave. */
export interface KernelRound {
  /** Datagrams that arrived, and the seconds from the first to the last one sent. */
  got: number;
  seconds: number;
  /** CPU seconds of the sender meanwhile, in whose calls the kernel carries the packets; none of its receiver and tcpdumps. */
  cpuSeconds: number;
  /** Frames that the tcpdumps wrote, and those they lost. */
  frames: number;
  lost: number;
}

export interface KernelTraffic {
  client: string;
  server: string;
  /** `address port` that the client sends to, the port the server listens to. */
  to: string;
  port: number;
  flows: 'known' | 'new';
  packets: number;
}

/** Echoes one datagram of each peer's first, counts the others, ends after a second of silence. */
const RECEIVER = `use strict; use Socket; use Time::HiRes qw(time);
my ($port) = @ARGV;
socket(my $s, PF_INET, SOCK_DGRAM, 0) or die; setsockopt($s, SOL_SOCKET, 33, pack('i', 1 << 28));
bind($s, sockaddr_in($port, INADDR_ANY)) or die "bind: $!";
alarm(120); $| = 1; print "ready\\n"; my ($n, $b) = (0);
while (1) {
  my $p = recv($s, $b, 64, 0); last unless defined $p;
  if (substr($b, 0, 1) eq 'h') { send($s, 'h', 0, $p); next }
  if (substr($b, 0, 1) eq 'q') { last }
  $n++;
}
print "got $n\\n";
`;

/** Sends datagrams of 22 bytes over one socket that has had an answer, or over one of their own each. */
const SENDER = `use strict; use Socket; use Time::HiRes qw(time);
my ($host, $port, $n, $flows, $first) = @ARGV;
my $to = sockaddr_in($port, inet_aton($host)); my $data = 'd' x 22;
sub open1 { my ($p) = @_; socket(my $s, PF_INET, SOCK_DGRAM, 0) or die "socket: $!";
  bind($s, sockaddr_in($p, INADDR_ANY)) or die "bind: $!"; connect($s, $to) or die "connect: $!"; return $s }
sub cpu { open(my $f, '<', '/proc/self/schedstat') or die; return (split ' ', <$f>)[0] / 1e9 }
my $s = open1(1023); send($s, 'h' x 22, 0); my $b; recv($s, $b, 64, 0);
my ($t, $c);
if ($flows eq 'known') { $c = cpu(); $t = time; for (my $i = 0; $i < $n; $i++) { send($s, $data, 0) } $t = time - $t; $c = cpu() - $c }
else { my @s = map { open1($first + $_) } 0 .. $n - 1; $c = cpu(); $t = time; send($_, $data, 0) for @s; $t = time - $t; $c = cpu() - $c }
select(undef, undef, undef, 0.3);
for (1 .. 3) { send($s, 'q', 0) } print "seconds $t\\ncpu $c\\n";
`;

/** Lines that wait until a program in the background has written a word to a file; one that ends before is an error. */
const ready = (word: string, file: string, pid: string): string =>
  `until grep -q ${word} ${file}; do kill -0 ${pid} 2> /dev/null || { cat ${file}; exit 1; }; sleep 0.05; done`;

export class KernelCluster {
  private readonly bash: ChildProcessWithoutNullStreams;
  private readonly lines: AsyncIterator<string>;
  private readonly reader: Interface;
  private readonly dir: string;
  private port = 1024;
  private failed = '';

  /** `dir` gets the programs and the captures. */
  constructor(dir: string) {
    this.dir = dir;
    const bin = join(dir, 'bin');
    mkdirSync(bin, { recursive: true });
    // The Labs mean the legacy programs, as the recorder does.
    for (const n of ['iptables', 'iptables-restore', 'iptables-save']) {
      symlinkSync('/usr/sbin/xtables-legacy-multi', join(bin, n));
    }
    writeFileSync(join(dir, 'recv.pl'), RECEIVER);
    writeFileSync(join(dir, 'send.pl'), SENDER);
    const env = { ...process.env, PATH: `${bin}:${process.env['PATH'] ?? ''}` };
    this.bash = spawn('unshare', ['--mount', '--net', 'bash'], { env });
    this.bash.stderr.on('data', (d: Buffer) => (this.failed = `${this.failed}${d.toString()}`.slice(-2000)));
    this.bash.stdin.on('error', () => {}); // it has ended, and `run` says why
    this.reader = createInterface({ input: this.bash.stdout });
    this.lines = this.reader[Symbol.asyncIterator]();
  }

  /** Runs lines of bash; what they print up to the end of the last one. Throws Error when that fails. */
  private async run(script: string): Promise<string[]> {
    this.bash.stdin.write(`${script}\necho "done $?"\n`);
    const out: string[] = [];
    for (;;) {
      const { value, done } = await this.lines.next();
      if (done === true) throw new Error(`bench: the kernel's shell ended: ${out.at(-1) ?? this.failed}`);
      const line = value as string;
      if (line === 'done 0') return out;
      if (/^done \d+$/.test(line)) throw new Error(`bench: on the kernel: ${this.failed.trim()}`);
      out.push(line);
    }
  }

  /** Sets the cluster up by the lines of a Lab's setup. */
  async setup(lines: string): Promise<void> {
    await this.run(
      'mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && ulimit -n $(ulimit -Hn) && ip link set lo up',
    );
    await this.run(`( set -e\n${lines}\n) > /dev/null`);
    await this.run('sleep 1');
  }

  /** Every device of the cluster but lo, as `netns dev`. */
  async devices(): Promise<[string, string][]> {
    const out = await this.run(
      `for n in $(ip netns list | cut -d' ' -f1); do for d in $(ip netns exec $n ls /sys/class/net); do echo "$n $d"; done; done`,
    );
    return out.map((l) => l.split(' ') as [string, string]).filter(([, d]) => d !== 'lo' && d !== 'bonding_masters');
  }

  /** One round; `taps`: the devices that a tcpdump listens to. */
  async round(t: KernelTraffic, taps: readonly (readonly [string, string])[]): Promise<KernelRound> {
    const { dir } = this;
    const dump = taps.map(([n, d], i) =>
      `ip netns exec ${n} tcpdump -p -n -Z root -B 131072 -i ${d} -w ${dir}/${n}-${d}.pcap 2> ${dir}/tcpdump.${i} & T${i}=$!; P="$P $!"`); // prettier-ignore
    const listening = taps.map((_, i) => ready('listening', `${dir}/tcpdump.${i}`, `$T${i}`));
    if (t.flows === 'new' && this.port + t.packets > 65000) this.port = 1024;
    const out = await this.run(
      [
        'P=""',
        ...dump,
        ...listening,
        `ip netns exec ${t.server} perl ${dir}/recv.pl ${t.port} > ${dir}/recv.out 2>&1 & R=$!`,
        ready('ready', `${dir}/recv.out`, '$R'),
        `ip netns exec ${t.client} perl ${dir}/send.pl ${t.to} ${t.packets} ${t.flows} ${this.port} || kill $R`,
        `wait $R; cat ${dir}/recv.out`,
        ...(taps.length > 0
          ? ['sleep 1; kill -INT $P; wait $P; true', `cat ${dir}/tcpdump.*; rm ${dir}/tcpdump.*`]
          : []),
      ].join('\n'),
    );
    if (t.flows === 'new') this.port += t.packets;
    const total = (r: RegExp): number => out.reduce((n, l) => n + Number(r.exec(l)?.[1] ?? 0), 0);
    return { got: total(/^got (\d+)/), seconds: total(/^seconds ([\d.e-]+)/), cpuSeconds: total(/^cpu ([\d.e-]+)/), frames: total(/^(\d+) packets? captured/), lost: total(/^(\d+) packets? dropped by kernel/) }; // prettier-ignore
  }

  /** Ends the shell, and with it the namespaces. */
  close(): void {
    this.reader.close();
    this.bash.stdin.end('exit\n');
  }
}
