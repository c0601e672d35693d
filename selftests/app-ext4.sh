#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# ext4 on a region through a loop device: a header tree is unpacked, compared, and fsck is content.
# timeout: 900
. "$(dirname "$0")/common.sh"
need mkfs.ext4 fsck.ext4 losetup tar
need_module loop ext4
command -v regiond > /dev/null || skip_all 'regiond is not built'
tree=${TREE:-/usr/include/linux}
[ -d "$tree" ] || skip_all "no $tree"

start_instance ext4 "source=${SOURCE:-memory:}"
must truncate -s 128M "$mnt/disk"
ok 'mkfs.ext4 on a region' within 120 mkfs.ext4 -q -F "$mnt/disk"
mkdir "$work/ext4"
later umount -l "$work/ext4"
for round in 1 2; do
	ok "round $round: mounted" within 60 mount -o loop "$mnt/disk" "$work/ext4"
	mkdir "$work/ext4/$round"
	ok "round $round: a tree is unpacked" within 300 sh -c "tar -C '$tree' -cf - . | tar -C '$work/ext4/$round' -xf -"
	[ "$round" = 1 ] || ok 'what was there before is the same' diff -r "$tree" "$work/ext4/1"
	ok "round $round: unmounted" within 120 umount "$work/ext4"
	ok "round $round: fsck is content" within 120 fsck.ext4 -f -n "$mnt/disk"
	must kill_helper ext4
	must start_helper ext4
	drop_caches
done
ok 'mounted from a cold cache' within 60 mount -o loop,ro "$mnt/disk" "$work/ext4"
ok 'the tree is the same' diff -r "$tree" "$work/ext4/2"
ok 'unmounted' within 60 umount "$work/ext4"
done_testing
