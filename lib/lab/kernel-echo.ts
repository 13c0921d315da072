/**
 * `podwire app echo` inside User-Mode Linux, in Perl: Node takes seconds to start there, and a Lab may have many servers.
 * It makes the system calls that lib/cli/app-echo.ts makes.
 * @module
 */

/** Arguments: `--udp PORT` or `--tcp PORT [--stray BYTES]`. Tells that it is ready with a file in PODWIRE_READY_DIR. */
export const ECHO = `#!/usr/bin/perl
use strict;
use warnings;
use Socket;
use Errno;

my ($flag, $port, $word, $stray) = @ARGV;
sub fail { print STDERR "podwire: app echo: $_[0]\\n"; exit $_[1] }
(@ARGV == 2 || @ARGV == 4 && $flag eq '--tcp' && $word eq '--stray' && $stray =~ /^[1-9][0-9]*$/ && $stray < 2 ** 31)
  && $flag =~ /^--(udp|tcp)$/ && $port =~ /^[1-9][0-9]*$/ && $port < 65536
  or fail('found "' . join(' ', @ARGV) . '", expected --udp PORT or --tcp PORT [--stray BYTES]', 2);
my $udp = $flag eq '--udp';
my ($tap, $raw, %latest);
$SIG{PIPE} = 'IGNORE';
if ($stray) {
  socket($tap, 17, SOCK_DGRAM, 768) or fail("packet socket: $!", 1); # AF_PACKET, all protocols: it sees what is sent
  socket($raw, PF_INET, SOCK_RAW, 255) or fail("raw socket: $!", 1); # with an IP header
}

sub sum {
  my $s = 0;
  $s += $_ for unpack('n*', $_[0] . "\\0" x (length($_[0]) % 2));
  $s = ($s >> 16) + ($s & 0xffff) while $s >> 16;
  return ~$s & 0xffff;
}

# Notes the latest segment with data that was sent to each peer.
sub look {
  while (defined(my $from = recv($tap, my $p, 65536, 0x40))) {
    my ($proto, $way) = unpack('x2 n x6 C', $from);
    next unless $proto == 0x800 && $way == 4 && unpack('x9 C', $p) == 6;
    my $ip = (unpack('C', $p) & 15) * 4;
    my ($sport, $dport, $off) = unpack('n n x8 C', substr($p, $ip));
    my $len = unpack('x2 n', $p);
    next if $sport != $port || $len == $ip + ($off >> 4) * 4;
    $latest{substr($p, 16, 4) . pack('n', $dport)} = substr($p, 0, $len);
  }
}

# Sends the last answer again, further on in the stream.
sub stray {
  my ($peerport, $peer) = sockaddr_in($_[0]);
  look();
  my $p = $latest{$peer . pack('n', $peerport)} // return;
  my $ip = (unpack('C', $p) & 15) * 4;
  my $t = substr($p, $ip);
  substr($t, 4, 4) = pack('N', (unpack('N', substr($t, 4, 4)) + $stray) & 0xffffffff);
  substr($t, 16, 2) = "\\0\\0";
  substr($t, 16, 2) = pack('n', sum(substr($p, 12, 8) . pack('n n', 6, length $t) . $t));
  send($raw, substr($p, 0, $ip) . $t, 0, sockaddr_in(0, $peer)) or fail("send: $!", 1);
}
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
    my $to = getpeername $peer;
    for (my $done = 0; $done < $n;) { my $k = syswrite($peer, $data, $n - $done, $done) or last; $done += $k }
    stray($to) if $stray && $to;
  }
}
`;
