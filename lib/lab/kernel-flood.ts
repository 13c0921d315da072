/**
 * `podwire app flood` inside User-Mode Linux, in Perl: Node takes seconds to start there and has no raw sockets. It sends what
 * lib/apps/flood.ts sends.
 * @module
 */

/** Arguments as floodArgs reads them. */
export const FLOOD = `#!/usr/bin/perl
use strict;
use warnings;
use integer;
use Socket;

my $usage = '--udp|--syn|--init --count N --seed N --from PREFIX --to PREFIX:PORT... [--fin N]';
sub fail { print STDERR "podwire: app flood: $_[0]\\n"; exit $_[1] }
my $line = join ' ', @ARGV;
sub bad { fail("found \\"$line\\", expected $usage", 2) }
my %kinds = (udp => 17, syn => 6, init => 132);
my (%o, $proto, @to);
while (@ARGV) {
  my $a = shift;
  if ($a =~ /^--(udp|syn|init)$/) { bad() if defined $proto; $proto = $kinds{$1} }
  elsif ($a eq '--to' && @ARGV && @to < 1000) { push @to, shift }
  elsif ($a =~ /^--(count|seed|from|fin)$/ && @ARGV && !exists $o{$1}) { $o{$1} = shift }
  else { bad() }
}
sub prefix {
  my ($addr, $bits) = ($_[0] // '') =~ m{^([0-9.]+?)(?:/([0-9]+))?$} or bad();
  $bits = 32 unless defined $bits;
  my $packed = inet_aton($addr) or bad();
  bad() if $bits < 8 || $bits > 32;
  my $base = unpack 'N', $packed;
  return ($base, 1) if $bits > 30;
  my $size = 1 << (32 - $bits);
  return (($base & ~($size - 1) & 0xffffffff) + 1, $size - 2);
}
bad() unless defined $proto && @to;
my ($base, $size) = prefix($o{from});
for (@to) {
  bad() unless /^(.*):([0-9]{1,5})$/ && $2 > 0 && $2 < 65536;
  my $port = $2 + 0;
  $_ = [prefix($1), $port];
}
for (qw(count seed)) { bad() unless ($o{$_} // '') =~ /^[0-9]{1,10}$/ && $o{$_} > 0 }
$o{fin} //= 0;
bad() unless $o{fin} =~ /^[0-9]{1,7}$/;
my $s = $o{seed} + 0;
sub below {
  $s ^= ($s << 13) & 0xffffffff;
  $s ^= $s >> 17;
  $s ^= ($s << 5) & 0xffffffff;
  return $s % $_[0];
}
sub csum {
  my $n = 0;
  $n += $_ for unpack 'n*', $_[0];
  $n = ($n & 0xffff) + ($n >> 16) while $n > 0xffff;
  return ~$n & 0xffff;
}
# CRC32c; the result is as it is sent, least significant byte first.
my @crc = map { my $c = $_; $c = $c & 1 ? ($c >> 1) ^ 0x82f63b78 : $c >> 1 for 1 .. 8; $c } 0 .. 255;
sub crc32c {
  my $c = 0xffffffff;
  $c = $crc[($c ^ $_) & 255] ^ ($c >> 8) for unpack 'C*', $_[0];
  return pack 'V', ~$c & 0xffffffff;
}
socket(my $sock, PF_INET, SOCK_RAW, 255) or die "flood: socket: $!\\n";
my $sent = 0;
sub emit {
  my ($src, $sport, $dst, $port, $flags) = @_;
  my $l4;
  if ($proto == 132) {
    $l4 = pack 'n n N N C C n N N n n N', $sport, $port, 0, 0, 1, 0, 20, 1, 65535, 1, 1, 1;
    substr($l4, 8, 4) = crc32c($l4);
  } else {
    my $syn = $proto == 6;
    $l4 = $syn ? pack('n n N N C C n n n', $sport, $port, 1, $flags & 16 ? 1 : 0, 80, $flags, 65535, 0, 0)
               : pack('n n n n', $sport, $port, 8, 0);
    my $sum = csum(pack('N N n n', $src, $dst, $proto, length $l4) . $l4);
    $sum = 0xffff if !$syn && !$sum;
    substr($l4, $syn ? 16 : 6, 2) = pack 'n', $sum;
  }
  my $id = ($sent++ % 65535) + 1;
  my $packet = pack('C C n n n C C n N N', 69, 0, 20 + length $l4, $id, 0, 64, $proto, 0, $src, $dst) . $l4;
  # EPERM: a rule dropped or rejected it.
  send($sock, $packet, 0, sockaddr_in(0, pack 'N', $dst)) or $! == 1 or exit(print(STDERR "flood: send: $!\\n") && 1);
}
my @clients;
while (@clients < $o{count}) {
  my $src = $base + below($size);
  my $sport = 1024 + below(64512);
  my ($vbase, $vsize, $port) = @{$to[@clients % @to]};
  my $dst = $vbase + below($vsize);
  push @clients, [$src, $sport, $dst, $port];
  emit($src, $sport, $dst, $port, 2);
  emit(@{$clients[below(scalar @clients)]}, 17) if $o{fin} && @clients % $o{fin} == 0;
  select(undef, undef, undef, 0.01) if @clients % 100 == 0;
}
`;
