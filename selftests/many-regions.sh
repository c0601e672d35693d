#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# COUNT regions in directories: they are made, all are listed; how long that takes and what an idle one costs is told.
#
# timeout: 900
. "$(dirname "$0")/common.sh"
count=${COUNT:-1000}
dirs=20

slab() {
	echo 2 > /proc/sys/vm/drop_caches
	awk '/^Slab:/ {print $2}' /proc/meminfo
}

make_all() {
	local d i
	for ((d = 0; d < dirs; d++)); do
		mkdir "$mnt/d$d" || return
		for ((i = 0; i < count / dirs; i++)); do : > "$mnt/d$d/r$i" || return; done
	done
}

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

start_instance many
before=$(slab)
ok "$count regions are made in $dirs directories" make_all
note "KiB of kernel memory for each: $((($(slab) - before) / count))"
note "KiB of the helper's: $(awk '/^VmRSS:/ {print $2}' "/proc/$(helper_pid many)/status") in all"
begin=$(milliseconds)
is "$(find "$mnt" -type f | wc -l)" "$count" 'find lists them all'
note "milliseconds for it: $(($(milliseconds) - begin))"
begin=$(milliseconds)
is "$(regionctl ls --instance many --json | jq '.regions | length')" "$count" 'regionctl ls too'
note "milliseconds for it: $(($(milliseconds) - begin))"
ok 'a new helper takes them over' kill_helper many
ok 'when it is started' start_helper many
is "$(regionctl ls --instance many --json | jq '.regions | length')" "$count" 'none is missing'
ok 'they are removed' rm -r "$mnt"/d*
done_testing
