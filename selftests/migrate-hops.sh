#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A program with its state in a mapped region moves on from host to host. A -> B -> C, where B hands it on while it still fetches from A; then
# COUNT hops (2) back and forth between A and C, each over what the last stay has left there. No step is lost or repeated, each side has the
# same bytes, and every seeder ends by itself, with success.
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl counters
count=${COUNT:-2}
memory_hosts 1ms 20mbit
start_host "$ns_b" c source=memory:
declare -A address=([a]=10.11.0.1:7001 [b]=10.11.0.2:7002 [c]=10.11.0.2:7003)
size=$(((64 << 20) + 12288))

make_suspend

# seed HOST [SUM]: in the background
seed() {
	on "$1" seed db --listen "${address[$1]}" "${tls[@]}" --suspend "$work/suspend $*" --json > "$work/seed.$1" 2>&1 &
	seeders[$1]=$!
	ok "$1 seeds" wait_for 10 state_is "$1" db serving
}
declare -A seeders

# leech FROM TO OPTION...: in the background
leech() {
	local from=$1 to=$2
	shift 2
	on "$to" leech db "peer://${address[$from]}/db" "${tls[@]}" --json "$@" > "$work/leech.$to" 2> "$work/leech.err" &
	leech=$!
}

seeder_ends() {
	ok "$1's seeder ends" ended "${seeders[$1]}" 60
	wait "${seeders[$1]}"
	is $? 0 'with success'
}

behind_is() { [ "$(stat_of b db .handover.behind.state)" = "$1" ]; }

# ---- A -> B -> C ----
ok 'a region is made on A' on a add db --size 1M
: > "$work/steps"
go_on_counting a
# behind the counters, what takes its time
random_file "$work/bytes" $size
must dd if="$work/bytes" of="$work/a/db" bs=1M oflag=append conv=notrunc
seed a
leech a b --handover early
leech_b=$leech
ok 'B owns it' wait_for 20 state_is b db owned
at_least "$(stat_of b db .handover.at_risk)" $((size / 4)) 'most of it is at risk'
go_on_counting b
# what it needs is there; the rest takes longer than what follows. Not much slower: what is under way comes before what C needs
must tc -n "$ns_a" qdisc change dev wire root netem delay 1ms limit 100000 rate 4mbit
seed b
ok 'and still fetches it' behind_is owned
leech b c --handover early
ok 'C owns it' wait_for 30 state_is c db owned
ok 'B has given it away, and still fetches it' behind_is owned
ok 'A keeps it' state_is a db moved
# the wire is fast from here on (a change without a rate leaves the old one)
for ns in "$ns_a" "$ns_b"; do must tc -n "$ns" qdisc change dev wire root netem delay 1ms limit 100000 rate 1gbit; done
go_on_counting c
wait $leech
is $? 0 'C has all of it'
wait "$leech_b"
is $? 0 'so B needs no more of it'
seeder_ends b
seeder_ends a
is "$(jq .at_risk "$work/leech.c")" 0 'nothing is at risk any more'
is "$(stat_of c db .epoch)" 2 'the epoch has grown twice'
must "$work/suspend" c
steps_are_whole 'on C' "$work/c/db"
go_on_counting c

# ---- back and forth, with less ----
size=$((((count > 2 ? 24 : 8) << 20) + 12288))
ok 'the region gets shorter' truncate -s $size "$work/c/db"
from=c to=a
for ((hop = 0; hop < count; hop++)); do
	seed "$from" sum
	reuse=()
	[ $((hop & 1)) -eq 0 ] || reuse=(--reuse)
	leech "$from" "$to" --max-downtime 500ms "${reuse[@]}"
	wait $leech
	is $? 0 "hop $hop: $to has all of it"
	seeder_ends "$from"
	is "$(sum_of "$work/$to/db")" "$(cat "$work/sum")" "hop $hop: the bytes are what $from had"
	[ ${#reuse[@]} -eq 0 ] || at_least "$(jq .reused_bytes "$work/leech.$to")" $((size / 2)) "hop $hop: what $to had of it was not sent"
	go_on_counting "$to"
	read -r from to <<< "$to $from"
done
must "$work/suspend" "$from"
steps_are_whole 'in the end' "$work/$from/db"
is "$(stat_of "$from" db .epoch)" $((2 + count)) 'the epoch has grown with each hop'
is "$(cat "$work/errors")" '' 'the program has met no error'
done_testing
