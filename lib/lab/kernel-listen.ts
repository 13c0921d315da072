/**
 * The capture program that runs inside User-Mode Linux: one packet socket with a ring per network namespace.
 *
 * A packet socket that is bound to no device sees every device of its namespace, whatever happens to them: made, renamed,
 * moved, down and up again (a tcpdump of one device ends when it goes down, and cannot start before it is up). What it
 * sees is what `tcpdump -p -i DEV` sees: the frame at dev_queue_xmit_nit and __netif_receive_skb_core, never promiscuous.
 * The ring (TPACKET_V3) is what copies a frame at its tap, as for tcpdump: a socket's queue shares the bytes with the frame on
 * its way, and br_netfilter rewrites a source address later. Perl has no mmap of its own: system calls by number do it.
 * Names come from rtnetlink. New devices lose their offloads, new bridges their multicast snooping, new namespaces
 * their IGMP reports.
 *
 * In the steps `ip` is a shell function (`IP_FUNCTION`; starting one more program costs 40 ms in there): it waits until this
 * program has read all frames before, and knows all devices after, every command that makes, renames, moves or deletes
 * something.
 * @module
 */

/** Perl, which Debian always has (perl-base). Arguments: folder of the captures, then the interfaces wanted (none: all). */
export const LISTEN = `#!/usr/bin/perl
use strict;
use warnings;
use Fcntl;
use Socket;

my ($out, @wanted) = @ARGV;
my %wanted = map { $_ => 0 } @wanted;
my ($recording, %ns, %files, %lens) = (0);
my ($BLOCK, $BLOCKS) = (1 << 18, 16);
open(my $zero, '<', '/dev/zero') or fail("open /dev/zero: $!");

sub fail { print STDERR "$_[0]\\n"; exit 1 }
open(my $home, '<', '/proc/self/ns/net') or fail("open my namespace: $!");
my $nsfs = (stat $home)[0];

# Runs code inside a namespace.
sub inside {
  my ($handle, $code) = @_;
  syscall(308, fileno($handle), 0x40000000) == 0 or fail("setns: $!");
  $code->();
  syscall(308, fileno($home), 0x40000000) == 0 or fail("setns back: $!");
}

sub openNs {
  my ($name, $path, $inode) = @_;
  open(my $handle, '<', $path) or return;
  my $n = { name => $name, handle => $handle, devs => {}, gone => 0 };
  inside($handle, sub {
    if (open(my $f, '>', '/proc/sys/net/ipv4/igmp_link_local_mcast_reports')) { print $f "0\\n"; close $f }
    socket($n->{packets}, 17, SOCK_RAW | 02004000, 0) or fail("packet socket in $name: $!");
    socket($n->{links}, 16, SOCK_RAW | 02004000, 0) or fail("netlink socket in $name: $!");
  });
  setsockopt($n->{links}, SOL_SOCKET, 33, pack('l', 1 << 26)) or fail("SO_RCVBUFFORCE: $!");
  my $stamp = "\\0" x 16;
  ioctl($n->{packets}, 0x8907, $stamp); # the first call turns time stamps on
  # TPACKET_V3, blocks that are handed over when full or after a tick or two.
  setsockopt($n->{packets}, 263, 10, pack('l', 2)) or fail("PACKET_VERSION: $!");
  setsockopt($n->{packets}, 263, 5, pack('L7', $BLOCK, $BLOCKS, $BLOCK, $BLOCKS, 1, 0, 0)) or fail("PACKET_RX_RING: $!");
  $n->{ring} = syscall(9, 0, $BLOCK * $BLOCKS, 3, 1, fileno($n->{packets}), 0);
  fail("mmap: $!") if $n->{ring} == -1;
  $n->{block} = 0;
  bind($n->{links}, pack('S S L L', 16, 0, 0, 1)) or fail("bind netlink in $name: $!");
  send($n->{links}, pack('L S S L L C x15', 32, 18, 0x301, 1, 0, 0), 0) or fail("RTM_GETLINK in $name: $!");
  $n->{listing} = 1;
  while ($n->{listing}) {
    my $r = '';
    vec($r, fileno($n->{links}), 1) = 1;
    select($r, undef, undef, 5) or fail("no list of devices in $name");
    links($n);
  }
  bind($n->{packets}, pack('S n l x12', 17, 3, 0)) or fail("bind packet socket in $name: $!");
  $ns{$inode} = $n;
}

# Reads what rtnetlink has to tell about devices.
sub links {
  my ($n) = @_;
  while (defined recv($n->{links}, my $msg, 1 << 17, 0)) {
    for (my $o = 0; $o + 16 <= length $msg; ) {
      my ($len, $type) = unpack('L S', substr($msg, $o, 6));
      my $body = substr($msg, $o + 16, $len - 16);
      $o += ($len + 3) & ~3;
      if ($type == 3) { $n->{listing} = 0 }
      elsif ($type == 2) { my $e = unpack('l', $body); fail("rtnetlink in $n->{name}: error $e") if $e }
      elsif ($type == 16) { link1($n, $body) }
    }
  }
  fail("device news of $n->{name} lost") if $!{ENOBUFS};
}

sub attrs {
  my ($b) = @_;
  my %a;
  while (length $b >= 4) {
    my ($len, $type) = unpack('S S', $b);
    last if $len < 4;
    $a{$type & 0x3fff} = substr($b, 4, $len - 4);
    $b = length $b > (($len + 3) & ~3) ? substr($b, ($len + 3) & ~3) : '';
  }
  return %a;
}

# RTM_NEWLINK: a device is new, or has changed.
sub link1 {
  my ($n, $body) = @_;
  my ($family, $index) = unpack('C x3 l', $body);
  return if $family != 0;
  my %a = attrs(substr($body, 16));
  my $name = unpack('Z*', $a{3});
  my $new = !exists $n->{devs}{$index};
  $n->{devs}{$index} = $name;
  $wanted{"$n->{name}/$name"} = 1 if exists $wanted{"$n->{name}/$name"};
  return unless $new;
  my %info = attrs($a{18} // '');
  # ETHTOOL_SRXCSUM, STXCSUM, SSG, STSO, SGSO, SGRO to 0, as ethtool -K does; what a device cannot change, it refuses.
  for my $command (0x15, 0x17, 0x19, 0x1f, 0x24, 0x2c) {
    my $value = pack('L L', $command, 0);
    my $request = pack('a16 P x16', $name, $value);
    ioctl($n->{packets}, 0x8946, $request);
  }
  return unless unpack('Z*', $info{1} // '') eq 'bridge';
  my $off = pack('S S C x3', 5, 23, 0);
  my $data = pack('S S Z8', 11, 1, 'bridge') . pack('S S', 4 + length $off, 2) . $off;
  my $set = pack('C x3 l L L', 0, $index, 0, 0) . pack('S S', 4 + length $data, 18) . $data;
  send($n->{links}, pack('L S S L L', 16 + length $set, 16, 1, 2, 0) . $set, 0) or fail("snooping off: $!");
}

sub file {
  my ($iface, $linktype) = @_;
  return $files{$iface} if exists $files{$iface};
  my ($netns) = split m{/}, $iface;
  mkdir $out;
  mkdir "$out/$netns";
  open(my $f, '>:raw', "$out/$iface.pcap") or fail("write $iface: $!");
  print $f pack('L S S l L L L', 0xa1b23c4d, 2, 4, 0, 0, 262144, $linktype);
  $lens{$iface} = $linktype;
  return $files{$iface} = $f;
}

# The bytes at an address.
sub memory { return unpack("P$_[1]", pack('Q', $_[0])) }

# Reads all blocks that the kernel has handed over.
sub packets {
  my ($n) = @_;
  for (;;) {
    my $at = $n->{ring} + $n->{block} * $BLOCK;
    my ($status, $count, $first) = unpack('L L L', memory($at + 8, 12));
    last unless $status & 1;
    for (my $o = $at + $first; $count > 0; $count--) {
      my $h = memory($o, 68);
      frame($n, $o, $h) if $recording;
      $o += unpack('L', $h);
    }
    syscall(0, fileno($zero), $at + 8, 4) == 4 or fail("read: $!"); # the block is the kernel's again
    $n->{block} = ($n->{block} + 1) % $BLOCKS;
  }
  my $lost = getsockopt($n->{packets}, 263, 6) // fail("PACKET_STATISTICS: $!");
  (undef, $lost) = unpack('L L', $lost);
  fail("$lost frames lost in $n->{name}") if $lost;
}

# One frame: struct tpacket3_hdr at an address, then struct sockaddr_ll.
sub frame {
  my ($n, $o, $h) = @_;
  my ($sec, $nsec, $caplen, $len, $mac) = unpack('x4 L L L L x4 S', $h);
  my ($index, $hatype, $pkttype) = unpack('x52 l S C', $h);
  return if $hatype == 772 && $pkttype == 4; # lo shows each frame twice
  links($n) unless exists $n->{devs}{$index};
  my $dev = $n->{devs}{$index} // fail("a frame of device $index in $n->{name}, which nobody announced");
  my $iface = "$n->{name}/$dev";
  return if %wanted && !exists $wanted{$iface};
  fail("$iface: a frame of $len bytes was cut") if $caplen != $len;
  my $linktype = $hatype == 1 || $hatype == 772 ? 1 : $hatype == 768 ? 101 : fail("$iface: link layer $hatype");
  my $f = file($iface, $linktype);
  fail("$iface changed its link layer") if $lens{$iface} != $linktype;
  print $f pack('L L L L', $sec, $nsec, $len, $len), memory($o + $mac, $len) or fail("write $iface: $!");
}

# True while a process lives in the namespace.
sub held {
  my ($inode) = @_;
  for my $p (glob '/proc/[0-9]*/ns/net') {
    my @s = stat $p;
    return 1 if @s && $s[1] == $inode;
  }
  return 0;
}

# New namespaces are opened; deleted ones are let go, so that the kernel can end them, once no process lives there.
sub scan {
  my %there = ((stat $home)[1] => 'root');
  for my $path (glob '/run/netns/*') {
    my @s = stat $path or next;
    $there{$s[1]} = substr($path, 11) if $s[0] == $nsfs;
  }
  for my $inode (sort { $there{$a} cmp $there{$b} } keys %there) {
    next if exists $ns{$inode};
    openNs($there{$inode}, $there{$inode} eq 'root' ? '/proc/self/ns/net' : "/run/netns/$there{$inode}", $inode);
  }
  for my $inode (keys %ns) {
    next if exists $there{$inode} || held($inode);
    packets($ns{$inode});
    syscall(11, $ns{$inode}{ring}, $BLOCK * $BLOCKS);
    close $ns{$inode}{$_} for qw(packets links handle);
    delete $ns{$inode};
  }
}

# Frames before news: they passed under the names of then.
sub drain { for (values %ns) { packets($_); links($_) } }

scan();
sysopen(my $ctl, '/run/listen.ctl', O_RDWR | O_NONBLOCK) or fail("listen.ctl: $!");
my ($words, %answers) = ('');
sub answer {
  my ($to) = @_;
  $answers{$to} //= do { sysopen(my $f, "/run/listen.$to", O_RDWR) or fail("listen.$to: $!"); $f };
  syswrite($answers{$to}, "ok\\n");
}
open(my $ready, '>', '/run/listen.ready') or fail("listen.ready: $!");
close $ready;
for (;;) {
  my $r = '';
  vec($r, fileno($_), 1) = 1 for $ctl, map { ($_->{packets}, $_->{links}) } values %ns;
  my $woken = select($r, undef, undef, 0.1);
  drain();
  scan() if $woken == 0;
  next unless $woken > 0 && vec($r, fileno($ctl), 1);
  sysread($ctl, $words, 4096, length $words);
  while ($words =~ s/^(.*)\\n//) {
    $1 =~ /^(start|look|stop) (\\w+)$/ or fail("found '$1' in listen.ctl");
    my ($word, $from) = ($1, $2);
    select(undef, undef, undef, 0.03); # a block that holds frames is handed over by then
    drain();
    scan();
    drain();
    $recording = 1 if $word eq 'start';
    if ($word eq 'stop') {
      my @never = grep { !$wanted{$_} } sort keys %wanted;
      fail("captures: there was never a device @never") if @never;
      close($_) or fail("write: $!") for values %files;
    }
    answer($from);
    exit 0 if $word eq 'stop';
  }
}
`;

/** Shell functions of the steps: `look` waits for the capture program; `ip` looks before and after it changes devices. */
export const IP_FUNCTION = `look() { # WORD
  local answer= fd
  exec {fd}<> /run/listen.$PODWIRE_STEP # open before asking: an answer into a pipe that nobody holds is lost
  echo "$1 $PODWIRE_STEP" > /run/listen.ctl
  read -r -t 30 -u $fd answer
  exec {fd}>&-
  [ "$answer" = ok ] || echo 'the capture does not answer' >> /run/listen.err
}
ip() {
  case " $* " in
    *' l'*' add '*|*' l'*' del'*|*' name '*|*' netns '[!e]*|*' -b'*|*' tu'*) ;;
    *)
      # A step is one subshell; below it, in the background or a pipe, there is nothing else to do, and none that tells
      # of a signal's victim.
      [ $BASH_SUBSHELL -lt 2 ] || exec ip "$@"
      command ip "$@"; return ;;
  esac
  look look
  command ip "$@"
  local rc=$?
  look look
  return $rc
}
`;
