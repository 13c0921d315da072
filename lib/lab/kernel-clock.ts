/**
 * The clock of programs in Perl inside User-Mode Linux.
 * @module
 */

/** `now`: seconds by CLOCK_MONOTONIC; `begin`: the time of that clock that this step was to start at, however late it did. */
export const CLOCK = `# Seconds by CLOCK_MONOTONIC, and of the time that this step was to start at.
sub now {
  my $ts = pack 'q q', 0, 0;
  syscall(228, $_[0] // 1, $ts);
  my ($sec, $nsec) = unpack 'q q', $ts;
  return $sec + $nsec / 1e9;
}
sub begin {
  open(my $f, '<', '/run/t0') or return now();
  my $late = now(0) - (<$f> + ($ENV{PODWIRE_AT} // 0)) / 1e6;
  return now() - $late;
}`;
