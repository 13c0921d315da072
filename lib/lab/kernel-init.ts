/**
 * The shell programs that run inside User-Mode Linux: a private root, then the Lab itself.
 * @module
 */
import { IP_FUNCTION } from './kernel-listen.js';

/** First process: builds a root of its own (the host is visible below /host, read-only) and hands over to `drive.sh` there. */
export function initScript(work: string): string {
  return `#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
W='${work}'; R=$W/root
die() { echo "podwire-init: $1" >> "$W/out/error"; busybox poweroff -f; }
mount -t tmpfs tmpfs "$R" || die 'mount of the root'
cd "$R" && mkdir -p usr proc sys dev run tmp var/run var/tmp var/lib etc/netns root host out podwire/bin modroot/lib/modules
chmod 1777 tmp var/tmp
for d in bin sbin lib lib32 lib64 libx32; do
  if [ -L /$d ]; then cp -a /$d $d; elif [ -d /$d ]; then mkdir $d; mount --bind /$d $d && mount -o remount,bind,ro $d; fi
done
mount --bind /usr usr && mount -o remount,bind,ro usr || die 'bind of /usr'
mount --bind "$W/out" out || die 'bind of the results'
for f in passwd group protocols services nsswitch.conf hosts host.conf ld.so.cache ld.so.conf ld.so.conf.d alternatives gai.conf ethertypes iproute2 xtables.conf; do
  [ -e /etc/$f ] && cp -a /etc/$f etc/ 2>/dev/null
done
echo podwire > etc/hostname; : > etc/resolv.conf
cp "$W"/bin/* podwire/bin/; chmod 755 podwire/bin/*
cp -r "$W"/drive.sh "$W"/listen.pl "$W"/lab-* podwire/
for p in iptables iptables-restore iptables-save; do
  ln -s /usr/sbin/\${p/iptables/iptables-legacy} podwire/bin/$p
done
ln -s /usr/lib/uml/modules/$(uname -r) modroot/lib/modules/$(uname -r)
mount -t proc proc proc; mount -t sysfs sysfs sys
mount -t devtmpfs dev dev 2>/dev/null || { mknod -m 666 dev/null c 1 3; mknod -m 666 dev/zero c 1 5; mknod -m 666 dev/random c 1 8; mknod -m 666 dev/urandom c 1 9; }
[ -e dev/fd ] || ln -s /proc/self/fd dev/fd
mkdir -p dev/net
[ -e dev/net/tun ] || mknod -m 666 dev/net/tun c 10 200 2>/dev/null
pivot_root . host || die 'pivot_root'
mount -o remount,bind,ro /host || { echo 'podwire-init: /host stays writable' >> /out/error; busybox poweroff -f; }
exec chroot . /bin/bash /podwire/drive.sh </dev/null
`;
}

/** What the driver has to know about a Lab. */
export interface DriverPlan {
  cwd: string;
  /** `podwire app` servers started by the setup. */
  servers: number;
  /** Start times in the order of the steps; `alone`: the next step starts when this one has ended. */
  steps: { atNs: number; alone: boolean }[];
  untilNs: number | null;
  captures: string[] | null;
  /** The kernel powers itself off then, even if nobody is left that waits for it. */
  limitMs: number;
}

/** Second process: the machine made ready, then one Lab after the other, then power off. */
export function driverScript(plans: readonly DriverPlan[]): string {
  const labs = plans.map((p, i) => `lab ${i} ${Math.ceil(p.limitMs / 1000)}`).join('\n');
  return `export PATH=/podwire/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C PODWIRE_READY_DIR=/run/ready
umask 022
off() { sync; exec busybox poweroff -f; }
die() { echo "$1" >> /out/error; off; }
uname -r > /out/kernel
ip link >/dev/null || die 'ip does not run'
echo /podwire/bin/modprobe > /proc/sys/kernel/modprobe
for m in veth bridge br_netfilter ipip vxlan dummy nf_conntrack ip_vs; do modprobe $m || echo "modprobe $m failed" >> /out/log; done
sysctl -qw net.ipv4.igmp_link_local_mcast_reports=0 net.ipv4.tcp_rmem='4096 131072 6291456' net.bridge.bridge-nf-call-iptables=1
lab() { # INDEX SECONDS
  mkdir -p /run/netns /out/lab-$1
  mkdir -m 1777 /run/ready
  ( sleep $2; die "no end after $2 s" ) &
  bash /podwire/lab-$1/drive.sh $1
  # Everything it left running, but not this process, the first one; then its namespaces.
  kill -9 -1; wait
  for n in $(ls /run/netns); do ip netns del $n; done
  rm -rf /run/ready /run/listen* /etc/netns/*
}
${labs}
off
`;
}

