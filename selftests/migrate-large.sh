#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A region of SIZE MiB (16; make soak-migrate-large: 256) with counters all over it goes COUNT times (1) from one host to the other and back,
# while the program that counts goes on wherever it is: no step is lost or repeated, and the bytes are the same after each.
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl counters
count=${COUNT:-1}
mib=${SIZE:-$([ -n "${REGIONFS_SOAK:-}" ] && echo 256 || echo 16)}
memory_hosts 1ms

make_suspend

# hop FROM TO PORT
hop() {
	local seeder
	regionctl seed --instance "$1" db --listen "10.11.0.$3:7001" "${tls[@]}" --suspend "$work/suspend $1 sum" --json > "$work/seeded" 2>&1 &
	seeder=$!
	ok "$1 seeds" wait_for 10 state_is "$1" db serving
	ok "$2 has all of it" within 120 regionctl leech --instance "$2" db "peer://10.11.0.$3:7001/db" "${tls[@]}" --max-downtime 500ms
	wait $seeder
	is $? 0 "the seeder on $1 has ended with success"
	is "$(sum_of "$work/$2/db")" "$(cat "$work/sum")" "the bytes are what $1 had"
	go_on_counting "$2"
}

ok 'a region is made on a' on a add db --size "${mib}M"
: > "$work/steps"
go_on_counting a
for ((i = 0; i < count; i++)); do
	if [ $((i & 1)) -eq 0 ]; then hop a b 1; else hop b a 2; fi
done
at=$([ $((count & 1)) -eq 0 ] && echo a || echo b)
must "$work/suspend" "$at"
steps_are_whole 'in the end' "$work/$at/db"
is "$(stat_of "$at" db .epoch)" "$count" 'the epoch has grown with each hop'
is "$(cat "$work/errors")" '' 'the program has met no error'
done_testing
