#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# syncfs(2) of an overlay on top of a region's file system is bounded as sync(2) is: the overlay's own lock is held over it, and who waits for that, sync(2) of
# everyone in the end, can't be killed.
. "$(dirname "$0")/common.sh"
start_instance over source=memory:
mkdir "$work/lower" "$work/merged" "$mnt/upper" "$mnt/work"
modprobe overlay 2> /dev/null
mount -t overlay -o "lowerdir=$work/lower,upperdir=$mnt/upper,workdir=$mnt/work" overlay "$work/merged" 2> "$work/why" ||
	skip_all "no overlay can be mounted on it: $(cat "$work/why")"
later umount -l "$work/merged"
ok 'the take-back limit is a second' regionctl instance set --instance over --takeback 1s
ok 'a file is written' dd if=/dev/zero "of=$work/merged/f" bs=4K count=1 status=none
ok 'the helper is killed' kill_helper over
sync -f "$work/merged/f" 2> /dev/null & syncer=$!
ok 'syncfs ends all the same' ended $syncer 30
ok 'the overlay can be remounted' within 30 mount -o remount "$work/merged"
ok 'sync ends' within 30 sync
ok 'the helper is started' start_helper over
ok 'and syncfs succeeds, sooner or later' wait_for 30 sync -f "$work/merged/f"
done_testing
