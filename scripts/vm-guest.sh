#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The second program in a VM of scripts/vm.sh, on the host's root: mounts what a system has mounted, loads
# the module, runs the command with its output on the second serial port, and tells its exit status through
# the kernel's log.
#
# shellcheck disable=SC2154 # vm_*
# /run/vm/setup (the variables vm_*) and /run/vm/command come from vm.sh.
# shellcheck source=/dev/null
. /run/vm/setup
programs=${REGIONFS_BIN:-$vm_top/build/bin}
export PATH=/run/vm/bin:$programs:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8 TERM=dumb REGIONFS_VM=1

tell() { echo "<4>regionfs-vm $vm_token: $*" > /dev/kmsg; }

mounts() {
	mkdir -p /dev/pts /dev/shm
	mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
	mount -t tmpfs -o mode=1777 shm /dev/shm
	ln -sf /proc/self/fd /dev/fd
	ln -sf /proc/self/fd/0 /dev/stdin
	ln -sf /proc/self/fd/1 /dev/stdout
	ln -sf /proc/self/fd/2 /dev/stderr
	mkdir -p /run/lock /run/netns
	mount -t debugfs debugfs /sys/kernel/debug
	mount -t tracefs tracefs /sys/kernel/tracing
	mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
		for c in memory io pids cpu; do echo "+$c" > /sys/fs/cgroup/cgroup.subtree_control; done
} 2>/dev/null

# show DIR FD: DIR, as it was opened before, where a mount has hidden it
show() {
	[ -d "$1" ] && return
	mkdir -p "$1"
	mount --no-canonicalize --bind "/proc/self/fd/$2" "$1"
}

# A fresh /tmp, which still has the project and the directory that vm.sh was called from
fresh_tmp() {
	exec 8< "$vm_top" 9< "$vm_dir"
	mount -t tmpfs -o mode=1777 tmp /tmp
	show "$vm_top" 8
	show "$vm_dir" 9
	exec 8<&- 9<&-
}

# The debugging kernel has everything built in; modprobe has to be told
builtin_modules() {
	[ -n "${vm_tree:-}" ] || return 0
	local dir=/lib/modules/$vm_release
	mkdir -p "$dir"
	cp "$vm_tree"/modules.builtin "$vm_tree"/modules.builtin.modinfo "$dir/"
	: > "$dir/modules.order"
	depmod "$vm_release"
}

name_disks() {
	local d
	[ -d /sys/module/virtio_blk ] || modprobe -q virtio_blk
	mkdir -p /dev/regionfs-disk
	for d in /sys/block/vd*; do
		[ -s "$d/serial" ] && ln -s "/dev/${d##*/}" "/dev/regionfs-disk/$(cat "$d/serial")"
	done
}

settings() {
	echo 7 > /proc/sys/kernel/printk
	echo 60 > /proc/sys/kernel/hung_task_timeout_secs
	[ -n "${vm_tree:-}" ] && echo 120 > /proc/sys/kernel/hung_task_timeout_secs
	# kmemleak's own scans come at any time and are long; leaks() asks for one at the end
	echo scan=off > /sys/kernel/debug/kmemleak
	hostname regionfs-vm
	ip link set lo up
	ulimit -c 0
} 2>/dev/null

power_cut() {
	mkdir -p /run/vm/bin
	cat > /run/vm/bin/vm-power-cut <<-END
	#!/bin/bash
	# Ends this VM and the caches of its disks: see scripts/vm.sh
	echo "<4>regionfs-vm $vm_token: power cut" > /dev/kmsg
	sleep 60
	END
	chmod +x /run/vm/bin/vm-power-cut
}

# Shortly before vm.sh gives up: which tasks are blocked, and where
watchdog() {
	[ "$vm_limit" -gt 30 ] || return 0
	(
		exec > /dev/null 2>&1
		sleep $((vm_limit - 15 - $(cut -d. -f1 /proc/uptime)))
		tell "about to time out; blocked tasks:"
		echo w > /proc/sysrq-trigger
	) &
}

leaks() {
	[ -n "$vm_kmemleak" ] && [ -e /sys/kernel/debug/kmemleak ] || return 0
	# what is younger than five seconds is not told
	sleep 6
	echo scan > /sys/kernel/debug/kmemleak
	echo scan > /sys/kernel/debug/kmemleak
	if grep -q regionfs /sys/kernel/debug/kmemleak; then
		grep -B 30 regionfs /sys/kernel/debug/kmemleak | head -100 | sed 's/^/<4>/' | while read -r line; do echo "$line" > /dev/kmsg; done
	fi
}

start() {
	local p
	mounts
	fresh_tmp
	settings
	builtin_modules
	name_disks
	power_cut
	# where mount(8) and umount(8) look for them
	for p in mount umount; do
		[ -x "$programs/$p.regionfs" ] && ln -sf "$programs/$p.regionfs" /sbin/
	done
	if [ -n "$vm_out" ]; then mkdir -p /out && mount -t virtiofs out /out; fi
	cd "$vm_dir" || return
	if [ -n "$vm_module" ]; then insmod "$vm_module" || return; fi
}

finish() {
	local rc=$1
	if ! timeout -s KILL 60 sync; then
		tell "sync did not end"
		[ "$rc" -ne 0 ] || rc=1
	fi
	tell "exit $rc"
	echo o > /proc/sysrq-trigger
	sleep 10
	echo b > /proc/sysrq-trigger
	sleep 10
}

stty -F /dev/ttyS1 raw -echo
if ! start > /dev/ttyS1 2>&1; then
	tell "could not set up"
	echo o > /proc/sysrq-trigger
	sleep 10
fi
watchdog
bash /run/vm/command < /dev/null > /dev/ttyS1 2>&1
rc=$?
leaks
finish "$rc"
