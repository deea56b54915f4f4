#!/bin/sh
# The power supply of a lab host: what ipmi_sim calls as its chassis control program.
#
#   host-power HOST get|check KEY...         power state, one "KEY:VALUE" a line
#   host-power HOST set KEY VALUE...         power 0|1, reset 1, shutdown 1
#   host-power HOST boot|live                (by itself) from power on to power off; from boot to reboot
#
# It shares no code with the cluster manager, so that fencing through it proves something. A power cut here
# is what it is for a machine: the cables fall silent first, the disks stop between two writes (no journal
# flush), and only then is everything in the host killed. "off" is answered when the last process and the
# last mount are gone, so that nothing of the dead host can still reach the shared disk.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
self=$(readlink -f "$0")
lab=${self%/*}
host=$1
what=$2
shift 2
dir=$lab/$host
. "$lab/lab.env"
. "$dir/host.env"
cgroup=$CGROUP/$host

log() { echo "$(date +%s.%N) $*" >>"$dir/power.log"; }

powered() { grep -qs '^populated 1' "$cgroup/cgroup.events"; }

# Loop devices that carry the given image, one a line. sysfs shows the path, "(deleted)" or not.
loops() { grep -ls "^$1\( (deleted)\)\?\$" /sys/block/loop*/loop/backing_file | cut -d/ -f4; }

# Waits (5 s at most) until the image given is attached nowhere: a mount that still lives holds its device.
wait_detached() {
	for loop in $(loops "$1"); do losetup -d "/dev/$loop" 2>/dev/null; done
	tries=0
	while [ -n "$(loops "$1")" ]; do
		tries=$((tries + 1))
		[ $tries -lt 500 ] || { log "the image $1 is still attached"; return 1; }
		sleep 0.01
	done
}

cut_cables() {
	for port in $PORTS; do echo "link set $port down"; done | ip -n "$NETNS" -force -batch - 2>/dev/null
}

remove_cables() {
	# Mostly they are gone with the host's namespace already.
	for port in $PORTS; do echo "link del $port"; done | ip -n "$NETNS" -force -batch - 2>/dev/null
	return 0
}

# Stops every file system that the host has on a loop device between two writes: EXT4_IOC_SHUTDOWN without
# flushing the journal. The next mount replays it, as after a real loss of power.
stop_disks() {
	perl -e '
		my ($pids, @images) = @ARGV;
		my %device;
		for my $file (glob "/sys/block/loop*/loop/backing_file") {
			open(my $in, "<", $file) or next;
			my $backing = <$in>; chomp $backing; $backing =~ s/ \(deleted\)$//;
			grep { $_ eq $backing } @images or next;
			open(my $number, "<", $file =~ s{/loop/backing_file$}{/dev}r) or next;
			my $id = <$number>; chomp $id; $device{$id} = 1;
		}
		my %done;
		for my $pid (split " ", $pids) {
			open(my $mounts, "<", "/proc/$pid/mountinfo") or next;
			while (<$mounts>) {
				my ($id, $point) = (split " ")[2, 4];
				next if !$device{$id} || $done{$id};
				$point =~ s/\\([0-7]{3})/chr oct $1/ge;
				sysopen(my $dir, "/proc/$pid/root$point", 0) or next;
				my $without_journal = pack("L", 2);
				ioctl($dir, 0x8004587D, $without_journal) and $done{$id} = 1;
			}
		}' "$(cat "$dir/supervisor.pid" "$dir/init.pid" 2>/dev/null | tr '\n' ' ')" "$DISK" "$SHARED"
}

off() {
	powered || return 0
	cut_cables
	stop_disks
	echo 1 >"$cgroup/cgroup.kill"
	tries=0
	while powered; do
		tries=$((tries + 1))
		[ $tries -lt 500 ] || { log "the host does not die"; return 1; }
		sleep 0.01
	done
	# A host that died frozen boots again thawed.
	echo 0 >"$cgroup/cgroup.freeze"
	rm -f "$dir/init.pid" "$dir/supervisor.pid"
	wait_detached "$DISK" || return 1
	wait_detached "$SHARED" || return 1
	remove_cables
}

on() {
	powered && return 0
	rm -f "$dir/init.pid" "$dir/supervisor.pid"
	mkdir -p "$cgroup/life"
	[ -z "$CGROUP_V1" ] || mkdir -p "$CGROUP_V1/$host"
	# The caller reads our output to its end: the host must not inherit it.
	setsid unshare --mount --propagation private "$self" "$host" boot </dev/null >>"$dir/console.log" 2>&1 9>&- &
	tries=0
	until powered; do
		tries=$((tries + 1))
		[ $tries -lt 500 ] || { log "the host does not power on"; return 1; }
		sleep 0.01
	done
}

