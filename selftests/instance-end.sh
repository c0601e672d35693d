#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The end of an instance is its regiond's, too, whoever ends it and whether regiond was told or not; of its run directory
# only the bytes of memory regions stay.
. "$(dirname "$0")/common.sh"
need jq
command -v regiond > /dev/null || skip_all 'regiond is not built'

run=/run/regionfs/end
mkdir "$work/files" "$work/end"

# serve SOURCE: a regiond whose exit status can be had
serve() {
	regiond --instance end --state "$work/end.state" --source "$1" --foreground 2> "$work/log" &
	pid=$!
	wait_for 20 test -S "$run/control"
}

mount_released() { within 20 mount -i -t regionfs -o release end "$work/end"; }

# ends_in_order WHAT: regiond does
ends_in_order() {
	if ! ended "$pid" 20; then fail "$1"; kill -KILL "$pid"; wait "$pid"; return; fi
	wait "$pid"
	is $? 0 "$1"
}
is_gone() { if [ -e "$1" ]; then fail "$2"; note "$(find "$1")"; else pass "$2"; fi; }
# of the kernel: regiond may be in no state to answer
instance_is_gone() { ! regionctl instance ls --json | jq -e '.instances[] | select(.name == "end")'; }
make_files() { for ((i = 0; i < $1; i++)); do : > "$work/end/f$i" || return; done; }

# ---- the last mount ends it

ok 'a regiond serves' serve "file:$work/files/"
ok 'a mount that ends the instance' mount_released
ok 'is written to' sh -c "echo x > $work/end/x"
ok 'and unmounted' within 30 umount -i "$work/end"
ends_in_order 'then regiond ends, with status 0'
is_gone "$run" 'and leaves nothing'
is "$(cat "$work"/files/*)" x 'the bytes are in their source'

# ---- while regiond sleeps through more events than are kept for it

ok 'a regiond serves' serve "file:$work/files/"
ok 'a mount that ends the instance' mount_released
kill -STOP "$pid"
ok 'more happens than is kept for it' make_files 4000
ok 'the instance is unmounted' within 60 umount -i "$work/end"
ok 'and ends' wait_for 30 instance_is_gone
kill -CONT "$pid"
ends_in_order 'regiond ends all the same'
is "$(grep -c 'events of the kernel were lost' "$work/log")" 1 'without having been told'
is_gone "$run" 'and leaves nothing'

# ---- instance stop

ok 'a regiond serves' serve "file:$work/files/"
echo 7000ms > "$run/drain"
ok 'the instance is stopped' within 30 regionctl instance stop end
ends_in_order 'regiond ends with it'
is_gone "$run" 'and leaves nothing'
ok 'a regiond serves' serve "file:$work/files/"
kill -KILL "$pid"
ok 'which is killed' ended "$pid" 20
ok 'the instance is stopped without it' within 30 regionctl instance stop end
is_gone "$run" 'nothing is left either'

# ---- memory regions

ok 'a regiond with memory regions serves' serve memory:
ok 'a mount that ends the instance' mount_released
ok 'is written to' sh -c "echo kept > $work/end/m"
ok 'and unmounted' within 30 umount -i "$work/end"
ends_in_order 'regiond ends with the instance'
is "$(ls "$run")" memory 'only the bytes are left'
ok 'the next regiond finds them' serve memory:
ok 'and its mount' within 20 mount -i -t regionfs end "$work/end"
is "$(cat "$work/end/m")" kept 'shows them'
ok 'the region is removed' rm "$work/end/m"
ok 'and the mount' umount -i "$work/end"
ok 'the instance is stopped' within 30 regionctl instance stop end
ends_in_order 'regiond ends with it'
is_gone "$run" 'and now nothing is left'
done_testing
