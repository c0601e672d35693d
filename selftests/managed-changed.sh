#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A source that somebody else changes while there is no helper: what was here of it, in the store and the page cache, is fetched again; what was not
# pushed stays. What we push ourselves is no change.
# timeout: 600
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
. "$(dirname "$0")/managed.inc"
size=$((4 << 20))
managed_hosts 1ms $size
first=$work/data.first
must cp "$work/data" "$first"

next_helper() { kill_helper b && "$@" && start_helper_of "$ns_b" b; }

# put FILE PAGE [FLAG]: a page of random bytes, and into what is expected as well
put() {
	head -c 4096 /dev/urandom > "$work/page"
	dd if="$work/page" of="$1" bs=4096 seek="$2" conv="notrunc${3:+,$3}" 2>/dev/null &&
		dd if="$work/page" of="$work/data" bs=4096 seek="$2" conv=notrunc 2>/dev/null
}

# push PAGE: writes it, and waits until it is at the source and the store has noted the source's new version, which it does behind our back; then until
# it has synced what was pulled, once a second: a kill would cost that, too.
noted() { [ -n "$(find "$work/store" /run/regionfs/b/memory -name version -newer "$work/stamp" 2>/dev/null)" ]; }
push() { touch "$work/stamp" && put "$near/r" "$1" fsync && on_within 60 b sync r && wait_for 30 noted && sleep 3; }

# fetched_nothing WHAT: after all was read. But for the chunk that was written: a store in a directory that was killed before it had synced that
# does not know the rest of it.
fetched_nothing() {
	ok "$1: the bytes are there" same "$near/r" "$work/data"
	at_most "$(managed r .fetched)" $((64 << 10)) "$1: nothing is fetched"
}

# check SOURCE LOCAL COMMAND...: the command puts page 20 there
check() {
	local source=$1 local=$2
	shift 2
	must on b add r --source "$source" --local "$local" --durability local --push-interval 1h
	must on_within 120 b pull r
	ok "$source, local=$local: it is here" same "$near/r" "$work/data"
	must push 5
	ok 'the next helper comes' next_helper true
	fetched_nothing 'what we have pushed'
	must put "$near/r" 10 fsync
	ok 'the source changes, and the next helper comes' next_helper "$@"
	ok 'programs see it, and what was not pushed' wait_for 60 same "$near/r" "$work/data"
	ok 'it was fetched' test "$(managed r .fetched)" -gt 0
	must push 6
	ok 'and the next helper comes' next_helper true
	fetched_nothing 'after that'
}

# ---- a file ----
for local in memory "file:$work/store"; do
	must cp "$first" "$work/data"
	must cp "$first" "$work/file"
	check "file:$work/file" "$local" put "$work/file" 20
	ok 'the source has all of it' same "$work/file" "$work/data"
	must on_within 60 b rm r
done

# ---- a directory: page 20 is in the file of its first chunk ----
must cp "$first" "$work/data"
must cp -r "$(find "$work/source" -name .regionfs -printf %h -quit)" "$work/dir"
rm -f "$work/dir/.lock" "$work/dir/.journal"
check "dir:$work/dir" "file:$work/store" put "$work/dir/0" 20
must on_within 60 b rm r

# ---- a peer: A's programs may write once B's session is over ----
write_far() { wait_for 60 put "$far/db" 20 fsync; }
must cp "$first" "$work/data"
check "$source" "file:$work/store" write_far
ok "A's helper is killed" kill_helper a
ok 'another one comes' start_helper_of "$ns_a" a
ok 'and exports it' on a export db --listen 10.11.0.1:7000 --insecure
ok 'so does the next helper here' next_helper true
fetched_nothing 'another server, the same bytes'
ok 'A has all of it' same "$far/db" "$work/data"
done_testing
