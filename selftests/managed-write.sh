#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# durability=local: fsync needs no source, and what was written gets there when it is back. durability=remote: fsync waits for it.
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
. "$(dirname "$0")/managed.inc"
size=$((4 << 20))
managed_hosts 2ms $size

for local in memory "file:$work/store"; do
	must on b add db --source "$source" --local "$local" --durability local
	must on_within 60 b pull db
	cut_wire
	ok "local=$local: a write is synced with the wire cut" within 30 dd if=/dev/urandom of="$near/db" bs=4k seek=100 count=50 \
		conv=notrunc,fsync
	ok 'and so is one that makes it longer' within 30 dd if=/dev/urandom of="$near/db" bs=10000 count=7 oflag=append conv=notrunc,fsync
	cp "$near/db" "$work/copy"
	at_least "$(managed db .push.unpushed)" 204800 'stat tells of the bytes that the source has not got'
	mend_wire
	ok 'with the wire mended, sync brings them there' on_within 60 b sync db
	is "$(managed db .push.unpushed)" 0 'nothing is left'
	ok 'the source has them' same "$work/copy" "$far/db"
	must on_within 60 b rm db
done

must on b add db --source "$source" --local memory --durability remote
must on_within 60 b pull db
cut_wire
within 300 dd if=/dev/urandom of="$near/db" bs=4k seek=10 count=5 conv=notrunc,fsync 2> /dev/null & writing=$!
sleep 2
ok 'durability=remote: fsync waits for the source' kill -0 $writing
mend_wire
ok 'and ends when it is back' ended $writing 60
ok 'the source has it' same "$near/db" "$far/db"
done_testing
