#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# COUNT times a program writes at random to a managed region, while its helper is killed by kill -9, and the wire to the source is cut
# and mended. No access fails, and after a sync the source has what the program has written, byte for byte.
#
# timeout: 900
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
. "$(dirname "$0")/managed.inc"
need jq openssl fsx
count=${COUNT:-6}
RANDOM=${SEED:-1}
size=$((4 << 20))
policies=(
	'--local memory --durability local'
	"--local file:$work/store --durability local --push-order any"
	'--local cache'
	"--local file:$work/store --durability remote --local-size 2M"
	"--local memory --durability local --max-unpushed 1M --push-interval 1s"
	"--local file:$work/store --durability local"
)

kill_and_start() {
	ok "$1: the helper is killed" kill_helper b
	[ $((RANDOM % 2)) -eq 0 ] || pause 2
	ok "$1: and started" start_helper_of "$ns_b" b
}

# The two troubles, in one order or the other, or one within the other
trouble() {
	case $((RANDOM % 3)) in
	0)
		kill_and_start "$1"
		must cut_wire
		pause 4
		must mend_wire
		;;
	1)
		must cut_wire
		pause 4
		must mend_wire
		kill_and_start "$1"
		;;
	2)
		must cut_wire
		pause 2
		kill_and_start "$1"
		pause 2
		must mend_wire
		;;
	esac
}

# cycle NUMBER
cycle() {
	local policy=${policies[$1 % ${#policies[@]}]} writer options status
	read -ra options <<< "$policy"
	ok "$1: the region is made: $policy" add_managed b db "$source" "${options[@]}"
	fsx -n 0 -l $size -s "$RANDOM" -f "$work/expected" "$b/db" > "$work/fsx" 2>&1 & writer=$!
	pause 3
	trouble "$1"
	pause 3
	kill -TERM $writer 2> /dev/null
	ok "$1: the program ends" ended $writer 120
	wait $writer
	status=$?
	is $status 0 "$1: and has seen no error and no wrong byte"
	# what it did last is the way to what went wrong
	if [ $status = 0 ]; then note "$(head -n 1 "$work/fsx")"; else note "$(head -n 1 "$work/fsx"; tail -n 60 "$work/fsx")"; fi
	ok "$1: it is synced" within 120 regionctl --instance b sync db
	ok "$1: the source has every byte" same "$work/expected" "$work/backend"
	ok "$1: and the region" same "$work/expected" "$b/db"
	ok "$1: the region is removed" on b rm db
}

two_hosts 5ms
start_host "$ns_a" a source=memory:
start_host "$ns_b" b source=memory:
b=$mnt
make_key "$work/key"
: > "$work/backend"
: > "$work/expected"
source="peer://10.11.0.1:7000/db?psk=$work/key"
must on a export db --listen 10.11.0.1:7000 --tls-psk "$work/key" --source "file:$work/backend"
for ((i = 1; i <= count; i++)); do cycle $i; done
done_testing
