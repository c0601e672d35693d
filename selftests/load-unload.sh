#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The module is loaded and unloaded COUNT times (default 20), used in between, and leaves no memory behind.
# timeout: 600
. "$(dirname "$0")/common.sh"
count=${COUNT:-20}
module=${REGIONFS_KO:-$BUILD/$(uname -r)/regionfs.ko}
[ -e "$module" ] || skip_all "no $module"
[ -d /sys/module/regionfs ] && must rmmod regionfs
later insmod "$module"

slab() { awk '/^SUnreclaim:/ {print $2}' /proc/meminfo; }

cycle() {
	insmod "$module" || return
	if [ $(($1 % 5)) = 0 ]; then wrong-cookie > "$work/used" || return; fi
	rmmod regionfs
}

cycles() {
	local i
	for ((i = 1; i <= $1; i++)); do
		cycle "$i" && continue
		note "cycle $i:" "$(cat "$work/used")"
		return 1
	done
}

ok 'five cycles to warm up' cycles 5
echo 3 > /proc/sys/vm/drop_caches
before=$(slab)
ok "$count cycles" cycles "$count"
echo 3 > /proc/sys/vm/drop_caches
at_most $(($(slab) - before)) $((4096 + count * 4)) 'KiB of kernel memory more than before'
fails 'nothing of it is left' grep -q regionfs /proc/slabinfo
done_testing
