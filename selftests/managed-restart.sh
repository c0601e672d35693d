#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A helper that is killed while it pulls and pushes: the next one carries on from the local store.
# timeout: 400
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
. "$(dirname "$0")/managed.inc"
size=$((24 << 20))
managed_hosts 2ms $size 40mbit

pulled_more_than() { [ "$(managed db .fetched)" -gt "$1" ]; }

for local in memory "file:$work/store"; do
	must on b add db --source "$source" --local "$local" --durability local
	ok "local=$local: a part of it is pulled" wait_for 60 pulled_more_than $((8 << 20))
	must within 30 dd if=/dev/urandom of="$near/db" bs=64k seek=300 count=20 conv=notrunc,fsync
	before=$(managed db .store.present)
	must kill_helper b
	ok 'the next helper starts' start_helper_of "$ns_b" b
	ok 'it is pulled to the end' on_within 120 b pull db
	at_most "$(managed db .fetched)" $((size - before + (6 << 20))) 'what was there is not fetched again'
	must on_within 60 b sync db
	ok 'the source has what was written' same "$near/db" "$far/db"
	cp "$near/db" "$work/data"
	must on_within 60 b rm db
done
done_testing
