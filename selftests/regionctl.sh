#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# regionctl against a real regiond: what each command does, what it refuses, and the exit status that says so.
. "$(dirname "$0")/common.sh"
need jq
command -v regiond > /dev/null || skip_all 'regiond is not built'

get() { regionctl stat "$1" --json | jq -r "$2"; }

mkdir "$work/files"
start_instance rc "source=file:$work/files/"
head -c 1000000 /dev/urandom > "$work/src"

# ---- add, ls, stat

code 0 'a region is added' regionctl add dir/db --source "file:$work/src" --mode 640
is "$(stat -c '%s %a' "$mnt/dir/db")" '1000000 640' 'with its source'"'"'s size, and its mode'
ok 'and its bytes' cmp "$work/src" "$mnt/dir/db"
code 0 'the same once more is no error' regionctl add dir/db --source "file:$work/src"
code 1 'but it is when it shall be new' regionctl add dir/db --source "file:$work/src" --exclusive
code 1 'and when it is another' regionctl add dir/db --source "file:$work/files/other" --size 1M
code 0 'one on the default source' regionctl add plain --size 64K
is "$(stat -c %s "$mnt/plain")" 65536 'has the size that was asked for'
is "$(regionctl ls --names | tr '\n' ' ')" 'dir/db plain ' 'ls lists them'
is "$(regionctl ls dir --names)" dir/db 'or those below a path'
is "$(get dir/db .source)" "file:$work/src" 'stat shows a source'
is "$(get "#$(get dir/db .id)" .path)" dir/db 'a region is found by its id, too'
code 3 'what is not there is not found' regionctl stat nothing
code 1 'a source that nobody knows' regionctl add x --source nonsense:x
says nonsense 'is named'
code 1 'a URI with a password' regionctl add x --source peer://u:secret@h:1/x
code 2 'a size that is none' regionctl add x --size lots
code 3 'an instance that is not there' regionctl --instance nope ls

# ---- bytes

sync
drop_caches
code 0 'drop' regionctl drop dir/db
is "$(get dir/db .stats.cached_pages)" 0 'leaves nothing cached'
code 0 'pull' regionctl pull dir/db
at_least "$(get dir/db .stats.cached_pages)" 244 'brings all of it'
reads=$(get dir/db .stats.reads)
ok 'after it, programs read' cmp "$work/src" "$mnt/dir/db"
is "$(get dir/db .stats.reads)" "$reads" 'without asking'
ok 'bytes are dirtied' dd if=/dev/zero of="$mnt/dir/db" bs=4096 count=2 conv=notrunc
code 0 'sync' regionctl sync dir/db
is "$(get dir/db .stats.dirty_bytes)" 0 'writes them'
is "$(head -c 8192 "$work/src" | tr -d '\0' | wc -c)" 0 'to the source'
ok 'more are dirtied' dd if=/dev/zero of="$mnt/plain" bs=4096 count=4 conv=notrunc
code 0 'drain' regionctl drain --timeout 30s
is "$(get plain .stats.dirty_bytes)" 0 'writes those of all regions'

# ---- set

code 0 'read-only' regionctl set dir/db --read-only
fails 'nobody writes then' dd if=/dev/zero of="$mnt/dir/db" bs=1 count=1 conv=notrunc
code 0 'read-write' regionctl set dir/db --read-write --mode 600
ok 'and one does again' dd if=/dev/zero of="$mnt/dir/db" bs=1 count=1 conv=notrunc
is "$(stat -c %a "$mnt/dir/db")" 600 'the mode was set'
code 0 'the owner, by name' regionctl set dir/db --owner daemon:adm
is "$(stat -c '%U:%G' "$mnt/dir/db")" daemon:adm 'was set'
code 0 'the group alone, by number' regionctl set dir/db --owner :12345
is "$(stat -c '%U:%g' "$mnt/dir/db")" daemon:12345 'was set, and the user kept'
code 2 'an owner that nobody knows' regionctl set dir/db --owner nosuchuser
is "$(get dir/db '"\(.uid):\(.gid)"')" 1:12345 'changes nothing'
code 2 'nothing to set' regionctl set dir/db

