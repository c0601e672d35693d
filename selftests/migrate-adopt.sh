#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A managed region moves from A to B, and its source, which is C's, with it. What A had not pushed by then, B pushes; A pushes nothing any more, neither while it is
# moved, nor in its next helper.
# timeout: 200
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl
adopt_hosts 2ms
size=$((16 << 20)) place=$((4 << 20))
source=peer+plain://10.11.0.1:7000/r
managed=(--managed --durability local --push-interval 1h)
random_file "$work/bytes" "$size"
must on c add r --size "$size"
must cp "$work/bytes" "$c/r"
must sync "$c/r"
must on c export r --listen 10.11.0.1:7000 --insecure
must on a add db --source "$source" "${managed[@]}" --local "file:$work/store-a"
is_pulled() { [ "$(stat_of a db .managed.pull.state)" = complete ]; }
ok 'A has pulled the region' wait_for 30 is_pulled

# pattern N: what the program writes
pattern() { yes "$1" | head -c 65536; }
# The program: the same place over and over, each time another pattern, with an fsync. What it has last, in $work/last.
program() {
	local n=0
	while n=$((n + 1)); pattern $n | dd of="$a/db" bs=64k seek=$((place / 65536)) iflag=fullblock conv=notrunc,fsync status=none 2> /dev/null; do
		echo $n > "$work/last.new" && mv "$work/last.new" "$work/last"
	done &
	program=$!
	later kill $program
}
program
ok 'a program writes it there' wait_for 20 test -e "$work/last"

# ---- the way ----
must on a seed db --listen 10.11.0.1:7001 --insecure --detach
fails 'without a store here B does not take it over' on b leech db peer://10.11.0.1:7001/db --insecure --managed --local-source "$source" --detach
fails 'nor a source that it does not reach' on b leech db peer://10.11.0.1:7001/db --insecure "${managed[@]}" --local "file:$work/store-b" \
	--local-source peer+plain://10.11.0.1:7009/r --detach
fails 'nor in memory, where an fsync is to end at the source' on b leech db peer://10.11.0.1:7001/db --insecure --managed --local memory \
	--local-source "$source" --detach
must on b leech db peer://10.11.0.1:7001/db --insecure "${managed[@]}" --local "file:$work/store-b" \
	--local-source "$source" --on-resume "while ! test -e $work/go; do sleep 0.1; done" --hook-timeout 60s --detach
must wait_for 60 settled_on b db
is "$(stat_of b db .handover.adoption)" 'after the hand-over' 'the source is still for A to push to'
on b finalize db > "$work/finalize" 2>&1 & finalize=$!
must wait_for 30 state_is a db moved
ok 'the program on A is over' ended $program 20
is_ours() { [ "$(stat_of b db .handover.adoption)" = ours ]; }
ok 'B gets the source when all is there, though its program waits still' wait_for 30 is_ours
note "A had $(stat_of a db .managed.store.unpushed) bytes that C had not got"
is "$(stat_of a db .managed.push.state)" moved 'A says that it is not for it to push'

# ---- A's next helper ----
ok 'the helper of A is killed' kill_helper a
ok 'and started' start_helper_of "$ns_a" a
ok 'it knows that it has moved' wait_for 30 state_is a db moved
is "$(stat_of a db .managed.push.state)" moved 'and does not push either'
# the program goes on
pattern b > "$work/written"
ok 'the program goes on at B' dd if="$work/written" of="$b/db" bs=64k seek=$((place / 65536 + 16)) conv=notrunc,fsync status=none
touch "$work/go"
ok 'all of it is there' wait_for 60 state_is b db complete
wait $finalize
is $? 0 'finalize ends with success'
is "$(stat_of a db .managed.push.pushed)" 0 'A has pushed nothing since'

# ---- what there is ----
is "$(stat_of b db .source)" "$source" 'it is a region of the same source at B'
is "$(stat_of b db .managed.policy.local)" "file:$work/store-b" 'managed as was asked for'
is "$(stat_of b db .managed.fetched)" 0 'nothing was fetched twice'
last=$(cat "$work/last")
dd if="$b/db" of="$work/got" bs=64k skip=$((place / 65536)) count=1 status=none
# the last one may have been written, and not been told
is_last() { pattern "$last" | cmp - "$work/got" || pattern $((last + 1)) | cmp - "$work/got"; }
ok 'B has what the program on A wrote last' is_last
ok 'and what it wrote at B' cmp "$work/written" <(dd if="$b/db" bs=64k skip=$((place / 65536 + 16)) count=1 status=none)
ok 'B pushes it' within 60 regionctl sync db --instance b
ok 'C has what B has' cmp "$b/db" "$c/r"
ok 'A lets go of it' wait_for 20 on a rm db
ok 'still C has what B has' cmp "$b/db" "$c/r"
done_testing
