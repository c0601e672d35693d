#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# --local-size: what was not used longest is given up, what the source has not got is not.
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
. "$(dirname "$0")/managed.inc"
size=$((16 << 20))
managed_hosts 1ms $size

for local in memory "file:$work/store"; do
	must on b add db --source "$source" --local "$local" --local-size 4M --durability local
	ok "local=$local: all of it is read" within 100 cmp "$work/data" "$near/db"
	at_most "$(managed db .store.present)" $((5 << 20)) 'no more is kept than may be, but for what is being read'
	cut_wire
	must within 60 dd if=/dev/urandom of="$near/db" bs=1M count=6 seek=2 conv=notrunc,fsync
	must on b drop db
	ok 'what the source has not got is all here, though it is more' within 60 dd if="$near/db" of="$work/part" bs=1M skip=2 count=6
	mend_wire
	must on_within 60 b sync db
	ok 'the source has it' cmp "$work/part" <(tail -c +$(((2 << 20) + 1)) "$far/db" | head -c $((6 << 20)))
	cp "$far/db" "$work/data"
	must on b drop db
	ok 'all of it is read again' within 100 cmp "$work/data" "$near/db"
	must on_within 60 b rm db
done
done_testing