# ---- freeze, lock

code 0 'freeze' regionctl freeze plain
dd if=/dev/zero of="$mnt/plain" bs=1 count=1 conv=notrunc 2> /dev/null &
writer=$!
sleep 1
ok 'a writer waits' kill -0 $writer
code 0 'thaw' regionctl thaw plain
ok 'and goes on' ended $writer 20
code 0 'lock' regionctl lock plain
cat "$mnt/plain" > /dev/null &
reader=$!
sleep 1
ok 'a reader waits' kill -0 $reader
code 0 'unlock' regionctl unlock plain
ok 'and goes on' ended $reader 20

# ---- events

regionctl events --json > "$work/events" &
watcher=$!
sleep 1
touch "$mnt/made"
ok 'an event comes' wait_for 10 grep -q '"created"' "$work/events"
kill -TERM $watcher
wait $watcher
is $? 0 'a signal ends watching, and is no failure'
is "$(jq -r 'select(.event == "created") | .region' "$work/events" | head -1)" "$(get made .id)" 'it was told what happened'

# ---- rm

# A new one: what has been dirtied some time ago is written by the kernel at any time
cp "$work/src" "$work/src2"
code 0 'a region is added' regionctl add fresh --source "file:$work/src2"
ok 'bytes are dirtied' dd if=/dev/zero of="$mnt/fresh" bs=4096 count=1 conv=notrunc
code 4 'a dirty region is not removed' regionctl rm fresh
code 0 'unless its bytes are given up' regionctl rm fresh --discard
fails 'it is gone' test -e "$mnt/fresh"
code 0 'a clean one is removed' regionctl rm dir/db --discard
fails 'it is gone' test -e "$mnt/dir/db"
ok 'its source is not' test -e "$work/src"
code 0 'one is added again' regionctl add again --source "file:$work/src"
code 0 'and removed with its bytes' regionctl rm again --purge
ok 'its source goes, too' wait_for 10 test ! -e "$work/src"

# ---- instance

is "$(regionctl instance stat --json | jq -r .name)" rc 'instance stat'
code 0 'instance set' regionctl instance set --takeback 5s
is "$(regionctl instance stat --json | jq .takeback)" 5000 'sets'
least=$(echo /sys/class/bdi/regionfs-rc-*/min_ratio)
is "$(cat "$least")" 5 'a quarter of its dirty share is never taken from it'
code 0 'a share below that is set' regionctl instance set --dirty-ratio 2
is "$(regionctl instance stat --json | jq .dirty_ratio):$(cat "$least")" 2:1 'and that with it'
fails 'one that is none is refused' regionctl instance set --dirty-ratio 101
code 0 'a larger one' regionctl instance set --dirty-ratio 40
is "$(cat "$least")" 10 'has more'
long=$(printf 'n%.0s' {1..63})
code 0 'an instance with the longest name' regionctl instance start "$long" --state "$work/long.state"
is "$(cat /sys/class/bdi/regionfs-nnnn*/min_ratio)" 5 'keeps a part of its share, too'
code 0 'and ends' regionctl instance stop "$long"
pid=$(helper_pid rc)
code 0 'instance detach' regionctl instance detach
ok 'ends the helper' ended "$pid" 20
code 3 'then there is nobody to ask' regionctl ls
code 0 'instance start' regionctl instance start rc --state "$work/rc.state"
is "$(regionctl ls --names | sort | tr '\n' ' ')" 'made plain ' 'brings them back'
code 1 'a second helper is refused' regionctl instance start rc --state "$work/second.state"
code 0 'an owner by numbers' regionctl set plain --owner 7:8
code 4 'a mounted instance is not stopped' regionctl instance stop rc
ok 'it is unmounted' within 30 umount "$mnt"
code 0 'then it is' regionctl instance stop rc
is "$(regionctl instance ls --json | jq '.instances | length')" 0 'none is left'
code 0 'its next life begins' regionctl instance start rc --state "$work/rc.state"
is "$(get plain '"\(.uid):\(.gid)"')" 7:8 'with the owners that were set'
code 0 'and ends' regionctl instance stop rc
done_testing
