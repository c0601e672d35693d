#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A managed region is cut, at an odd byte, when no helper is there to hear it, or while the next one opens it. What was cut off is zero when the region
# grows again, here and at the source, and the size is the program's.
#
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
. "$(dirname "$0")/managed.inc"
cut=99738
long=300000

# made POLICY...: a region of random bytes, that the source has not got; $size of them, all out of the page cache
made() {
	ok "$*: a region" on b add db --source "$source" --managed --durability local --push-interval 1h "$@"
	ok 'is written' cp "$work/data" "$near/db"
	ok 'and synced' within 60 dd if=/dev/null "of=$near/db" conv=notrunc,fsync status=none
	drop_caches
}

is_cut() {
	drop_caches
	head -c $cut "$work/data" > "$work/expected"
	truncate -s $long "$work/expected"
	ok 'it grows' truncate -s $long "$near/db"
	ok 'and what was cut off is zero' cmp "$work/expected" "$near/db"
	ok 'it is pushed' within 60 regionctl --instance b sync db
	ok 'and so it is at the source' cmp "$work/expected" "$far/db"
	ok 'it is removed' on b rm db
}

# unheard TOLD POLICY...: cut, then as long as the next helper finds it
unheard() {
	local told=$1
	shift
	made "$@"
	ok 'the helper is killed' kill_helper b
	ok 'the region is cut' truncate -s $cut "$near/db"
	[ "$told" = $cut ] || ok 'and grows a little' truncate -s "$told" "$near/db"
	ok 'the next helper is started' start_helper_of "$ns_b" b
	ok 'and has it open' within 60 head -c 1 "$near/db"
	ok 'it hears of that' within 60 dd if=/dev/null "of=$near/db" conv=notrunc,fsync status=none
	is_cut
}

managed_hosts 5ms $long
for told in $cut 100000; do
	unheard "$told" --local memory
	unheard "$told" --local "file:$work/store"
done

made --local memory
ok 'the wire is cut' cut_wire
ok 'the helper is killed' kill_helper b
ok 'and started' start_helper_of "$ns_b" b
ok 'which opens the region' wait_for 20 managed db ' != null'
ok 'the region is cut' truncate -s $cut "$near/db"
ok 'the wire is mended' mend_wire
ok 'the region is there' within 60 head -c 1 "$near/db"
is "$(stat -c %s "$near/db")" $cut 'it is as long as it was cut'
is_cut
done_testing