/** One Lab: setup, captures on, steps at their times, captures off. Argument: its index. */
export function labScript(plan: DriverPlan): string {
  const order = plan.steps.map((s, i) => ({ ...s, i })).sort((a, b) => a.atNs - b.atNs || a.i - b.i);
  const us = (ns: number): number => Math.round(ns / 1000);
  const starts = order
    .map(({ atNs, i, alone }) => `at ${us(atNs)}; step ${i} ${us(atNs)}${alone ? '; wait $!' : ''}`)
    .join('\n');
  const wanted = (plan.captures ?? []).map((c) => `'${c}'`).join(' ');
  return `L=/podwire/lab-$1 O=/out/lab-$1
die() { echo "$1" >> $O/error; exit; }
cd '/host${plan.cwd}' 2>/dev/null || cd /
export O L
# A bridge joins a group as it comes up, and a new namespace would report it.
ip() {
  command ip "$@" || return
  [ "$1 $2" != 'netns add' ] || command ip netns exec "$3" sysctl -qw net.ipv4.igmp_link_local_mcast_reports=0
}
export -f ip
bash -c 'set -eE; trap '\\''echo "$LINENO $?" > $O/setup.failed'\\'' ERR; . $L/setup.sh' > $O/setup.out 2> $O/setup.err
rc=$?
[ $rc = 0 ] || { [ -e $O/setup.failed ] || echo "0 $rc" > $O/setup.failed; exit; }
for ((SECONDS = 0; SECONDS < 60; )); do
  [ "$(ls /run/ready | wc -l)" -ge ${plan.servers} ] && break
  sleep 0.1
done
[ "$(ls /run/ready | wc -l)" -ge ${plan.servers} ] || { cat $O/setup.err >> $O/error; die 'a podwire app did not become ready within 60 s'; }
ulimit -n 65536
mkfifo /run/listen.ctl /run/listen.drive${plan.steps.map((_, i) => ` /run/listen.${i}`).join('')}
exec 9<> /run/listen.ctl
perl /podwire/listen.pl $O/pcap ${wanted} 2> /run/listen.err &
listener=$!
gone() { cat /run/listen.err >> $O/error; die 'the capture failed'; }
for ((SECONDS = 0; SECONDS < 60; )); do
  [ -e /run/listen.ready ] && break
  kill -0 $listener 2>/dev/null || gone
  sleep 0.05
done
${IP_FUNCTION}
export -f ip look
export PODWIRE_STEP=drive
sleep 1
look start
T0=\${EPOCHREALTIME/./}
echo $T0 > /run/t0
at() {
  local left=$((T0 + $1 - \${EPOCHREALTIME/./}))
  [ $left -le 0 ] || sleep $((left / 1000000)).$(printf %06d $((left % 1000000)))
}
steps=()
step() {
  # A step may end by exit, which ends this subshell; its own arguments are none.
  ( trap "echo \\$? > $O/step-$1.rc" EXIT
    echo $((\${EPOCHREALTIME/./} - T0 - $2)) > $O/step-$1.late
    PODWIRE_STEP=$1
    export PODWIRE_AT=$2 # for programs that keep to the step's time, however long they take to start
    set --
    . $L/step-$PODWIRE_STEP.sh > $O/step-$PODWIRE_STEP.out 2> $O/step-$PODWIRE_STEP.err ) &
  steps+=($!)
}
${starts}
${plan.untilNs === null ? 'for p in "${steps[@]}"; do wait $p; done\nsleep 0.3' : `at ${Math.round(plan.untilNs / 1000)}`}
[ -s /run/listen.err ] && gone
look stop
wait $listener || gone
echo ok > $O/done
`;
}
