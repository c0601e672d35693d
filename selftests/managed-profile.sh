#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A recorded profile brings, elsewhere, what a program will touch, and with ",only" nothing else.
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
. "$(dirname "$0")/managed.inc"
size=$((16 << 20))
managed_hosts 2ms $size

touch_some() {
	local i
	for i in 200 3 77 140 9; do
		dd if="$near/db" of=/dev/null bs=64k skip="$i" count=1 2> /dev/null || return
	done
}

must on b add db --source "$source" --local memory --pull-order none
must touch_some
ok 'what was touched is recorded' on b record db "$work/profile"
is "$(head -1 "$work/profile")" 'regionfs-profile 1' 'in a file of text'
ok 'in the order in which it was touched' grep -q '^200 ' "$work/profile"
must on_within 60 b rm db
must on b add db --source "$source" --local memory --pull-order "profile:$work/profile,only"
ok 'played back' on_within 60 b pull db
at_most "$(managed db .store.present)" $((4 << 20)) 'it brings only that'
cut_wire
ok 'and all of that' touch_some
mend_wire
must on_within 60 b rm db

must on b add db --source "$source" --local memory
must on_within 60 b pull db
must on b drop db
must on b record db "$work/profile" --reset
must touch_some
ok 'so is what was there before, and the kernel has read itself' on b record db "$work/profile"
ok 'all of that' grep -q '^200 ' "$work/profile"
ok 'and no more' test "$(wc -l < "$work/profile")" -le 12
must on_within 60 b rm db
echo '5x 3' > "$work/bad"
fails 'a damaged profile is refused' on b add db --source "$source" --local memory --pull-order "profile:$work/bad"
done_testing
