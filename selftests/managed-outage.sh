#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The source away: what is here is read, whole pages and pages that are here are written, all else waits, or fails after the region's
# deadline; when it is back everything goes on by itself.
# timeout: 400
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
. "$(dirname "$0")/managed.inc"
size=$((4 << 20))
managed_hosts 2ms $size

must on b add db --source "$source" --local memory --durability local --pull-order none
must dd if="$near/db" of=/dev/null bs=64k count=4
must on b drop db
cut_wire
ok 'what is here is read' within 20 cmp -n $((256 << 10)) "$work/data" "$near/db"
ok 'a whole page is written that is not here' within 20 dd if=/dev/zero of="$near/db" bs=4k seek=500 count=2 conv=notrunc,fsync
dd if=/dev/zero of="$work/data" bs=4k seek=500 count=2 conv=notrunc 2> /dev/null
ok 'a page that is here is written in part' within 20 dd if=/dev/zero of="$near/db" bs=100 seek=3 count=1 conv=notrunc,fsync
dd if=/dev/zero of="$work/data" bs=100 seek=3 count=1 conv=notrunc 2> /dev/null
within 300 dd if="$near/db" of="$work/late" bs=4k skip=700 count=1 2> /dev/null & reading=$!
within 300 dd if=/dev/zero of="$near/db" bs=100 seek=$((800 * 41)) count=1 conv=notrunc 2> /dev/null & writing=$!
dd if=/dev/zero of="$work/data" bs=100 seek=$((800 * 41)) count=1 conv=notrunc 2> /dev/null
sleep 2
ok 'a page that is not here is waited for' kill -0 $reading
ok 'and so is one that is written in part' kill -0 $writing
source_is() { [ "$(managed db .source.state)" = "$1" ]; }
ok 'stat says that the source is away' wait_for 30 source_is away
mend_wire
ok 'when it is back the reader goes on' ended $reading 60
ok 'and so does the writer' ended $writing 60
ok 'the reader has the right bytes' cmp -n 4096 "$work/late" <(tail -c +$((700 * 4096 + 1)) "$work/data")
ok 'stat says that it is back' wait_for 30 source_is up
must on_within 60 b sync db
ok 'all that was written is there' same "$work/data" "$far/db"
must on b rm db

# late_read LOCAL: the region's deadline, with that local store, for what is asked of a source that is not known to be away yet, and then is
late_read() {
	must on b add db --source "$source" --local "$1" --pull-order none --timeout 3s
	must dd if="$near/db" of=/dev/null bs=4k count=1
	cut_wire
	fails "$1: after the deadline of the region a read fails" within 60 dd if="$near/db" of=/dev/null bs=4k skip=500 count=1
	ok 'stat says that the source is away' wait_for 30 source_is away
	fails 'and so does the next one' within 60 dd if="$near/db" of=/dev/null bs=4k skip=600 count=1
	fails 'and one of the same page' within 60 dd if="$near/db" of=/dev/null bs=4k skip=500 count=1
	mend_wire
	ok 'and succeeds when the source is back' wait_for 60 cmp -n $((1 << 20)) "$far/db" "$near/db"
	ok 'all of it is right' within 60 cmp "$far/db" "$near/db"
	must on b rm db
}

late_read memory
late_read cache
done_testing
