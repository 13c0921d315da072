/**
 * `podwire app echo` inside User-Mode Linux, in Perl: Node takes seconds to start there, and a Lab may have many servers.
 * It makes the system calls that lib/cli/app-echo.ts makes.
 * @module
 */

/** Arguments: `--udp PORT` or `--tcp PORT`. Tells that it is ready with a file in PODWIRE_READY_DIR. */
export const ECHO = `#!/usr/bin/perl
use strict;
use warnings;
use Socket;
use Errno;

my ($flag, $port) = @ARGV;
sub fail { print STDERR "podwire: app echo: $_[0]\\n"; exit $_[1] }
@ARGV == 2 && $flag =~ /^--(udp|tcp)$/ && $port =~ /^[1-9][0-9]*$/ && $port < 65536
  or fail('found "' . join(' ', @ARGV) . '", expected --udp PORT or --tcp PORT', 2);
my $udp = $flag eq '--udp';
socket(my $sock, PF_INET, $udp ? SOCK_DGRAM : SOCK_STREAM, 0) or fail("socket: $!", 1);
setsockopt($sock, SOL_SOCKET, SO_REUSEADDR, pack('l', 1)) unless $udp;
bind($sock, sockaddr_in($port, INADDR_ANY)) or fail("bind: $!", 1);
listen($sock, 511) or fail("listen: $!", 1) unless $udp;
if (my $dir = $ENV{PODWIRE_READY_DIR}) { open(my $f, '>', "$dir/$$"); close $f }
if ($udp) {
  for (;;) {
    my $peer = recv($sock, my $data, 65536, 0);
    send($sock, $data, 0, $peer) if defined $peer;
  }
}
my %peers;
for (;;) {
  my $set = '';
  vec($set, fileno($_), 1) = 1 for $sock, values %peers;
  select($set, undef, undef, undef) > 0 or next;
  if (vec($set, fileno($sock), 1) && accept(my $peer, $sock)) { $peers{fileno($peer)} = $peer; next }
  for my $peer (values %peers) {
    next unless vec($set, fileno($peer), 1);
    my $n = sysread($peer, my $data, 65536);
    if (!$n) { delete $peers{fileno($peer)}; close $peer; next }
    for (my $done = 0; $done < $n;) { my $k = syswrite($peer, $data, $n - $done, $done) or last; $done += $k }
  }
}
`;