# From power on to power off: as long as the operating system asks for a reboot (exit code 133), boot again.
boot() {
	echo $$ >"$cgroup/life/cgroup.procs"
	[ -z "$CGROUP_V1" ] || echo $$ >"$CGROUP_V1/$host/cgroup.procs"
	echo $$ >"$dir/supervisor.pid"
	mkdir -p /run/systemd "$dir/disk" "$dir/root"
	mount -t tmpfs tmpfs /run/systemd
	while :; do
		log "boot"
		mount -o loop "$DISK" "$dir/disk" || exit 1
		mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/disk/upper,workdir=$dir/disk/work" "$dir/root" || exit 1
		# Its own path to the shared image, so that its device can be told from the other hosts'.
		shared=$(losetup --find --show "$SHARED") || exit 1
		# A device node of the host's own, not a bind mount: the Filesystem agent unmounts whatever is mounted
		# from its device or on it.
		mkdir -p "$dir/root/etc/tmpfiles.d"
		echo "b /dev/shared 0660 root disk - $(cat "/sys/block/${shared#/dev/}/dev")" \
			>"$dir/root/etc/tmpfiles.d/quorate-lab.conf"
		unshare --net "$self" "$host" live
		code=$?
		log "the host ended with $code"
		rm -f "$dir/init.pid"
		remove_cables
		umount "$dir/root"
		umount "$dir/disk"
		losetup -d "$shared"
		[ $code = 133 ] || break
	done
}

# One boot, in a network namespace that nothing but its processes keeps alive.
live() {
	remove_cables
	ip -batch "$dir/cables.host" && ip -n "$NETNS" -batch "$dir/cables.lab" || exit 1
	# A cable that was pulled stays pulled over a boot.
	for port in $PORTS; do
		[ ! -e "$dir/pulled.$port" ] || ip -n "$NETNS" link set "$port" down
		# It may have been plugged in just now, when there was nothing to plug.
		[ -e "$dir/pulled.$port" ] || ip -n "$NETNS" link set "$port" up
	done
	systemd-nspawn --quiet --boot --directory="$dir/root" --machine="$HOSTNAME" --hostname="$HOSTNAME" \
		--uuid="$MACHINE_ID" --register=no --keep-unit --console=pipe --network-namespace-path=/proc/self/ns/net \
		--resolv-conf=off --timezone=off --link-journal=no --capability=CAP_NET_ADMIN,CAP_IPC_LOCK,CAP_SYS_RESOURCE &
	nspawn=$!
	# The host's init is the child of nspawn that is number 1 in its own process namespace.
	while [ -d /proc/$nspawn ] && [ ! -s "$dir/init.pid" ]; do
		for child in $(cat /proc/$nspawn/task/$nspawn/children); do
			if grep -q '^NSpid:.*[[:space:]]1$' "/proc/$child/status" 2>/dev/null &&
				[ "$(cat "/proc/$child/comm")" = systemd ]; then
				echo "$child" >"$dir/init.new" && mv "$dir/init.new" "$dir/init.pid"
			fi
		done
		sleep 0.02
	done
	wait $nspawn
}

# How the BMC behaves. The lab's own hand at the switch (QUORATE_LAB_SWITCH) is always obeyed.
mode() {
	[ -z "${QUORATE_LAB_SWITCH:-}" ] || { echo honest; return; }
	cat "$dir/bmc/mode" 2>/dev/null || echo honest
}

get() {
	case $1 in
	power)
		if [ "$(mode)" = liar ] && [ -e "$dir/bmc/claimed" ]; then
			echo "power:$(cat "$dir/bmc/claimed")"
		elif powered; then echo power:1; else echo power:0; fi ;;
	boot) echo boot:none ;;
	*) echo "$1:0" ;;
	esac
}

change() {
	case $(mode) in
	liar) [ "$1" = power ] && echo "$2" >"$dir/bmc/claimed"; return 0 ;;
	stuck) return 0 ;;
	broken) return 1 ;;
	esac
	case $1-$2 in
	power-1) on ;;
	power-0) off ;;
	reset-*) off && on ;;
	shutdown-*) [ -s "$dir/init.pid" ] && kill -RTMIN+4 "$(cat "$dir/init.pid")" ;;
	*) return 0 ;;
	esac
}

case $what in
boot) boot ;;
live) live ;;
get) log "get $*"; for key; do get "$key"; done ;;
check) ;;
set)
	log "set $* (${QUORATE_LAB_SWITCH:-bmc}, $(mode))"
	exec 9>"$dir/power.lock"
	flock 9
	while [ $# -ge 2 ]; do
		change "$1" "$2" || exit 1
		shift 2
	done
	log "done" ;;
*) echo "host-power: unknown operation $what" >&2; exit 2 ;;
esac
