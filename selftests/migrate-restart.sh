#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A region has been handed over, and most of it has not come yet, when the helpers die, first the one that has it, then the one
# that it comes from: the next ones go on, and every byte comes. A suspended program whose helper dies before the hand-over goes on.
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl
two_hosts 1ms 40mbit
start_host "$ns_a" a source=memory:
a=$mnt
start_host "$ns_b" b source=memory:
b=$mnt
make_key "$work/key"
tls=(--tls-psk "$work/key")

has_flag() { [ "$(stat_of "$1" db ".flags | index(\"$2\") != null")" = true ]; }
has_not() { ! has_flag "$@"; }

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
ok 'and started' start_helper_of "$ns_a" a
ok 'the program on A goes on' wait_for 20 test -e "$work/resumed"
ok 'the region on A is not frozen' has_not a frozen
ok 'B gives up' on b abort db

# ---- after it ----
must on a seed db --listen 10.11.0.1:7001 "${tls[@]}" --detach
must on b leech db peer://10.11.0.1:7001/db "${tls[@]}" --detach
ok 'B has it' on b finalize db
ok 'the helper of B is killed' kill_helper b
ok 'and started' start_helper_of "$ns_b" b
ok 'it goes on' wait_for 10 state_is b db owned
ok 'the helper of A is killed' kill_helper a
ok 'and started' start_helper_of "$ns_a" a
ok 'A is moved still' has_flag a moved
fails 'it cannot be removed there' on a rm db
ok 'it is seeded again' on a seed db --listen 10.11.0.1:7001 "${tls[@]}" --detach
ok 'as what has moved' state_is a db moved
ok 'all bytes are there' within 60 cmp "$work/bytes" "$b/db"
ok 'B is complete' wait_for 60 state_is b db complete
is "$(stat_of b db .source | cut -c1-7)" memory: 'its source is local'
ok 'A hears of it' wait_for 20 state_is a db complete
ok 'it can be removed there' on a rm db
drop_caches
ok 'all bytes are there still' within 60 cmp "$work/bytes" "$b/db"
done_testing
