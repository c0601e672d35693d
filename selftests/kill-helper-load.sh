#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The helper is killed by kill -9 during a parallel load of writes with live mappings, and started again,
# COUNT times: no program sees an error, no process is stuck, and every byte is right.
#
# timeout: 900
. "$(dirname "$0")/common.sh"
count=${COUNT:-5}
seed=${SEED:-1}
files=4
RANDOM=$seed

# A pause of up to three seconds, so that the kill falls anywhere
pause() { sleep "$((RANDOM % 3)).$((RANDOM % 10))"; }

all_same() {
	local i
	for ((i = 0; i < files; i++)); do
		cmp "$work/expected.$i" "$mnt/$i" || return
	done
}

one_of_them_ended() {
	local p
	for p in "${load[@]}"; do gone "$p" && return; done
	return 1
}

start_instance load source=memory:,local-read=no	# so that reads are in flight, too
load=()
for ((i = 0; i < files; i++)); do
	fsx -n 0 -l 4194304 -s $((seed * 100 + i)) -f "$work/expected.$i" "$mnt/$i" > "$work/fsx.$i" 2>&1 &
	load+=($!)
done
for ((i = 1; i <= count; i++)); do
	pause
	ok "round $i: the helper is killed" kill_helper load
	[ $((RANDOM % 2)) -eq 0 ] || pause
	ok "round $i: and started again" start_helper load
	one_of_them_ended && break
done
pause
kill -TERM "${load[@]}" 2> /dev/null
for i in "${!load[@]}"; do
	ok "writer $i ends" ended "${load[i]}" 120
	wait "${load[i]}"
	is $? 0 'and has seen no error and no wrong byte'
	note "$(sed -n '1p;2,${$p}' "$work/fsx.$i")"
done
ok 'every byte is right' all_same
drop_caches
ok 'the helper is killed a last time' kill_helper load
ok 'and started again' start_helper load
ok 'every byte is right again, from the helper' all_same
done_testing
