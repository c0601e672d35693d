#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# ext4 on a region: made, loop-mounted, a tree of files unpacked into it, read back after a restart of the
# helper, and clean for fsck.
#
# timeout: 600
. "$(dirname "$0")/common.sh"
need mkfs.ext4 losetup
need_module loop ext4

# A part of the kernel's headers, or, where there are none, of the system's
tree_to_copy() {
	local d
	for d in /usr/src/linux-headers-*-common/include/linux /usr/include/linux; do
		[ -d "$d" ] && echo "$d" && return
	done
}

sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }

tree=$(tree_to_copy)
start_instance ext4
ok 'a region of 64 MiB is made' truncate -s 64M "$mnt/disk"
ok 'mkfs.ext4 on it' within 60 mkfs.ext4 -q -O ^has_journal "$mnt/disk"
mkdir "$work/fs"
ok 'it is loop-mounted' mount -o loop "$mnt/disk" "$work/fs"
later umount "$work/fs"
ok 'a tree is unpacked into it' within 200 sh -c "tar -C '$tree' -cf - . | tar -C '$work/fs' -xf -"
sums "$tree" > "$work/expected"
ok 'it is synced' within 100 sync -f "$work/fs"
drop_caches
ok 'the helper is killed' kill_helper ext4
ok 'and started again' start_helper ext4
sums "$work/fs" > "$work/got"
ok "all $(wc -l < "$work/expected") files read back" cmp "$work/expected" "$work/got"
ok 'it is unmounted' within 60 umount "$work/fs"
drop_caches
ok 'fsck finds nothing' within 100 fsck.ext4 -fn "$mnt/disk"
done_testing
