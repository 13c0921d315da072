/**
 * `podwire app health` inside User-Mode Linux, in Perl: Node takes seconds to start there, and every node may have several.
 * It answers GET and HEAD as lib/apps/health-server.ts does; /run/t0 says when the first step's time was,
 * which is one second past the start of the engine's clock.
 * @module
 */

/** Arguments as healthArgs reads them. Tells that it is ready with a file in PODWIRE_READY_DIR. */
export const HEALTH = `#!/usr/bin/perl
use strict;
use warnings;
use Socket;

my $line = join ' ', @ARGV;
sub fail { print STDERR "podwire: app health: $_[0]\\n"; exit $_[1] }
my %o;
while (@ARGV) {
  my $a = shift;
  $a =~ /^--(port|service|endpoints|address)$/ && @ARGV && !exists $o{$1}
    or fail("found \\"$line\\", expected --port PORT --service NAMESPACE/NAME --endpoints N|FILE [--address ADDR]", 2);
  $o{$1} = shift;
}
my ($ns, $name) = split m{/}, $o{service};
sub count {
  return $o{endpoints} unless $o{endpoints} =~ m{^/};
  open(my $f, '<', $o{endpoints}) or return 0;
  return int(<$f> // 0);
}
sub body { return "{\\n\\t\\"service\\": {\\n\\t\\t\\"namespace\\": \\"$ns\\",\\n\\t\\t\\"name\\": \\"$name\\"\\n\\t},\\n\\t\\"localEndpoints\\": $_[0],\\n"
  . "\\t\\"serviceProxyHealthy\\": true\\n}" }

sub date {
  open(my $f, '<', '/run/t0') or fail("t0: $!", 1);
  my $t0 = <$f>;
  my $ts = pack 'q q', 0, 0;
  syscall(228, 0, $ts); # clock_gettime(CLOCK_REALTIME)
  my ($sec, $nsec) = unpack 'q q', $ts;
  my @t = gmtime(1704067201 + int(($sec * 1e6 + $nsec / 1e3 - $t0) / 1e6));
  return sprintf '%s, %02d %s %d %02d:%02d:%02d GMT', (qw(Sun Mon Tue Wed Thu Fri Sat))[$t[6]], $t[3],
    (qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec))[$t[4]], 1900 + $t[5], @t[2, 1, 0];
}

sub answer {
  my ($head) = @_;
  my $count = count();
  my $body = body($count);
  my $status = $count > 0 ? '200 OK' : '503 Service Unavailable';
  my ($method, $minor) = $head =~ m{^([A-Z]+) \\S+ HTTP/1\\.([01])\\r\\n} or fail('only GET and HEAD of HTTP/1.x are known', 1);
  my $keep = $head =~ /^connection:\\s*keep-alive/mi;
  my $close = $minor ? $head =~ /^connection:\\s*close/mi : !$keep;
  my $connection = $minor && $close ? "Connection: close\\r\\n" : !$minor && $keep ? "Connection: keep-alive\\r\\n" : '';
  my $text = "HTTP/1.$minor $status\\r\\nContent-Type: application/json\\r\\nX-Content-Type-Options: nosniff\\r\\n"
    . "X-Load-Balancing-Endpoint-Weight: $count\\r\\nDate: " . date() . "\\r\\nContent-Length: " . length($body)
    . "\\r\\n$connection\\r\\n";
  $text .= $body if $method ne 'HEAD';
  return ($text, $close);
}
$SIG{PIPE} = 'IGNORE';
socket(my $sock, PF_INET, SOCK_STREAM, 0) or fail("socket: $!", 1);
setsockopt($sock, SOL_SOCKET, SO_REUSEADDR, pack('l', 1));
bind($sock, sockaddr_in($o{port}, inet_aton($o{address} // '0.0.0.0'))) or fail("bind: $!", 1);
listen($sock, 511) or fail("listen: $!", 1);
if (my $dir = $ENV{PODWIRE_READY_DIR}) { open(my $f, '>', "$dir/$$"); close $f }
my (%peers, %got);
for (;;) {
  my $set = '';
  vec($set, fileno($_), 1) = 1 for $sock, values %peers;
  select($set, undef, undef, undef) > 0 or next;
  if (vec($set, fileno($sock), 1) && accept(my $peer, $sock)) {
    $peers{fileno($peer)} = $peer;
    $got{fileno($peer)} = '';
    next;
  }
  for my $peer (values %peers) {
    my $fd = fileno($peer);
    next unless vec($set, $fd, 1);
    my $n = sysread($peer, $got{$fd}, 65536, length $got{$fd});
    if (!$n) { delete $peers{$fd}; close $peer; next }
    while ($got{$fd} =~ s/^(.*?\\r\\n)\\r\\n//s) {
      my ($text, $close) = answer($1);
      syswrite($peer, $text);
      if ($close) { shutdown($peer, 1); last }
    }
  }
}
`;
