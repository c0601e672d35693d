#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A managed region whose local store is on a disk: what of it stands in that file system's page cache the kernel reads itself, once it was checked in this
# helper's life; what was given up, or never came, it asks for.
# timeout: 300
. "$(dirname "$0")/common.sh"
need jq mkfs.ext4 losetup cmp
need_module loop ext4

mkdir "$work/disk"
must truncate -s 96M "$work/image"
must mkfs.ext4 -q "$work/image"
must mount -o loop "$work/image" "$work/disk"
later umount -l "$work/disk"
size=$((8 << 20))
random_file "$work/bytes" $size
cp "$work/bytes" "$work/source"
start_instance near
f=$mnt/db

count() { stat_of near db ".stats.$1"; }
pulled() { [ "$(stat_of near db .managed.store.present)" = "$size" ]; }
# Of the region's page cache, not of the disk's
evict() { dd if="$f" iflag=nocache count=0 status=none; }

# reads_same: it is what it should be; asked and taken are what the helper and the file have brought
reads_same() {
	local reads bytes
	reads=$(count reads) bytes=$(count local_bytes)
	evict
	within 60 cmp "$work/bytes" "$f" || return 1
	asked=$(($(count reads) - reads)) taken=$(($(count local_bytes) - bytes))
}

ok 'a region with a store on an ext4' regionctl add --instance near db --source "file:$work/source" --local "file:$work/disk/store" --durability local
ok 'is pulled' wait_for 60 pulled
must within 60 cmp "$work/bytes" "$f"
ok 'it is read again' reads_same
is "$asked" 0 'of which regiond is not asked for anything'
is "$taken" $size 'the kernel has read it'

# ---- what changes ----
random_file "$work/piece" $((300 * 1024))
for at in 0 1000 4000; do
	must dd if="$work/piece" of="$f" bs=1k seek=$at conv=notrunc,fsync status=none
	must dd if="$work/piece" of="$work/bytes" bs=1k seek=$at conv=notrunc status=none
done
ok 'what was written is read' reads_same
is "$asked" 0 'by the kernel'
must fallocate -p -o 1234567 -l 2345678 "$f"
must fallocate -p -o 1234567 -l 2345678 "$work/bytes"
must sync -f "$f"
ok 'a hole is' reads_same
must truncate -s 3333333 "$f"
must truncate -s $size "$f"
must truncate -s 3333333 "$work/bytes"
must truncate -s $size "$work/bytes"
must sync -f "$f"
ok 'what was cut off is zero' reads_same

# ---- the next helper ----
ok 'the helper is killed' kill_helper near
ok 'and started' start_helper near
ok 'it is the same' reads_same
at_least "$asked" 1 'which regiond has looked at first'
ok 'and again' reads_same
at_least "$taken" $((1 << 20)) 'of which the kernel has read what is not a hole'

# ---- what is given up ----
ok 'the store is made smaller' regionctl set --instance near db --local-size 2M
given_up() { [ "$(stat_of near db .managed.store.present)" -le $((2 << 20)) ]; }
ok 'bytes are given up' wait_for 30 given_up
for i in 1 2 3; do
	ok "round $i: it is the same" reads_same
done
at_least "$asked" 1 'for which regiond is asked'
ok 'what the disk has in no page cache' drop_caches
ok 'is the same' reads_same

# ---- on a file system that may keep its bytes elsewhere ----
need_module overlay
mkdir -p "$work/over/lower" "$work/over/all" "$work/over.tmp"
must mount -t tmpfs tmpfs "$work/over.tmp"
later umount -l "$work/over.tmp"
mkdir "$work/over.tmp/upper" "$work/over.tmp/work"
must mount -t overlay -o "lowerdir=$work/over/lower,upperdir=$work/over.tmp/upper,workdir=$work/over.tmp/work" overlay "$work/over/all"
later umount -l "$work/over/all"
f=$mnt/other
ok 'a region with a store on an overlay' regionctl add --instance near other --source memory:512K --managed --local "file:$work/over/all/store" --durability local
must dd if="$work/piece" of="$f" bs=64k conv=notrunc,fsync status=none
evict
ok 'is read' cmp -n 307200 "$f" "$work/piece"
is "$(stat_of near other .stats.local_bytes)" 0 'by regiond'
done_testing
