#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A mount that is made read-only by a remount: what was written through it is still synced, and other mounts of the instance go on.
. "$(dirname "$0")/common.sh"
start_instance ro source=memory:
ok 'a region' regionctl add r --size 1M
ok 'is written' dd if=/dev/zero "of=$mnt/r" bs=64K count=4 conv=notrunc status=none
other=$work/other
mkdir "$other"
ok 'another mount' mount -i -t regionfs ro "$other"
later umount -i "$other"
ok 'the first is remounted read-only' mount -i -o remount,ro "$mnt"
fails 'it is not written any more' dd if=/dev/zero "of=$mnt/r" bs=4K count=1 conv=notrunc status=none
ok 'the other is' dd if=/dev/zero "of=$other/r" bs=64K count=2 conv=notrunc status=none
[ "$(stat_of ro r .stats.dirty_bytes)" -gt 0 ] || note 'nothing was dirty: it tells less'
ok 'syncfs' within 60 sync -f "$mnt/r"
is "$(stat_of ro r .stats.dirty_bytes)" 0 'has written what was dirty'
ok 'it can be made writable again' mount -i -o remount,rw "$mnt"
ok 'and is written' dd if=/dev/zero "of=$mnt/r" bs=4K count=1 conv=notrunc status=none
done_testing
