#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mount(8), umount(8) and fstab: the helper is started where none serves, its refusals are relayed, what is
# dirty is written before an unmount, and an unmount never hangs on a helper that is away.
. "$(dirname "$0")/common.sh"
need jq
command -v regiond > /dev/null || skip_all 'regiond is not built'
[ -x /sbin/mount.regionfs ] || skip_all '/sbin/mount.regionfs is not installed'

mounted() { mountpoint -q "$1"; }
is_mounted() { if mounted "$1"; then pass "$2"; else fail "$2"; fi; }
is_not_mounted() { if mounted "$1"; then fail "$2"; else pass "$2"; fi; }
code() { "$@" > "$work/said" 2>&1; echo $?; }
dirty() { regionctl stat "$1" --instance mh --json | jq .stats.dirty_bytes; }

mkdir "$work/mh" "$work/two" "$work/files" "$work/other"
instances+=(mh)
state=$work/mh.state

# ---- the helper is started

ok 'mount starts a helper' within 60 mount -t regionfs -o "state=$state,source=file:$work/files/,drain=7s" mh "$work/mh"
is "$(regionctl instance ls --json | jq -r '.instances[] | select(.name == "mh") | .helper')" attached 'which is attached'
pid=$(helper_pid mh)
ok 'a file can be made' sh -c "echo hello > $work/mh/a"
ok 'a second mount of it works' within 60 mount -t regionfs -o ro mh "$work/two"
is "$(helper_pid mh)" "$pid" 'with the same helper'
is "$(cat "$work/two/a")" hello 'and the same files'
fails 'it is read-only, as asked' sh -c "echo x > $work/two/b"
ok 'a remount changes that' mount -o remount,rw "$work/two"
ok 'now it can be written' sh -c "echo x > $work/two/b"
ok 'options for a running helper are told to be late' mount -t regionfs -o queues=1 mh "$work/other"
says 'was running already' 'in a sentence'
ok 'all but one are unmounted' umount "$work/two" "$work/other"

# ---- unmounting writes what is dirty

ok 'bytes are dirtied' dd if=/dev/zero of="$work/mh/a" bs=64k count=64 conv=notrunc
ok 'umount works' within 60 umount "$work/mh"
is_not_mounted "$work/mh" 'it is unmounted'
is "$(dirty a)" 0 'nothing is dirty any more'
is "$(cat /run/regionfs/mh/drain)" 7000ms 'the limit of the mount was kept'
is "$(helper_pid mh)" "$pid" 'the helper serves on'

# ---- fstab

echo "mh $work/mh regionfs defaults,noatime,x-test,state=$state 0 0" >> /etc/fstab
later sed -i "\\| $work/mh |d" /etc/fstab
ok 'the helper is killed' kill_helper mh
ok 'mount by fstab starts the next' within 60 mount "$work/mh"
is "$(findmnt -no OPTIONS "$work/mh" | grep -c noatime)" 1 'with its options'
is "$(stat -c %s "$work/mh/a")" 4194304 'and the regions are there'

# ---- a helper that is away

ok 'more bytes are dirtied' dd if=/dev/zero of="$work/mh/a" bs=64k count=1 conv=notrunc
ok 'the helper is killed with them' kill_helper mh
is "$(code within 20 regionctl instance stop mh)" 4 'an instance that is mounted is not stopped'
ok 'one more mount needs no helper' within 30 mount -t regionfs -o helper=none mh "$work/two"
is_mounted "$work/two" 'when told so'
ok 'and is unmounted' within 30 umount "$work/two"
ok 'umount does not hang' within 20 umount "$work/mh"
says 'is not running' 'and says that nothing was drained'
is_not_mounted "$work/mh" 'it is unmounted all the same'
is "$(regionctl instance ls --json | jq -r '.instances[] | select(.name == "mh") | .helper')" none 'the kernel knows it without a helper'
is "$(regionctl instance stat mh --json | jq .mounts)" 0 'and tells about it'
is "$(code within 60 regionctl instance stop mh --timeout 1s)" 4 'what is dirty keeps it from being stopped'
ok 'unless it is given up' within 60 regionctl instance stop mh --discard
is "$(code regionctl instance stat mh)" 3 'then it is gone'

# ---- release

ok 'a mount that ends its instance' within 60 mount -t regionfs -o "state=$state,release" mh "$work/mh"
ok 'is written to' sh -c "echo x > $work/mh/x"
ok 'and unmounted' within 60 umount "$work/mh"
is "$(regionctl instance ls --json | jq '.instances | length')" 0 'the instance has ended'
ok 'the next mount makes it anew' within 60 mount -t regionfs -o "state=$state,source=file:$work/files/" mh "$work/mh"
is "$(cat "$work/mh/x")" x 'with its regions'
ok 'and is unmounted' within 60 umount "$work/mh"
ok 'and stopped' within 60 regionctl instance stop mh

# ---- refusals

fails 'a source that nobody knows' within 60 mount -t regionfs -o "state=$work/x.state,source=nonsense:x" mh-x "$work/two"
says nonsense 'is named'
fails 'a directory that is not there' within 60 mount -t regionfs -o "state=$work/x.state" mh-x "$work/none"
fails 'an option that nobody knows' within 60 mount -t regionfs -o "state=$work/x.state,frobnicate" mh-x "$work/two"
says frobnicate 'is named'
is_not_mounted "$work/two" 'nothing was mounted'
is "$(regionctl instance ls --json | jq '[.instances[] | select(.name == "mh-x")] | length')" 0 'and no instance is left'
fails 'a name that is a path' mount -t regionfs ../x "$work/two"
fails 'an instance that is not there, and nobody to make it' within 30 mount -t regionfs -o helper=none mh-n "$work/two"
says 'there is no instance' 'is told'
done_testing
