#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A managed region is pulled before anybody opens it, into each kind of local store; then its source need not be there.
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
. "$(dirname "$0")/managed.inc"
size=$(((8 << 20) + 12345))
managed_hosts 2ms $size

for local in cache memory "file:$work/store"; do
	mend_wire
	ok "local=$local: it is added" on b add "db" --source "$source" --managed --local "$local"
	ok 'it is pulled without being opened' on_within 60 b pull db
	is "$(managed db .pull.state)" complete 'stat says that nothing is missing'
	cut_wire
	ok 'all bytes are read with the wire cut' within 30 cmp "$work/data" "$near/db"
	mend_wire
	ok 'it is removed' on_within 60 b rm db
done
# Its bytes are on this host, and nothing keeps them apart: the background leaves them where they are
ok 'one whose source is near is added' on b add near --source "file:$work/data" --managed
fails 'it can not be paused, as nothing pulls it' on b pull near --pause
says 'in the background' 'the refusal says so'
ok 'it is pulled into the page cache' on_within 60 b pull near
is "$(stat_of b near .stats.stored_bytes)" $size 'all of it was stored there'
ok 'all bytes are read' within 30 cmp "$work/data" "$near/near"
ok 'it is removed' on_within 60 b rm near
fails 'a second region has no use for fsync in the page cache' on b add other --source "$source" --local cache --durability local
says durability 'the refusal says so'
done_testing
