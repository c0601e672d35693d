#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A program in a cgroup is frozen for a hand-over, also while it waits for a byte of its region. It goes on when the hand-over is aborted, or
# when regiond is killed meanwhile, and stands still when the region has moved, with all that it had written.
#
# The region's source is an instance of its own, C: as long as its helper is stopped, the region's freeze does not end.
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl counters

for cgroups in /sys/fs/cgroup /sys/fs/cgroup/unified ''; do
	[ "$(stat -f -c %T "$cgroups" 2> /dev/null)" = cgroup2fs ] && break
done
[ -n "$cgroups" ] || skip_all 'no cgroup2 is mounted'
group=$cgroups/migrate-cgroup-$$
mkdir "$group" || skip_all "no cgroup can be made below $cgroups"
end_group() {
	echo 1 > "$group/cgroup.kill"
	wait_for 20 rmdir "$group"
}
later end_group

memory_hosts 1ms
start_host "$ns_a" c source=memory:
c=$mnt
source_pid=$(helper_pid c)
later kill -CONT "$source_pid"

is_frozen() { grep -q '^frozen 1' "$group/cgroup.events"; }
is_thawed() { ! is_frozen; }
is_gone() { ! on "$1" stat db; }
steps() { wc -l < "$work/steps"; }
goes_on() { ok "$1" wait_for 20 more_than "$work/steps" "$(steps)"; }

stands_still() {
	local now
	sleep 0.5
	now=$(steps)
	sleep 1
	is "$(steps)" "$now" "$1"
}

seed() {
	on a seed db --listen 10.11.0.1:7001 "${tls[@]}" --detach "$@"
}

# begin [OPTION]...: A seeds with them, B has pulled all of it once
begin() {
	must seed --suspend-cgroup "$group" "$@"
	must on b leech db peer://10.11.0.1:7001/db "${tls[@]}" --detach
	must wait_for 60 settled_on b db
}

must on c add db --size 16M
must on c export db --listen "unix:$work/source"
ok 'a region is made on A' on a add db --source "peer+unix:$work/source?region=db"
# shellcheck disable=SC2016 # the inner shell's
sh -c 'echo 0 > "$1/cgroup.procs" && exec counters "$2/db" 16 10' sh "$group" "$a" >> "$work/steps" 2> "$work/errors" &
program=$!
must wait_for 20 test -s "$work/steps"

# ---- what cannot be ----
fails 'a cgroup that is not there is refused' seed --suspend-cgroup "$group/none"
says 'there is no cgroup' 'and why is said'
fails 'the root is refused' seed --suspend-cgroup "$cgroups/"
says 'it is the root' 'and why is said'
helper=$(helper_pid a)
must sh -c "echo $helper > $group/cgroup.procs"
fails "regiond's own is refused" seed --suspend-cgroup "$group"
says 'has regiond in it' 'and why is said'
must sh -c "echo $helper > $cgroups/cgroup.procs"

# ---- aborted while the program is frozen ----
begin --on-suspend "kill -STOP $source_pid" --on-abort "echo \"\$REGIONFS_MOMENT \$REGIONFS_REASON\" > $work/aborted"
on b finalize db > /dev/null 2>&1 & finalizing=$!
ok 'the program is frozen for a hand-over' wait_for 20 is_frozen
stands_still 'it stands still'
ok 'B aborts' on b abort db
kill -CONT "$source_pid"
ok 'the program is thawed' wait_for 20 is_thawed
goes_on 'it goes on'
wait $finalizing
ok 'the abort hook was run' wait_for 20 grep -q '^abort .' "$work/aborted"
note "$(cat "$work/aborted")"
must wait_for 40 state_is a db serving
must on a abort db

# ---- regiond is killed while the program is frozen ----
begin --on-suspend "kill -STOP $source_pid"
on b finalize db > /dev/null 2>&1 & finalizing=$!
ok 'it is frozen for another one' wait_for 20 is_frozen
ok 'regiond is killed' kill_helper a
kill -CONT "$source_pid"
stands_still 'the program stands still'
ok 'B gives up, which A cannot hear' on b abort db
wait $finalizing
must wait_for 20 is_gone b
ok 'regiond is started' start_helper_of "$ns_a" a
ok 'it thaws the program' wait_for 20 is_thawed
ok 'and the region' wait_for 20 has_not a db frozen
goes_on 'the program goes on'
must wait_for 60 state_is a db serving
must on a abort db

# ---- it moves, and is frozen while it waits for a byte that nobody brings ----
begin
must on a drop db
kill -STOP "$source_pid"
stands_still 'the program waits for the source'
on b finalize db --json > "$work/final" 2>&1 & finalizing=$!
ok 'it is frozen nevertheless' wait_for 20 is_frozen
kill -CONT "$source_pid"
wait $finalizing
is $? 0 'the region is handed over'
ok 'the program on A is still frozen' is_frozen
stands_still 'and stands still'
ok 'A has moved' has_flag a db moved
ok 'B is complete' wait_for 60 state_is b db complete
ok 'B has what A had when it was frozen' cmp "$c/db" "$b/db"
step=$(od -An -t u8 -N 8 "$b/db" | tr -d ' ')
at_least "$step" "$(steps)" 'with every step that the program has said'
at_most "$step" $(($(steps) + 1)) 'and no other'
timeout 3 counters "$b/db" 16 10 > "$work/steps.b" 2>> "$work/errors"
is "$(head -1 "$work/steps.b")" "$step" 'the next one is taken on B'
ok 'the program on A is killed' sh -c "echo 1 > $group/cgroup.kill"
wait $program
is $? 137 'which ends it'
ok 'its region can be removed there' wait_for 20 on a rm db
is "$(cat "$work/errors")" '' 'no program has met an error'
done_testing
