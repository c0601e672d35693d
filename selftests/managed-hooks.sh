#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The commands of a managed region, at their moments, with the region and its state in their environment.
# timeout: 200
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
. "$(dirname "$0")/managed.inc"
managed_hosts 1ms $((2 << 20))
say="echo \$REGIONFS_MOMENT \$REGIONFS_REGION >> $work/moments"
moments() { [ "$(tr '\n' ' ' < "$work/moments")" = "$1" ]; }

must on b add db --source "$source" --local memory --durability local --on-before-open "$say" --on-after-pull "$say" \
	--on-before-sync "$say" --on-after-sync "$say"
must on_within 60 b pull db
ok 'before-open and after-pull have run' wait_for 30 moments 'before-open db after-pull db '
must dd if=/dev/urandom of="$near/db" bs=4k count=1 conv=notrunc,fsync
ok 'before-sync and after-sync' wait_for 30 moments 'before-open db after-pull db before-sync db after-sync db '
must on_within 60 b sync db
must on_within 60 b rm db
must on b add db --source "$source" --local memory --timeout 2s --on-before-open false
fails 'before-open that fails keeps it from being opened' within 60 cat "$near/db"
done_testing
