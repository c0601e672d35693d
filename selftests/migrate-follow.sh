#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Two hosts follow a region that a program on a third one changes all the time, syncing one page before it changes the other. What they show is always one state
# of it, and not old; links that are cut and helpers that are killed change nothing of that. One is promoted: nothing that was written is lost. The other one is
# told, and follows the new owner; that one is said to be lost, and comes back.
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl
memory_hosts 1ms 200mbit

# The third one has its wire to A, and its way to B through there
ns_c=hc-$$
must ip netns add "$ns_c"
later ip netns del "$ns_c"
must ip -n "$ns_a" link add wirec type veth peer name wire netns "$ns_c"
must ip -n "$ns_a" addr add 10.12.0.1/24 dev wirec
must ip -n "$ns_c" addr add 10.12.0.2/24 dev wire
must ip -n "$ns_a" link set wirec up
must ip -n "$ns_c" link set lo up
must ip -n "$ns_c" link set wire up
must ip -n "$ns_c" route add default via 10.12.0.1
must ip -n "$ns_b" route add default via 10.11.0.1
must ip netns exec "$ns_a" sysctl -q net.ipv4.ip_forward=1
later end_processes_of "$ns_c"

start_host "$ns_c" c source=memory:
c=$mnt
age=600ms
old=2000		# ms: more than that is not up to date, on a slow machine

age_of() { stat_of "$1" db .handover.age_ms; }
is_new() { [ "$(age_of "$1")" -le "$old" ]; }
is_moved() { [ "$(stat_of b db .handover.moved)" = true ]; }
states_of() { stat_of "$1" db .handover.states; }
goes_on() {
	local before
	before=$(states_of "$1")
	more() { [ "$(states_of "$1")" -gt $((before + 1)) ]; }
	wait_for 10 more "$1"
}

# oldest HOST: of some looks
oldest() {
	local most=0 now i
	for i in 1 2 3 4 5; do
		now=$(age_of "$1")
		[ "$now" -le "$most" ] || most=$now
		sleep 0.1
	done
	echo "$most"
}

ok 'a region is made on A' on a add db --size 4M
random_file "$work/bytes" $((4 << 20))
must dd if="$work/bytes" of="$a/db" bs=1M conv=notrunc status=none
must dd if=/dev/zero of="$a/db" bs=4k seek=1 count=1 conv=notrunc status=none
must dd if=/dev/zero of="$a/db" bs=4k seek=1022 count=1 conv=notrunc status=none
pairs write "$a/db" > "$work/written" 2> "$work/errors" & writer=$!
suspend=$(hook_end $writer)
ok 'A seeds it' on a seed db --listen 0.0.0.0:7001 "${tls[@]}" --on-suspend "$suspend" --detach

# ---- two follow ----
ok 'B follows it' within 30 regionctl leech --instance b db peer://10.11.0.1:7001/db "${tls[@]}" --follow --max-age $age
ok 'C follows it' within 30 regionctl leech --instance c db peer://10.12.0.1:7001/db "${tls[@]}" --follow --max-age $age
for h in b c; do
	pairs read "$work/$h/db" > "$work/seen.$h" 2>&1 &
	eval "reader_$h=$!"
	later kill $!
	is "$(stat_of $h db .handover.state)" following "$h: stat says so"
	is "$(regionctl ls --instance $h --json | jq -r '.regions[0].state // .[0].state')" following "$h: ls as well"
	fails "$h: it cannot be written" dd if=/dev/zero of="$work/$h/db" bs=4k count=1 conv=notrunc
	says 'Read-only' "$h: and says why"
done
is "$(stat_of a db .handover.nr_followers)" 2 'A knows of both'
ok 'B gets new states' goes_on b
ok 'C gets new states' goes_on c
at_most "$(oldest b)" $old 'B shows none that is old, in ms'
at_most "$(oldest c)" $old 'C shows none that is old, in ms'
fails 'nobody can finalize it' on b finalize db
fails 'when it were to be handed over cannot be said' on b leech other peer://10.11.0.1:7001/db "${tls[@]}" --follow --handover early
says 'leave out --handover' 'and why is said'

