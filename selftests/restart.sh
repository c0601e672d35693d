#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# regiond is killed COUNT times (default 3) and started again under a parallel load with live mappings: every
# byte is verified, no process is stuck.
# timeout: 900
. "$(dirname "$0")/common.sh"
count=${COUNT:-3} seed=${SEED:-1}
need fsx jq
command -v regiond > /dev/null || skip_all 'regiond is not built'
mkdir "$work/files"
start_instance restart "source=${SOURCE:-file:$work/files/}"

pids=()
for i in 1 2 3; do
	fsx -q -n 0 -s "$seed$i" -l 3000000 -f "$work/ref.$i" "$mnt/load$i" > "$work/load.$i" 2>&1 &
	pids+=($!)
done

# The load goes on: bytes were written since
written() { regionctl instance stat restart --json | jq -r '.stats.write_bytes'; }
grows() { [ "$(written)" -gt "$1" ]; }

for ((round = 1; round <= count; round++)); do
	ok "round $round: the load runs" wait_for 60 grows "$(written)"
	ok "round $round: the helper is killed" kill_helper restart
	sleep "0.$((RANDOM % 10))"
	ok "round $round: and started again" start_helper restart
done
ok 'the load goes on' wait_for 60 grows "$(written)"
for i in 1 2 3; do
	kill -TERM "${pids[i - 1]}"
	ok "load $i ends" ended "${pids[i - 1]}" 120
	wait "${pids[i - 1]}"
	is $? 0 "load $i: every byte was right" || note "$(cat "$work/load.$i")"
done
drop_caches
ok 'the helper is restarted once more' kill_helper restart
ok 'and started' start_helper restart
for i in 1 2 3; do
	ok "load $i reads back" fsx -q -n 20 -f "$work/ref.$i" -l 3000000 "$mnt/load$i"
done
done_testing
