#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A local store that is full: reads go on, writes wait for room that the pusher makes, and with the source away, too, ENOSPC is told to
# the one who writes and to nobody else.
# timeout: 400
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
. "$(dirname "$0")/managed.inc"
size=$((48 << 20))
managed_hosts 1ms $size
mkdir "$work/store"
must mount -t tmpfs -o size=40M none "$work/store"
later umount -l "$work/store"

must on b add db --source "$source" --local "file:$work/store" --durability local --timeout 4s
ok 'all of it is read, though it has no room' within 120 cmp "$work/data" "$near/db"
ok 'more is written than there is room for' within 200 dd if=/dev/urandom of="$near/db" bs=1M count=44 conv=notrunc,fsync
must on_within 150 b sync db --timeout 120s
ok 'the source has it' same "$near/db" "$far/db"
is_full() { ! within 200 sync "$near/db" 2> /dev/null; }
cut_wire
dd if=/dev/zero of="$near/db" bs=1M count=44 conv=notrunc 2> /dev/null & writing=$!
later kill -KILL $writing
# what is in the page cache by now may still find room
must wait_for 100 is_full
fails 'with the source away, fsync fails' within 200 sync "$near/db"
says 'No space' 'with ENOSPC'
mend_wire
ok 'when it is back, all is written' wait_for 100 sync "$near/db"
ok 'the writer has ended' ended $writing 60
must on_within 150 b sync db --timeout 120s
ok 'the source has it' same "$near/db" "$far/db"
done_testing
