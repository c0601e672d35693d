#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The module is unloaded and loaded COUNT times, every tenth time with an instance between, and no memory
# stays behind; while an instance exists it cannot be unloaded.
#
# timeout: 900
. "$(dirname "$0")/common.sh"
module=${REGIONFS_KO:-$BUILD/$(uname -r)/regionfs.ko}
count=${COUNT:-50}

# What the kernel has taken for itself, in KiB, without caches that it can give back
kernel_memory() {
	echo 3 > /proc/sys/vm/drop_caches
	awk '/^(SUnreclaim|KernelStack|PageTables|Percpu|VmallocUsed):/ {n += $2} END {print n}' /proc/meminfo
}

with_instance() {
	start_instance reload || return
	head -c 100000 /dev/urandom > "$mnt/file" && sync -f "$mnt/file"
	end_instance reload
}

tell_users() {
	note "$(grep '^regionfs ' /proc/modules)" "$(pgrep -a regiond)" "$(grep regionfs /proc/mounts)" "$(ls /run/regionfs 2>&1)"
}

reload() {
	local i
	for ((i = 1; i <= $1; i++)); do
		rmmod regionfs || { note "round $i: rmmod"; tell_users; return 1; }
		insmod "$module" || { note "round $i: insmod"; return 1; }
		[ $((i % 10)) -ne 0 ] || with_instance || { note "round $i: an instance"; return 1; }
	done
}

start_instance busy
fails 'it cannot be unloaded while an instance exists' rmmod regionfs
end_instance busy
ok 'it is unloaded and loaded ten times' reload 10
before=$(kernel_memory)
ok "and $count times more" reload "$count"
after=$(kernel_memory)
# each load may fragment a little; one leaked page a round would show
at_most $((after - before)) $((1500 + count * 3)) 'KiB of kernel memory stayed behind'
done_testing
