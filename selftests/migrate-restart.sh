#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A region has been handed over, and most of it has not come yet, when the helpers die, first the one that has it, then the one
# that it comes from: the next ones go on by themselves, and every byte comes. So they do before the hand-over, where nothing
# comes twice, nor does it when the network was away. A suspended program whose helper dies before the hand-over goes on.
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl ss
memory_hosts 1ms 40mbit

ok 'a region is made on A' on a add db --size 24M
random_file "$work/bytes" $((24 << 20))
must dd if="$work/bytes" of="$a/db" bs=1M conv=notrunc status=none

# ---- before the hand-over: the suspend hook never ends ----
must on a seed db --listen 10.11.0.1:7001 "${tls[@]}" --suspend "touch $work/suspended; sleep 20" \
	--resume "touch $work/resumed" --detach
must on b leech db peer://10.11.0.1:7001/db "${tls[@]}" --detach
on b finalize db > /dev/null 2>&1 &
ok 'the program on A is suspended' wait_for 20 test -e "$work/suspended"
ok 'the helper of A is killed' kill_helper a
ok 'B gives up, which A cannot hear' on b abort db
ok 'A is started' start_helper_of "$ns_a" a
ok 'the program on A goes on' wait_for 20 test -e "$work/resumed"
ok 'the region on A is not frozen' wait_for 20 has_not a db frozen
ok 'and A hears that B has given up' wait_for 60 state_is a db serving
must on a abort db

# ---- while it is pulled ----
has_a_third() { [ "$(stat_of b db '.handover.bytes > 8000000')" = true ]; }
must on a seed db --listen 10.11.0.1:7001 "${tls[@]}" --detach
sent=$(bytes_from "$ns_a")
must on b leech db peer://10.11.0.1:7001/db "${tls[@]}" --detach
ok 'B has pulled a part of it' wait_for 60 has_a_third
must ip -n "$ns_a" link set wire down
reset_connections > "$work/reset"
ok 'the network is away, and all connections with it' test -s "$work/reset"
sleep 1
must ip -n "$ns_a" link set wire up
ok 'B has pulled all of it once' wait_for 60 settled_on b db
at_most "$(($(bytes_from "$ns_a") - sent))" $((27 << 20)) 'of which hardly anything has come twice'
ok 'the helper of B is killed' kill_helper b
ok 'the helper of A is killed' kill_helper a
must dd if=/dev/zero of="$a/db" bs=64k seek=7 count=1 conv=notrunc status=none
must dd if=/dev/zero of="$work/bytes" bs=64k seek=7 count=1 conv=notrunc status=none
ok 'A is started' start_helper_of "$ns_a" a
ok 'B is started' start_helper_of "$ns_b" b
ok 'A tracks still' wait_for 20 state_is a db tracking
ok 'B pulls still' wait_for 20 state_is b db pulling
ok 'and catches up' wait_for 20 settled_on b db
sent=$(bytes_from "$ns_a")
ok 'B has it' on b finalize db
ok 'B is complete' wait_for 60 state_is b db complete
at_most "$(($(bytes_from "$ns_a") - sent))" $((8 << 20)) 'what was there has not come again'
ok 'all bytes are there' within 60 cmp "$work/bytes" "$b/db"
ok 'A has ended' wait_for 20 state_is a db complete
must on a rm db
must on b rm db
must on a add db --size 24M
must dd if="$work/bytes" of="$a/db" bs=1M conv=notrunc status=none

# ---- after it ----
must on a seed db --listen 10.11.0.1:7001 "${tls[@]}" --detach
must on b leech db peer://10.11.0.1:7001/db "${tls[@]}" --detach
ok 'B has it' on b finalize db
ok 'the helper of B is killed' kill_helper b
ok 'and started' start_helper_of "$ns_b" b
ok 'it goes on' wait_for 10 state_is b db owned
ok 'the helper of A is killed' kill_helper a
ok 'and started' start_helper_of "$ns_a" a
ok 'A is moved still' has_flag a db moved
ok 'as what has moved it is there for B again' wait_for 20 state_is a db moved
fails 'it cannot be removed there' on a rm db
ok 'all bytes are there' within 60 cmp "$work/bytes" "$b/db"
ok 'B is complete' wait_for 60 state_is b db complete
is "$(stat_of b db .source | cut -c1-7)" memory: 'its source is local'
ok 'A hears of it' wait_for 20 state_is a db complete
ok 'it can be removed there' on a rm db
drop_caches
ok 'all bytes are there still' within 60 cmp "$work/bytes" "$b/db"
done_testing
