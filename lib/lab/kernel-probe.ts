/**
 * `podwire app probe` inside User-Mode Linux, in Perl: Node takes seconds to start there, and a load balancer has one for
 * every node. It makes the system calls that lib/apps/probe.ts makes.
 * @module
 */
import { CLOCK } from './kernel-clock.js';

/** Arguments as probeArgs reads them. */
export const PROBE = `#!/usr/bin/perl
use strict;
use warnings;
use Socket;
use Errno;
use Fcntl;

my $line = join ' ', @ARGV;
sub bad { print STDERR "podwire: app probe: found \\"$line\\"\\n"; exit 2 }
my (%o, @up, @down);
while (@ARGV) {
  if ($ARGV[0] eq '--close') { $o{close} = shift; next }
  my ($name, $value) = (shift, shift // bad());
  if ($name eq '--up') { push @up, $value }
  elsif ($name eq '--down') { push @down, $value }
  elsif ($name =~ /^--(http|tcp|interval|timeout|healthy|unhealthy|delay|agent)$/ && !exists $o{$1}) { $o{$1} = $value }
  else { bad() }
}
my ($addr, $port, $path) = ($o{http} // $o{tcp} // '') =~ m{^([0-9.]+):([0-9]+)(/.*)?$} or bad();
my $agent = defined $o{agent} ? "User-Agent: $o{agent}\\r\\n" : '';
my $request = defined $path ? "GET $path HTTP/1.1\\r\\nHost: $addr:$port\\r\\n" . ($o{close} ? "Connection: close\\r\\n" : '') . "$agent\\r\\n" : undef;
bad() unless $o{interval} && $o{timeout};

${CLOCK}
sub attempt {
  my $deadline = now() + $o{timeout};
  socket(my $s, PF_INET, SOCK_STREAM, 0) or return 0;
  fcntl($s, F_SETFL, O_NONBLOCK);
  connect($s, sockaddr_in($port, inet_aton($addr))) or $!{EINPROGRESS} or return 0;
  my ($open, $head) = (0, '');
  for (;;) {
    my ($r, $w) = ('', '');
    vec($open ? $r : $w, fileno($s), 1) = 1;
    my $left = $deadline - now();
    return 0 if $left <= 0 || select($r, $w, undef, $left) <= 0;
    if (!$open) {
      return 0 if unpack('l', getsockopt($s, SOL_SOCKET, SO_ERROR));
      return 1 unless defined $request;
      $open = 1;
      syswrite($s, $request);
      next;
    }
    my $n = sysread($s, $head, 65536, length $head);
    return 0 unless defined $n;
    my ($h, $length) = $head =~ /^(.*?\\r\\n)\\r\\n/s ? (length($1) + 2, $1 =~ /^content-length: *([0-9]+)\\r$/im) : ();
    my $whole = !$o{close} && defined $length && length $head >= $h + $length;
    return $head =~ m{^HTTP/1\\.[01] 200 } ? 1 : 0 if $n == 0 || $whole || length $head > 65536;
  }
}
$SIG{PIPE} = 'IGNORE';
my ($at, $healthy, $streak) = (begin() + ($o{delay} // 0), 0, 0);
for (;;) {
  my $wait = $at - now();
  select(undef, undef, undef, $wait) if $wait > 0;
  $at += $o{interval};
  my $good = attempt();
  $streak = $good == $healthy ? 0 : $streak + 1;
  next if $streak < ($good ? $o{healthy} // 1 : $o{unhealthy} // 1);
  $streak = 0;
  $healthy = $good;
  system(split ' ', $_) for $good ? @up : @down;
}
`;
