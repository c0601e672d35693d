#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The mode bits decide: with no write bit and no writer left the pusher drains and rests; chmod u+w wakes it.
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
. "$(dirname "$0")/managed.inc"
managed_hosts 1ms $((2 << 20))
rests() { [ "$(managed db .push.state)" = "$1" ] && [ "$(managed db .push.unpushed)" = 0 ]; }

must on b add db --source "$source" --local memory --durability local --push-interval 1h
must on_within 60 b pull db
exec 8<> "$near/db"
must dd if=/dev/urandom of="$near/db" bs=4k count=10 conv=notrunc,fsync
ok 'no write bit is left' chmod a-w "$near/db"
sleep 2
fails 'but a writer is' rests stopped
exec 8>&-
ok 'with the last writer gone it is drained, whatever the interval' wait_for 60 rests stopped
ok 'the source has all' same "$near/db" "$far/db"
ok 'a write bit comes back' chmod u+w "$near/db"
ok 'and the pusher with it' wait_for 60 rests idle
ok 'it is written' dd if=/dev/urandom of="$near/db" bs=4k count=10 conv=notrunc,fsync
ok 'it is read-only at once' on b set db --read-only
fails 'for root, too' dd if=/dev/urandom of="$near/db" bs=4k count=10 conv=notrunc
ok 'what was written is drained' wait_for 60 rests stopped
ok 'the source has all' same "$near/db" "$far/db"
done_testing
