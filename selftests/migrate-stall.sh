#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A program changes a region faster than the link to its next host carries. It is said that rounds get nowhere; then it goes as the user
# has chosen: it waits until told, hands over and fetches behind, or slows the program until little is left. In no case, whatever
# ends it, is the program slow afterwards.
# timeout: 500
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl
memory_hosts 1ms 40mbit
size=$((16 << 20))
random_file "$work/bytes" "$size"

# program REGION: writes all of it over and over, always the same bytes, until that fails
program() {
	while dd if="$work/bytes" of="$a/$1" bs=64k conv=notrunc status=none 2>> "$work/dd.err"; do touch "$work/passed"; done &
	program=$!
	later kill $program
}

# begin REGION: it is on A, its program runs, A seeds it
begin() {
	must on a add "$1" --size "$size"
	program "$1"
	must wait_for 20 test -e "$work/passed"
	must on a seed "$1" --listen 10.11.0.1:7001 "${tls[@]}" --detach
}

# leech REGION OPTION...: B takes it over, in the background
leech() {
	local region=$1
	shift
	on b leech "$region" "peer://10.11.0.1:7001/$region" "${tls[@]}" --json "$@" > "$work/leech.$region" 2> "$work/leech.err" &
	leech=$!
}

has() { [ "$(stat_of "$1" "$2" "$3")" = "$4" ]; }
is_stalled() { has b "$1" .handover.stalled true; }
is_slowed() { has a "$1" '.write_rate != null' true; }
is_free() { has a "$1" '.write_rate' null; }
was_said() { grep -q migration-stalled "$work/events"; }
# The program comes round again
passes() {
	rm -f "$work/passed"
	wait_for 30 test -e "$work/passed" && return
	# what kept it
	note "program $program: $(kill -0 "$program" 2>&1 && echo runs), dd: $(tail -n 1 "$work/dd.err")"
	note "$(stat_of a again '{write_rate, handover} | tojson' 2>&1)"
	return 1
}

# all_is_there REGION: B has it whole, and it moved once
all_is_there() {
	wait $leech
	is $? 0 "$1: the leecher ends with success"
	ok "$1: it is B's, whole" cmp "$work/bytes" "$b/$1"
	ok "$1: the program on A has come to its end" ended $program 20
	ok "$1: no writer is slowed on A" is_free "$1"
	ok "$1: A lets go of it" wait_for 20 on a rm "$1"
	note "$(jq -c '{total_ms, downtime, suspend_ms, freeze_ms, handover_ms, resume_ms, pull_bytes, round_bytes, final_bytes, behind_bytes, rounds, dirty_bytes, faults, fault_waits}' "$work/leech.$1")"
}

regionctl events --instance b > "$work/events" 2>&1 &
later kill $!

# ---- wait ----
begin wait
leech wait --on-stall wait
ok 'wait: it is noticed that rounds get nowhere' wait_for 120 is_stalled wait
ok 'wait: and said to who watches' wait_for 10 was_said
rounds=$(stat_of b wait .handover.rounds)
more_rounds() { [ "$(stat_of b wait .handover.rounds)" -gt "$((rounds + 1))" ]; }
ok 'wait: rounds go on' wait_for 120 more_rounds
ok 'wait: it is not handed over' state_is b wait pulling
ok 'wait: nor is the program slowed' is_free wait
ok 'wait: stat says what it would cost' wait_for 60 has b wait '.handover | (.estimate_ms >= 0) and (.behind_ms > 0) and (.remaining > 0) and (.dirty_rate > 0)' true
ok 'wait: it is handed over when told to' on b finalize wait
all_is_there wait

# ---- postcopy ----
begin postcopy
leech postcopy --on-stall postcopy
ok 'postcopy: it is made on B' wait_for 20 test -e "$b/postcopy"
cmp "$work/bytes" "$b/postcopy" > "$work/read" 2>&1 & reader=$!
all_is_there postcopy
wait $reader
is $? 0 'postcopy: who waited for it on B reads what was on A'
is "$(jq '(.fault_waits | add) == .faults' "$work/leech.postcopy")" true 'postcopy: each wait that is counted is in the histogram'
ok 'postcopy: the summary is for people as well' on b wait postcopy
says 'of it, handing over:' 'postcopy: with the downtime and its parts'

# ---- throttle ----
begin throttle
leech throttle --on-stall throttle --max-downtime 400ms
ok 'throttle: the program is slowed' wait_for 120 is_slowed throttle
all_is_there throttle
is "$(jq '.pull_bytes > 0 and .round_bytes > 0' "$work/leech.throttle")" true 'throttle: most came before that'
at_most "$(jq .dirty_bytes "$work/leech.throttle")" $((size / 2)) 'throttle: little was left at the hand-over'

# ---- throttle, and then not ----
begin again
leech again --on-stall throttle --max-downtime 1ms
ok 'again: the program is slowed' wait_for 120 is_slowed again
ok 'again: B gives up' on b abort again
ok 'again: the program is not slowed any more' wait_for 20 is_free again
ok 'again: and goes on' passes
leech again --on-stall throttle --max-downtime 1ms
ok 'again: it is slowed again' wait_for 120 is_slowed again
ok 'again: the helper of A is killed' kill_helper a
ok 'again: and started' start_helper_of "$ns_a" a
ok 'again: the program is not slowed any more' is_free again
# B would slow it again, rightly, before it has come round
ok 'again: B gives up' on b abort again
ok 'again: and goes on' passes
done_testing
