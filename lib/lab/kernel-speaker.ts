/**
 * `podwire app metallb-speaker` inside User-Mode Linux, in Perl: Node has no packet sockets. It does what
 * lib/apps/metallb-speaker.ts does.
 * @module
 */
import { CLOCK } from './kernel-clock.js';

/** Arguments as that program reads them. */
export const SPEAKER = `#!/usr/bin/perl
use strict;
use warnings;
use Socket;
use Fcntl;

sub fail { print STDERR "podwire: app metallb-speaker: $_[0]\\n"; exit $_[1] }
my $line = join ' ', @ARGV;
my (%o, @peers);
while (@ARGV) {
  my ($name, $value) = (shift, shift // '');
  if ($name eq '--peer' && $value =~ /^([^=]+)=([0-9.]+)$/) {
    push @peers, { name => $1, address => inet_aton($2), since => -1, dead => 0 };
  } elsif ($name =~ /^--(node|address|interface|config|delay)$/ && length $value && !exists $o{$1}) { $o{$1} = $value }
  else { fail("found \\"$line\\"", 2) }
}
fail("found \\"$line\\"", 2) unless $o{node} && $o{address} && $o{config};
my $dev = $o{interface} // 'eth0';

${CLOCK}
socket(my $udp, PF_INET, SOCK_DGRAM | O_NONBLOCK, 0) or fail("socket: $!", 1);
bind($udp, sockaddr_in(7946, inet_aton($o{address}))) or fail("bind: $!", 1);
socket(my $arp, 17, SOCK_DGRAM | O_NONBLOCK, unpack('S', pack('n', 0x0806))) or fail("packet socket: $!", 1);
my $ifr = pack 'a16 x24', $dev;
ioctl($arp, 0x8933, $ifr) or fail("no device $dev", 1);
my $index = unpack 'x16 l', $ifr;
ioctl($arp, 0x8927, $ifr) or fail("no address of $dev: $!", 1);
my $mac = substr $ifr, 18, 6;
bind($arp, pack('S n l x12', 17, 0x0806, $index)) or fail("bind: $!", 1);
my $all = "\\xff" x 6;

sub frame {
  my ($op, $ip, $to, $target) = @_;
  my $data = pack 'n n C C n a6 a4 a6 a4 x18', 1, 0x0800, 6, 4, $op, $mac, $ip, $to, $target;
  send($arp, $data, 0, pack('S n l S C C a8', 17, 0x0806, $index, 0, 0, 6, $to));
}
my (%mine, $asked);
my ($turn, $seq) = (0, 0);
sub gratuitous {
  my ($ip) = @_;
  $mine{$ip}{rounds}++;
  frame($_, $ip, $all, $ip) for 1, 2;
}
sub look {
  my $now = now();
  $_->{since} >= 0 && $now - $_->{since} >= 4 and $_->{dead} = 1 for @peers;
  my %dead = map { $_->{dead} ? ($_->{name} => 1) : () } @peers;
  my %own;
  if (open(my $f, '<', $o{config})) {
    my @lines = <$f> or return;
    for (@lines) {
      my ($ip, @nodes) = split ' ';
      next unless defined $ip && $ip =~ /^[0-9.]+$/;
      my ($first) = grep { !$dead{$_} } @nodes;
      $own{inet_aton($ip)} = 1 if defined $first && $first eq $o{node};
    }
  }
  $own{$_} or delete $mine{$_} for keys %mine;
  for my $ip (sort keys %own) {
    next if $mine{$ip};
    $mine{$ip} = { since => $now, rounds => 0 };
    gratuitous($ip);
  }
}
sub rounds {
  my $now = now();
  for my $ip (sort keys %mine) {
    my $m = $mine{$ip};
    gratuitous($ip) if $m->{rounds} * 1.1 < 5 && $m->{since} + $m->{rounds} * 1.1 <= $now;
  }
}
sub probe {
  $asked->{since} = now() if $asked && $asked->{since} < 0;
  my @alive = grep { !$_->{dead} } @peers;
  $asked = undef;
  return unless @alive;
  $asked = $alive[$turn++ % @alive];
  $seq++;
  send($udp, "ping $seq", 0, sockaddr_in(7946, $asked->{address}));
}
sub hear {
  while (defined(my $from = recv($udp, my $text, 1500, 0))) {
    my ($port, $address) = sockaddr_in($from);
    my ($x) = grep { $_->{address} eq $address } @peers;
    next unless $x && $text =~ /^(ping|ack) ([0-9]+)$/;
    @$x{qw(since dead)} = (-1, 0);
    if ($1 eq 'ping') { send($udp, "ack $2", 0, $from) }
    elsif ($asked && $asked == $x) { $asked = undef }
  }
}
sub asks {
  while (defined(my $from = recv($arp, my $b, 1500, 0))) {
    my $kind = unpack 'x10 C', $from;
    next if $kind > 1 || length $b < 28;
    my ($hw, $proto, $hl, $pl, $op, $sha, $sip, $tha, $tip) = unpack 'n n C C n a6 a4 a6 a4', $b;
    next unless $hw == 1 && $proto == 0x0800 && $hl == 6 && $pl == 4 && $op == 1 && $mine{$tip};
    frame(2, $tip, $sha, $sip);
  }
}
my $start = begin() + ($o{delay} // 0);
my $early = $start - now();
select(undef, undef, undef, $early) if $early > 0;
look();
my $watch = $start + 0.05;
my $before = grep { $_->{name} lt $o{node} } @peers;
my $probe = $start + ($before + 1) / (@peers + 1);
for (;;) {
  my $now = now();
  if ($now >= $watch) { look(); $watch += 0.1 while $watch <= $now }
  rounds();
  if ($now >= $probe) { $probe += 1; probe() }
  my $next = $watch < $probe ? $watch : $probe;
  for my $m (values %mine) {
    my $at = $m->{since} + $m->{rounds} * 1.1;
    $next = $at if $m->{rounds} * 1.1 < 5 && $at < $next;
  }
  my $wait = $next - now();
  my $set = '';
  vec($set, fileno($_), 1) = 1 for $udp, $arp;
  next unless select($set, undef, undef, $wait > 0 ? $wait : 0) > 0;
  hear() if vec($set, fileno($udp), 1);
  asks() if vec($set, fileno($arp), 1);
}
`;
