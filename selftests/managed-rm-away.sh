#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A region whose source is away is removed, or gets another source, while a program waits for what is not here: neither waits for the old source, and
# the other regions of the instance are pushed again.
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
. "$(dirname "$0")/managed.inc"
size=$((4 << 20))
managed_hosts 2ms $size

# A writer that could not say goodbye is held for half a minute
added() { on b add db --source "$source" --local memory --durability local --pull-order none; }

# begin: db, with a page here, and one that a reader waits for while the source is away; sets reading
begin() {
	must wait_for 90 added
	must dd if="$near/db" of=/dev/null bs=64k count=1
	cut_wire
	dd if="$near/db" of="$work/late" bs=4k skip=700 count=1 2> /dev/null & reading=$!
	later kill -KILL $reading
	sleep 2
	ok 'a page that is not here is waited for' kill -0 $reading
}

random_file "$work/other" 65536
must on b add other --source "file:$work/other" --size 65536 --local memory --durability local
begin
ok 'a page is written' within 20 dd if=/dev/zero of="$near/db" bs=4k seek=500 count=1 conv=notrunc,fsync
ok 'and then one of another region' within 20 dd if=/dev/zero of="$near/other" bs=4k count=1 conv=notrunc,fsync
other_waits() { [ "$(managed other .push.waits_for)" != null ]; }
ok 'which waits until the first one is pushed' wait_for 30 other_waits
kill -KILL $reading
ok 'the reader can be killed' ended $reading 20
ok 'the region is removed' on_within 40 b rm db --discard
ok 'the other one is pushed' on_within 40 b sync other
ok 'its source has it' cmp -n 4096 "$work/other" /dev/zero
mend_wire

cp "$work/data" "$work/copy"
begin
ok 'it gets another source' on_within 40 b set db --source "file:$work/copy"
ok 'the reader goes on with that' ended $reading 40
ok 'and has the right bytes' cmp -n 4096 "$work/late" <(tail -c +$((700 * 4096 + 1)) "$work/data")
mend_wire
done_testing
