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
		cmp "$mnt.expected/$i" "$mnt/$i" || return
	done
}

start_instance load
write-load "$mnt" $files 4M "$seed" > "$work/load.log" 2>&1 &
load=$!
for ((i = 1; i <= count; i++)); do
	pause
	ok "round $i: the helper is killed" kill_helper load
	[ $((RANDOM % 2)) -eq 0 ] || pause
	ok "round $i: and started again" start_helper load
	gone $load && break
done
pause
kill -TERM $load
ok 'the load ends' ended $load 120
wait $load
is $? 0 'and has seen no error'
note "$(cat "$work/load.log")"
ok 'every byte is right' all_same
drop_caches
ok 'the helper is killed a last time' kill_helper load
ok 'and started again' start_helper load
ok 'every byte is right again, from the helper' all_same
done_testing