# ---- what can happen ----
must ip -n "$ns_b" link set wire down
sleep 2
at_least "$(age_of b)" 1500 'the link of B is cut: what it shows gets old'
ok 'it can be read' within 5 dd if="$b/db" of=/dev/null bs=1M status=none
ok 'C is not disturbed' is_new c
must ip -n "$ns_b" link set wire up
must ip -n "$ns_b" route replace default via 10.11.0.1
ok 'it is back: so is B' wait_for 30 is_new b
ok 'the helper of B is killed' kill_helper b
ok 'and started' start_helper_of "$ns_b" b
ok 'B is up to date again' wait_for 20 is_new b
ok 'and goes on' goes_on b
ok 'the helper of A is killed' kill_helper a
ok 'and started' start_helper_of "$ns_a" a
ok 'B is up to date again' wait_for 20 is_new b
ok 'so is C' wait_for 20 is_new c
ok 'B goes on' goes_on b
ok 'the program on A writes still' kill -0 $writer
note "after $SECONDS s: readers waited at most $(stat_of b db .handover.lock_most_ms) ms on B, $(stat_of c db .handover.lock_most_ms) ms on C, for a state; $(states_of c) states on C, $(stat_of c db .handover.lost_rounds) rounds lost"

# ---- one is promoted ----
ok 'C is promoted' within 30 regionctl promote --instance c db
ok 'the program on A has ended' gone $writer
wait $writer
is $? 0 'in order'
is "$(cat "$work/errors")" '' 'and has met no error'
written=$(cat "$work/written")
is "$(pairs show "$c/db")" "$written $written" 'C has all that it has written'
ok 'B says that its source has moved' wait_for 10 is_moved
shows_last() { [ "$(pairs show "$b/db")" = "$written $written" ]; }
ok 'and shows the last state' wait_for 10 shows_last
ok 'C has all of it' wait_for 20 state_is c db complete
ok 'it can be written there' dd if=/dev/urandom of="$c/db" bs=4k seek=100 count=1 conv=notrunc
before=$(stat_of b db .handover.bytes)
ok 'C seeds it' on c seed db --listen 0.0.0.0:7001 "${tls[@]}" --detach
ok 'B follows C' within 30 regionctl leech --instance b db peer://10.12.0.2:7001/db "${tls[@]}" --follow
ok 'and shows what was written there' wait_for 20 same "$b/db" "$c/db"
at_most $(($(stat_of b db .handover.bytes) - before)) $((2 << 20)) 'for which not all was sent again'

# ---- what was seen ----
for h in b c; do
	reader=$(eval "echo \$reader_$h")
	kill "$reader"
	wait "$reader"
	is $? 0 "$h: what was read was always one state"
	read -r seen last longest < "$work/seen.$h"
	at_least "$seen" 10 "$h: which were many"
	is "$last" "$written" "$h: up to the last"
	note "$h: a look took $longest ms at most"
done
ok 'B ends it' on b abort db
fails 'nothing is left of it there' test -e "$b/db"

# ---- the owner is lost ----
ok 'it is followed again' within 30 regionctl leech --instance b db peer://10.12.0.2:7001/db "${tls[@]}" --follow
ok 'and shows what C has' wait_for 20 same "$b/db" "$c/db"
must cp "$c/db" "$work/last"
fails 'it is not said to be lost while it is there' on b promote db --source-lost
ok 'the helper of C is killed, and will not be back' kill_helper c
fails 'promoting it without the owner is refused' within 30 regionctl promote --instance b db
says 'source-lost' 'and what can be done is said'
ok 'its operator says that C is lost' wait_for 20 on b promote db --source-lost
ok 'B has the last state that it has shown' cmp "$work/last" "$b/db"
ok 'and can be written' dd if=/dev/urandom of="$b/db" bs=4k seek=200 count=1 conv=notrunc,fsync
must cp "$b/db" "$work/last"
ok 'C is back after all' start_helper_of "$ns_c" c
has_two() { state_is b db diverged && state_is c db diverged; }
ok 'both know that it has two owners' wait_for 40 has_two
ok 'what C has is given up' on c resolve db --discard
ok 'what B has is kept' on b resolve db --keep
ok 'it is B'"'"'s' within 20 cmp "$work/last" "$b/db"
ok 'to be written' within 20 dd if=/dev/zero of="$b/db" bs=4k seek=201 count=1 conv=notrunc,fsync
done_testing
