#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What need not be sent is not: bytes that shrink are shrunk on their way (--compress), and those that another region here has come from there
# (--reuse-from), wherever in it they are, and however large and empty it is. What is counted is what leaves A's network interface.
# timeout: 200
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl
memory_hosts 1ms
size=$((8 << 20))

# move REGION OPTION...: from A to B; sets sent, the bytes that left A
move() {
	local region=$1 before
	shift
	must on a seed "$region" --listen 10.11.0.1:7001 "${tls[@]}" --detach
	before=$(bytes_from "$ns_a")
	ok "$region moves with: $*" within 60 regionctl leech "$region" "peer://10.11.0.1:7001/$region" --instance b "${tls[@]}" \
		--finalize auto --json "$@"
	cp "$work/said" "$work/leech.$region"
	sent=$(($(bytes_from "$ns_a") - before))
	ok "$region is whole" cmp "$work/$region" "$b/$region"
	note "$region: $sent bytes sent, $(jq -c '{bytes, wire_bytes, reused_bytes}' "$work/leech.$region")"
	must on a rm "$region"
}

# on_a REGION: made there, of the file of that name
on_a() {
	must cp "$work/$1" "$a/$1"
	must sync -f "$a/$1"
}

# ---- what shrinks ----
seq 100000000 | head -c $size > "$work/text"
random_file "$work/noise" $size
on_a text
move text --compress zstd
at_most "$sent" $((size / 2)) 'text: less than half of it is sent'
is "$(jq '.bytes >= 8388608 and .wire_bytes < .bytes / 2' "$work/leech.text")" true 'text: the summary tells of both'
on_a noise
move noise --compress zstd
at_least "$sent" $size 'noise: what does not shrink comes as it is'

# ---- what is here ----
# all of it but two chunks, moved by some chunks, in a region of a terabyte
must on b add old --size 1T
must dd if="$work/noise" of="$b/old" bs=64k seek=12345 conv=notrunc status=none
random_file "$work/other" $((2 << 16)) 7
cp "$work/noise" "$work/again"
must dd if="$work/other" of="$work/again" bs=64k seek=60 conv=notrunc status=none
on_a again
move again --reuse-from old
at_most "$sent" $((size / 8)) 'again: hardly more is sent than what is new'
is "$(jq .reused_bytes "$work/leech.again")" $((size - (2 << 16))) 'again: all else was here'
is "$(jq .bytes "$work/leech.again")" $((2 << 16)) 'again: and the summary says so'
fails 'a region that is not here is not taken for one' on b leech never "peer://10.11.0.1:7001/never" "${tls[@]}" --reuse-from nobody --detach
says 'there is no region nobody here' 'which is said'
done_testing
