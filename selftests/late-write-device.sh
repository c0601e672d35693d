#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A write that is on its way to the disk below a file: region as its helper is killed never lands on a newer one: it
# keeps the file's lock, and the next helper waits for that. The disk holds v1 and nothing else, so that only
# the lock keeps v2 from overtaking it.
#
# timeout: 300
. "$(dirname "$0")/late-write.inc"
need jq nbdkit nbd-client mkfs.ext4
need_module nbd ext4

# Once "armed", the next write of the region's size turns it into "held", and waits for a line from "gate"; then it
# says "landed". Only the region writes so much at once
start_disk() {
	local disk=$work/disk
	truncate -s 64M "$disk"
	must mkfs.ext4 -q -O ^has_journal "$disk"
	mkfifo "$work/gate"
	exec 9<> "$work/gate"
	cat > "$work/pwrite" <<-END
		landed=
		if [ "\$3" = $size ] && [ -e "$work/armed" ] && mv "$work/armed" "$work/held"; then
			read -r landed < "$work/gate"
		fi
		dd of="$disk" oflag=seek_bytes conv=notrunc seek="\$4" 2> /dev/null || exit 1
		[ -z "\$landed" ] || : > "$work/landed"
	END
	nbdkit -f -U "$work/nbd" eval thread_model='echo parallel' get_size="echo 67108864" \
		pread="dd if=$disk iflag=skip_bytes,count_bytes,fullblock skip=\$4 count=\$3 2> /dev/null" \
		pwrite=". $work/pwrite" can_flush='exit 0' flush='exit 0' > "$work/nbdkit.log" 2>&1 9>&- &
	later kill $!
	must wait_for 10 test -S "$work/nbd"
	must nbd-client -unix "$work/nbd" /dev/nbd0
	later nbd-client -d /dev/nbd0
}

start_fs() {
	mkdir "$work/fs"
	must mount -o noatime /dev/nbd0 "$work/fs"
	later umount "$work/fs"
}

open_gate() { yes | head -n 100 >&9; }
is_held() { [ -e "$work/held" ] && [ ! -e "$work/landed" ]; }
# The next helper has given up waiting for the lock a first time, or has needed none
is_decided() { finished v2 || regionctl stat r --instance late --json | grep -q 'still under way'; }
# Past the page cache of the file system, which has never seen what came by O_DIRECT
on_disk() { dd "if=$work/fs/r" iflag=direct "bs=$size" 2> /dev/null | cmp "$work/$1"; }

start_disk
start_fs
start_late "file:$work/fs/r"
later open_gate
must touch "$work/armed"
write_v1 is_held
ok 'the helper dies though v1 is under way' kill_helper late
ok 'v2 is written' within 20 dd "if=$work/v2" "of=$mnt/r" bs=$size conv=notrunc
sync_region v2
ok 'the next helper starts' start_helper late
ok 'it tries to open the file' wait_for 40 is_decided
ok 'v1 is under way still' is_held
ok 'so no fsync has ended' test ! -e "$work/v1.status" -a ! -e "$work/v2.status"
open_gate
ok 'v1 lands' wait_for 20 test -e "$work/landed"
check_v2 "$work/fs/r"
ok 'and so is the disk' on_disk v2
done_testing
