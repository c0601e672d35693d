#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A file that has grown and was synced is there whole, with its size, when all that is left of the instance is its
# state directory and the source: as after a power failure.
# timeout: 240
. "$(dirname "$0")/common.sh"
need jq
random_file "$work/input" $((1234567))

# anew NAME SOURCE: the instance ends without its helper having had a last word, and begins again
anew() {
	must kill_helper "$1"
	must within 30 umount "$mnt"
	must within 30 regionctl instance stop "$1"
	must within 60 mount -t regionfs -o "state=$work/$1.state,source=$2" "$1" "$mnt"
}

for kind in file dir; do
	mkdir "$work/$kind-store"
	source=$kind:$work/$kind-store/
	start_instance "$kind" "source=$source"
	ok "$kind: a file grows" cp "$work/input" "$mnt/grown"
	ok "$kind: and is synced" within 30 sync "$mnt/grown"
	ok "$kind: another shrinks" cp "$work/input" "$mnt/shrunk"
	must within 30 sync "$mnt/shrunk"
	must truncate -s 5000 "$mnt/shrunk"
	ok "$kind: and is synced" within 30 sync "$mnt/shrunk"
	ok "$kind: a third is written back without a sync" cp "$work/input" "$mnt/written"
	must within 60 regionctl --instance "$kind" drain
	anew "$kind" "$source"
	is "$(stat -c %s "$mnt/grown")" 1234567 "$kind: the one that grew has its size"
	ok "$kind: and its bytes" cmp "$work/input" "$mnt/grown"
	is "$(stat -c %s "$mnt/shrunk")" 5000 "$kind: the one that shrank has its size"
	ok "$kind: and its bytes" cmp -n 5000 "$work/input" "$mnt/shrunk"
	ok "$kind: the third is whole, too" cmp "$work/input" "$mnt/written"
	ok "$kind: bytes are appended" dd if="$work/input" of="$mnt/grown" bs=1000 count=1 oflag=append conv=notrunc
	must within 30 sync "$mnt/grown"
	anew "$kind" "$source"
	is "$(stat -c %s "$mnt/grown")" 1235567 "$kind: and counted once it begins again"
	ok "$kind: the old ones stand" cmp -n 1234567 "$work/input" "$mnt/grown"
done
done_testing
